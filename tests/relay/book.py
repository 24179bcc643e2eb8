"""A log of made-up events, which grows as a test wants it to, and what a topic holds of it."""

import secrets
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from adapters import migrate
from adapters.files.home import Home, Settings
from adapters.log.postgres import PostgresLog
from domain.ids import LogId
from domain.log.block import seal
from domain.log.log import Log
from domain.log.merkle import Head

TYPES = ("job.opened.v1", "task.leased.v1", "attempt.ended.v1")
STREAMS = 40
AT_US = 1_800_000_000_123_456
LINE = (
    '{"pos":%d,"stream":"%s","ver":1,"at_us":%d,"cmd":"c144424b053c97678f14b6187c021926","of":[1,1],"by":"house",'
    '"event":{"type":"%s","note":"caf\\u00e9"}}'
)


def stream_of(pos: int) -> str:
    return f"job-{pos * 7919 % STREAMS}"


def type_of(pos: int) -> str:
    return TYPES[pos % len(TYPES)]


def line(pos: int) -> bytes:
    return (LINE % (pos, stream_of(pos), AT_US + pos, type_of(pos))).encode()


class Book:
    def __init__(self, log: Log, id: LogId | None = None) -> None:
        self.log, self.id = log, id or new_id()
        self.head = Head(self.id)

    @property
    def topic(self) -> str:
        return f"gridledger.{self.id}.events"

    async def grow(self, events: int, per_block: int = 100) -> None:
        until = self.head.size + events
        while self.head.size < until:
            upto = min(until, self.head.size + per_block)
            block = seal(self.head, [line(pos) for pos in range(self.head.size + 1, upto + 1)])
            await self.log.append(block)
            self.head = block.after

    def topic_holds(self, servers: str, size: int) -> bool:
        """Whether every position up to this one is there."""
        try:
            return {each.pos for each in entries(servers, self.topic)} >= set(range(1, size + 1))
        except (KafkaException, AssertionError, KeyError):
            return False


def new_id() -> LogId:
    return LogId(secrets.token_hex(16))


@asynccontextmanager
async def directory(path: Path, database: str) -> AsyncIterator[Book]:
    """A ledger's directory with an empty log in this database."""
    migrate.apply(database)
    async with PostgresLog(database) as log:
        book = Book(log)
        Home(path).keep(Settings(log=book.id, database_url=database))
        yield book


class Entry(NamedTuple):
    """A record of the topic."""

    partition: int
    pos: int
    key: bytes
    value: bytes
    headers: dict[str, str]


def entries(servers: str, topic: str) -> list[Entry]:
    """All records, partition by partition, in their order."""
    settings = {"bootstrap.servers": servers, "group.id": "test", "enable.partition.eof": True, "auto.offset.reset": "earliest"}
    consumer = Consumer({**settings, "enable.auto.commit": False})
    try:
        partitions = sorted(consumer.list_topics(topic, 10).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, each, 0) for each in partitions])
        return sorted(_read(consumer, len(partitions)), key=lambda each: each.partition)
    finally:
        consumer.close()


def _read(consumer: Consumer, partitions: int) -> Iterator[Entry]:
    ended = set[int | None]()
    until = time.monotonic() + 30
    while len(ended) < partitions:
        assert time.monotonic() < until
        if (message := consumer.poll(1)) is None:
            continue
        if (fault := message.error()) is not None:
            assert fault.code() == KafkaError._PARTITION_EOF, fault
            ended.add(message.partition())
            continue
        headers = {name: value.decode() for name, value in cast(list[tuple[str, bytes]], message.headers() or [])}
        key, value = message.key(), message.value()
        assert isinstance(key, bytes)
        assert isinstance(value, bytes)
        yield Entry(message.partition() or 0, int(headers["pos"]), key, value, headers)


def first_times(found: list[Entry]) -> dict[int, list[int]]:
    """By partition: the positions, each where it comes first."""
    order = defaultdict[int, dict[int, None]](dict)
    for each in found:
        order[each.partition].setdefault(each.pos)
    return {partition: list(positions) for partition, positions in order.items()}


def gaps(found: list[Entry], size: int) -> list[str]:
    """What is wrong with a topic that should hold a log of this size: nothing."""
    wrong = [f"{pos} is missing" for pos in sorted(set(range(1, size + 1)) - {each.pos for each in found})]
    wrong += [f"{each.pos} is not what it was" for each in found if each.value != line(each.pos)]
    wrong += [f"partition {partition} is out of order" for partition, order in first_times(found).items() if order != sorted(order)]
    return wrong
