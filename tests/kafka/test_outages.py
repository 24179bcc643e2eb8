"""A broker that is stopped, killed and comes back, under one writer; each test has one of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from adapters.kafka import brokers, clients
from adapters.kafka import topic as topics
from adapters.kafka.brokers import Cluster
from adapters.kafka.log import KafkaLog
from domain.log.log import Lost, OutcomeUnknown, Unreachable
from tests.contracts.log import START, block, everything, fold
from tests.fix_kafka import TOOLS, empty_log

pytestmark = pytest.mark.system


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with brokers.running(tmp_path / "kafka", TOOLS) as it:
        yield it


@asynccontextmanager
async def begun(cluster: Cluster, topic: str) -> AsyncIterator[KafkaLog]:
    """With its first block, which who leads a new topic may not take at once."""
    async with empty_log(cluster.bootstrap, topic, START.log) as log:
        head = START
        while head == START:
            with suppress(Lost, Unreachable, OutcomeUnknown):
                head = await fold(log)
                if head == START:
                    await log.append(block(START))
        yield log


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    short = {"delivery.timeout.ms": 1_000, "request.timeout.ms": 500, "socket.timeout.ms": 600}
    monkeypatch.setattr(clients, "PRODUCER", {**clients.PRODUCER, **short})
    monkeypatch.setattr(clients, "ANSWER_S", 1.0)


@pytest.mark.usefixtures("impatient")
async def test_a_block_that_timed_out_may_land_later_and_the_next_one_is_judged_behind_it(cluster: Cluster, topic: str) -> None:
    async with begun(cluster, topic) as log:
        head = block(START).after
        cluster.pause(1)
        try:
            with pytest.raises(OutcomeUnknown):
                await log.append(late := block(head))
            with pytest.raises(Lost, match="not sent"):
                await log.append(late)
            with pytest.raises(Unreachable):
                await everything(log)
        finally:
            cluster.resume(1)
        ends = None
        while ends is None:
            try:
                ends = await fold(log)
                await log.append(after := block(ends, 1, "after"))
            except (Lost, Unreachable, OutcomeUnknown):
                ends = None
        assert await fold(log) == after.after
        assert await everything(log, 0) in (
            [block(START).record, late.record, after.record],
            [block(START).record, after.record],
            [block(START).record, after.record, late.record],
        )


async def test_reading_ends_within_its_time_when_the_broker_falls_silent_on_the_way(
    cluster: Cluster, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with begun(cluster, topic) as log:
        head = block(START).after
        for _ in range(5):
            await log.append(sealed := block(head, 1, "x" * 50_000))
            head = sealed.after
        monkeypatch.setattr(clients, "ANSWER_S", 1.0)
        real = clients.Reader.seek

        async def seek(self: clients.Reader, offset: int) -> None:
            cluster.pause(1)
            await real(self, offset)

        monkeypatch.setattr(clients.Reader, "seek", seek)
        began = time.monotonic()
        try:
            with pytest.raises(Unreachable):
                await everything(log)
        finally:
            cluster.resume(1)
        assert time.monotonic() - began < 5


async def test_a_killed_broker_that_comes_back_has_all_and_who_follows_goes_on(cluster: Cluster, topic: str) -> None:
    async with begun(cluster, topic) as log:
        first, second = block(START), block(block(START).after)
        records = log.read(follow=True)
        assert await anext(records) == first.record
        watch = asyncio.create_task(log.topic.watch(lambda: log.reached))
        await asyncio.sleep(0.2)
        cluster.kill(1)
        following = asyncio.ensure_future(anext(records))
        appending = asyncio.create_task(log.append(second))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(cluster.start)
        try:
            await appending
        except OutcomeUnknown:
            if await fold(log) == first.after:
                await log.append(second)

        assert await following == second.record
        assert await fold(log) == second.after
        await asyncio.sleep(topics.WATCH_S + 0.5)
        assert not watch.done(), "a broker that is away is no lost topic"
        watch.cancel()
        await records.aclose()


async def test_closing_does_not_wait_for_a_broker_that_is_silent(cluster: Cluster, topic: str) -> None:
    async with begun(cluster, topic) as log:
        cluster.pause(1)
        try:
            task = asyncio.create_task(log.append(block(block(START).after)))
            await asyncio.sleep(0.2)
            began = time.monotonic()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await log.close()
            assert time.monotonic() - began < 3
        finally:
            cluster.resume(1)
