"""The command for finance and auditors: everything of something, in a file that is whole or not there."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from adapters.client import PATIENCE_S, Client
from cli.app import LOCAL, Json, Root, Server, say
from exports import check, export

WHAT = (*sorted(export.TABLES), "bundle")


def add(app: typer.Typer, root: Root) -> None:
    @app.command(name="export")
    def export_(
        what: Annotated[str, typer.Argument(help=", ".join(WHAT))],
        form: Annotated[str, typer.Option("--format", help=", ".join(export.FORMS))] = "csv",
        out: Annotated[Path | None, typer.Option(help="the file, which must not be there yet; WHAT.FORMAT if left out")] = None,
        as_of: Annotated[str, typer.Option(help="the last event's position, or a time (ISO 8601, UTC); the log's head if left out")] = "",
        account: Annotated[str, typer.Option(help="whose statement or payouts, e.g. account-26; of the journal, e.g. usdc:4110.fee")] = "",
        rpc: Annotated[str | None, typer.Option(help="of a bundle: JSON-RPC of a node, what the chain says comes with it")] = None,
        server: Server = LOCAL,
        as_json: Json = False,
    ) -> None:
        """Write journal, statement, payouts or the auditors' bundle into a file, up to a position, and check that it is whole."""
        if what not in WHAT:
            raise typer.BadParameter(f"there is no export {what[:40]!r}: {', '.join(WHAT)}")
        if what == "bundle":
            bundle(server, out or Path("bundle"), rpc, as_json=as_json, narrowed=bool(as_of or account))
            return
        if form not in (known := export.forms_of(what, account)):
            raise typer.BadParameter(f"there is no format {form[:40]!r} of that: {', '.join(known)}")
        if what == "statement" and not account:
            raise typer.BadParameter("a statement is of an account: --account account-26")
        file = out or Path(f"{what}.{form}")
        asked = {name: value for name, value in (("as_of", as_of), ("account", account)) if value}
        digest = asyncio.run(fetched(server, f"/v1/exports/{what}.{form}", file, form, asked))
        facts = {"file": str(file), "bytes": file.stat().st_size, "sha256": digest}
        of = "the file" if form in export.BINARY else "all before its last line"
        say(facts, as_json=as_json, text=f"{file}: {facts['bytes']} bytes, whole; SHA-256 of {of} {digest}")


def bundle(server: str, out: Path, rpc: str | None, *, as_json: bool, narrowed: bool) -> None:
    from auditor.export import export as write

    if narrowed:
        raise typer.BadParameter("a bundle is of the whole log: --as-of and --account are for the others")
    manifest = write(server, rpc, out)
    facts = {"bundle": str(out), "size": manifest.size, "root": manifest.root}
    say(facts, as_json=as_json, text=f"{manifest.size} events in {out}: gridledger verify {out}")


async def fetched(server: str, path: str, file: Path, form: str, asked: dict[str, str], *, patience_s: float = PATIENCE_S) -> str:
    """Its hash. The file comes to its place when it is known to be whole; what is there already is left alone."""
    if file.exists():
        raise FileExistsError(f"{file} is there already")
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as opened:
            async with Client(server, patience_s=patience_s) as client:
                await client.save(path, opened, **asked)
        digest = check.check(part, form)
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
    return digest
