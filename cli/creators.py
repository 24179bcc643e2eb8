"""Commands for creators: submit a scene, watch the job, cancel it, download the frames."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.client import Client
from cli import download, submission
from cli.app import LOCAL, Json, Root, Server, fail, say, size_of
from domain.ids import JobId
from domain.log import wire
from domain.units import Units
from domain.work import job, task

ApiKey = Annotated[str, typer.Option(envvar="GRIDLEDGER_API_KEY", help="the API key of the creator's account")]
Id = Annotated[str, typer.Argument(help="e.g. job-100")]
ENDS = {"job.closed.v1", "job.archived.v1"}
DECIMALS = 10**6


def add(app: typer.Typer, root: Root) -> None:
    @app.command()
    def submit(
        scenes: Annotated[list[Path], typer.Argument(help="Mitsuba scenes, one per frame, in order")],
        api_key: ApiKey,
        server: Server = LOCAL,
        size: Annotated[str, typer.Option(help="in pixels; else what the first scene asks for")] = "",
        samples: Annotated[int, typer.Option(min=0, help="per pixel; 0: what the first scene asks for")] = 0,
        seed: Annotated[int, typer.Option(min=0, max=2**32 - 1)] = 0,
        limit_price: Annotated[str, typer.Option(help="minor units per thousand work units")] = "200000000",
        yes: Annotated[bool, typer.Option("--yes", help="Take the quote without asking.")] = False,
        out: Annotated[Path | None, typer.Option(help="Wait for the frames, and write them there.")] = None,
        pictures: Annotated[bool, typer.Option("--pictures", help="Let everybody see small pictures of the frames.")] = False,
        as_json: Json = False,
    ) -> None:
        """Upload a scene, get a quote, open the job; with --out wait and download."""
        if not limit_price.isdecimal():
            fail("--limit-price: expected minor units as a decimal number")
        scene = submission.gather(scenes, pictures=pictures)
        wanted = size_of(size) if size else scene.size
        facts = run(
            _submit(server, api_key, scene, wanted, samples or scene.samples, seed, Units(limit_price), yes=yes, out=out, quiet=as_json)
        )
        say(facts, as_json=as_json, text=_told(facts))
        raise SystemExit(0 if facts["status"] in {"quoted", "open", "completed"} else 1)

    jobs = typer.Typer(no_args_is_help=True, help="Jobs of one's own.")
    app.add_typer(jobs, name="job")

    @jobs.command("list")
    def list_(
        server: Server = LOCAL, status: str = "", limit: Annotated[int, typer.Option(min=1, max=200)] = 20, as_json: Json = False
    ) -> None:
        """Jobs, the newest first."""
        page = run(_read(server, "/v1/jobs", limit=limit, **({"status": status} if status else {})))
        rows = page["items"]
        text = "\n".join(f"{row['job']:<12} {row['status']:<10} {row.get('frames', '')} frames" for row in rows) or "no jobs"
        say(page, as_json=as_json, text=text)

    @jobs.command()
    def show(id: Id, server: Server = LOCAL, as_json: Json = False) -> None:
        """One job, whole."""
        facts = run(_read(server, f"/v1/jobs/{id}"))
        say(facts, as_json=as_json, text="\n".join(f"{name:<18} {value}" for name, value in facts.items()))

    @jobs.command()
    def watch(id: Id, server: Server = LOCAL) -> None:
        """What happens to a job and its tasks, as it happens, until it is over or paused."""
        run(_watch(server, JobId(id)))

    @jobs.command()
    def cancel(id: Id, api_key: ApiKey, server: Server = LOCAL, as_json: Json = False) -> None:
        """Give a job up; what is not rendered is not paid."""
        facts = run(_command(server, api_key, f"/v1/jobs/{id}/cancel", job.Cancel(job=JobId(id))))
        say(facts, as_json=as_json, text=f"{id}: {', '.join(facts['events']) or 'was cancelled before'}")

    @jobs.command("open")
    def take(id: Id, api_key: ApiKey, server: Server = LOCAL, as_json: Json = False) -> None:
        """Take the quote: its total moves into escrow, and the work begins."""
        facts = run(_command(server, api_key, f"/v1/jobs/{id}/open", job.Open(job=JobId(id))))
        say(facts, as_json=as_json, text=f"{id}: {', '.join(facts['events'])}")

    @jobs.command("download")
    def fetch(id: Id, out: Path, api_key: ApiKey, server: Server = LOCAL, as_json: Json = False) -> None:
        """Frames, contact sheet and animation of a finished job."""
        made = run(_download(server, api_key, JobId(id), out))
        facts = {name: getattr(made, name) for name in made.__struct_fields__}
        say(facts, as_json=as_json, text=f"{made.picture}, {made.animation}")


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


async def _read(server: str, path: str, **params: str | int) -> Any:
    async with Client(server) as client:
        return await client.get(path, **params)


async def _command(server: str, api_key: str, path: str, command: Any) -> dict[str, Any]:
    async with Client(server, api_key) as client:
        answer = await client.ask(path, command)
    return {"position": answer.position, "events": [wire.event(line).event.verb() for line in answer.events]}


async def _download(server: str, api_key: str, id: JobId, out: Path) -> download.Pictures:
    async with Client(server, api_key) as client:
        try:
            return await download.download(client, id, out)
        except KeyError as missing:
            fail(f"{missing.args[0]} is not rendered yet")
            raise


async def _submit(
    server: str,
    api_key: str,
    scene: submission.Scene,
    size: tuple[int, int],
    samples: int,
    seed: int,
    limit: Units,
    *,
    yes: bool,
    out: Path | None,
    quiet: bool,
) -> dict[str, Any]:
    tell: Callable[[str], None] = (lambda _: None) if quiet else print
    async with Client(server, api_key) as client:
        manifest = await submission.upload(client, scene, lambda name, done, of: tell(f"uploaded {name} ({done}/{of})"))
        command = job.Submit(
            engine="mitsuba",
            manifest_sha256=manifest,
            frames=len(scene.described.frames),
            size=size,
            samples=samples,
            seed=seed,
            limit_price=limit,
        )
        answer = await submission.submit(client, scene, command)
        submitted = wire.event(answer.events[0]).event
        assert isinstance(submitted, job.Submitted)
        quoted = await _quote(client, submitted.job, answer.position)
        facts = {"job": submitted.job, "status": "quoted", "total": str(int(quoted.total)), "eta_s": quoted.eta_s}
        tell(f"{submitted.job}: {int(quoted.total) / DECIMALS:.6f} USDC at most, about {quoted.eta_s} s")
        if not (yes or (not quiet and sys.stdin.isatty() and typer.confirm("Open the job?"))):
            return facts
        await client.ask(f"/v1/jobs/{submitted.job}/open", job.Open(job=submitted.job))
        facts["status"] = "open"
        if out is None:
            return facts
        facts["status"], closed_pos = await _until_closed(client, submitted.job, tell)
        if facts["status"] == "completed":
            made = await download.download(client, submitted.job, out, closed_pos)
            facts |= {name: getattr(made, name) for name in made.__struct_fields__}
        return facts


async def _quote(client: Client, id: JobId, submitted_pos: int) -> job.Quoted:
    """The house answers in the block of the submission; the views that are read may be behind it."""
    (quoted,) = [each.event for each in await client.stream(id, submitted_pos) if isinstance(each.event, job.Quoted)]
    return quoted


async def _until_closed(client: Client, id: JobId, tell: Callable[[str], None]) -> tuple[str, int]:
    """Follows the job's own events to its end. Returns the outcome and where it stands."""
    async for line in client.follow("/v1/live", after=0, stream=id):
        event = wire.event(line.data).event if line.position else None
        if isinstance(event, job.Closed):
            tell(f"{id} is {event.outcome}: {event.counts.accepted} tasks accepted")
            return event.outcome, line.position
        if isinstance(event, job.Paused):
            tell(f"{id} is paused, reason {event.reason}: gridledger job watch {id} says why, gridledger job cancel {id} ends it")
            return "paused", line.position
    raise AssertionError("a feed never ends")


async def _watch(server: str, id: JobId) -> None:
    async with Client(server) as client:
        async for line in client.follow("/v1/live", after=0):
            recorded = wire.event(line.data)
            if recorded.stream == id or recorded.stream.startswith(f"{id}/"):
                print(f"{recorded.pos:>7}  {recorded.stream:<16} {recorded.event.verb():<18} {_gist(recorded.event)}", flush=True)
            if isinstance(recorded.event, job.Closed | job.Paused) and recorded.event.job == id:
                return


def _gist(event: object) -> str:
    if isinstance(event, task.Leased):
        return f"to {event.worker} for {int(event.price) / DECIMALS:.6f}"
    if isinstance(event, task.Ended):
        return f"{event.outcome} {event.code}"
    return str(getattr(event, "worker", "") or getattr(event, "outcome", "") or getattr(event, "reason", ""))


def _told(facts: dict[str, Any]) -> str:
    if facts["status"] == "quoted":
        return f"{facts['job']} is quoted, not opened: gridledger job open {facts['job']} takes the quote"
    return f"{facts['job']} is {facts['status']}" + (f": {facts['picture']}, {facts['animation']}" if "picture" in facts else "")
