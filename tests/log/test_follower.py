"""Who follows the log through the process's one reader gets every event that he asks for, once and in order, or is told why not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import migrate
from adapters.log import follower as followers
from adapters.log.follower import Follower, Items, Stopped, TooSlow
from adapters.log.postgres import PostgresLog
from domain.ids import account_id
from domain.log import wire
from domain.log.block import Broken, seal
from domain.log.ledger import Ledger
from domain.log.log import Log, MemoryLog, Records
from tests.log.ledgers import NOW_US, START, begin, final, opened, opening, replay, seen


class Writer:
    """A leader without a loop: one block per call."""

    def __init__(self, log: Log) -> None:
        self._log, self._ledger, self._n = log, opened()[0], 0

    async def people(self, *blocks: int) -> None:
        """So many accounts in each block."""
        for count in blocks:
            for _ in range(count):
                self._n += 1
                self._ledger.decide(opening(self._n), NOW_US)
            await self._seal()

    async def deposit(self, n: int, person: int) -> None:
        self._ledger.decide(seen(n, account_id(person)), NOW_US)
        self._ledger.decide(final(n), NOW_US)
        await self._seal()

    async def _seal(self) -> None:
        block = self._ledger.seal(NOW_US)
        assert block is not None
        await self._log.append(block)


@asynccontextmanager
async def following(log: Log, stride: int = 1_000) -> AsyncIterator[tuple[Follower, Writer]]:
    await begin(log)
    follower = Follower(log, Ledger(START, stride=stride))
    run = asyncio.create_task(follower.run())
    yield follower, Writer(log)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def take(items: Items, count: int) -> list[int]:
    async with asyncio.timeout(5), aclosing(items):
        return [(await anext(items))[0].pos for _ in range(count)]


async def test_its_world_is_that_of_the_log() -> None:
    log = MemoryLog()
    async with following(log) as (follower, writer):
        await writer.people(3, 4)
        await follower.reached(19, 5)
        replayed = await replay(log)

        assert (follower.head, follower.world, follower.at_us) == (replayed.head, replayed.world, replayed.at_us)


async def test_what_was_missed_and_what_comes_are_one_sequence() -> None:
    async with following(MemoryLog()) as (follower, writer):
        await writer.people(2)
        reading = asyncio.create_task(take(follower.events(10), 7))
        await asyncio.sleep(0.01)
        await writer.people(1, 2)

        assert await reading == list(range(11, 18))


async def test_each_event_comes_with_its_line() -> None:
    async with following(MemoryLog()) as (follower, writer):
        await writer.people(1)
        async with aclosing(follower.events(0)) as items:
            for position in range(1, 14):
                recorded, line = await anext(items)
                assert (recorded.pos, wire.encode(recorded)) == (position, line)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 5), max_size=12), st.integers(0, 60), st.integers(1, 30), st.integers(1, 10), st.data())
def test_nothing_is_missed_or_repeated_wherever_one_starts(
    blocks: list[int], after: int, ring: int, heads: int, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(blocks)))
    size = 12 + sum(blocks)

    async def main() -> None:
        async with following(MemoryLog(), heads) as (follower, writer):
            await writer.people(*blocks[:cut])
            await follower.reached(12 + sum(blocks[:cut]), 5)
            reading = asyncio.create_task(take(follower.events(after), max(0, size - after)))
            await asyncio.sleep(0)
            await writer.people(*blocks[cut:])
            assert await reading == list(range(after + 1, size + 1))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(followers, "RING_MAX", ring)
        asyncio.run(main())


async def test_one_may_ask_for_types_streams_and_whatever_is_named() -> None:
    async with following(MemoryLog()) as (follower, writer):
        await writer.people(2)
        for n, person in enumerate((13, 14, 13)):
            await writer.deposit(n, person)
        asked = [
            ({"types": {"deposit.finalised.v1"}}, [16, 18, 20]),
            ({"types": {"deposit.seen.v1", "account.opened.v1"}}, [*range(3, 10), 13, 14, 15, 17, 19]),
            ({"streams": {"deposit-17", "account-13"}}, [13, 17, 18]),
            ({"about": {"account-13"}}, [13, 15, 16, 19, 20]),
            ({"about": {"account-13", "deposit-15"}, "types": {"deposit.seen.v1"}}, [15, 19]),
            ({"about": {"account-14"}, "streams": {"deposit-17"}}, [17, 18]),
        ]
        await follower.reached(20, 5)
        for wanted, expected in asked:
            assert await take(follower.events(0, **wanted), len(expected)) == expected, wanted


async def test_who_waits_for_one_thing_is_woken_by_it_alone() -> None:
    async with following(MemoryLog()) as (follower, writer):
        await writer.people(2)
        readings = [asyncio.create_task(take(follower.events(14, about={f"account-{n}"}), 2)) for n in (13, 14)]
        await asyncio.sleep(0.01)
        await writer.deposit(1, 14)

        assert await readings[1] == [15, 16]
        assert not readings[0].done()
        readings[0].cancel()


async def test_who_starts_beyond_the_head_waits_for_what_is_beyond() -> None:
    async with following(MemoryLog()) as (follower, writer):
        reading = asyncio.create_task(take(follower.events(15), 2))
        await asyncio.sleep(0.01)
        await writer.people(2, 2, 2)

        assert await reading == [16, 17]


async def test_a_slow_subscriber_is_dropped_alone_and_may_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "BEHIND_MAX", 5)
    async with following(MemoryLog()) as (follower, writer):
        await follower.reached(12, 5)
        slow, quick = follower.events(11), asyncio.create_task(take(follower.events(11), 11))
        async with aclosing(slow):
            assert (await anext(slow))[0].pos == 12
            for _ in range(5):
                await writer.people(2)
                await asyncio.sleep(0.01)
            with pytest.raises(TooSlow) as dropped:
                await anext(slow)

        assert dropped.value.position == 12
        assert await quick == list(range(12, 23))
        assert await take(follower.events(dropped.value.position), 10) == list(range(13, 23))


async def test_who_leaves_is_forgotten() -> None:
    async with following(MemoryLog()) as (follower, writer):
        await writer.people(1)
        await take(follower.events(0, about={"account-13", "account-3"}), 2)

        assert follower._feeds == {}


async def test_a_position_is_reached_or_the_time_is_over() -> None:
    async with following(MemoryLog()) as (follower, writer):
        waiting = [asyncio.create_task(follower.reached(position, 5)) for position in (15, 13)]
        with pytest.raises(TimeoutError):
            await follower.reached(13, 0.01)
        await writer.people(1)
        await waiting[1]
        assert not waiting[0].done()
        await writer.people(2)
        await waiting[0]
        await follower.reached(15, 0)


async def test_when_nobody_follows_any_more_everybody_is_told() -> None:
    async with following(MemoryLog()) as (follower, _):
        await follower.reached(12, 5)
        waiting = [asyncio.create_task(take(follower.events(12), 1)), asyncio.create_task(follower.reached(13, 5))]
        await asyncio.sleep(0.01)
    for each in waiting:
        with pytest.raises(Stopped):
            await each
    with pytest.raises(Stopped):
        await follower.reached(13, 5)
    with pytest.raises(Stopped):
        await take(follower.events(12), 1)


class Noisy:
    """A log, with records of others between its own."""

    def __init__(self, log: Log, *noise: bytes) -> None:
        self._log, self._noise = log, noise
        self.append = log.append

    async def read(self, after: int = 0, *, follow: bool = False) -> Records:
        async with aclosing(self._log.read(after, follow=follow)) as records:
            async for record in records:
                yield record
                for each in self._noise:
                    yield each


async def test_what_does_not_count_is_counted_and_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "RING_MAX", 3)
    zombie = seal(START, [b"zombie"]).record
    async with following(Noisy(MemoryLog(), b"junk", zombie)) as (follower, writer):
        await writer.people(1, 2)
        await follower.reached(15, 5)

        assert await take(follower.events(0), 15) == list(range(1, 16))
        await asyncio.sleep(0.01)
        assert dict(follower.void) == {"alien": 3, "stale": 3}


async def test_a_broken_record_stops_it() -> None:
    log = MemoryLog()
    await begin(log)
    follower = Follower(log, Ledger(START))
    head = (await replay(log)).head
    await log.append(seal(head, [b'{"not":"an event"}']))
    with pytest.raises(Broken):
        await follower.run()


@pytest.mark.system
async def test_a_block_in_postgres_is_seen_soon(database: str) -> None:
    migrate.apply(database)
    async with PostgresLog(database) as log, following(log) as (follower, writer):
        await follower.reached(12, 5)
        loop, delays = asyncio.get_running_loop(), list[float]()
        for n in range(9):
            await writer.people(1)
            began = loop.time()
            await follower.reached(13 + n, 5)
            delays.append(loop.time() - began)

        assert sorted(delays)[4] < 0.05
