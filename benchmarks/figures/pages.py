"""What readers of the explorer and the API wait for: G12, G13, G26 and G27."""

import asyncio
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg
from playwright.sync_api import sync_playwright
from starlette.types import ASGIApp, Message

from adapters import process
from adapters.views.postgres import PostgresViews
from api.app import create_app
from benchmarks import data, multitude, reads, seeds, site
from benchmarks.figures.transfers import Bench, bench
from benchmarks.rounds import PEER_PYTHON, Figure, Goal, Options, Side, alternate
from benchmarks.site import ROOT, Site, free_port
from projections import catalog
from roles.pages import with_pages
from tests.api import house

UNMATCHED = 'if-none-match: W/"0"\r\n'
"""No answer has this tag, and nothing kept is given to whoever names one."""
READERS, JOBS, PAGE_TIMES = 16, 1_000, 30
COLUMNS = (
    "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = %s AND table_name = 'job' ORDER BY ordinal_position"
)


@contextmanager
def started(command: Sequence[str], port: int, plan: Mapping[str, Any] | None = None) -> Iterator[None]:
    """A server of a peer, which has begun to listen."""
    server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, text=True)
    try:
        assert server.stdin
        server.stdin.write(msgspec.json.encode(plan or {}).decode() + "\n")
        server.stdin.flush()
        site.until_listening(port, server)
        yield
    finally:
        server.kill()
        server.wait()


def rate(port: int, requests: Sequence[str], seconds: float, clients: int = READERS) -> Side:
    """Answers per second."""
    saw = reads.run(reads.Plan(port, list(requests), clients, seconds))
    return Side(
        saw.done / saw.seconds, {"answers as expected": saw.strange[0] if saw.strange else ""}, {"bytes": saw.bytes / max(saw.done, 1)}
    )


@contextmanager
def hot(it: Bench) -> Iterator[tuple[Site, list[str]]]:
    """A real server on a ledger of some jobs, and their ids."""
    name = it.name("read")
    uri = site.database(it.server, name)
    here = Site(it.folder / name, uri)
    desk, ledger = here.ask(lambda log: seeds.write_hot(log, here.log, JOBS))
    server = here.start()
    try:
        site.until_caught_up(uri, ledger.head.size)
        yield here, [str(each) for each in desk.payable[:JOBS]]
    finally:
        process.stop(server)


def table_of(uri: str) -> tuple[str, list[tuple[str, str]]]:
    """Where the rows of jobs are, and their columns."""
    with psycopg.connect(uri) as db:
        (schema,) = db.execute("SELECT name || '_' || generation FROM projection WHERE name = 'jobs' AND live").fetchone() or ("",)
        return f"{schema}.job", [(str(name), str(kind)) for name, kind in db.execute(COLUMNS, (schema,)).fetchall()]


def g12(options: Options) -> Iterator[Figure]:
    """A job by its id: the whole way over HTTP."""
    seconds = options.seconds / 4
    with bench(options) as it, hot(it) as (here, jobs):
        table, columns = table_of(here.uri)
        requests = [reads.get(f"/v1/jobs/{each}") for each in jobs]
        port, raw_port = free_port(), free_port()
        plan = {"port": port, "uri": here.uri, "table": table, "columns": columns}
        size = int(rate(here.port, requests, 0.5).facts["bytes"])
        theirs = [reads.get(f"/jobs/{each}") for each in jobs]
        with (
            started([str(PEER_PYTHON), str(ROOT / "benchmarks" / "peers" / "fastapi_read.py")], port, plan),
            started([sys.executable, "-m", "benchmarks.raw", str(raw_port), str(size)], raw_port),
        ):
            what, many = f"a job by its id over HTTP, {READERS} readers, {len(jobs):,} jobs", options.rounds
            yield alternate(
                "G12",
                what,
                "/s",
                Goal(4, 8),
                many,
                lambda _: rate(here.port, requests, seconds),
                lambda _: rate(port, theirs, seconds),
                "FastAPI, psycopg pool, Pydantic on uvicorn",
            )
            anew = [reads.get(f"/v1/jobs/{each}", UNMATCHED) for each in jobs]
            yield alternate(
                "G12",
                "the same, asked so that each answer is read anew from the views",
                "/s",
                Goal(4, 8),
                many,
                lambda _: rate(here.port, anew, seconds),
                lambda _: rate(port, theirs, seconds),
                "FastAPI, psycopg pool, Pydantic on uvicorn",
            )
            yield alternate(
                "G12",
                f"the same as a share of a raw ASGI answer of {size:,} bytes on our server",
                "/s",
                Goal(0.5, 0.8),
                many,
                lambda _: rate(here.port, requests, seconds),
                lambda _: rate(raw_port, requests, seconds),
                "one constant answer",
            )


