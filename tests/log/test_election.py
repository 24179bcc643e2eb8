"""The lease in PostgreSQL: one has it, the others see who; it passes on when it is given back, when it runs out, and to whoever comes to
the same place."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import psycopg
import pytest

from adapters import migrate
from adapters.log import election as elections
from adapters.log.election import Election, Holder

pytestmark = pytest.mark.system


@pytest.fixture
def lease(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The libpq URI of a database with an empty lease, which is short."""
    migrate.apply(database)
    monkeypatch.setattr(elections, "LEASE_S", 0.6)
    monkeypatch.setattr(elections, "RENEW_S", 0.2)
    monkeypatch.setattr(elections, "POLL_S", 0.1)
    return database


@asynccontextmanager
async def candidates(uri: str, *names: str, place: str = "") -> AsyncIterator[list[Election]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Election(uri, name, place or name, f"http://{name}")) for name in names]


async def soon(what: object) -> None:
    async with asyncio.timeout(3):
        await what  # type: ignore[misc]


async def test_one_has_it_and_the_others_know_where_it_is(lease: str) -> None:
    async with candidates(lease, "a", "b") as (a, b):
        await soon(a.acquire())
        turn = asyncio.create_task(b.acquire())

        assert await b.leader(2) == "http://a"
        assert (a.held, b.held, turn.done()) == (True, False, False)
        assert (a.elsewhere, b.elsewhere) == (None, Holder("a", "http://a"))
        turn.cancel()


async def test_it_is_renewed_for_as_long_as_it_is_wanted(lease: str) -> None:
    async with candidates(lease, "a", "b") as (a, b):
        await soon(a.acquire())
        turn = asyncio.create_task(b.acquire())
        for _ in range(15):
            await asyncio.sleep(0.1)
            assert a.held

        assert not turn.done()
        turn.cancel()


async def test_who_gives_it_back_hands_it_to_who_waits_at_once(lease: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elections, "POLL_S", 5.0)
    monkeypatch.setattr(elections, "RENEW_S", 5.0)
    monkeypatch.setattr(elections, "LEASE_S", 15.0)
    async with candidates(lease, "a", "b") as (a, b):
        await soon(a.acquire())
        turn = asyncio.create_task(b.acquire())
        await b.leader(2)
        began = time.monotonic()
        await a.release()
        await soon(turn)

        assert b.held
        assert not a.held
        assert time.monotonic() - began < 1.0, "an announcement, not a poll"
        assert await a.leader(2) == "http://b"


async def test_the_lease_of_who_is_gone_runs_out(lease: str) -> None:
    async with candidates(lease, "b") as (b,):
        async with candidates(lease, "a") as (a,):
            await soon(a.acquire())
        began = time.monotonic()
        await soon(b.acquire())

        assert 0.2 < time.monotonic() - began < 2.0


async def test_who_comes_to_the_same_place_follows_at_once(lease: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was there is gone: a lock of the directory says so."""
    monkeypatch.setattr(elections, "LEASE_S", 60.0)
    async with candidates(lease, "a", place="here") as (a,):
        await soon(a.acquire())
    async with candidates(lease, "b", place="here") as (b,):
        await soon(b.acquire())

        assert b.held


async def test_who_was_stopped_past_its_lease_learns_that_it_lost_it(lease: str) -> None:
    async with candidates(lease, "a", "b") as (a, b):
        await soon(a.acquire())
        lost = asyncio.create_task(a.lost())
        with psycopg.connect(lease, autocommit=True) as db:
            db.execute("UPDATE lease SET until = clock_timestamp() + interval '1 second', name = 'b', place = 'b', address = 'http://b'")
        await soon(b.acquire())
        await soon(lost)

        assert not a.held
        assert a.elsewhere == Holder("b", "http://b")


async def test_while_the_database_is_away_nobody_is_sure_and_afterwards_only_who_asks_anew(lease: str) -> None:
    async with candidates(lease, "a") as (a,):
        await soon(a.acquire())
        with psycopg.connect(lease, autocommit=True) as db:
            db.execute("ALTER TABLE lease RENAME TO away")
            await asyncio.sleep(1.0)
            assert not a.held
            assert a.holder == a.me, "nobody else has it, either"
            assert not a.fresh
            db.execute("ALTER TABLE away RENAME TO lease")
        async with asyncio.timeout(3):
            while not a.fresh:  # noqa: ASYNC110 - it announces nothing
                await asyncio.sleep(0.05)
        assert a.holder == a.me
        assert not a.held, "somebody may have led, and gone, while nobody could ask"
        await a.release()
        await soon(a.acquire())
        assert a.held


async def test_nobody_leads_where_nobody_wants_to(lease: str) -> None:
    async with candidates(lease, "a", "b") as (a, b):
        assert await a.leader(0.3) == ""
        assert (a.holder, b.held) == (None, False)


async def test_each_duty_has_a_holder_of_its_own(lease: str) -> None:
    async with candidates(lease, "a", "b") as (a, b), Election(lease, "b", "b", "http://b", duty="projector") as other:
        await soon(a.acquire())
        await soon(other.acquire())
        turn = asyncio.create_task(b.acquire())
        await b.leader(2)

        assert (a.held, b.held, other.held) == (True, False, True)
        await other.release()
        assert a.held, "what is given back is one's own turn"
        turn.cancel()
