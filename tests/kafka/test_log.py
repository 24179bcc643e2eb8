"""The log in a real broker keeps to the contract, and to what only Kafka can do wrong."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial

import pytest
from confluent_kafka import Producer

from adapters.kafka import clients
from adapters.kafka.log import KafkaLog, Place
from adapters.kafka.topic import SETTINGS, KafkaTopic
from domain.log.block import BLOCK_BYTES_MAX, Diverged, seal
from domain.log.log import Lost, Unreachable
from tests.contracts.log import *  # noqa: F403
from tests.contracts.log import START, NewLog, block, everything, fold
from tests.fix_kafka import empty_log
from tests.kafka.strangers import Administrator, transact, write

pytestmark = pytest.mark.system
ALIEN = b"not one of ours\n"


@pytest.fixture
def new_log(kafka: str, topic: str) -> NewLog:
    return partial(empty_log, kafka, topic, START.log)


def rival(servers: str, topic: str, places: Sequence[Place] = ()) -> KafkaLog:
    """Another process's log."""
    return KafkaLog(servers, KafkaTopic(servers, topic), START.log, places=places)


@asynccontextmanager
async def two(servers: str, topic: str) -> AsyncIterator[tuple[KafkaLog, KafkaLog]]:
    async with empty_log(servers, topic, START.log) as log, rival(servers, topic) as other:
        yield log, other


async def test_of_two_writers_on_one_head_one_is_in_and_the_other_is_lost(kafka: str, topic: str) -> None:
    async with two(kafka, topic) as (log, other):
        await log.append(block(START))
        assert await everything(other) == [block(START).record]
        head = block(START).after
        for n in range(10):
            mine, theirs = block(head, 1, f"mine {n}"), block(head, 2, f"theirs {n}")
            outcomes = await asyncio.gather(log.append(mine), other.append(theirs), return_exceptions=True)
            assert sorted(type(each).__name__ for each in outcomes) == ["Lost", "NoneType"]
            head = mine.after if outcomes[0] is None else theirs.after
            assert await fold(log) == await fold(other) == head
        assert len(await everything(log)) > 11, "void records are read, too"


async def test_what_a_rival_builds_on_a_block_before_its_writer_hears_of_it_makes_it_no_less_in(kafka: str, topic: str) -> None:
    """The writer has to fold, since a stale record came before its own; and finds its own under another's."""
    async with two(kafka, topic) as (log, _):
        await log.append(first := block(START))
        write(kafka, topic, block(START, 1, "late").record)
        second = block(first.after)
        real = log._fold

        async def slow(place: Place, until: int | None = None) -> Place:
            await asyncio.to_thread(write, kafka, topic, block(second.after).record)
            return await real(place, until)

        log._fold = slow  # type: ignore[method-assign]
        await log.append(second)
        log._fold = real  # type: ignore[method-assign]
        with pytest.raises(Lost):
            await log.append(block(second.after, 2))

        assert await fold(log) == block(second.after).after


@pytest.mark.parametrize("stray", [ALIEN, b"", block(START, 1, "stale").record, block(START).record])
async def test_a_record_that_does_not_count_changes_nothing_and_every_reader_is_shown_it(kafka: str, topic: str, stray: bytes) -> None:
    async with two(kafka, topic) as (log, other):
        await log.append(first := block(START))
        async with aclosing(other.read(first.after.size, follow=True)) as records:
            following = asyncio.ensure_future(anext(records))
            write(kafka, topic, stray)
            assert await following == stray, "also who needs nothing but what comes after it"
        await log.append(second := block(first.after))
        await log.append(third := block(second.after))

        assert await everything(log) == [first.record, stray, second.record, third.record]
        assert await fold(other) == third.after


@pytest.mark.parametrize("after", [0, 1])
async def test_a_record_on_a_head_that_never_was_reaches_every_reader_and_stops_who_appends(kafka: str, topic: str, after: int) -> None:
    async with two(kafka, topic) as (log, other):
        await log.append(first := block(START))
        ahead = block(first.after.extend([b"never"]))
        async with aclosing(other.read(after, follow=True)) as records:
            write(kafka, topic, ahead.record)
            found = [await anext(records) for _ in range(2 - after)]
        assert found[-1] == ahead.record
        with pytest.raises(Diverged):
            await fold(other)
        with pytest.raises(Diverged):
            await log.append(block(first.after))


@pytest.mark.parametrize("commit", [True, False])
async def test_a_strange_transaction_is_read_by_everybody_and_its_marker_is_stepped_over(kafka: str, topic: str, commit: bool) -> None:
    """Whoever read committed records only would fold another log when a record of ours came in an aborted transaction."""
    async with two(kafka, topic) as (log, other):
        await log.append(first := block(START))
        second = block(first.after)
        transact(kafka, topic, ALIEN, second.record, commit=commit)
        assert await fold(other) == second.after
        with pytest.raises(Lost):
            await log.append(block(first.after, 2))
        await log.append(third := block(second.after))

        assert await fold(log) == await fold(other) == third.after
        assert await everything(other, third.after.size) == []


