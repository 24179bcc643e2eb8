"""Views of the past: bounded in number, in time and in what they hold, so that nobody ends a server by asking for them."""

import asyncio

import pytest

from domain.log.log import Records
from projections import catalog
from projections.explorer.events import Line
from projections.explorer.jobs import Job
from projections.explorer.overview import NETWORK, Overview
from projections.past import Bounds, Crowded, Past, TooMuch
from tests.projections.lives import START, Written, network


class Held(Written):
    """A log whose readers wait until they are let go."""

    def __init__(self) -> None:
        super().__init__(network(1).records)
        self.go = asyncio.Event()
        self.now = self.most = 0

    async def read(self, after: int = 0, *, follow: bool = False) -> Records:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.go.wait()
            async for record in super().read(after, follow=follow):
                yield record
        finally:
            self.now -= 1


async def test_what_is_asked_for_at_once_is_folded_once_and_one_at_a_time() -> None:
    log = Held()
    past = Past(log, catalog.ALL)
    asked = [asyncio.create_task(past.at(Overview, position, START)) for position in (30, 30, 50)]
    await asyncio.sleep(0.01)
    log.go.set()
    views = await asyncio.gather(*asked)

    assert [(await each.get(Overview, NETWORK)).position for each in views] == [30, 30, 50]
    assert (views[0] is views[1], log.reads, log.most) == (True, 2, 1)
    assert await past.at(Overview, 50, START) is views[2]
    assert log.reads == 2


async def test_more_than_a_few_are_sent_away_and_what_is_kept_is_still_answered() -> None:
    log = Held()
    log.go.set()
    past = Past(log, catalog.ALL, Bounds(folds=3))
    kept = await past.at(Overview, 10, START)
    log.go.clear()
    asked = [asyncio.create_task(past.at(Overview, position, START)) for position in (20, 30, 40)]
    await asyncio.sleep(0.01)

    with pytest.raises(Crowded):
        await past.at(Overview, 50, START)
    assert await past.at(Overview, 10, START) is kept
    log.go.set()
    await asyncio.gather(*asked)
    assert (await (await past.at(Overview, 50, START)).get(Overview, NETWORK)).position == 50


async def test_whoever_waited_long_enough_is_sent_away_and_finds_it_done_when_he_comes_again() -> None:
    log = Held()
    past = Past(log, catalog.ALL, Bounds(wait_s=0.02))
    with pytest.raises(Crowded):
        await past.at(Overview, 40, START)
    log.go.set()
    for _ in range(200):
        await asyncio.sleep(0.002)

    assert (await (await past.at(Overview, 40, START)).get(Overview, NETWORK)).position == 40
    assert log.reads == 1


async def test_what_has_too_many_rows_is_refused_and_nothing_of_it_is_kept() -> None:
    log = Written(network(1).records)
    past = Past(log, catalog.ALL, Bounds(rows=60))

    with pytest.raises(TooMuch):
        await past.at(Line, 200, START)
    assert (await (await past.at(Line, 20, START)).page(Line)).position == 20


async def test_what_nobody_asked_for_the_longest_goes_first() -> None:
    log = Written(network(1).records)
    past = Past(log, catalog.ALL, Bounds(rows=100))
    first = await past.at(Line, 45, START)
    second = await past.at(Line, 44, START)
    assert await past.at(Line, 45, START) is first
    await past.at(Line, 43, START)

    assert await past.at(Line, 45, START) is first
    assert await past.at(Line, 44, START) is not second, "no place for three"
    assert (await (await past.at(Job, 45, START)).page(Job)).position == 45
