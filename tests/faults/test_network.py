"""Bad networks: between clients and the server, between the server and its database, and readers and clients that are slow on purpose."""

import asyncio
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from psycopg import conninfo

from adapters import process
from adapters.client import uuid7
from tests.faults.crowd import Crowd
from tests.faults.history import History, replayed
from tests.faults.killing import until
from tests.faults.proxy import Proxy, bad_weather
from tests.faults.site import Site, answered

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

STREAMS, BOUTS = 6, 15
PEOPLE, SENDERS = 130, 400
SOON = ("--limit", "adapters.log.postgres:APPEND_S_MAX=1.0", "--limit", "adapters.sequencer:RECOVER_S_MAX=0.5")


async def storm(crowd: Crowd, proxy: Proxy, bouts: int = BOUTS) -> dict[str, int]:
    """Everybody asks, and the weather is bad; then it is fine."""
    over = asyncio.Event()
    lives = [asyncio.create_task(crowd.live(lambda: not over.is_set())) for _ in range(STREAMS)]
    await crowd.acknowledged(STREAMS)
    had = await bad_weather(proxy, random.Random(random.getrandbits(32)), bouts)
    await crowd.acknowledged(len(crowd.acknowledged_at) + 2 * STREAMS)
    over.set()
    await asyncio.gather(*lives)
    await crowd.ask_again()
    return had


async def test_whatever_the_way_to_the_server_loses_each_command_is_done_once(site: Site, database: str) -> None:
    history = History()
    with site.serving():
        async with Proxy("127.0.0.1", site.port) as proxy, Crowd(f"http://127.0.0.1:{proxy.port}", history, timeout_s=1.0) as crowd:
            had = await storm(crowd, proxy)
        assert await site.findings(history, database) == []

    assert sum(had.values()) == BOUTS
    assert history.counts["unknown at least once"] > 3
    assert history.counts["unknown for ever"] == 0


class Behind(NamedTuple):
    """A server whose way to its database is ours to spoil."""

    proxy: Proxy
    site: Site
    server: subprocess.Popen[bytes]


@pytest.fixture
def behind(tmp_path: Path, database: str, free_port: int) -> Callable[..., AbstractAsyncContextManager[Behind]]:
    """Takes options of tests/faults/server.py."""

    @asynccontextmanager
    async def begun(*own: str) -> AsyncIterator[Behind]:
        async with Proxy(path=f"{conninfo.conninfo_to_dict(database)['host']}/.s.PGSQL.5432") as proxy:
            url = conninfo.make_conninfo(database, host="127.0.0.1", port=str(proxy.port))
            site = await asyncio.to_thread(Site, tmp_path / "ledger", free_port, url)
            server = await asyncio.to_thread(site.begun, *SOON, *own)
            try:
                yield Behind(proxy, site, server)
            finally:
                await asyncio.to_thread(process.stop, server)

    return begun


Begun = Callable[..., AbstractAsyncContextManager[Behind]]


async def test_whatever_the_way_to_the_database_loses_each_command_is_done_once(behind: Begun, database: str) -> None:
    history = History()
    async with behind() as (proxy, site, server):
        async with Crowd(site.url, history, timeout_s=5.0) as crowd:
            had = await storm(crowd, proxy)
        assert server.poll() is None, site.log_text[-3000:]
        assert await site.findings(history, database) == []

    assert sum(had.values()) == BOUTS
    assert history.counts["unknown at least once"] > 3
    assert history.counts["unknown for ever"] == 0


async def test_an_answer_of_the_database_that_is_cut_off_is_unknown_and_the_same_key_gives_the_receipt(
    behind: Begun, database: str
) -> None:
    history = History()
    async with behind() as (proxy, site, _):
        async with Crowd(site.url, history) as crowd:
            await crowd.live(lambda: crowd.people < 1)
            proxy.down.cut = True
            asking = asyncio.create_task(crowd.live(lambda: crowd.people < 2))
            await asyncio.sleep(2.5)
            proxy.heal()
            await asking
        assert await site.findings(history, database) == []

    first = next(deed for deed in history.deeds.values() if deed.unknown)
    assert first.unknown[0].startswith("504"), first.unknown
    assert len(first.receipts) == 1


async def test_a_server_that_forgets_receipts_is_found_by_answers_that_get_lost(site: Site, database: str) -> None:
    history = History()
    with site.serving("--bug", "forget receipts"):
        async with Proxy("127.0.0.1", site.port) as proxy, Crowd(f"http://127.0.0.1:{proxy.port}", history, timeout_s=0.5) as crowd:
            await crowd.live(lambda: crowd.people < 1)
            proxy.down.cut = True
            asking = asyncio.create_task(crowd.live(lambda: crowd.people < 2))
            await asyncio.sleep(0.3)
            proxy.heal()
            await asyncio.gather(asking, return_exceptions=True)
        findings = await site.findings(history, database)

    assert any("was refused" in finding or "more than once" in finding for finding in findings), findings


async def test_a_server_that_swallows_the_silence_of_its_database_is_found(behind: Begun, database: str) -> None:
    history = History()
    async with behind("--bug", "swallow silence") as (proxy, site, _):
        async with Crowd(site.url, history, timeout_s=5.0, patience_s=6.0) as crowd:
            await crowd.live(lambda: crowd.people < 1)
            proxy.up.cut = True
            asking = asyncio.create_task(crowd.live(lambda: crowd.people < 2))
            await asyncio.sleep(2.0)
            proxy.heal()
            await asyncio.gather(asking, return_exceptions=True)
        findings = history.findings(replayed(site.log, await site.records(database))[1])

    assert any("acknowledged and is not in the log" in finding for finding in findings), findings


