"""The relay: each event of the log, in order, as one record of the topic `gridledger.<ledger>.events`, for integrators' consumer groups.
A group only notifies; a lease grants work (LOG.md §10).

A record is a CloudEvent (1.0, Kafka protocol binding, binary mode): key = stream, value = the leaf's bytes, the rest in headers. Its
delivery is at least once, and no event is ever left out, because of two things that hold for the topic however often relays die, and
however many of them run:

1. *An event at position p is sent only when the topic has acknowledged everything up to p - WINDOW.* So whoever finds any record at
   position p goes on after p - WINDOW: all before that is there. That is where a relay begins, with the last position that it finds in
   any partition. It keeps no account of its own that could be lost, or differ.
2. *In each partition, every event stands behind all earlier ones of that partition.* A producer numbers its records, so brokers take none
   whose predecessor is missing; none of them ever times out here, as the next ones would pass it; and on the first that fails for good
   this relay ends. So a stream's events first come in the order of the log, and repetitions are all that can come between.

Partitions are chosen by the hash of the key that Java's clients use, so other programs' topics can be joined with this one.
"""

import asyncio
import logging
import re
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from adapters.kafka.clients import CONSUMER, PRODUCER, TO_THE_END, librdkafka
from adapters.kafka.topic import Exists, KafkaTopic, told
from domain.ids import LogId
from domain.log.block import Block, Broken, Diverged, Void, accept
from domain.log.log import Log, Unreachable
from domain.log.merkle import Head

WINDOW = 500
"""Positions that may be on their way at once. It may grow from version to version, never shrink: older records rest on it."""
PARTITIONS = 6
RELAY: Mapping[str, object] = {
    **PRODUCER,
    "delivery.timeout.ms": 0,  # never: see 2. above
    "request.timeout.ms": 10_000,
    "enable.gapless.guarantee": True,
    "partitioner": "murmur2_random",
    "compression.type": "lz4",
    "linger.ms": 2,
}
ANSWER_S, POLL_S, TURN_S, TOLD_S, READY_S_MAX, CLOSE_S = 5.0, 0.1, 0.001, 60.0, 20.0, 2.0
TAKEN_S_MAX = 60.0
"""That a relay which is to end waits for the topic to take anything."""
POSITION = re.compile(rb"[1-9][0-9]{0,14}")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
logger = logging.getLogger("gridledger.relay")
"""A name below the program's own, so that also what is no warning is heard."""


class Undelivered(Exception):
    """Kafka does not take an event; the message says why. Start again when that is mended: the relay goes on where the topic ends."""


class Kind(msgspec.Struct, frozen=True):
    type: str


class Envelope(msgspec.Struct, frozen=True):
    """All that a relay reads of a line: it passes on events that are newer than this code."""

    pos: int
    stream: str
    at_us: int
    event: Kind


_envelope = msgspec.json.Decoder(Envelope).decode


class Found(NamedTuple):
    """The record of the topic that is farthest in the log."""

    pos: int
    value: bytes


def topic_of(log: LogId) -> str:
    return f"gridledger.{log}.events"


def source(log: LogId) -> str:
    return f"urn:gridledger:{log}"


