"""The log in Kafka: one topic of one partition, one record per block. Compare-and-swap is the accept rule itself, applied to the order
in which the broker took the records (LOG.md §3, §4); Kafka's transactions and consumer groups are not used.

A record may be in the topic and not count: what a zombie wrote late, or twice. So `append` answers by where its record lies. Right after
the last one that this process has folded: it is in. Elsewhere: what lies before it is folded first, and judged. Every other outcome is
unknown, since a record that timed out can land later; then the producer is thrown away, and what it may still have sent is decided by
the election block that comes after (adapters/succession.py).

Every reader reads uncommitted (a stray transaction would make others skip what this one sees), is assigned to the partition, and
treats an offset that is not there any more as the end of the ledger.
"""

import asyncio
import logging
import time
from bisect import bisect_right, insort
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from types import TracebackType
from typing import NamedTuple, Self

from confluent_kafka import KafkaException, Message

from adapters.kafka import clients
from adapters.kafka.topic import KafkaTopic, told
from adapters.log.trouble import Trouble
from domain.ids import LogId
from domain.log.block import BLOCK_BYTES_MAX, Diverged, Header, Sealed, Void, judge, read_header
from domain.log.log import Lost, OutcomeUnknown, Records, Unreachable
from domain.log.merkle import Head, Mark

PLACE_EVERY = 1_000
"""Blocks between two places that are remembered."""

logger = logging.getLogger(__name__)


class Place(NamedTuple):
    """Where in the topic a head was reached, as the accept rule has it."""

    size: int
    root: str
    sealed: bool
    next_offset: int
    """Of whatever comes after the record that reached it."""


def topic_of(log: LogId) -> str:
    return f"gridledger.{log}.log"


