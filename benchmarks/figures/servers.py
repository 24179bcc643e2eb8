"""Servers that start, die and hand over, and how far the views lag behind: G11, G17 and G20."""

import asyncio
import http.client
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import psycopg

import gridledger
from adapters import process
from adapters.log.postgres import PostgresLog
from adapters.log.snapshots import fold_version
from benchmarks import checks, data, seeds, site
from benchmarks.data import Data
from benchmarks.figures.transfers import Bench, bench
from benchmarks.rounds import Figure, Goal, Options, Side, alternate
from domain.ids import AccountId, JobId
from domain.work import job

QUICK = 20_000
EVENTS_S, BLOCK_EVENTS = 2_000, 20
JOBS, MOVED_S_MAX = 3_000, 30.0
SETTLED_S_MAX = 3_600.0


def settled(it: Data) -> None:
    """The dataset's server has done what was due, its views have all of it, and there is a snapshot: once."""
    if (mark := data.FOLDER / f"events_{it.events}.{fold_version()[:16]}.settled").exists():
        return
    here = site.Site(it.home, it.uri, log=it.log)
    server = here.start()
    time.sleep(2)  # what is due is done
    site.until_caught_up(it.uri, here.ask(lambda log: log.size()), SETTLED_S_MAX)
    process.stop(server, signal.SIGTERM, 30)
    gridledger.snapshot(it.home, None, anew=False)
    mark.touch()


def g17(options: Options) -> Iterator[Figure]:
    """From the start of the process to a server that decides."""
    wanted = [(options.events, Goal(2, 1, "s", "at most"))]
    if options.large:
        wanted.append((10 * options.events, Goal(5, 3, "s", "at most")))
    with data.kept() as server:
        for events, goal in wanted:
            it = data.of(server, QUICK if options.quick else events)
            settled(it)

            def ours(_: int, it: Data = it) -> Side:
                here, began = site.Site(it.home, it.uri, log=it.log), time.monotonic()
                started = here.start()
                took_s = time.monotonic() - began
                process.stop(started, signal.SIGTERM, 30)
                return Side(took_s)

            yield alternate("G17", f"cold start with a snapshot, {it.events:,} events", "s", goal, options.rounds, ours)


class Ruler:
    """Appends blocks at a steady pace, and notes when the log had each."""

    def __init__(self, uri: str, press: seeds.Press, owner: AccountId, quoted: list[JobId]) -> None:
        self._uri, self._press, self._owner, self._quoted = uri, press, owner, quoted
        self.landed: list[tuple[int, float]] = []

    async def run(self, seconds: float) -> None:
        async with PostgresLog(self._uri) as log:
            began, number, end = time.monotonic(), 0, time.monotonic() + seconds
            while (now := time.monotonic()) < end:
                asks = [self._press.keyed(self._owner, job.Open(job=self._quoted.pop()), self._owner) for _ in range(BLOCK_EVENTS)]
                sealed, _ = self._press.block(asks, 10_000)
                await log.append(sealed)
                self.landed.append((sealed.after.size, time.monotonic()))
                number += 1
                await asyncio.sleep(max(0.0, began + number * BLOCK_EVENTS / EVENTS_S - now))


def watch(uri: str, stop: threading.Event) -> list[tuple[int, float]]:
    """When all views of our own stood where, as whoever asks them would see."""
    seen, last = list[tuple[int, float]](), 0
    with psycopg.connect(uri, autocommit=True) as session:
        while not stop.is_set():
            (size,) = session.execute(site.VIEWS).fetchone() or (0,)
            if size != last:
                seen.append((size, time.monotonic()))
                last = size
            time.sleep(0.001)
    return seen


def lag(it: Bench, seconds: float) -> Side:
    """p99 of the time from a block in the log to all views that show it; the projections are a process of their own."""
    name = it.name("lag")
    uri, folder = site.database(it.server, name), it.folder / name
    here = site.Site(folder, uri)
    desk, ledger = here.ask(lambda log: seeds.write_hot(log, here.log, int(EVENTS_S * (seconds + 1))))
    owner = ledger.world.jobs[desk.payable[0]].creator
    command = [sys.executable, "-m", "benchmarks.viewer", uri, here.log]
    viewer = process.start(command, output=folder / "viewer.log", directory=site.ROOT)
    stop, found = threading.Event(), list[list[tuple[int, float]]]()
    try:
        site.until_caught_up(uri, ledger.head.size)
        watcher = threading.Thread(target=lambda: found.append(watch(uri, stop)))
        watcher.start()
        tail = checks.Tail(folder, uri, ledger.head.size)
        ruler = Ruler(uri, seeds.Press(ledger), owner, list(desk.payable))
        asyncio.run(ruler.run(seconds))
        site.until_caught_up(uri, ledger.head.size)
        stop.set()
        watcher.join()
        checked = {checks.DENSE: tail.end(ledger.head.size)}
    finally:
        stop.set()
        process.stop(viewer, signal.SIGKILL)
    site.crash(it.folder, uri)
    checked |= here.ask(lambda log: checks.folds(log, here.log, ledger.head))
    shown = iter(found[0])
    lags, (size, at) = list[int](), next(shown)
    for landed, since in ruler.landed:
        while size < landed:
            size, at = next(shown)
        lags.append(max(0, int((at - since) * 1e6)))
    site.drop(it.server, name)
    shutil.rmtree(folder)
    rate = len(ruler.landed) * BLOCK_EVENTS / seconds
    missed = "" if rate > 0.95 * EVENTS_S else f"only {rate:.0f} events/s came about"
    return Side(site.quantile(lags, 0.99) / 1000, {"pace": missed, **checked}, {"lag p50 ms": site.quantile(lags, 0.5) / 1000})