LIST = "{ jobs(first: 50) { nodes { job status creator asset total tasks accepted spent submittedUs } } }"


def g13(options: Options) -> Iterator[Figure]:
    """The newest fifty jobs by GraphQL."""
    seconds, body = options.seconds / 4, msgspec.json.encode({"query": LIST}).decode()
    with bench(options) as it, hot(it) as (here, _):
        table, _ = table_of(here.uri)
        port, requests = free_port(), [reads.post("/graphql", body)]
        command = [str(PEER_PYTHON), str(ROOT / "benchmarks" / "peers" / "strawberry_list.py")]
        with started(command, port, {"port": port, "uri": here.uri, "table": table}):
            yield alternate(
                "G13",
                f"GraphQL, a list of 50, {READERS} readers",
                "/s",
                Goal(3, 6),
                options.rounds,
                lambda _: rate(here.port, requests, seconds),
                lambda _: rate(port, requests, seconds),
                "Strawberry's router in FastAPI, psycopg pool, on uvicorn",
            )


async def call(app: ASGIApp, target: str) -> tuple[float, int]:
    """Seconds that the application took, and the status."""
    path, _, query = target.partition("?")
    status = 0

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    async def receive() -> Message:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": [(b"accept-encoding", b"gzip")]}
    began = time.perf_counter()
    await app({**scope, "asgi": {"version": "3.0"}, "root_path": "", "scheme": "http", "client": ("127.0.0.1", 1)}, receive, send)
    return time.perf_counter() - began, status


async def slowest(app: ASGIApp, targets: Sequence[str], times: int) -> Side:
    """p95 of the slowest page, in milliseconds, asked so often one after another."""
    found, strange = dict[str, float](), ""
    for target in targets:
        took = list[int]()
        await call(app, target)  # templates and statements are prepared once
        for _ in range(times):
            seconds, status = await call(app, target)
            took.append(int(seconds * 1e6))
            strange = strange or ("" if status in {200, 303} else f"{target} is {status}")
        found[target] = site.quantile(took, 0.95) / 1000
    worst = max(found, key=lambda target: found[target])
    return Side(found[worst], {"answers as expected": strange}, {f"slowest: {worst}, ms": found[worst]})


def g26(options: Options) -> Iterator[Figure]:
    """Every page, and every list of the API, over views of ten million events; the log itself is that of a small life."""
    network, events = house.lived().network, 10 * options.events if not options.quick else 200_000
    with data.kept() as server:
        uri = multitude.of(server, events, network)
        targets, runner = multitude.targets(uri, network), asyncio.Runner()

        async def ours() -> Side:
            async with PostgresViews(uri, *catalog.ALL) as views, house.running(house.lived()) as it:
                parts = msgspec.structs.replace(it.parts, views=views)
                return await slowest(with_pages(create_app(parts), parts), targets, 4 if options.quick else PAGE_TIMES)

        with runner:
            many = f"{events // multitude.EVENTS_PER_JOB:,} jobs, {events:,} events"
            what = f"the slowest of {len(targets)} pages and lists, {many}: p95 on the server"
            yield alternate("G26", what, "ms", Goal(50, 20, "ms", "at most"), options.rounds, lambda _: runner.run(ours()))


WEIGHED = ("/", "/jobs", "/jobs/{job}", "/workers", "/map", "/market", "/payouts", "/audits", "/trail", "/events")
PAINT = "() => { const all = performance.getEntriesByName('first-contentful-paint'); return all.length ? all[0].startTime : null }"
WEIGHT = (
    "() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
    ".reduce((sum, each) => sum + each.encodedBodySize, 0)"
)


def g27(options: Options) -> Iterator[Figure]:
    """A real server's pages in a browser that has been on none of them."""
    with bench(options) as it, hot(it) as (here, jobs), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])

        def looked(script: str) -> Side:
            """At each page once: the most that goes out, or when the page in the middle is painted."""
            found = dict[str, float]()
            for path in WEIGHED:
                context = browser.new_context()
                page = context.new_page()
                page.goto(f"http://127.0.0.1:{here.port}{path.format(job=jobs[0])}", wait_until="load")
                found[path] = float(page.wait_for_function(script).json_value())
                context.close()
            return Side(max(found.values()) if script is WEIGHT else statistics.median(found.values()), {}, found)

        looked(PAINT)
        what = f"the heaviest of {len(WEIGHED)} pages, with script and style, as it goes out"
        weight = lambda _: Side(looked(WEIGHT).value / 1000)  # noqa: E731
        yield alternate("G27", what, "KB", Goal(60, 40, "KB", "at most"), options.rounds, weight)
        what = f"first paint, median of {len(WEIGHED)} pages, headless Chromium, nothing cached"
        yield alternate("G27", what, "ms", Goal(300, 150, "ms", "at most"), options.rounds, lambda _: looked(PAINT))
        browser.close()