class KafkaLog:
    """One producer for appending, and one consumer for each reader. Connects when first used."""

    def __init__(
        self, servers: str, topic: KafkaTopic, log: LogId, *, properties: Mapping[str, object] | None = None, places: Sequence[Place] = ()
    ) -> None:
        """`servers` is Kafka's `bootstrap.servers`; `properties` are librdkafka's, for whatever a cluster asks for, such as SASL and TLS.
        `places` were remembered by an earlier process: they only spare reading from the first record."""
        self._client: dict[str, object] = {"bootstrap.servers": servers, **(properties or {}), "logger": clients.librdkafka}
        self.topic, self._log = topic, log
        self._writer: clients.Writer | None = None
        self._reached = 0
        self._end: Place | None = None
        """What this process has folded of the log, if it is to append."""
        empty = Head(log)
        self._places = [Place(0, empty.root, False, 0)]
        self._hints = sorted(places)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        self._end = None
        if writer := self._writer:
            self._writer = None
            await asyncio.shield(asyncio.to_thread(writer.close))

    @property
    def reached(self) -> int:
        """The offset up to which this process has read or written the log, at least."""
        return self._reached

    @property
    def newest(self) -> Place:
        """The last place that was remembered."""
        return self._places[-1]

    async def append(self, block: Sealed) -> None:
        if len(block.record) > BLOCK_BYTES_MAX:
            raise Lost(f"a record of {len(block.record)} bytes")
        mark = block.before.mark
        try:
            end = self._end
            if end is None or not stands(end, mark):
                end = await self._fold(end or await self._place(mark.size))
            writer = self._writer = self._writer or await self._new_writer()
        except (Unreachable, KafkaException) as silence:
            raise Lost("not sent: no connection") from silence
        self._end = None
        if not stands(end, mark):
            self._end = end
            raise Lost(f"the log is at size {end.size}")
        after = block.after.mark
        try:
            offset = await writer.send(self.topic.name, block.record)
            self._reached = max(self._reached, offset + 1)
            if offset < end.next_offset:
                raise Diverged(f"the topic {self.topic.name} was made anew: offset {offset} was taken already")
            if offset > end.next_offset:
                end = await self._fold(end, offset + 1)
                if not stands(end, after):
                    raise Lost("another block came first")
            self._end = Place(after.size, after.root, after.sealed, offset + 1)
            self._note(self._end)
        except Lost:
            if writer.failed:
                await self.close()
            raise
        except BaseException as fault:
            await self.close()
            if isinstance(fault, (Unreachable, OutcomeUnknown)):
                raise OutcomeUnknown from fault
            raise

    async def _new_writer(self) -> clients.Writer:
        """One that is connected. Raises `KafkaException`."""
        writer = clients.Writer({**self._client, **clients.PRODUCER})
        try:
            await asyncio.to_thread(writer.connect, self.topic.name)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(writer.close))
            raise
        return writer

    async def read(self, after: int = 0, *, follow: bool = False) -> Records:
        place = await self._place(after)
        begun = place.size >= after
        async with aclosing(self._judged(place, None, follow=follow)) as found:
            async for record, _, here in found:
                if begun or here.size > after or here.next_offset < 0:
                    yield record
                begun = begun or here.size >= after or here.next_offset < 0

    async def holds(self) -> LogId | None:
        """The log that the topic's first block names, whatever this one is of; None: there is none yet. Raises `Unreachable`."""
        async with aclosing(self._messages(0, None, follow=False)) as batches:
            async for messages in batches:
                for message in messages:
                    if (header := read_header(bytes(message.value() or b""))) and header.size == 0:
                        return header.log
        return None

    async def home(self) -> str:
        """What a ledger is bound to. Raises `Unreachable`."""
        return await self.topic.home()

    async def size(self) -> int:
        """The position at which the log ends now. Raises `Unreachable`."""
        return (await self._fold(self._end or self.newest)).size

    async def end(self) -> Mark:
        """The log's head now, as far as headers tell. Raises `Unreachable`, `Diverged`."""
        place = await self._fold(self._end or self.newest)
        return Mark(self._log, place.size, place.root, place.sealed)

    async def _fold(self, place: Place, until: int | None = None) -> Place:
        """Where one stands who judges everything from `place` on, up to the log's end or to this offset. Raises `Unreachable`,
        `Diverged`."""
        async with aclosing(self._judged(place, until, follow=False)) as found:
            async for _, _, here in found:
                if here.next_offset < 0:
                    raise Diverged("a record builds on a head that was never in the log")
                place = here
        return place

    async def _judged(self, place: Place, until: int | None, *, follow: bool) -> AsyncGenerator[tuple[bytes, Header | None, Place], None]:
        """(record, its header if it counts, the place after it) of each record from a place on. Where the log diverged, which whoever
        folds it finds himself, there is no place any more: its offset is negative."""
        mark = Mark(self._log, place.size, place.root, place.sealed)
        async with aclosing(self._messages(place.next_offset, until, follow=follow)) as batches:
            async for messages in batches:
                for message in messages:
                    record, header, after = bytes(message.value() or b""), None, clients.offset_of(message) + 1
                    self._reached = max(self._reached, after)
                    try:
                        if place.next_offset >= 0:
                            header = judge(mark, record)
                            mark = header.after
                            place = Place(mark.size, mark.root, mark.sealed, after)
                            self._note(place)
                    except Void:
                        place = place._replace(next_offset=after)
                    except Diverged:
                        place = place._replace(next_offset=-1)
                    yield record, header, place

    async def _messages(self, offset: int, until: int | None, *, follow: bool) -> AsyncGenerator[list[Message], None]:
        """Records from an offset on, some at a time: up to the log's end, or to `until`, or for ever."""
        settings = {**self._client, **clients.CONSUMER, **({} if follow else clients.TO_THE_END)}
        reader, trouble = clients.Reader(settings, self.topic.name), Trouble(logger, "the log cannot be read")
        try:
            while True:
                try:
                    end = None if follow else until or await reader.end()
                    if end is not None and offset >= end:
                        return
                    await reader.seek(offset)
                    heard_s = time.monotonic()
                    while end is None or offset < end:
                        before = offset
                        messages, offset = await reader.batch(offset)
                        if within := [each for each in messages if end is None or clients.offset_of(each) < end]:
                            yield within
                        if offset > before:
                            heard_s = time.monotonic()
                            trouble.over()
                        elif not follow and time.monotonic() - heard_s > clients.ANSWER_S:
                            raise Unreachable(f"Kafka tells nothing of what follows offset {offset}")
                    return
                except KafkaException as silence:
                    if not follow:
                        raise Unreachable(told(silence)) from silence
                    trouble.met(told(silence))
                await asyncio.sleep(clients.RETRY_S)
        finally:
            reader.leave()

    async def _place(self, size: int) -> Place:
        """The last known one at or before a position."""
        known = self._places[bisect_right(self._places, size, key=lambda each: each.size) - 1]
        while (hint := last(self._hints, size)) and hint.size > known.size:
            self._hints.remove(hint)
            if await self._leads_to(hint):
                insort(self._places, hint)
                return hint
        return known

    async def _leads_to(self, hint: Place) -> bool:
        """Whether the record before a place that somebody else remembered is the one that led there."""
        with suppress(Diverged):  # there is no such offset; whoever reads from an earlier one is told what it means
            async with aclosing(self._messages(hint.next_offset - 1, hint.next_offset, follow=False)) as batches:
                async for messages in batches:
                    header = read_header(bytes(messages[0].value() or b""))
                    return header is not None and stands(hint, header.after)
        return False

    def _note(self, place: Place) -> None:
        if place.size >= self._places[-1].size + PLACE_EVERY:
            insort(self._places, place)


def last(places: Sequence[Place], size: int) -> Place | None:
    """At or before a position."""
    end = bisect_right(places, size, key=lambda each: each.size)
    return places[end - 1] if end else None


def stands(place: Place, mark: Mark) -> bool:
    return (place.size, place.root, place.sealed) == (mark.size, mark.root, mark.sealed)
