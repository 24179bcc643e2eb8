"""The example's consumer takes each event once: of a topic that holds everything several times, killed between effect and commit, and
while its group is dealt out anew. On a real broker."""

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from adapters.kafka import brokers
from adapters.kafka.relay import WINDOW, Relay
from domain.log.log import MemoryLog
from tests.relay.book import Book, entries, type_of

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]
ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "consumer" / "consume.py"
SESSION_MS = 1_500

DYING = """
import os, runpy, signal, sqlite3, sys
import confluent_kafka

where, number, *sys.argv = sys.argv[1:]
left = int(number)

def die(here):
    global left
    left -= here == where
    if here == where and left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

class Consumer(confluent_kafka.Consumer):
    def __init__(self, settings):
        super().__init__({**settings, "session.timeout.ms": %d, "heartbeat.interval.ms": 300})

    def commit(self, **what):
        die("before the offset")
        super().commit(**what)

class Connection(sqlite3.Connection):
    def __exit__(self, *what):
        die("before the effect")
        super().__exit__(*what)

connect = sqlite3.connect
sqlite3.connect = lambda *given, **named: connect(*given, factory=Connection, **named)
confluent_kafka.Consumer = Consumer
runpy.run_path(sys.argv[0])
"""
"""Runs the example as it stands, and kills it at its `number`th pass of a place."""


class Crowd:
    """Consumers of one topic that share a database."""

    def __init__(self, servers: str, topic: str, file: Path, example: Path = EXAMPLE) -> None:
        self.servers, self.topic, self.file, self.example = servers, topic, file, example
        self.children = list["subprocess.Popen[bytes]"]()

    def start(self, where: str = "nowhere", number: int = 0) -> "subprocess.Popen[bytes]":
        program = [sys.executable, "-c", DYING % SESSION_MS, where, str(number), str(self.example)]
        child = subprocess.Popen([*program, self.servers, self.topic, str(self.file)], stderr=subprocess.DEVNULL)
        self.children.append(child)
        return child

    def rows(self, query: str) -> list[tuple[str, int]]:
        if not self.file.exists():
            return []
        with contextlib.closing(sqlite3.connect(self.file, timeout=60)) as database:
            return database.execute(query).fetchall()

    def tally(self) -> dict[str, int]:
        return dict(self.rows("SELECT type, events FROM tally"))

    def done(self) -> bool:
        """Whether the group has committed every record of the topic."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "tally"})
        try:
            partitions = [TopicPartition(self.topic, each) for each in consumer.list_topics(self.topic, 10).topics[self.topic].partitions]
            ends = {each.partition: consumer.get_watermark_offsets(each, 10)[1] for each in partitions}
            return {each.partition: max(0, each.offset) for each in consumer.committed(partitions, 10)} == ends
        finally:
            consumer.close()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[str]:
    """A cluster that soon forgets a dead member of a group."""
    settings = {"group.min.session.timeout.ms": 500}
    with brokers.running(tmp_path / "cluster", ROOT / ".tools", settings=settings) as cluster:
        yield cluster.bootstrap


@contextlib.contextmanager
def crowd(servers: str, topic: str, file: Path, example: Path = EXAMPLE) -> Iterator[Crowd]:
    it = Crowd(servers, topic, file, example)
    try:
        yield it
    finally:
        for child in it.children:
            child.kill()
            child.wait()


def wait_for(holds: Callable[[], bool], within_s: float = 60) -> None:
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.1)


async def repeated(servers: str, book: Book, times: int) -> None:
    """Everything that is in the book is in the topic so many times."""
    for _ in range(times):
        await Relay(book.log, book.id, servers).run(follow=False)


def expected(events: int) -> dict[str, int]:
    return dict(Counter(type_of(pos) for pos in range(1, events + 1)))


async def test_each_event_takes_effect_once_whatever_happens(servers: str, tmp_path: Path) -> None:
    book = Book(MemoryLog())
    await book.grow(150)
    await repeated(servers, book, 3)
    assert len(entries(servers, book.topic)) == 450
    assert book.head.size <= WINDOW

    with crowd(servers, book.topic, tmp_path / "counts.db") as group:
        for where, number in (("before the effect", 20), ("before the offset", 30), ("before the offset", 1), ("before the effect", 1)):
            assert group.start(where, number).wait(60) == -signal.SIGKILL
        assert 0 < sum(group.tally().values()) < 150

        first, second = group.start(), group.start()
        wait_for(group.done)
        assert group.tally() == expected(150)
        await book.grow(150)
        await repeated(servers, book, 2)
        wait_for(lambda: sum(group.tally().values()) > 200)
        assert first.poll() is None
        first.kill()
        third = group.start()
        wait_for(group.done)

        assert [second.poll(), third.poll()] == [None, None]
        assert group.tally() == expected(300)
        assert group.rows("SELECT 'taken', pos FROM taken ORDER BY pos") == [("taken", pos) for pos in range(1, 301)]


async def test_a_consumer_that_forgets_what_it_took_counts_too_much(servers: str, tmp_path: Path) -> None:
    careless = tmp_path / "careless.py"
    careless.write_text(EXAMPLE.read_text().replace("INSERT OR IGNORE", "INSERT OR REPLACE"))
    book = Book(MemoryLog())
    await book.grow(30)
    await repeated(servers, book, 2)

    with crowd(servers, book.topic, tmp_path / "counts.db", careless) as group:
        group.start()
        wait_for(group.done)

        assert sum(group.tally().values()) == 60


def test_the_example_has_twenty_lines() -> None:
    source = EXAMPLE.read_text().split('"""', 2)[2]

    assert len([line for line in source.splitlines() if line.strip()]) <= 20