def envelope(line: bytes, position: int) -> Envelope:
    """Raises `Broken` for what is no line of a log, or not the one of this position."""
    try:
        found = _envelope(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise Broken(f"the line at position {position} cannot be read: {fault}") from fault
    if found.pos != position:
        raise Broken(f"the line at position {position} says that it is at {found.pos}")
    return found


def headers(log: LogId, of: Envelope) -> list[tuple[str, bytes]]:
    """Of an event's record."""
    facts = {
        "pos": str(of.pos),
        "type": of.event.type,
        "ce_specversion": "1.0",
        "ce_id": f"{log}/{of.pos}",
        "ce_source": source(log),
        "ce_type": of.event.type,
        "ce_subject": of.stream,
        "ce_time": (EPOCH + timedelta(microseconds=of.at_us)).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "content-type": "application/json",
    }
    return [(name, value.encode()) for name, value in facts.items()]


class EventsTopic(KafkaTopic):
    """The topic as an administrator sees it."""

    async def ready(self, partitions: int | None) -> int:
        """Makes the topic if there is none; it keeps everything until somebody sets a retention. Returns the number of its partitions.
        Raises `Unreachable`, `Unsafe` if the cluster refuses."""
        if not await self.exists():
            with suppress(Exists):  # another relay was faster
                await self.create(partitions or PARTITIONS)
        until = time.monotonic() + READY_S_MAX
        while (found := await self._facts()) is None:  # one that was just made is not known everywhere at once
            if time.monotonic() > until:
                raise Unreachable(f"the topic {self.name} does not come to be")
            await asyncio.sleep(POLL_S)
        if partitions and partitions != found.partitions:
            logger.warning("the topic %s has %d partitions, and keeps them", self.name, found.partitions)
        return found.partitions


class Relay:
    def __init__(
        self, log: Log, id: LogId, servers: str, *, properties: Mapping[str, object] | None = None, passed: Sequence[Head] = ()
    ) -> None:
        """`servers` and `properties` are librdkafka's, of the cluster with the events' topic. `passed` are heads of this log, in order:
        they only spare folding it from its first event."""
        self._log, self._id, self._passed = log, id, [Head(id), *passed]
        self._client: dict[str, object] = {"bootstrap.servers": servers, **(properties or {}), "logger": librdkafka}
        self.topic = EventsTopic(servers, topic_of(id), properties)
        self.position = 0
        """Of the last event that was handed to Kafka, or was found there."""

    async def run(self, *, partitions: int | None = None, follow: bool) -> int:
        """Passes on every event that the topic may lack, up to the log's end, or with `follow` until cancelled. Returns the position of
        the last one. Raises `Unreachable` before it has begun, or where it does not `follow`, `Undelivered`, and `Broken` or `Diverged` if
        nobody may go on, also if the topic holds events that are not, or no longer, of this log."""
        count = await self.topic.ready(partitions)
        end = await self._end(count)
        after = max(0, end.pos - WINDOW)
        logger.info("relaying to the topic %s, which reaches position %d, from position %d on", self.topic.name, end.pos, after + 1)
        head = self._passed[bisect_right(self._passed, after, key=lambda each: each.size) - 1]
        async with Sender({**self._client, **RELAY}, self.topic.name, None if follow else TAKEN_S_MAX) as sender:
            head = await self._pass_on(sender, head, after, end)
            if head.size < end.pos:
                raise Diverged(f"the topic {self.topic.name} has an event at position {end.pos}, the log ends at {head.size}")
            await sender.settle()
            self.position = head.size
            logger.info("relayed up to position %d", head.size)
            if follow:
                await sender.or_failure(self._follow(sender, head))
        return head.size

    async def _end(self, partitions: int) -> Found:
        """How far the topic reaches. One that was just made may have no leaders yet. Raises `Unreachable`."""
        settings = {**self._client, **CONSUMER, **TO_THE_END}
        until = time.monotonic() + READY_S_MAX
        while True:
            try:
                return await asyncio.to_thread(farthest, settings, self.topic.name, partitions, source(self._id))
            except Unreachable:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(POLL_S)

    async def _follow(self, sender: "Sender", head: Head) -> None:
        async def tell() -> None:
            told_of = self.position
            while True:
                await asyncio.sleep(TOLD_S)
                if told_of != self.position:
                    told_of = self.position
                    logger.info("relayed up to position %d", told_of - sender.under_way)

        telling = asyncio.create_task(tell())
        try:
            await self._pass_on(sender, head, head.size, None)
        finally:
            telling.cancel()

    async def _pass_on(self, sender: "Sender", head: Head, after: int, end: Found | None) -> Head:
        """The head at the log's end; without an `end` that is known from the topic it follows."""
        async with aclosing(self._log.read(head.size, follow=end is None)) as records:
            async for record in records:
                try:
                    block = accept(head, record)
                except Void as void:
                    if void.why == "alien":
                        logger.error("a record of the log does not belong to this ledger")
                    continue
                head = block.after
                await self._send(sender, block, after, end)
        return head

    async def _send(self, sender: "Sender", block: Block, after: int, end: Found | None) -> None:
        for position, line in enumerate(block.lines, block.start):
            if end and position == end.pos and line != end.value:
                raise Diverged(f"the topic {self.topic.name} has another event at position {position}")
            if position > after:
                of = envelope(line, position)
                await sender.send(position, of.stream, line, headers(self._id, of))
                self.position = position


class Sender:
    """A producer that never runs more than WINDOW positions ahead of what the topic has acknowledged."""

    def __init__(self, settings: Mapping[str, object], topic: str, patience_s: float | None) -> None:
        """`patience_s`: how long the topic may take nothing while somebody waits; None: for ever."""
        self._settings, self._topic, self._patience_s = settings, topic, patience_s
        self._under_way: deque[Sent] = deque()
        self._loop = asyncio.get_running_loop()
        self._fault: asyncio.Future[None] = self._loop.create_future()
        self._open = True

    async def __aenter__(self) -> Self:
        self._producer = Producer({**self._settings, "logger": librdkafka})
        self._listening = asyncio.create_task(asyncio.to_thread(self._listen))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        """What is under way gets a moment more; the next relay repeats what is left."""
        self._open = False
        await asyncio.shield(self._listening)
        if self._fault.done():
            self._fault.exception()  # whoever had to know was told

    @property
    def under_way(self) -> int:
        """Events that the topic has not acknowledged, or that nobody has looked after yet."""
        self._acknowledged()
        return len(self._under_way)

    async def send(self, position: int, key: str, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        """Positions come in order. Waits until the one that is WINDOW before is acknowledged. Raises `Undelivered`, and `Unreachable` when
        patience is at an end."""
        await self._until(lambda: not self._under_way or self._under_way[0].position > position - WINDOW)
        sent = Sent(position)

        def delivered(fault: KafkaError | None, message: Message) -> None:
            if fault is None:
                sent.taken = True
            else:
                self._fail(f"event {position}: {fault.str()}")

        self._under_way.append(sent)
        try:
            self._producer.produce(self._topic, value, key.encode(), headers=headers, on_delivery=delivered)  # type: ignore[arg-type]
        except (KafkaException, BufferError) as refusal:
            raise Undelivered(f"event {position}: {refusal}") from refusal

    async def settle(self) -> None:
        """Returns when everything is acknowledged. Raises as `send` does."""
        await self._until(lambda: not self._under_way)

    async def or_failure(self, work: Any) -> None:
        """Does the work, and raises `Undelivered` as soon as an event fails, whatever the work waits for."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait([task, self._fault], return_when=asyncio.FIRST_COMPLETED)
            if self._fault.done():
                self._fault.result()
            task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _until(self, done: Callable[[], bool]) -> None:
        since = time.monotonic()
        while True:
            if self._fault.done():
                self._fault.result()
            if self._acknowledged():
                since = time.monotonic()
            if done():
                return
            if self._patience_s is not None and time.monotonic() - since > self._patience_s:
                raise Unreachable(f"the topic {self._topic} takes no events")
            await asyncio.sleep(TURN_S)

    def _acknowledged(self) -> int:
        """Forgets what the topic has, in order; returns how many it forgot."""
        before = len(self._under_way)
        while self._under_way and self._under_way[0].taken:
            self._under_way.popleft()
        return before - len(self._under_way)

    def _fail(self, why: str) -> None:
        """Told by the thread that listens."""

        def fail() -> None:
            if not self._fault.done():
                self._fault.set_exception(Undelivered(why))

        if self._open:
            self._loop.call_soon_threadsafe(fail)

    def _listen(self) -> None:
        try:
            while self._open:
                self._producer.poll(POLL_S)
            self._producer.flush(CLOSE_S)
        except KafkaException as fault:  # nothing more can be sent
            self._fail(told(fault))


class Sent:
    __slots__ = ("position", "taken")

    def __init__(self, position: int) -> None:
        self.position, self.taken = position, False


def farthest(settings: Mapping[str, object], topic: str, partitions: int, source: str) -> Found:
    """Among the last records of all partitions, the one with the highest position. Raises `Unreachable`."""
    consumer = Consumer(dict(settings))
    try:
        found = [last(consumer, topic, partition, source) for partition in range(partitions)]
    except KafkaException as silence:
        raise Unreachable(told(silence)) from silence
    finally:
        consumer.close()
    return max((each for each in found if each), default=Found(0, b""))


def last(consumer: Consumer, topic: str, partition: int, source: str) -> Found | None:
    """The last record of a partition that a relay of this ledger wrote; offsets before the end may hold none."""
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), ANSWER_S)
    start, back = high, 1
    while start > low:
        start, back = max(low, high - back), back * 10
        consumer.assign([TopicPartition(topic, partition, start)])
        messages: list[Message] = []
        while (message := consumer.poll(ANSWER_S)) is not None and message.error() is None:
            messages.append(message)
        if message is None or message.error().code() != KafkaError._PARTITION_EOF:  # type: ignore[union-attr]
            raise Unreachable(f"partition {partition} of the topic {topic} cannot be read")
        for each in reversed(messages):
            facts: dict[str, Any] = dict(each.headers() or [])
            if facts.get("ce_source") == source.encode() and POSITION.fullmatch(facts.get("pos") or b""):
                return Found(int(facts["pos"]), bytes(each.value() or b""))
    return None
