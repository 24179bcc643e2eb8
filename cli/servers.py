"""Commands for whoever runs a ledger: begin one, serve it, look at the machine, rebuild a view; and the demo."""

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.app import LOCAL, Json, Root, Server, say, size_of
from domain.policy import POLICIES

PLAIN_COLUMNS = 132
LOGS = ("postgresql", "kafka")
TOOLS = Path(__file__).resolve().parent.parent / ".tools"


def add(app: typer.Typer, root: Root) -> None:
    add_server(app, root)
    add_demo(app, root)
    add_care(app, root)


def add_server(app: typer.Typer, root: Root) -> None:
    @app.command()
    def init(
        directory: Path,
        policy: Annotated[str, typer.Option(help="standard or demo")] = "standard",
        database_url: Annotated[str, typer.Option(help="libpq URI; empty: PostgreSQL from the wheel")] = "",
        kafka: Annotated[str, typer.Option(envvar=root.KAFKA, help="bootstrap servers of Kafka; empty: the log is in the database")] = "",
        rpc_url: Annotated[str, typer.Option(help="JSON-RPC of an EVM node; of several, with spaces between: they must agree")] = "",
        treasury: Annotated[str, typer.Option(help="address of the treasury contract")] = "",
        token: Annotated[str, typer.Option(help="address of the token that it holds")] = "",
        chain_id: Annotated[int, typer.Option(min=1)] = 31337,
        as_json: Json = False,
    ) -> None:
        """Begin a ledger: keys, settings and the first block."""
        log = root.init(directory, policy, database_url, rpc_url, treasury, token, chain_id, kafka)
        text = f"ledger {log} begins in {directory}: gridledger serve {directory}"
        say({"log": log, "directory": str(directory)}, as_json=as_json, text=text)

    @app.command()
    def serve(
        directory: Path,
        host: Annotated[str, typer.Option()] = "127.0.0.1",
        port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any free one")] = 8080,
        advertise: Annotated[str, typer.Option(help="where other servers of this ledger reach this one; empty: as it listens")] = "",
        role: Annotated[str, typer.Option(help="all, leader, api, projector or daemons (docs/roles.md)")] = "all",
    ) -> None:
        """Run a ledger's server until Ctrl-C: sequencer, projections, API and daemons, or the one of them that is named. On a database that
        is not the directory's own, start it twice: one leads, the other stands by and hands on to it."""
        root.serve(directory, host, port, advertise, role)

    @app.command()
    def status(server: Server = LOCAL, as_json: Json = False) -> None:
        """Say what a process of a server is, and how far each projection is behind the log. Exit status 1: it is not ready."""
        facts = asyncio.run(asked(server))
        say(facts, as_json=as_json, text=standing(facts))
        raise SystemExit(0 if facts["ready"] else 1)

    @app.command()
    def snapshot(
        directory: Path,
        size: Annotated[int | None, typer.Option(min=1, help="where a block of the log ends; the log's end if left out")] = None,
        on: Annotated[bool, typer.Option("--on", help="Go on from the newest snapshot, as servers do.")] = False,
        as_json: Json = False,
    ) -> None:
        """Fold the log from its first event and keep the state, so that servers start from there. Servers make snapshots by themselves,
        from the one before; do it anew before a new version is started, and to compare with what stands at the same position."""
        facts = root.snapshot(directory, size, anew=not on)
        say(facts, as_json=as_json, text=f"a snapshot stands at position {facts['size']}, root {facts['root']}")


def add_demo(app: typer.Typer, root: Root) -> None:
    @app.command()
    def demo(
        frames: Annotated[int, typer.Option(min=1, max=240)] = 4,
        size: Annotated[str, typer.Option(help="of a frame, in pixels")] = "320x180",
        samples: Annotated[int, typer.Option(min=1, max=4096, help="per pixel")] = 64,
        seed: Annotated[int, typer.Option(min=0, max=2**32 - 1)] = 7,
        policy: Annotated[str, typer.Option(help="standard or demo")] = "demo",
        log: Annotated[str, typer.Option(help="where the log is: postgresql or kafka")] = "postgresql",
        keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
        out: Annotated[Path, typer.Option(help="where pictures and bundle go")] = Path("demo-out"),
        chaos: Annotated[bool, typer.Option("--chaos", help="Kill whatever runs, at random by the seed.")] = False,
        opens: Annotated[bool, typer.Option("--open", help="Show the job's page in a browser.")] = False,
        as_json: Json = False,
    ) -> None:
        """Run a whole compute network on this machine, from the first deposit to the audit."""

        from auditor.export import export
        from demo.feed import Disappointed
        from demo.parts import Failed
        from demo.play import Given, Options, play
        from examples.atelier import make_scene

        if policy not in POLICIES:
            raise typer.BadParameter(f"there is no policy {policy}: {' or '.join(POLICIES)}")
        if log not in LOGS:
            raise typer.BadParameter(f"there is no log in {log}: {' or '.join(LOGS)}")
        given = Given(root.DATABASE, root.KAFKA, TOOLS, root.begin, make_scene.write, export)
        options = Options(frames, size_of(size), samples, seed, policy, log, keep, out, chaos, opens)
        try:
            raise SystemExit(asyncio.run(play(options, given, console(), as_json=as_json)))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        except (Disappointed, Failed) as fault:
            raise root.Unstartable(str(fault)) from fault


def add_care(app: typer.Typer, root: Root) -> None:
    @app.command()
    def doctor(as_json: Json = False) -> None:
        """Say what this machine lacks, with the fix."""
        from adapters import doctor as examiner
        from worker_runtime.gpu import probe, sandbox

        models = [device.model for device in probe.devices()]
        parts = examiner.examine(Path.cwd(), TOOLS, sandbox.missing, lambda: models, os.environ.get(root.KAFKA, ""))
        facts = [{name: getattr(part, name) for name in part.__struct_fields__} for part in parts]
        say(facts, as_json=as_json, text="\n".join(told(part) for part in parts))
        raise SystemExit(0 if examiner.healthy(parts) else 1)

    projections = typer.Typer(no_args_is_help=True, help="Views of the ledger.")
    app.add_typer(projections, name="projection")

    @projections.command()
    def rebuild(name: str, directory: Annotated[Path, typer.Option(help="the server's directory")], as_json: Json = False) -> None:
        """Build a projection anew beside the live one, compare, and swap them without downtime."""
        facts = root.rebuild(directory, name)
        say(facts, as_json=as_json, text=f"{name} is rebuilt up to position {facts['position']}")


def console() -> Console:
    """The terminal; where there is none, lines long enough that no number is cut."""
    found = Console()
    return found if found.is_terminal else Console(width=PLAIN_COLUMNS)


def told(part: Any) -> str:
    """A part of the machine in one line, and what mends it."""
    line = f"{part.state:<8} {part.name:<11} {part.found}"
    return f"{line}\n{'':<8} {'':<11} → {part.fix}" if part.fix else line


async def asked(server: str) -> dict[str, Any]:
    """What the process there says of itself."""
    from adapters.client import Client

    async with Client(server) as client:
        found: dict[str, Any] = await client.get("/v1/status")
    return found


def standing(facts: dict[str, Any]) -> str:
    """One line for the process, one for each projection."""
    ready, leads = "ready" if facts["ready"] else "not ready", ", leads" if facts["leads"] else ""
    first = f"{facts['role']}: {ready}{leads}, head {facts['head']}, views {facts['views']}"
    return "\n".join([first, *(f"{row['projection']:<14} {row['position']:>9}  {row['behind']} behind" for row in facts["projections"])])