def g11(options: Options) -> Iterator[Figure]:
    with bench(options) as it:
        what = f"projection lag p99 at {EVENTS_S:,} events/s, all views"
        yield alternate("G11", what, "ms", Goal(50, 20, "ms", "at most"), options.rounds, lambda _: lag(it, 2 * options.seconds))


class Pair:
    """Two servers of one ledger: the first leads, clients ask the second."""

    def __init__(self, it: Bench) -> None:
        name = it.name("pair")
        self.uri, self.folder = site.database(it.server, name), it.folder / name
        self.here = site.Site(self.folder, self.uri)
        self.desk, ledger = self.here.ask(lambda log: seeds.write_hot(log, self.here.log, JOBS))
        self.frozen = checks.frozen(ledger)
        self.leader = self.here.start()
        self.second_port = site.free_port()
        self.second = self.here.start(self.second_port)
        site.until_caught_up(self.uri, ledger.head.size)
        self.tail = checks.Tail(self.folder, self.uri, ledger.head.size)
        self.answers: list[tuple[float, int]] = []
        self.acknowledged: list[bytes] = []

    def ask(self, seconds: float, stop: threading.Event) -> None:
        """One client, one request after another, each again under its key until it is done."""
        connection, end = http.client.HTTPConnection("127.0.0.1", self.second_port, timeout=10), time.monotonic() + seconds
        for number, id in enumerate(self.desk.payable, 1):
            headers = {
                "Authorization": f"Bearer {seeds.SECRET}",
                "Idempotency-Key": seeds.uuid7(number),
                "Content-Type": "application/json",
            }
            status = 0
            while status not in {200, 201}:
                if time.monotonic() > end or stop.is_set():
                    return
                with suppress(OSError, http.client.HTTPException):
                    status = 0
                    connection.request("POST", f"/v1/jobs/{id}/open", b"{}", headers)
                    answer = connection.getresponse()
                    body, status = answer.read(), answer.status
                self.answers.append((time.monotonic(), status))
                if status == 0:
                    connection.close()
                if status not in {200, 201}:
                    time.sleep(0.01)
            self.acknowledged.append(body)

    def gone(self, how: signal.Signals) -> tuple[float, int]:
        """From the signal until the next command was done after a second of none but refusals to wait; and errors that the client saw."""
        stop = threading.Event()
        asking = threading.Thread(target=self.ask, args=(MOVED_S_MAX, stop))
        asking.start()
        time.sleep(1.0)
        began = time.monotonic()
        self.leader.send_signal(how)
        until_leads(self.second_port)
        led = time.monotonic()
        while not any(at > led and status == 201 for at, status in self.answers):
            assert asking.is_alive(), "nobody is answered"
            time.sleep(0.005)
        took_s = next(at for at, status in self.answers if at > led and status == 201) - began
        stop.set()
        asking.join()
        return took_s, sum(1 for _, status in self.answers if status not in {200, 201})

    def end(self) -> dict[str, str]:
        for each in (self.leader, self.second):
            process.stop(each, signal.SIGKILL)
        found = self.here.ask(lambda log: checks.after_kill(log, self.frozen, self.acknowledged))
        found[checks.DENSE] = self.tail.end(self.here.ask(lambda log: log.size()))
        shutil.rmtree(self.folder)
        return found


def until_leads(port: int) -> None:
    end = time.monotonic() + MOVED_S_MAX
    while time.monotonic() < end:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/metrics")
            if b"gridledger_leads 1" in connection.getresponse().read():
                return
        time.sleep(0.005)
    raise TimeoutError("nobody leads")


def succession(it: Bench, how: signal.Signals, *, clean: bool) -> Side:
    pair, errors = Pair(it), 0
    found = dict[str, str]()
    try:
        took_s, errors = pair.gone(how)
    finally:
        found = pair.end()
    if clean:
        found["no client error"] = f"{errors} answers were none" if errors else ""
    return Side(took_s * (1000 if clean else 1), found)


def g20(options: Options) -> Iterator[Figure]:
    with bench(options) as it:
        killed, planned = Goal(10, 5, "s", "at most"), Goal(500, 500, "ms", "at most")
        what = "leader kill -9 until a client hears of the next leader's block"
        yield alternate("G20", what, "s", killed, options.rounds, lambda _: succession(it, signal.SIGKILL, clean=False))
        what = "planned hand-over until a client hears of the next leader's block"
        yield alternate("G20", what, "ms", planned, options.rounds, lambda _: succession(it, signal.SIGTERM, clean=True))
