"""Reading the log again: G7, G8, G10 and G15. Ours verifies every leaf on the way; the library verifies nothing."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg

from adapters import migrate
from adapters.log.postgres import PostgresLog
from adapters.views.postgres import PostgresViews
from benchmarks import data, ranges, site, workers
from benchmarks.data import Data
from benchmarks.rounds import Figure, Goal, Options, Side, alternate
from domain.log import wire
from domain.log.merkle import Head
from projections import runner
from projections.explorer.jobs import Jobs
from projections.finance.balances import Balances
from projections.finance.journal import Journal, Statements
from projections.memory import MemoryViews
from projections.row import Batch, Projection

QUICK, REPLAYED_MAX, CAUGHT_UP_MAX = 20_000, 200_000, 50_000
LIBRARY_EVENTS, LIBRARY_EVENTS_QUICK = 20_000, 1_000
LIBRARY_VIEWED, LIBRARY_VIEWED_QUICK = 3_000, 300


class Part:
    """The log's first records, as far as a round wants them."""

    def __init__(self, log: PostgresLog, events: int) -> None:
        self._log, self._events = log, events

    async def read(self, after: int = 0, *, follow: bool = False) -> Any:
        async with aclosing(self._log.read(after)) as records:
            async for record in records:
                yield record
                if (after := after + record.count(b"\n") - 1) >= self._events:
                    return


def balances(it: Data, events: int) -> Side:
    """Events per second from PostgreSQL to balances in memory, by the product's own loop: read, hashed, decoded, folded."""

    async def replay() -> tuple[int, float]:
        views, began = MemoryViews(Balances()), time.perf_counter()
        async with PostgresLog(it.uri) as log:
            await runner.run((Balances(),), log, views, Head(it.log), follow=False, until=events)
        head = await views.head(Balances())
        assert head
        return head.size, time.perf_counter() - began

    size, seconds = asyncio.run(replay())
    return Side(size / seconds)


def records_of(it: Data, events: int) -> list[bytes]:
    async def read() -> list[bytes]:
        async with PostgresLog(it.uri) as log:
            return [record async for record in Part(log, events).read()]

    return asyncio.run(read())


def limit(it: Data, records: Sequence[bytes]) -> Side:
    """Decode, hash and apply, and nothing else: every line of every record once, from memory."""
    projection, batch, size, began = Balances(), Batch(), 0, time.perf_counter()
    for record in records:
        lines = record.split(b"\n")[1:-1]
        level = [sha256(b"\0" + line).digest() for line in lines]
        while len(level) > 1:
            level = [sha256(b"\1" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)]
        for line in lines:
            for change in projection.fold(wire.event(line)):
                batch.add(change)
        size += len(lines)
    return Side(size / (time.perf_counter() - began))


def library_replay(folder: Path, uri: str, events: int) -> Side:
    (saw,) = workers.run("library_replay", [{"environment": workers.library_environment(uri), "what": "replay", "events": events}], folder)
    return Side(saw["events"] / saw["seconds"])


def filled(folder: Path, server: str, events: int) -> str:
    """A database of the library with so many transfers in it."""
    site.drop(server, "library_replayed")
    uri = site.database(server, "library_replayed")
    workers.run("library_replay", [{"environment": workers.library_environment(uri), "what": "fill", "events": events}], folder)
    return uri


def events_of(options: Options) -> int:
    return QUICK if options.quick else options.events


def g7(options: Options) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder, data.kept() as server:
        it, events = data.of(server, events_of(options)), min(events_of(options), REPLAYED_MAX)
        uri = filled(Path(folder), server, LIBRARY_EVENTS_QUICK if options.quick else LIBRARY_EVENTS)

        def peer(_: int) -> Side:
            return library_replay(Path(folder), uri, events)

        what = f"replay of {events:,} events to balances, every leaf hashed, one core"
        name = "eventsourcing's notifications to balances, from PostgreSQL, nothing verified"
        yield alternate("G7", what, "events/s", Goal(2, 3), options.rounds, lambda _: balances(it, events), peer, name)
        yield two_cores(it, events, options.rounds)


