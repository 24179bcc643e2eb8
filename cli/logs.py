"""Commands for the log itself: where it ends, whether it is whole; copies, a bundle for auditors; moves, and what was lost."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.agents import read
from cli.app import LOCAL, Json, Root, Server, fail, say

PLACE = "postgresql://…, kafka://HOST:PORT/TOPIC, file:FOLDER, s3://BUCKET/PATH and the like, or a server's DIRECTORY"
Place = Annotated[str, typer.Argument(help=PLACE)]
Properties = Annotated[Path | None, typer.Option("--kafka-properties", help="file of librdkafka's settings, as SASL and TLS ask for")]
To = Annotated[str, typer.Option("--to", help="postgresql://…, kafka://HOST:PORT/TOPIC, or postgresql: for the ledger's own database")]


def add(app: typer.Typer, root: Root) -> None:
    logs = typer.Typer(no_args_is_help=True, help="The log itself.")
    app.add_typer(logs, name="log")
    add_looks(logs, root)
    add_copies(logs, root)
    add_moves(logs, root)


def add_looks(logs: typer.Typer, root: Root) -> None:
    @logs.command()
    def head(
        place: Annotated[str, typer.Argument(help=f"{PLACE}; a server's log if left out")] = "",
        server: Server = LOCAL,
        properties: Properties = None,
        as_json: Json = False,
    ) -> None:
        """The head of a log: how many events, and the root over them. Of a place as far as headers tell."""
        facts = root.head_of(place, properties) if place else asyncio.run(read(server, "/v1/checkpoint"))
        say(facts, as_json=as_json, text=f"{facts['size']} events, root {facts['root']}" + (", sealed" if facts.get("sealed") else ""))

    @logs.command()
    def check(place: Place, properties: Properties = None, as_json: Json = False) -> None:
        """Fold a log from its first record by the accept rule. Exit status 1: it is not whole."""
        facts = root.check_log(place, properties)
        say(facts, as_json=as_json, text=told(facts))
        if facts["fault"]:
            fail(f"the log is not whole beyond size {facts['size']}: {facts['fault']}", 1)

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


def add_copies(logs: typer.Typer, root: Root) -> None:
    @logs.command()
    def copy(
        source: Annotated[str, typer.Argument(metavar="FROM", help=PLACE)],
        target: Annotated[str, typer.Argument(metavar="TO", help="likewise")],
        follow: Annotated[bool, typer.Option("--follow", help="Go on until Ctrl-C: whatever comes is copied, too.")] = False,
        properties: Properties = None,
        as_json: Json = False,
    ) -> None:
        """Copy a log, byte for byte: what the target lacks. It may be read, and is not led."""
        quiet = as_json or not sys.stderr.isatty()
        facts = root.copy_log(source, target, follow=follow, properties=properties, tell=ignored if quiet else shown)
        text = f"{facts['size']} events, root {facts['root']}; {facts['size'] - facts['from_size']} of them are new"
        say(facts, as_json=as_json, text=text)


def add_moves(logs: typer.Typer, root: Root) -> None:
    @logs.command()
    def move(directory: Path, to: To, as_json: Json = False) -> None:
        """Move a ledger's log to another home, with its server stopped: seal, copy, bind. Interrupted, it goes on when it is run again."""
        facts = root.move_log(directory, to, tell=ignored)
        head, home = f"{facts['size']} events, root {facts['root']}", facts["home"]
        now = f"both homes have {head}; the ledger lives in {home}: gridledger serve {directory}"
        text = now if facts["moved"] else f"the ledger lives in {home} already: {head}"
        say(facts, as_json=as_json, text=text)

    @logs.command()
    def restore(
        directory: Path,
        source: Annotated[str, typer.Option("--from", help=f"the copy: {PLACE}")],
        to: To,
        as_json: Json = False,
    ) -> None:
        """Restore a ledger whose log lost its home, from a copy into a new home. Refuses while the old one answers."""
        facts = root.restore_log(directory, source, to, tell=ignored)
        head = f"{facts['size']} events, root {facts['root']}"
        text = f"restored up to {head}; the ledger lives in {facts['home']}: gridledger serve {directory}"
        say(facts, as_json=as_json, text=text)


def told(facts: dict[str, Any]) -> str:
    """What a check found, in lines."""
    where = f"sealed, to go on at {facts['goes_on_at']}" if facts["sealed"] else f"lives in {facts['home']}"
    void = ", ".join(f"{count} {why}" for why, count in facts["void"].items())
    return "\n".join(
        (
            f"log    {facts['log']}",
            f"head   {facts['size']} events, root {facts['root']}",
            f"blocks {facts['blocks']}; records that do not count: {void}",
            f"home   {where}",
        )
    )


def shown(line: str) -> None:
    """Each head that a copy reaches, over the one before."""
    print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)


def ignored(_: str) -> None:
    return
