"""Commands for whoever audits: a bundle from the public API, its verification, explanations, the head."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from cli.agents import read
from cli.app import LOCAL, Json, Root, Server, say


def add(app: typer.Typer, root: Root) -> None:
    @app.command()
    def verify(
        bundle: Path,
        rpc: Annotated[str | None, typer.Option(help="JSON-RPC of a node of the chain")] = None,
        as_json: Json = False,
    ) -> None:
        """Check a bundle: everything that an outsider can recompute. Exit 0 clean, 1 findings, 2 evidence missing, 3 bad input."""
        from auditor.verify import verify as check

        report = check(bundle, rpc)
        typer.echo(report.json() if as_json else report.text())
        raise SystemExit(report.exit)

    @app.command()
    def explain(
        what: Annotated[str, typer.Argument(help="an account, job, task, payout or worker")],
        bundle: Annotated[Path, typer.Option(help="an exported bundle")] = Path("demo-out/bundle"),
        as_json: Json = False,
    ) -> None:
        """Expand an amount into the events, prices and shares that made it. Offline."""
        from auditor.explain import explain as expand

        tree = expand(bundle, what)
        typer.echo(tree.json() if as_json else tree.text())

    logs = typer.Typer(no_args_is_help=True, help="The log itself.")
    app.add_typer(logs, name="log")

    @logs.command()
    def head(server: Server = LOCAL, as_json: Json = False) -> None:
        """The head of a server's log: how many events, and the root over them."""
        facts = asyncio.run(read(server, "/v1/checkpoint"))
        say(facts, as_json=as_json, text=f"{facts['size']} events, root {facts['root']}")

    @logs.command()
    def export(
        out: Path,
        server: Server = LOCAL,
        rpc: Annotated[str | None, typer.Option(help="JSON-RPC of a node: what the chain says comes with the bundle")] = None,
        as_json: Json = False,
    ) -> None:
        """Write a bundle for auditors, from a server's public API alone."""
        from auditor.export import export as write

        manifest = write(server, rpc, out)
        facts = {"bundle": str(out), "size": manifest.size, "root": manifest.root}
        say(facts, as_json=as_json, text=f"{manifest.size} events in {out}: gridledger verify {out}")
