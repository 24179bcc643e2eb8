"""PostgreSQL is away while the ledger is in Kafka: the leader goes on, readers say how far they are behind; afterwards views catch up, and
whoever is killed is followed by the second of its role."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from adapters import postgres_server
from adapters.files.home import Home
from adapters.log.election import LEASE_S
from roles import ledger
from tests.faults import killing
from tests.faults.crowd import Crowd
from tests.faults.history import History
from tests.faults.site import findings
from tests.roles.split import ROLES, Split, split

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

AWAY_S, STREAMS = 8.0, 2
"""Longer than a lease lasts."""
SUCCEEDED_S_MAX = 20.0
PAIRS = ("leader", "projector", "daemons")
SECONDS = tuple(f"{role}-2" for role in PAIRS)


@contextmanager
def stopped(data: Path) -> Iterator[None]:
    """PostgreSQL is there and does not answer."""
    chief = psutil.Process(killing.postmaster(data))
    stopped = [chief, *chief.children(recursive=True)]
    try:
        for each in stopped:
            each.send_signal(signal.SIGSTOP)
        yield
    finally:
        for each in stopped:
            each.send_signal(signal.SIGCONT)


@asynccontextmanager
async def crowded(it: Split, history: History) -> AsyncIterator[Crowd]:
    """People ask the `api` process all the time; at the end nothing is left open."""
    over = asyncio.Event()
    async with Crowd(it.url("api"), history, timeout_s=10.0, patience_s=120.0) as crowd:
        lives = [asyncio.create_task(crowd.live(lambda: not over.is_set())) for _ in range(STREAMS)]
        await crowd.acknowledged(2 * STREAMS)
        yield crowd
        over.set()
        await asyncio.gather(*lives)
        await crowd.ask_again()


async def read(it: Split, path: str) -> tuple[int, dict[str, str], Any]:
    async with httpx2.AsyncClient(base_url=it.url("api"), timeout=30.0, trust_env=False) as http:
        answer = await http.get(path)
    return answer.status_code, dict(answer.headers), answer.json()


async def until(hoped: Callable[[], object], what: str, within_s: float) -> float:
    return await asyncio.to_thread(killing.until, hoped, what, within_s)


def holder(it: Split, role: str) -> str:
    """Which of the two has the turn, or leads; empty: neither."""
    gauge = "leads" if role == "leader" else "has_turn"
    return next((name for name in (role, f"{role}-2") if it.running[name].poll() is None and it.number(name, gauge)), "")


async def test_the_leader_goes_on_without_the_database_and_whoever_dies_is_followed(
    tmp_path: Path, kafka: str, capsys: pytest.CaptureFixture[str]
) -> None:
    home, history, data = Home(tmp_path / "ledger"), History(), tmp_path / "postgres"
    with postgres_server.running(data, postgres_server.FORGETFUL, keep=False) as database:
        async with split(home, database, kafka) as it:
            it.start(*ROLES)
            await it.ready(*ROLES)
            it.start(*SECONDS)
            await it.ready(*SECONDS)
            async with crowded(it, history) as crowd:
                with stopped(data):
                    began, before = time.monotonic(), len(crowd.acknowledged_at)
                    reading, status = await asyncio.gather(read(it, "/v1/overview"), read(it, "/v1/status"))
                    event, ready = await asyncio.gather(read(it, "/v1/events/1"), read(it, "/readyz"))
                    await asyncio.sleep(max(0.0, began + AWAY_S - time.monotonic()))
                    gone_on, behind = len(crowd.acknowledged_at) - before, status[2]["head"] - reading[2]["position"]
                    late = sum(at > began + LEASE_S for at in crowd.acknowledged_at)
                await until(lambda: it.status("api")["views"] == "reached", "the views are read again", SUCCEEDED_S_MAX)
                await crowd.acknowledged(len(crowd.acknowledged_at) + STREAMS)
                await until(lambda: all(holder(it, role) for role in PAIRS), "somebody has each turn", SUCCEEDED_S_MAX)
                dead = [holder(it, role) for role in PAIRS]
                it.kill(*dead)
                took_s = await until(lambda: all(holder(it, role) for role in PAIRS), "the second has each turn", SUCCEEDED_S_MAX)
                await crowd.acknowledged(len(crowd.acknowledged_at) + STREAMS)

            async def records() -> list[bytes]:
                async with ledger.opened(home, database) as log, aclosing(log.read()) as found:
                    return [record async for record in found]

            assert await findings(it.log, records, history, database) == []

    with capsys.disabled():
        print(f"\n{gone_on} commands in {AWAY_S:.0f} s without the database; after kill -9, the second of each role after {took_s:.1f} s")
    assert gone_on > late > 0, "commands are decided although nobody can renew the lease"
    assert (reading[0], reading[2]["code"], reading[1]["content-type"]) == (503, "unreachable", "application/problem+json")
    assert reading[2]["head"] > reading[2]["position"] > 0
    assert (status[0], status[2]["role"], status[2]["views"]) == (200, "api", "away")
    assert behind > 0
    assert all(row["behind"] == status[2]["head"] - row["position"] for row in status[2]["projections"])
    assert (event[0], ready[0]) == (200, 200), "what needs no view is answered"
    assert len(set(dead)) == len(PAIRS)
