"""What readers of the explorer and the API wait for: G12, G13, G26 and G27."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg

from adapters import process
from benchmarks import reads, seeds, site
from benchmarks.figures.transfers import Bench, bench
from benchmarks.rounds import PEER_PYTHON, Figure, Goal, Options, Side, alternate
from benchmarks.site import ROOT, Site, free_port

READERS, JOBS = 16, 1_000
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