@pytest.mark.alone
async def test_while_the_database_hangs_nobody_is_ready_and_who_is_told_to_stop_stops(behind: Begun) -> None:
    short = ("--limit", "adapters.log.election:LEASE_S=2.0", "--limit", "roles.server:STOP_S_MAX=2.0")
    async with behind(*short) as (proxy, site, server):
        proxy.up.cut = proxy.down.cut = True
        took_s = await asyncio.to_thread(until, lambda: answered(f"{site.url}/readyz") == 503, "a server that says so")
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        status = await asyncio.to_thread(server.wait, 30)

        assert took_s < 2.0 + 2.0, "no longer than a lease lasts"
        assert (status, time.monotonic() - began < 2.0 + 2.0) == (1, True)
        assert "did not stop" in site.log_text.splitlines()[-1]


async def test_a_slow_reader_is_dropped_and_goes_on_without_a_gap(site: Site) -> None:
    history = History()
    few = ("--limit", "adapters.log.follower:BEHIND_MAX=50", "--limit", "adapters.log.follower:RING_MAX=200", "--send-buffer", "8192")
    with site.serving(*few):
        slow = await asyncio.to_thread(subscribed, site.port, 0)
        async with Crowd(site.url, history) as crowd:
            drip = asyncio.create_task(asyncio.to_thread(read_slowly, slow, 1_000, 3.0))
            await asyncio.gather(*(crowd.live(lambda: crowd.people < PEOPLE) for _ in range(STREAMS)))
            seen = positions(await drip + await asyncio.to_thread(rest_of, slow))
            assert '"TooSlow"' in site.log_text
            assert seen == list(range(1, len(seen) + 1))
            head = len(await asyncio.to_thread(lines_until_quiet, site.port, 0))
            again = await asyncio.to_thread(lines_until_quiet, site.port, len(seen))

    assert 0 < len(seen) < head
    assert seen + again == list(range(1, head + 1)), "neither a gap nor a repetition"


def subscribed(port: int, after: int) -> socket.socket:
    """A live feed, over a socket that takes little at a time."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    reader.connect(("127.0.0.1", port))
    reader.sendall(f"GET /v1/live HTTP/1.1\r\nHost: x\r\nLast-Event-ID: {after}\r\n\r\n".encode())
    return reader


def read_slowly(reader: socket.socket, bytes_per_s: int, seconds: float) -> bytes:
    """At that rate, for so long."""
    got, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        got += reader.recv(bytes_per_s // 10)
        time.sleep(0.1)
    return got


def rest_of(reader: socket.socket) -> bytes:
    """What is left, up to the end that the server made."""
    got = b""
    reader.settimeout(20)
    with reader:
        while more := reader.recv(65_536):
            got += more
    return got


def positions(stream: bytes) -> list[int]:
    """Of whole events."""
    return [int(number) for number in re.findall(rb"\nid: (\d+)\n\n|^id: (\d+)", stream, re.MULTILINE) for number in number if number]


def lines_until_quiet(port: int, after: int) -> list[int]:
    """Positions of a feed, read as fast as they come until none comes."""
    got = b""
    with subscribed(port, after) as reader:
        reader.settimeout(1.5)
        with suppress(TimeoutError):
            while more := reader.recv(65_536):
                got += more
    return positions(got)


def resident_mib(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 2**20


def half(port: int, *, body: bool) -> socket.socket:
    """A request whose rest never comes."""
    sender = socket.create_connection(("127.0.0.1", port))
    head = f"POST /v1/accounts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {'y' * 40}\r\nIdempotency-Key: {uuid7()}\r\n"
    sender.sendall((head + ('Content-Length: 60000\r\n\r\n{"roles":' if body else "X-Pad: ")).encode() + b"z" * 4_000)
    return sender


def closed(senders: list[socket.socket]) -> int:
    """How many the server has hung up on."""
    count = 0
    for sender in senders:
        sender.settimeout(0.001)
        with suppress(TimeoutError):
            try:
                count += not sender.recv(1 << 16) or 1
            except ConnectionError:
                count += 1
    return count


@pytest.mark.alone
async def test_hundreds_of_half_sent_requests_cost_little_and_are_hung_up_on(site: Site) -> None:
    limits = ("--limit", "adapters.server.http:HEADERS_S_MAX=3.0", "--limit", "api.bodies:BODY_S_MAX=3.0")
    with site.serving(*limits) as server:
        history, before = History(), resident_mib(server.pid)
        with ExitStack() as stack:
            senders = [stack.enter_context(half(site.port, body=bool(n % 2))) for n in range(SENDERS)]
            async with Crowd(site.url, history) as crowd:
                await crowd.live(lambda: crowd.people < 5)
                grown = resident_mib(server.pid) - before
                await asyncio.to_thread(until, lambda: closed(senders) == SENDERS, "the end of those who never finish")
                await crowd.live(lambda: crowd.people < 10)
        assert max(crowd.waits_s) < 3, "others are served"
        assert grown < 100
        assert resident_mib(server.pid) - before < 100
