"""A ledger's directory and the real server on it, as a process that may be killed and started again on the same port."""

import asyncio
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from itertools import zip_longest
from pathlib import Path

import httpx2

import gridledger
from adapters import process
from adapters.files.home import Home
from adapters.log.postgres import PostgresLog
from adapters.views.postgres import PostgresViews
from domain.ids import LogId
from domain.log.merkle import Head
from projections import catalog, runner
from projections.memory import MemoryViews
from tests.faults.history import History, replayed
from tests.faults.killing import until
from tests.projections.lives import Written, everything

ROOT = Path(__file__).parent.parent.parent
START_S_MAX, STOP_S_MAX, SETTLE_S_MAX = 60.0, 30.0, 20.0


class Site:
    """One ledger. `database` is empty, or where it lies; empty: PostgreSQL of its own."""

    def __init__(self, directory: Path, port: int, database: str = "") -> None:
        self.home, self.port = Home(directory), port
        self.log = gridledger.init(directory, "demo", database, "", "", "", 31337)
        self.url = f"http://127.0.0.1:{port}"
        self.output = directory.parent / f"{directory.name}.log"
        self.armed = directory.parent / f"{directory.name}.armed"

    @property
    def log_text(self) -> str:
        return self.output.read_text(errors="replace")

    def start(
        self, *own: str, die_at: str = "", before: Sequence[str] = (), port: int = 0, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """The server as a process; `own` are options of tests/faults/server.py, `before` is put before its command line."""
        own += ("--die-at", die_at, "--once", str(self.armed)) if die_at else ()
        command = [
            *before,
            sys.executable,
            "-m",
            "tests.faults.server",
            *own,
            "serve",
            str(self.home.path),
            "--port",
            str(port or self.port),
        ]
        return process.start(command, output=self.output, directory=ROOT, environment=environment)

    def ready(self, server: subprocess.Popen[bytes], within_s: float = START_S_MAX, *, url: str = "") -> float:
        """Waits until commands are decided; returns how long that took."""

        def decides() -> bool:
            assert server.poll() is None, f"the server ended with {server.returncode}: {self.log_text[-3000:]}"
            return answered(f"{url or self.url}/readyz") == 200

        return until(decides, "a server that is ready", within_s)

    def begun(self, *own: str) -> subprocess.Popen[bytes]:
        """A server that is ready."""
        server = self.start(*own)
        self.ready(server)
        return server

    @contextmanager
    def serving(self, *own: str) -> Iterator[subprocess.Popen[bytes]]:
        """Ready; ends by SIGTERM, and must end well."""
        server = self.begun(*own)
        try:
            yield server
            server.send_signal(signal.SIGTERM)
            assert server.wait(STOP_S_MAX) == 0, self.log_text[-3000:]
        finally:
            process.stop(server, signal.SIGKILL)

    def clear(self) -> None:
        """Removes the data of its own PostgreSQL, which may lie elsewhere."""
        shutil.rmtree(self.home.postgres.resolve(), ignore_errors=True)

    async def records(self, database: str) -> list[bytes]:
        async with PostgresLog(database) as log, aclosing(log.read()) as found:
            return [record async for record in found]

    async def findings(self, history: History, database: str) -> list[str]:
        """What is wrong with the log, the world, or the views; these have a while to catch up."""
        return await findings(self.log, lambda: self.records(database), history, database)


async def findings(log: LogId, read: Callable[[], Awaitable[list[bytes]]], history: History, database: str) -> list[str]:
    """The same, of a log whose records are read so."""
    records = await read()
    ledger, lines, breaches = replayed(log, records)
    found = history.findings(lines) + breaches
    async with PostgresViews(database, *catalog.ALL) as views:
        if behind := await behind_of(views, ledger.head):
            if await read() != records:  # the house went on meanwhile
                return await findings(log, read, history, database)
            found.append(f"behind the log: {behind}")
            return found
        shown, expected = await everything(views), await everything(await rebuilt(log, records))
    if shown != expected and await read() != records:
        return await findings(log, read, history, database)
    return found + [differ(table, shown[table], expected[table]) for table in expected if shown[table] != expected[table]]


def differ(table: str, shown: list[bytes], expected: list[bytes]) -> str:
    """The first row of a view that is not what a rebuild makes of the log."""
    rows = next(((a, b) for a, b in zip_longest(shown, expected) if a != b), None)
    return f"{table} has {len(shown)} rows, a rebuild {len(expected)}: {rows}"


def answered(url: str) -> int:
    """The status of an answer; 0 if there is none."""
    try:
        return httpx2.get(url, timeout=5.0, trust_env=False).status_code
    except httpx2.TransportError:
        return 0


async def behind_of(views: PostgresViews, head: Head) -> list[str]:
    """Projections that do not come to the head in time."""
    end = time.monotonic() + SETTLE_S_MAX
    while True:
        behind = [each.name for each in catalog.ALL if await views.head(each) != head]
        if not behind or time.monotonic() > end:
            return behind
        await asyncio.sleep(0.05)


async def rebuilt(log: LogId, records: Sequence[bytes]) -> MemoryViews:
    views = MemoryViews(*catalog.ALL)
    await runner.run(catalog.ALL, Written(records), views, Head(log), follow=False)
    return views
