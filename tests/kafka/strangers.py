"""What others do to a ledger's topic: whoever may write to it, or administer it."""

import logging
from collections.abc import Iterable
from itertools import count
from typing import Any

from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

WAIT_S_MAX = 30.0
logger = logging.getLogger(__name__)
_NAMES = (f"stranger-{number}" for number in count())


def write(servers: str, topic: str, *records: bytes) -> list[int]:
    """Offsets of the records, which a plain producer wrote."""
    settings: Any = {"bootstrap.servers": servers, "linger.ms": 0, "logger": logger}
    return _written(Producer(settings), topic, records)


def transact(servers: str, topic: str, *records: bytes, commit: bool = True, open: bool = False) -> None:
    """A transaction of somebody who uses them; it may be aborted, or left open (for a second)."""
    settings: Any = {"bootstrap.servers": servers, "transactional.id": next(_NAMES), "transaction.timeout.ms": 2_000, "logger": logger}
    producer: Any = Producer(settings)
    producer.init_transactions(WAIT_S_MAX)
    producer.begin_transaction()
    for record in records:
        producer.produce(topic, record, partition=0)
    producer.flush(WAIT_S_MAX)
    if open:
        return
    if commit:
        producer.commit_transaction(WAIT_S_MAX)
    else:
        producer.abort_transaction(WAIT_S_MAX)


def _written(producer: Producer, topic: str, records: Iterable[bytes]) -> list[int]:
    offsets = list[int]()
    for record in records:
        told = list[Any]()
        producer.produce(topic, record, partition=0, on_delivery=lambda fault, message: told.append((fault, message.offset())))  # noqa: B023
        producer.flush(WAIT_S_MAX)
        assert told, "not written"
        assert told[0][0] is None, str(told[0][0])
        offsets.append(told[0][1])
    return offsets


class Administrator:
    """May do anything to a topic."""

    def __init__(self, servers: str) -> None:
        settings: Any = {"bootstrap.servers": servers, "logger": logger}
        self._admin = AdminClient(settings)

    def make(self, topic: str, *, partitions: int = 1, copies: int = 1, settings: dict[str, str] | None = None) -> None:
        made = self._admin.create_topics([NewTopic(topic, partitions, copies, config=settings or {})])
        made[topic].result(WAIT_S_MAX)

    def change(self, topic: str, name: str, value: str) -> None:
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        self._admin.incremental_alter_configs([resource])[resource].result(WAIT_S_MAX)

    def delete(self, topic: str) -> None:
        self._admin.delete_topics([topic])[topic].result(WAIT_S_MAX)

    def make_anew(self, topic: str, settings: dict[str, str]) -> None:
        """Another topic of this name."""
        self.delete(topic)
        for attempt in range(50):
            try:
                return self.make(topic, settings=settings)
            except KafkaException:
                if attempt == 49:
                    raise
        return None

    def cut(self, topic: str, offset: int) -> None:
        """Deletes all records before an offset."""
        place = TopicPartition(topic, 0, offset)
        self._admin.delete_records([place])[place].result(WAIT_S_MAX)