async def test_an_open_transaction_holds_nobody_up(kafka: str, topic: str) -> None:
    async with two(kafka, topic) as (log, other):
        await log.append(first := block(START))
        transact(kafka, topic, ALIEN, open=True)
        await log.append(second := block(first.after))

        assert await fold(other) == second.after


async def test_a_block_that_the_topic_does_not_take_is_lost_and_the_writer_goes_on(kafka: str, topic: str) -> None:
    async with two(kafka, topic) as (log, _):
        await log.append(first := block(START))
        Administrator(kafka).change(topic, "max.message.bytes", "2000")
        large = seal(first.after, [b"x" * 10_000])
        with pytest.raises(Lost):
            await log.append(large)
        await log.append(small := block(first.after))

        assert await fold(log) == small.after
        assert len(large.record) < BLOCK_BYTES_MAX


async def test_a_producer_that_refuses_is_replaced(kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with two(kafka, topic) as (log, _):
        await log.append(first := block(START))
        assert log._writer
        monkeypatch.setattr(log._writer, "_producer", Full(log._writer._producer))
        with pytest.raises(Lost, match="not sent"):
            await log.append(block(first.after))
        await log.append(block(first.after))


class Full:
    def __init__(self, producer: Producer) -> None:
        self.poll, self.purge = producer.poll, producer.purge

    def produce(self, *_: object, **__: object) -> None:
        raise BufferError("full")


PLACES = {
    "of another root": Place(2, "0" * 64, False, 2),
    "at another record": Place(2, block(START, 2).after.root, False, 1),
    "beyond the end": Place(2, block(START, 2).after.root, False, 99),
    "right": Place(2, block(START, 2).after.root, False, 2),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
async def test_a_place_is_only_a_hint(kafka: str, topic: str, place: Place) -> None:
    blocks = [block(START)]
    for _ in range(3):
        blocks.append(block(blocks[-1].after))
    async with empty_log(kafka, topic, START.log) as log:
        for each in blocks:
            await log.append(each)
    hints = [place._replace(root=blocks[1].after.root) if place.root != "0" * 64 else place]
    async with rival(kafka, topic, hints) as later:
        assert await everything(later, 2) == [each.record for each in blocks[2:]]
        assert await everything(later, 0) == [each.record for each in blocks]
        await later.append(last := block(blocks[-1].after))
        assert await fold(later) == last.after


async def test_records_that_were_deleted_are_the_end_of_the_ledger(kafka: str, topic: str) -> None:
    async with two(kafka, topic) as (log, other):
        await log.append(first := block(START))
        await log.append(block(first.after))
        Administrator(kafka).cut(topic, 1)
        for it in (log, other):
            with pytest.raises(Diverged, match="deleted"):
                await everything(it)


async def test_a_topic_that_was_made_anew_takes_no_block_as_if_it_were_the_old_one(kafka: str, topic: str) -> None:
    async with two(kafka, topic) as (log, _):
        await log.append(first := block(START))
        await log.append(second := block(first.after))
        Administrator(kafka).make_anew(topic, dict(SETTINGS))
        with pytest.raises(Diverged, match="made anew"):
            await log.append(block(second.after))


async def test_an_append_that_is_cancelled_leaves_the_log_usable_and_the_block_in_or_out(kafka: str, topic: str) -> None:
    async with two(kafka, topic) as (log, other):
        head = START
        for n in range(12):
            task = asyncio.create_task(log.append(mine := block(head, 1, f"{n}")))
            await asyncio.sleep(0.0005 * (n % 4))
            task.cancel()
            with suppress(asyncio.CancelledError, Lost):
                await task
            while True:
                head = await fold(other)
                try:
                    await log.append(after := block(head, 1, f"after {n}"))
                except Lost:  # what was cancelled came in meanwhile
                    assert await fold(other) == mine.after
                    continue
                head = after.after
                break
        assert await fold(other) == head


async def test_a_new_writer_is_quick(kafka: str, topic: str) -> None:
    took_s = []
    async with empty_log(kafka, topic, START.log) as log:
        await log.append(sealed := block(START))
        for _ in range(5):
            await log.close()
            began = time.monotonic()
            await log.append(sealed := block(sealed.after))
            took_s.append(time.monotonic() - began)

    assert min(took_s) < 0.4, f"librdkafka asks twice a second for a producer's id: {took_s}"


async def test_nothing_is_left_when_a_log_was_closed(kafka: str, topic: str) -> None:
    before = set(threading.enumerate())
    async with empty_log(kafka, topic, START.log) as log:
        await log.append(block(START))
        async with aclosing(log.read(follow=True)) as records:
            await anext(records)
    for _ in range(200):
        if not (left := [each for each in threading.enumerate() if each not in before and "kafka" in each.name]):
            break
        await asyncio.sleep(0.05)

    assert left == []


async def test_without_a_broker_nothing_is_sent_and_nothing_is_read(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "ANSWER_S", 0.5)
    async with rival(f"127.0.0.1:{free_port}", "nowhere") as log:
        with pytest.raises(Lost, match="not sent"):
            await log.append(block(START))
        with pytest.raises(Unreachable):
            await everything(log)
