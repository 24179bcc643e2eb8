"""Commands for owners of workers and checkers."""

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.client import Client
from cli.app import Json, Root, say

WORKERS = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "gridledger" / "workers"
PATIENCE_S = 5.0
Which = Annotated[str, typer.Argument(help="its id, or the file of its configuration")]


def configuration(worker: str) -> Path:
    """The file of a worker's configuration: a path, or the id of one that was imported."""
    path = Path(worker)
    return path if path.is_file() else WORKERS / f"{worker}.toml"


def add(app: typer.Typer, root: Root) -> None:
    workers = typer.Typer(no_args_is_help=True, help="Workers of one's own.")
    checkers = typer.Typer(no_args_is_help=True, help="Checkers of one's own.")
    app.add_typer(workers, name="worker")
    app.add_typer(checkers, name="checker")

    @workers.command("import")
    def take(file: Path, replace: Annotated[bool, typer.Option("--replace")] = False, as_json: Json = False) -> None:
        """Take the one-file configuration of a worker."""
        from worker_runtime import config

        kept = config.keep(file, WORKERS, replace=replace)
        say({"kept": str(kept)}, as_json=as_json, text=f"kept as {kept}: gridledger worker run {kept.stem}")

    @workers.command("run")
    def run_worker(
        worker: Which,
        duty: Annotated[int | None, typer.Option(min=1, max=100, help="percent of the time that it may be busy")] = None,
        cheat_samples: Annotated[int | None, typer.Option(min=1, hidden=True)] = None,
    ) -> None:
        """Run a worker until Ctrl-C."""
        ended(root.run_worker(configuration(worker), duty=duty, cheat_samples=cheat_samples))

    @workers.command()
    def status(worker: Which, as_json: Json = False) -> None:
        """How a worker stands: presence, bids, scores, leases, earnings."""
        from worker_runtime import config

        settings = config.load(configuration(worker))
        facts = asyncio.run(read(settings.server, f"/v1/workers/{settings.worker}"))
        say(facts, as_json=as_json, text="\n".join(f"{name:<22} {value}" for name, value in facts.items()))

    @workers.command()
    def bench(as_json: Json = False) -> None:
        """Render the bench on this machine, outside any ledger, and say what it would score."""
        facts = asyncio.run(render_bench())
        text = f"{facts['seconds']:.2f} s, score {facts['score']}: {facts['device']}, sandbox {facts['sandbox']}"
        say(facts, as_json=as_json, text=text)

    @checkers.command("run")
    def run_checker(worker: Which) -> None:
        """Run a checker until Ctrl-C."""
        ended(root.run_checker(configuration(worker)))


def ended(why: str) -> None:
    say({"ended": why}, as_json=False, text=f"ended: {why}")


async def read(server: str, path: str) -> Any:
    async with Client(server, patience_s=PATIENCE_S) as client:
        return await client.get(path)


async def render_bench() -> dict[str, Any]:
    """The bench, rendered as a worker would."""
    from worker_runtime.gpu import bench, mitsuba, probe, sandbox

    described, contents = bench.scene(seed=1)
    spec, clock = bench.spec(seed=1), asyncio.get_running_loop().time
    async with mitsuba.Engine(sandbox.find()) as engine:
        await engine.warm()
        began = clock()
        await engine.open(described, lambda name: contents[name])
        async for _ in engine.render(spec, 0, range(spec.tiles)):
            pass
        seconds = clock() - began
    return {
        "seconds": round(seconds, 3),
        "score": round(bench.WU_MILLI / seconds),
        "device": probe.summary(probe.devices()),
        "sandbox": sandbox.missing() or "bubblewrap",
    }
