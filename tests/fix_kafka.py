"""A real Kafka broker for tests, started on first use; a topic is one test's own."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from adapters.kafka import brokers
from adapters.kafka.log import KafkaLog
from adapters.kafka.topic import KafkaTopic
from domain.ids import LogId

TOOLS = Path(__file__).parents[1] / ".tools"
NewLog = Callable[[], AbstractAsyncContextManager[KafkaLog]]
_NAMES = (f"test-{number}" for number in count())


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap servers of a cluster of one broker."""
    with brokers.running(tmp_path_factory.mktemp("kafka"), TOOLS) as cluster:
        yield cluster.bootstrap


@pytest.fixture
def topic() -> str:
    """A name that no other test has."""
    return next(_NAMES)


@asynccontextmanager
async def empty_log(servers: str, topic: str, log: LogId) -> AsyncIterator[KafkaLog]:
    made = KafkaTopic(servers, topic)
    await made.create()
    async with KafkaLog(servers, made, log) as it:
        yield it