def two_cores(it: Data, events: int, rounds: int) -> Figure:
    """Two ranges by two processes against all of it by one of them, and whether they come to the same."""
    with ranges.pool(2, it.uri) as pool:
        begin, half, end = Head(it.log), *(ranges.replay(it.uri, Head(it.log), size).end for size in (events // 2, events))
        one, two = (pool.replay(marks, tells=True) for marks in ((begin, end), (begin, half, end)))
        same = "" if ranges.added(one) == ranges.added(two) else "the balances of two ranges are not those of one"

        def side(*marks: Head) -> Side:
            done = pool.replay(marks)
            return Side(done[-1].end.size / ranges.seconds(done), {"two ranges meet, and their balances add up": same})

        what = f"replay of {events:,} events to balances, every leaf hashed, in two ranges on two cores"
        ours, peer = lambda _: side(begin, half, end), lambda _: side(begin, end)
        return alternate("G7", what, "events/s", Goal(1.7, 1.9), rounds, ours, peer, "ourselves in one range on one core")


def g8(options: Options) -> Iterator[Figure]:
    with data.kept() as server:
        it, events = data.of(server, events_of(options)), min(events_of(options), REPLAYED_MAX)
        records = cache(lambda: records_of(it, events))
        what = f"replay of {events:,} events as a share of decode, hash and apply alone"
        yield alternate(
            "G8",
            what,
            "events/s",
            Goal(0.6, 0.8),
            options.rounds,
            lambda _: balances(it, events),
            lambda _: limit(it, records()),
            "the same lines from memory",
        )


def catch_up(server: str, it: Data, projections: Sequence[Projection], events: int) -> Side:
    """Events per second from an empty view to the end, log and views in PostgreSQL."""
    site.drop(server, "views")
    uri = site.database(server, "views")
    migrate.apply(uri)

    async def run() -> tuple[int, float]:
        async with PostgresLog(it.uri) as log, PostgresViews(uri, *projections) as views:
            began = time.perf_counter()
            await runner.run(projections, log, views, Head(it.log), follow=False, until=events)
            heads = [await views.head(each) for each in projections]
            return min(head.size if head else 0 for head in heads), time.perf_counter() - began

    size, seconds = asyncio.run(run())
    with psycopg.connect(uri, autocommit=True) as session:
        (positions,) = session.execute("SELECT count(DISTINCT size) FROM projection").fetchone() or (0,)
    return Side(size / seconds, {"views stand at one position": "" if positions == 1 else f"at {positions}"})


def g10(options: Options) -> Iterator[Figure]:
    wanted: Sequence[tuple[str, tuple[Projection, ...], Goal]] = (
        ("balances, days, journal and statement lines", (Balances(), Journal(), Statements()), Goal(30, 50)),
        ("jobs", (Jobs(),), Goal(60, 150)),
    )
    with tempfile.TemporaryDirectory() as folder, data.kept() as server:
        it, events = data.of(server, events_of(options)), min(events_of(options), CAUGHT_UP_MAX)
        few = LIBRARY_VIEWED_QUICK if options.quick else LIBRARY_VIEWED
        uri = filled(Path(folder), server, few)
        for name, projections, goal in wanted:
            lines = len(projections) > 1

            def peer(_: int, lines: bool = lines) -> Side:
                plan = {"environment": workers.library_environment(uri), "what": "project", "events": few, "lines": lines}
                (saw,) = workers.run("library_replay", [plan], Path(folder))
                return Side(saw["events"] / saw["seconds"])

            def ours(_: int, projections: tuple[Projection, ...] = projections) -> Side:
                return catch_up(server, it, projections, events)

            what = f"catch-up of {events:,} events: {name}"
            yield alternate(
                "G10", what, "events/s", goal, options.rounds, ours, peer, f"its ProjectionRunner into PostgreSQL, {few:,} events"
            )


def g15(options: Options) -> Iterator[Figure]:
    """Bytes on disk, indexes and free space included, against bytes of the lines."""
    with data.kept() as server:
        it = data.of(server, events_of(options))
        records = records_of(it, min(it.events, REPLAYED_MAX))
        lines = [line for record in records for line in record.split(b"\n")[1:-1]]
        mean = statistics.mean(map(len, lines))

        def ours(_: int) -> Side:
            with psycopg.connect(it.uri, autocommit=True) as session:
                (size, events) = session.execute(
                    "SELECT pg_total_relation_size('block'), (SELECT max(next_size) FROM block)"
                ).fetchone() or (0, 1)
            return Side(size / events / mean, facts={"bytes of a line": round(mean, 1)})

        what = f"bytes stored per event, by bytes of its line ({mean:.0f}), blocks of {len(lines) / len(records):.0f} events"
        yield alternate("G15", what, "", Goal(1.2, 1.05, sense="at most"), options.rounds, ours)
