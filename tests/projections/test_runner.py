"""The loop of every projection."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from domain.event import Event, Recorded
from domain.log.block import Broken, Diverged
from domain.log.log import Records, Unreachable
from domain.log.merkle import Head
from projections import catalog, runner
from projections.explorer.events import Events, Line
from projections.explorer.jobs import Jobs
from projections.finance.balances import Balances
from projections.memory import MemoryViews
from projections.row import Change, Projection
from projections.views import Behind, Move, Swapped
from tests.projections.lives import START, Written, everything, folded, network

RECORDS = network(7).records
SIZE = len(network(7).events)


class Crash(Exception):
    pass


class Shaky(MemoryViews):
    """Fails at some writes, before or after it has done them; the others are counted."""

    def __init__(self, failing: dict[int, str], *projections: Projection) -> None:
        super().__init__(*projections)
        self.failing, self.writes = failing, 0

    async def write(self, *moves: Move) -> None:
        self.writes += 1
        happens = self.failing.get(self.writes, "")
        if happens == "before":
            raise Crash
        await super().write(*moves)
        if happens == "after":
            raise Crash


async def test_a_crash_between_batches_loses_nothing_and_repeats_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = await everything(await folded(RECORDS))
    monkeypatch.setattr(runner, "EVENTS_PER_BATCH_MAX", 25)
    views, crashes = Shaky({2: "before", 5: "after", 6: "before", 9: "after"}, *catalog.ALL), 0
    while True:
        try:
            await runner.run(catalog.ALL, Written(RECORDS), views, START, follow=False)
            break
        except Crash:
            crashes += 1

    assert crashes == 4
    assert await everything(views) == expected


async def test_the_next_batch_is_folded_while_one_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "EVENTS_PER_BATCH_MAX", 25)
    newest, grown = list[int](), asyncio.Event()

    class Seen(Events):
        def fold(self, e: Recorded[Event]) -> Iterator[Change]:
            newest[:] = [e.pos]
            grown.set()
            return super().fold(e)

    class Slow(MemoryViews):
        async def write(self, *moves: Move) -> None:
            while newest == [moves[0].after.size] != [SIZE]:
                grown.clear()
                await grown.wait()
            await super().write(*moves)

    views = Slow(Seen())
    await asyncio.wait_for(runner.run((Seen(),), Written(RECORDS), views, START, follow=False), 10)

    assert (await views.page(Line)).position == SIZE


async def test_projections_that_stand_at_different_positions_catch_up_together() -> None:
    views = MemoryViews(*catalog.ALL)
    await runner.run((Balances(),), Written(RECORDS[:100]), views, START, follow=False)
    await runner.run((Jobs(), Events()), Written(RECORDS[:50]), views, START, follow=False)
    await runner.run(catalog.ALL, Written(RECORDS), views, START, follow=False)

    assert await everything(views) == await everything(await folded(RECORDS))


async def test_a_tail_is_followed() -> None:
    log, views = Written(RECORDS[:5]), MemoryViews(Events())
    running = asyncio.create_task(runner.run((Events(),), log, views, START))
    for record in RECORDS[5:]:
        await log.grow(record)
    assert await views.reached(Line, SIZE, 10) == SIZE
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert await everything(views, Events()) == await everything(await folded(RECORDS), Events())


async def test_a_run_up_to_a_position_ends_with_its_block() -> None:
    views = MemoryViews(Events())
    until = sum(record.count(b"\n") - 1 for record in RECORDS[:40])
    await asyncio.wait_for(runner.run((Events(),), Written(RECORDS), views, START, until=until), 10)

    assert (await views.page(Line)).position == until


async def test_records_that_do_not_count_are_counted() -> None:
    stale, alien = RECORDS[3], RECORDS[3].replace(b'"log":"a', b'"log":"b', 1)
    views = MemoryViews(Events())
    void = await runner.run(
        (Events(),), Written([*RECORDS[:9], stale, b"nonsense", alien, stale, *RECORDS[9:]]), views, START, follow=False
    )

    assert void == {"stale": 2, "alien": 2}
    assert (await views.page(Line)).position == SIZE


async def test_a_broken_or_forked_log_stops_the_run_with_what_was_good_before() -> None:
    for bad, error in ((RECORDS[9].replace(b'"at_us":1', b'"at_us":2', 1), Broken), (RECORDS[12], Diverged)):
        views = MemoryViews(Events())
        await runner.run((Events(),), Written(RECORDS[:9]), views, START, follow=False)
        before = (await views.page(Line)).position
        with pytest.raises(error):
            await runner.run((Events(),), Written([*RECORDS[:9], bad]), views, START, follow=False)

        assert (await views.page(Line)).position == before


async def test_whoever_writes_the_same_views_is_stopped() -> None:
    class Rivalled(MemoryViews):
        async def write(self, *moves: Move) -> None:
            raise Behind

    with pytest.raises(Behind):
        await runner.run((Events(),), Written(RECORDS), Rivalled(Events()), START, follow=False)


async def test_a_swapped_view_is_taken_up_where_the_new_one_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "EVENTS_PER_BATCH_MAX", 25)
    other = await folded(RECORDS[:30], Events())

    class Swapping(MemoryViews):
        swapped = 0

        async def head(self, projection: Projection) -> Head | None:
            return await other.head(projection) if self.swapped else await super().head(projection)

        async def write(self, *moves: Move) -> None:
            if not self.swapped:
                self.swapped = 1
                raise Swapped
            await other.write(*moves)

    await runner.run((Events(),), Written(RECORDS), Swapping(Events()), START, follow=False)

    assert await everything(other, Events()) == await everything(await folded(RECORDS), Events())


async def test_a_log_that_cannot_be_read_ends_the_run() -> None:
    class Dark(Written):
        async def read(self, after: int = 0, *, follow: bool = False) -> Records:
            lines: AsyncIterator[bytes] = super().read(after)
            yield await anext(lines)
            raise Unreachable

    with pytest.raises(Unreachable):
        await runner.run((Events(),), Dark(RECORDS), MemoryViews(Events()), START, follow=False)


async def test_what_is_read_ahead_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Eager(Written):
        given = 0

        async def read(self, after: int = 0, *, follow: bool = False) -> Records:
            async for record in super().read(after):
                self.given += 1
                yield record

    monkeypatch.setattr(runner, "AHEAD_BYTES_MAX", len(RECORDS[0]) + len(RECORDS[1]))
    log = Eager(RECORDS)
    async with runner.ahead(log, 0, follow=False) as records:
        await asyncio.sleep(0.05)
        waiting = log.given
        came = [await records.next() for _ in RECORDS]
        assert await records.next() is None

    assert waiting == 3
    assert came == RECORDS
