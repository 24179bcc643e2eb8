"""Every log keeps the contract; and what only a log in PostgreSQL has to prove, against a real one."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

import psycopg
import pytest

from adapters import migrate
from adapters.log import postgres as postgres_log
from adapters.log.postgres import PostgresLog, clock_us
from domain.log.log import Log, Lost, MemoryLog, OutcomeUnknown, Unreachable
from tests.contracts.log import *  # noqa: F403
from tests.contracts.log import START, NewLog, block, everything, fold, next_record


@asynccontextmanager
async def in_memory() -> AsyncIterator[Log]:
    yield MemoryLog()


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.system)])
def new_log(request: pytest.FixtureRequest) -> NewLog:
    if request.param == "memory":
        return in_memory
    uri: str = request.getfixturevalue("migrated")

    def in_postgres() -> AbstractAsyncContextManager[Log]:
        return PostgresLog(uri)

    return in_postgres


@pytest.fixture
def migrated(database: str) -> str:
    migrate.apply(database)
    return database


@pytest.mark.system
async def test_two_writers_take_turns_or_lose(migrated: str) -> None:
    async with PostgresLog(migrated) as one, PostgresLog(migrated) as two:
        head = START
        for n in range(20):
            rivals = [block(head, 1, f"{n} {who}") for who in "ab"]
            outcomes = await asyncio.gather(one.append(rivals[0]), two.append(rivals[1]), return_exceptions=True)
            assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Lost", "NoneType"]
            head = rivals[outcomes.index(None)].after

        assert await fold(one) == head


@pytest.mark.system
async def test_an_announcement_wakes_who_follows(migrated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_log, "POLL_S", 60.0)
    async with PostgresLog(migrated) as log, PostgresLog(migrated) as other:
        head, delays = START, list[float]()
        async with aclosing(other.read(follow=True)) as records:
            for _ in range(9):
                sealed, reading = block(head), asyncio.ensure_future(anext(records))
                await asyncio.sleep(0.05)
                began = time.monotonic()
                await log.append(sealed)
                assert await reading == sealed.record
                delays.append(time.monotonic() - began)
                head = sealed.after

        assert sorted(delays)[4] < 0.1


@pytest.mark.system
async def test_who_follows_where_the_blocks_are_made_asks_the_database_for_those_of_others_only(
    migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with PostgresLog(migrated) as log, PostgresLog(migrated) as other:
        head = START
        async with aclosing(log.read(follow=True)) as records:

            async def appends(by: PostgresLog, number: int) -> None:
                nonlocal head
                for _ in range(number):
                    reading = asyncio.ensure_future(anext(records))
                    await asyncio.sleep(0.01)
                    await by.append(sealed := block(head))
                    assert await asyncio.wait_for(reading, 5) == sealed.record
                    head = sealed.after

            await appends(log, 3)
            with monkeypatch.context() as patch:
                patch.setattr(postgres_log, "READ", "nothing that the database understands")
                patch.setattr(postgres_log, "POLL_S", 60.0)
                await appends(log, 20)
            for by, number in ((other, 1), (log, 1), (other, 2), (log, 3)):
                await appends(by, number)


@pytest.mark.system
async def test_a_block_that_nobody_announced_is_found_all_the_same(migrated: str) -> None:
    async with PostgresLog(migrated) as log:
        reading = asyncio.create_task(next_record(log, 0))
        await asyncio.sleep(0.1)
        silent = block(START)
        async with await psycopg.AsyncConnection.connect(migrated) as db:
            values = (0, START.root, silent.after.size, silent.after.root, silent.record)
            await db.execute("INSERT INTO block VALUES (%s, %s, %s, %s, %b)", values)

        assert await reading == silent.record


@pytest.mark.system
async def test_writer_and_followers_outlive_their_connections(migrated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_log, "RETRY_S", 0.01)
    async with PostgresLog(migrated) as log:
        first = block(START)
        second = block(first.after)
        await log.append(first)
        async with aclosing(log.read(follow=True)) as records:
            assert await anext(records) == first.record
            reading = asyncio.ensure_future(anext(records))
            await asyncio.sleep(0.05)
            await end_sessions(migrated)
            with pytest.raises(OutcomeUnknown):
                await log.append(second)
            await log.append(second)

            assert await reading == second.record


async def end_sessions(uri: str) -> None:
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    async with await psycopg.AsyncConnection.connect(uri, autocommit=True) as db:
        await db.execute(query)


@pytest.mark.system
async def test_what_the_log_does_not_answer_in_time_is_unknown(migrated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_log, "APPEND_S_MAX", 0.2)
    async with PostgresLog(migrated) as log, await psycopg.AsyncConnection.connect(migrated) as rival:
        await rival.execute("LOCK TABLE block IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(OutcomeUnknown):
            await log.append(block(START))
        await rival.rollback()
        await log.append(block(START))

        assert await everything(log) == [block(START).record]


async def test_a_log_that_is_not_there_is_said_to_be_unreachable() -> None:
    async with PostgresLog("postgresql:///nothing?host=/nowhere") as log:
        with pytest.raises(Unreachable):
            await everything(log)
        with pytest.raises(Unreachable):
            await clock_us("postgresql:///nothing?host=/nowhere")
        with pytest.raises(Lost):
            await log.append(block(START))


@pytest.mark.system
async def test_every_session_waits_for_the_disk(migrated: str) -> None:
    async with PostgresLog(migrated) as log:
        session = await log._connect()
        async with session:
            assert await (await session.execute("SHOW synchronous_commit")).fetchone() == ("on",)
        assert abs(await clock_us(migrated) - time.time_ns() // 1000) < 5_000_000
        assert (await log.home()).removeprefix("postgresql:").isdecimal()


@pytest.mark.system
@pytest.mark.parametrize("change", ["UPDATE block SET record = ''", "DELETE FROM block WHERE size = 0", "TRUNCATE block CASCADE"])
async def test_a_block_is_never_changed(migrated: str, change: str) -> None:
    async with PostgresLog(migrated) as log:
        await log.append(block(START))
        async with await psycopg.AsyncConnection.connect(migrated) as db:
            with pytest.raises(psycopg.errors.RaiseException, match="written once"):
                await db.execute(change.encode())

        assert await everything(log) == [block(START).record]


@pytest.mark.system
async def test_a_log_says_where_it_ends(migrated: str) -> None:
    async with PostgresLog(migrated) as log:
        assert await log.size() == 0
        one = block(START, 3)
        await log.append(one)
        await log.append(block(one.after, 2))

        assert await log.size() == (await fold(log)).size == 5
