"""Commands per second and their latency over HTTP: G1, G2, G3 and G18. A transfer out of one hot account, 10 % refused, 5 % asked again."""

import shutil
import signal
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from adapters import process
from adapters.kafka import brokers
from benchmarks import checks, seeds, site, umadb, workers
from benchmarks.client import Plan, Saw
from benchmarks.rounds import TOOLS, Figure, Goal, Options, Side, alternate

RATE_MAX, RATE_TOGETHER_MAX, RATE_ONE_MAX = 4_000, 8_000, 1_200
"""Transfers per second that are laid out before: of single commands, beside batches, of one client. A round that used them all up says
so."""
LIBRARY = "eventsourcing on PostgreSQL, in process"


class Shape(NamedTuple):
    """Of the library: whether with its aggregate cache, over so many accounts, in so many processes."""

    cache: bool
    accounts: int
    processes: int

    @property
    def name(self) -> str:
        return f"{LIBRARY}: {self.processes} processes, {'with' if self.cache else 'without'} its cache, {self.accounts} accounts"


SHAPES = (
    *(Shape(cache=False, accounts=1000, processes=number) for number in (1, 2, 4)),
    Shape(cache=True, accounts=1, processes=1),
    *(Shape(cache=True, accounts=1000, processes=number) for number in (1, 2)),
)
"""It is measured in the best of these."""
BATCH, TOGETHER = 50, 0.5
"""Where single commands come beside batches: so many of the requests bring so many commands each."""


class Bench:
    """The machine's PostgreSQL and a folder, for all rounds of a figure."""

    def __init__(self, folder: Path, server: str, options: Options) -> None:
        self.folder, self.server, self.options = folder, server, options
        self._numbers = count(1)

    def name(self, of: str) -> str:
        """That nothing else has."""
        return f"{of}_{next(self._numbers)}"

    def ours(self, clients: int, kafka: str = "", together: float = 0.0) -> tuple[Saw, dict[str, str]]:
        """One round on a ledger of its own: laid out, loaded, killed in the midst of it, and looked at."""
        name = self.name("ours")
        uri, home = site.database(self.server, name), self.folder / name
        it = site.Site(home, uri, kafka)
        rate = RATE_ONE_MAX if clients == 1 else RATE_TOGETHER_MAX if together else RATE_MAX
        jobs = int((self.options.seconds + 2) * (rate if not self.options.quick else 1_500))
        desk, ledger = it.ask(lambda log: seeds.write_hot(log, it.log, jobs))
        before, size = checks.frozen(ledger), ledger.head.size
        saw, found = load(it, desk, clients, self.options.seconds, size, together)
        found |= it.ask(lambda log: checks.after_kill(log, before, saw.acknowledged))
        if saw.strange:
            found["answers as expected"] = saw.strange[0]
        if saw.ran_dry:
            found["load"] = "all transfers that were laid out were used up"
        site.drop(self.server, name)
        shutil.rmtree(home)
        return saw, found

    def library(self, shape: Shape, seconds: float, together: float = 0.0) -> tuple[list[int], int]:
        """Latencies of the peer's round, of all its processes, and how many commands that was."""
        name = self.name("library")
        uri = site.database(self.server, name)
        times = {"alone": shape.processes == 1, "warm_up_s": 1.0, "seconds": seconds}
        plan: dict[str, Any] = {
            **shape._asdict(),
            **times,
            "environment": workers.library_environment(uri),
            "refused": 0.10,
            "again": 0.05,
            "together": together,
            "batch": BATCH,
            "prepare": False,
        }
        workers.run("library", [{**plan, "prepare": True}], self.folder)
        saw = workers.run("library", [plan] * shape.processes, self.folder)
        site.drop(self.server, name)
        return [each for one in saw for each in one["latencies_us"]], sum(one["commands"] for one in saw)

    def best_of_library(self, together: float = 0.0) -> Shape:
        """By a short trial of each."""
        return SHAPES[0] if self.options.quick else max(SHAPES, key=lambda each: self.library(each, self.options.seconds / 2, together)[1])


