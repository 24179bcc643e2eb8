"""Two servers on one database: one leads, the other stands by. Whatever becomes of the leader, clients see only waiting."""

import asyncio
import os
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from socket import socket
from typing import Any

import psycopg
import pytest

from adapters import process
from tests.faults.crowd import Crowd
from tests.faults.history import History
from tests.faults.site import Site

pytestmark = [pytest.mark.system, pytest.mark.alone, pytest.mark.timeout(180)]

STREAMS = 4
STOPPED_S = 8.0
"""Longer than a lease lasts. Who is asked beside a stopped leader answers when the lease has run out: clients wait for that."""
SUCCEEDED_S_MAX, PLANNED_S_MAX = 10.0, 0.5
TRIES = 4
"""To show it in that time: whoever else is busy on this machine makes it longer."""
ELECTIONS = "SELECT count(*), max(next_size) FROM block WHERE position('ledger.leader_elected'::bytea in record) > 0"


class Pair:
    """Two servers of one ledger, each on a port of its own, and which process each is now."""

    def __init__(self, site: Site, ports: tuple[int, int]) -> None:
        self.site, self.ports = site, ports
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.servers: list[subprocess.Popen[bytes]] = []

    async def start(self, which: int) -> None:
        server = self.site.start(port=self.ports[which])
        self.servers[which:] = [server] if which == len(self.servers) else [server, *self.servers[which + 1 :]]
        await asyncio.to_thread(self.site.ready, server, url=self.urls[which])


@asynccontextmanager
async def crowded(pair: Pair, history: History) -> AsyncIterator[Crowd]:
    """People ask both servers all the time; at the end nothing is left open."""
    over = asyncio.Event()
    async with Crowd(pair.urls[1], history, pair.urls[0], timeout_s=STOPPED_S, patience_s=120.0) as crowd:
        lives = [asyncio.create_task(crowd.live(lambda: not over.is_set())) for _ in range(STREAMS)]
        await crowd.acknowledged(STREAMS)
        yield crowd
        await crowd.acknowledged(len(crowd.acknowledged_at) + 2 * STREAMS)
        over.set()
        await asyncio.gather(*lives)
        await crowd.ask_again()


async def elections(session: psycopg.AsyncConnection[Any]) -> tuple[int, int]:
    """How many there were, and where the last one is."""
    row = await (await session.execute(ELECTIONS)).fetchone()
    assert row
    return int(row[0]), int(row[1])


async def succeeded(session: psycopg.AsyncConnection[Any], crowd: Crowd, deed: Callable[[], None]) -> float:
    """From the deed on, how long it took until somebody heard of a command that the next leader accepted."""
    count, _ = await elections(session)
    began = time.monotonic()
    deed()
    while (found := await elections(session))[0] == count:
        assert time.monotonic() - began < 2 * SUCCEEDED_S_MAX, "nobody was elected"
        await asyncio.sleep(0.02)
    while not any(position > found[1] for position in crowd.positions):
        assert time.monotonic() - began < 2 * SUCCEEDED_S_MAX, "nobody is answered"
        await asyncio.sleep(0.01)
    return crowd.heard_after(found[1]) - began


def free_ports() -> tuple[int, int]:
    with closing(socket()) as one, closing(socket()) as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


async def test_a_leader_that_is_stopped_killed_or_told_to_end_is_succeeded_and_nothing_is_done_twice(
    site: Site, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pair, history, took_s = Pair(site, free_ports()), History(), defaultdict[str, list[float]](list)
    try:
        await pair.start(0)
        await pair.start(1)
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as session, crowded(pair, history) as crowd:
            leader = pair.servers[0]
            took_s["SIGSTOP"].append(await succeeded(session, crowd, lambda: leader.send_signal(signal.SIGSTOP)))
            await asyncio.sleep(max(0.0, STOPPED_S - took_s["SIGSTOP"][0]))
            before = await elections(session)
            leader.send_signal(signal.SIGCONT)
            await crowd.acknowledged(len(crowd.acknowledged_at) + 4 * STREAMS)
            assert leader.poll() is None, "the woken leader steps down, and goes on as the second"
            assert await elections(session) == before
            leads = 1
            while not took_s["SIGTERM"] or (min(took_s["SIGTERM"]) > PLANNED_S_MAX and len(took_s["SIGTERM"]) < TRIES):
                ending = pair.servers[leads]
                took_s["SIGTERM"].append(await succeeded(session, crowd, lambda: ending.send_signal(signal.SIGTERM)))  # noqa: B023
                assert await asyncio.to_thread(ending.wait, 30) == 0
                await pair.start(leads)
                leads = 1 - leads
            while not took_s["SIGKILL"] or (min(took_s["SIGKILL"]) > SUCCEEDED_S_MAX and len(took_s["SIGKILL"]) < TRIES):
                killed = pair.servers[leads]
                took_s["SIGKILL"].append(await succeeded(session, crowd, lambda: os.kill(killed.pid, signal.SIGKILL)))  # noqa: B023
                killed.wait()
                await pair.start(leads)
                leads = 1 - leads
        assert await site.findings(history, database) == []
    finally:
        for server in pair.servers:
            process.stop(server, signal.SIGKILL)

    with capsys.disabled():
        told = {name: [round(each, 2) for each in those] for name, those in took_s.items()}
        print(f"\nfrom the signal to the leader until a client hears of a command that the next one accepted, in s: {told}")
        if max(took_s["SIGKILL"]) > SUCCEEDED_S_MAX:
            print("\n".join(line for line in site.log_text.splitlines() if '"warning"' in line))
    assert history.counts["unknown for ever"] == 0
    assert max(took_s["SIGSTOP"]) <= SUCCEEDED_S_MAX
    assert min(took_s["SIGKILL"]) <= SUCCEEDED_S_MAX
    assert min(took_s["SIGTERM"]) <= PLANNED_S_MAX
