"""kill -9 of the server at every named place of a commit, one after the other on one ledger: real server, real database, real HTTP."""

import asyncio
import random
import signal

import pytest

from adapters import process
from tests.faults.crowd import Crowd
from tests.faults.history import History
from tests.faults.server import PLACES
from tests.faults.site import Site

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

STREAMS, BETWEEN = 6, 16
"""Clients at once, and how many commands are acknowledged between two deaths at least."""


async def test_nothing_is_lost_or_done_twice_wherever_the_server_dies(site: Site, database: str) -> None:
    history = History()
    order = random.sample(list(PLACES), len(PLACES))
    server, unanswered = site.start(), list[int]()
    try:
        async with Crowd(site.url, history) as crowd:
            over = asyncio.Event()
            lives = [asyncio.create_task(crowd.live(lambda: not over.is_set())) for _ in range(STREAMS)]
            await crowd.acknowledged(1)
            process.stop(server)
            for place in order:
                acknowledged = len(crowd.acknowledged_at)
                if at_start := "election" in place:
                    site.armed.touch()
                server = site.start(die_at=place)
                if not at_start:
                    await crowd.acknowledged(acknowledged + BETWEEN)
                    site.armed.touch()
                assert await asyncio.to_thread(server.wait, 30) == -signal.SIGKILL, place
                site.armed.unlink()
                unanswered.append(history.counts["unknown at least once"])
            server = site.start()
            await crowd.acknowledged(len(crowd.acknowledged_at) + BETWEEN)
            over.set()
            await asyncio.gather(*lives)
            again = await crowd.ask_again()
        findings = await site.findings(history, database)
    finally:
        process.stop(server, signal.SIGTERM, grace_s=10.0)

    counts = history.counts
    assert findings == [], order
    assert counts["unknown for ever"] == 0
    assert counts["acknowledged"] > BETWEEN * len(PLACES) / 2
    assert counts["receipts compared"] >= counts["acknowledged"] + again
    assert counts["refused"] > 0
    assert unanswered[-1] >= STREAMS, "people were left without an answer"