def load(it: site.Site, desk: seeds.Desk, clients: int, seconds: float, size: int, together: float) -> tuple[Saw, dict[str, str]]:
    """The server, the clients and a tailing reader; the server is killed while they ask."""
    output, server = it.folder / "saw", it.start()
    try:
        site.until_caught_up(it.uri, size)
        tail = checks.Tail(it.folder, it.uri, size)
        paths = [f"/v1/jobs/{id}/open" for id in desk.payable], [f"/v1/jobs/{id}/open" for id in desk.dear]
        plan = Plan(it.port, seeds.SECRET, clients, seconds, str(output), *paths, together, BATCH)
        with site.client(plan) as loading:
            assert loading.stdout
            assert loading.stdout.readline() == b"measured\n"
            process.stop(server, signal.SIGKILL)
            assert loading.wait(30) == 0
    finally:
        process.stop(server, signal.SIGKILL)
    saw = msgspec.msgpack.decode(output.read_bytes(), type=Saw)
    return saw, {checks.DENSE: tail.end(it.ask(lambda log: log.size()))}


@contextmanager
def bench(options: Options) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="gridledger-bench-") as folder, site.postgres(Path(folder)) as server:
        yield Bench(Path(folder), server, options)


def rate(told: tuple[Saw, dict[str, str]]) -> Side:
    saw, found = told
    facts = {"client CPU s per s": saw.cpu_s / saw.seconds, "p99 ms": site.quantile(saw.latencies_us, 0.99) / 1000}
    return Side(saw.done / saw.seconds, found, facts)


def p50(told: tuple[Saw, dict[str, str]]) -> Side:
    saw, found = told
    return Side(statistics.median(saw.latencies_us) / 1000, found)


def g1(options: Options) -> Iterator[Figure]:
    for together, name in ((0.0, "one hot account"), (TOGETHER, f"one hot account, half of the requests bring {BATCH} at once")):
        with bench(options) as it:
            best = it.best_of_library(together)

            def ours(_: int, it: Bench = it, together: float = together) -> Side:
                return rate(it.ours(32, together=together))

            def peer(_: int, it: Bench = it, together: float = together, best: Shape = best) -> Side:
                return Side(it.library(best, options.seconds, together)[1] / options.seconds)

            what = f"durable commands over HTTP, 32 clients, {name}"
            yield alternate("G1", what, "/s", Goal(10, 20), options.rounds, ours, peer, best.name)


def g2(options: Options) -> Iterator[Figure]:
    with bench(options) as it:

        def peer(_: int) -> Side:
            return Side(min(statistics.median(it.library(Shape(cache, 1000, 1), options.seconds / 2)[0]) for cache in (False, True)) / 1000)

        goal = Goal(0.5, 0.35, sense="at most")
        what = "p50 of one sequential client over HTTP"
        yield alternate(
            "G2", what, "ms", goal, options.rounds, lambda _: p50(it.ours(1)), peer, f"{LIBRARY}, the better of with and without cache"
        )


def g3(options: Options) -> Iterator[Figure]:
    with bench(options) as it:
        shapes: Sequence[tuple[int, int]] = ((1, 64), (2, 32), (4, 16))
        best = (
            max(shapes, key=lambda shape: umadb.appended(it.folder, shape[0], shape[1], options.seconds / 2))
            if not options.quick
            else shapes[1]
        )
        name = f"UmaDB over gRPC, {best[0]} processes × {best[1]} clients, a conditional append each"

        def peer(_: int) -> Side:
            return Side(umadb.appended(it.folder, best[0], best[1], options.seconds))

        what = "single-event commands over HTTP, 64 clients"
        yield alternate("G3", what, "/s", Goal(1, 2), options.rounds, lambda _: rate(it.ours(64)), peer, name)


def g18(options: Options) -> Iterator[Figure]:
    wanted: Sequence[tuple[int, str, Goal]] = ((1, "RF 1", Goal(0.7, 1)), (3, "RF 3, min.insync 2", Goal(0.3, 0.5)))
    for number, name, goal in wanted:
        with bench(options) as it, brokers.running(it.folder / "kafka", TOOLS, brokers=number) as cluster:
            what = f"commands over HTTP with the log in Kafka ({name}), 32 clients"

            def ours(_: int, servers: str = cluster.bootstrap, it: Bench = it) -> Side:
                return rate(it.ours(32, servers))

            def peer(_: int, it: Bench = it) -> Side:
                return rate(it.ours(32))

            yield alternate("G18", what, "/s", goal, options.rounds, ours, peer, "our log in PostgreSQL")
