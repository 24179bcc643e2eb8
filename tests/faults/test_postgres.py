"""The database dies, or has no room for us, or none at all: acknowledged commands stay, the server says so soon, and goes on."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx2
import psycopg
import pytest

from adapters import postgres_server, process
from adapters.client import uuid7
from tests.faults.crowd import Crowd
from tests.faults.history import History
from tests.faults.killing import kill_database, until
from tests.faults.site import Site

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

STREAMS, BETWEEN, KILLS = 6, 20, 3
BACK_S_MAX = 20.0
CONNECTIONS, SOON_S = 20, 2.5


async def test_acknowledged_commands_survive_the_kill_of_the_database_and_the_server_goes_on(tmp_path: Path, free_port: int) -> None:
    site, history = await asyncio.to_thread(Site, tmp_path / "ledger", free_port), History()
    server, over, waits_s = site.start(), asyncio.Event(), list[float]()
    try:
        async with Crowd(site.url, history) as crowd:
            lives = [asyncio.create_task(crowd.live(lambda: not over.is_set())) for _ in range(STREAMS)]
            for _ in range(KILLS):
                await crowd.acknowledged(len(crowd.acknowledged_at) + BETWEEN)
                kill_database(site.home.postgres)
                killed, so_far = time.monotonic(), len(crowd.acknowledged_at)
                await crowd.acknowledged(so_far + STREAMS + 1)
                waits_s.append(time.monotonic() - killed)
            over.set()
            await asyncio.gather(*lives)
            await crowd.ask_again()
        assert server.poll() is None, "the same server all the time"
        assert await site.findings(history, site.home.database()) == []
    finally:
        process.stop(server, grace_s=10.0)
        site.clear()

    assert history.counts["unknown for ever"] == 0
    assert site.log_text.count("PostgreSQL is started again") >= KILLS
    assert max(waits_s) < BACK_S_MAX, waits_s


@contextmanager
def taken(uri: str) -> Iterator[None]:
    """All connections that a database has are somebody else's: ours are cut, and whatever is free is taken at once."""
    with ExitStack() as stack:
        chief = stack.enter_context(psycopg.connect(uri, autocommit=True))

        def cut() -> bool:
            ours = chief.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'gridledger%'"
            ).fetchall()
            with suppress(psycopg.OperationalError):
                while True:
                    stack.enter_context(psycopg.connect(uri, connect_timeout=2))
            return not ours

        until(cut, "a database without a free connection")
        yield


@pytest.mark.alone
async def test_without_a_connection_the_server_says_so_soon_and_recovers_by_itself(tmp_path: Path, free_port: int) -> None:
    few = {"max_connections": str(CONNECTIONS), "superuser_reserved_connections": "0", "reserved_connections": "0"}
    with postgres_server.running(tmp_path / "postgres", {**postgres_server.FORGETFUL, **few}, keep=False) as uri:
        site, history = await asyncio.to_thread(Site, tmp_path / "ledger", free_port, uri), History()
        with site.serving():
            async with Crowd(site.url, history, timeout_s=5.0) as crowd:
                await crowd.live(lambda: crowd.people < 2)
                with taken(uri):
                    statuses = [await asyncio.to_thread(said, site, ask) for ask in (OPEN, LIST) * 3]
                    living = asyncio.create_task(crowd.live(lambda: crowd.people < 4))
                    await asyncio.sleep(2)
                    assert not living.done()
                await living
                await crowd.ask_again()
            assert await site.findings(history, uri) == []

    assert {status for status, _, _ in statuses[2:]} == {503}, statuses
    assert all(retry == "1" for status, retry, _ in statuses if status == 503), statuses
    assert all(took_s < SOON_S for _, _, took_s in statuses), statuses
    assert any("503" in why for deed in history.deeds.values() for why in deed.unknown)
    assert history.counts["unknown for ever"] == 0


OPEN, LIST = ("POST", "/v1/accounts"), ("GET", "/v1/jobs")


def said(site: Site, ask: tuple[str, str]) -> tuple[int, str, float]:
    """Status, when to come again, and how long the answer took."""
    began = time.monotonic()
    headers = {"Authorization": f"Bearer {'x' * 40}", "Idempotency-Key": uuid7()}
    answer = httpx2.request(ask[0], site.url + ask[1], json={} if ask is OPEN else None, headers=headers, timeout=30, trust_env=False)
    return answer.status_code, answer.headers.get("retry-after", ""), time.monotonic() - began
