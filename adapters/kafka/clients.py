"""librdkafka's clients as the log uses them: a producer that tells where its record lies, a consumer of one partition; what it is set to,
and which of its errors mean what. Every reader reads uncommitted, is assigned to the partition, and belongs to no group.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from domain.log.block import Diverged
from domain.log.log import Lost, OutcomeUnknown

RETRYING: Mapping[str, object] = {
    "retry.backoff.ms": 20,
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 200,
    "socket.connection.setup.timeout.ms": 1500,
}
PRODUCER: Mapping[str, object] = {
    **RETRYING,
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 0,
    "delivery.timeout.ms": 10_000,
    "request.timeout.ms": 2_000,
    "socket.timeout.ms": 2_500,
    "retry.backoff.max.ms": 200,
    "socket.nagle.disable": True,
    "message.max.bytes": 1_000_000,
}
"""A delivery may take longer than a broker needs to come back, so that most of its deaths are seen as a slow success."""
CONSUMER: Mapping[str, object] = {
    **RETRYING,
    "group.id": "gridledger",  # required, and never used: the partition is assigned
    "enable.auto.commit": False,
    "auto.offset.reset": "error",
    "isolation.level": "read_uncommitted",
    "check.crcs": True,
    "enable.partition.eof": True,
    "fetch.queue.backoff.ms": 5,
    "fetch.error.backoff.ms": 20,
}
TO_THE_END: Mapping[str, object] = {"fetch.wait.max.ms": 10}

NEVER_TAKEN = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError._UNKNOWN_PARTITION}
"""What is certain not to be in the log. Kafka tells of no other failure whether the record lies there."""
GONE = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}
librdkafka = logging.getLogger("librdkafka")
"""What clients say of themselves: servers hear it (adapters/logs.py); a command tells the errors that it is given, and nothing else."""
librdkafka.addHandler(logging.NullHandler())
librdkafka.addFilter(lambda record: "gapless" not in record.getMessage())  # it warns at each start that a setting is experimental
ANSWER_S, POLL_S, RETRY_S, CLOSE_S = 5.0, 0.1, 0.2, 5.0
BATCH_MAX = 500


class Reader:
    """A consumer, and the one thread that may wait for it."""

    def __init__(self, settings: Mapping[str, object], topic: str) -> None:
        self._consumer = Consumer(dict(settings))
        self._topic = topic
        self._thread = ThreadPoolExecutor(1, "kafka reader")

    async def end(self) -> int:
        """The offset that comes next in the log. Raises `KafkaException`, and `Diverged` if the log has lost its beginning."""
        low, high = await self._do(self._consumer.get_watermark_offsets, TopicPartition(self._topic, 0), ANSWER_S)
        if low > 0:
            raise Diverged(f"the topic {self._topic} begins at offset {low}: records were deleted")
        return int(high)

    async def seek(self, offset: int) -> None:
        await self._do(self._consumer.assign, [TopicPartition(self._topic, 0, offset)])

    async def batch(self, offset: int) -> tuple[list[Message], int]:
        """The next records, none if none came in a while, and the offset after them. Raises `KafkaException`, and `Diverged` if the
        topic is not what it was."""
        records, after = [], offset
        for message in await self._do(self._wait):
            if (fault := message.error()) is None:
                records.append(message)
                after = message.offset() + 1
            elif fault.code() in GONE:
                raise Diverged(f"the topic {self._topic} was deleted, made anew, or lost records: {fault.str()}")
            elif fault.code() == KafkaError._PARTITION_EOF:
                after = max(after, message.offset())  # markers of somebody's transactions take offsets, too
            elif not records:
                raise KafkaException(fault)
        return records, after

    def leave(self) -> None:
        """Closes the consumer as soon as its thread has come back."""
        self._thread.submit(self._consumer.close)
        self._thread.shutdown(wait=False)

    def _wait(self) -> list[Message]:
        if (first := self._consumer.poll(POLL_S)) is None:
            return []
        return [first, *self._consumer.consume(BATCH_MAX - 1, 0)]

    async def _do(self, what: Callable[..., Any], *arguments: object) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(what, *arguments))


class Writer:
    """A producer, and the thread in which it tells what became of each record."""

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._producer = Producer(dict(settings))
        self._open, self.failed = True, False
        """`failed`: it takes no more records."""
        self._thread = threading.Thread(target=self._listen, name="kafka writer", daemon=True)
        self._thread.start()

    def connect(self, topic: str) -> None:
        """Waits for it: else the first record waits for half a second, since librdkafka asks for the producer's id again only then.
        Raises `KafkaException`."""
        self._producer.list_topics(topic, ANSWER_S)

    async def send(self, topic: str, record: bytes) -> int:
        """The offset of the record. Raises `Lost`, `OutcomeUnknown`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[int] = loop.create_future()

        def delivered(fault: KafkaError | None, message: Message) -> None:
            offset = message.offset()
            if fault is None and offset is not None and offset >= 0:
                outcome: int | Exception = offset
            elif fault is not None and fault.code() in NEVER_TAKEN:
                outcome = Lost(fault.str())
            else:
                outcome = OutcomeUnknown(fault.str() if fault else "no offset")
            with suppress(RuntimeError):  # nobody waits any more
                loop.call_soon_threadsafe(settle, answer, outcome)

        try:
            self._producer.produce(topic, record, partition=0, on_delivery=delivered)
        except (KafkaException, BufferError) as refusal:
            self.failed = True
            raise Lost(f"not sent: {refusal}") from refusal
        return await answer

    def close(self) -> None:
        """What was not sent yet will not be."""
        self._producer.purge()
        self._open = False
        self._thread.join(CLOSE_S)
        del self._producer  # in this thread: it ends librdkafka's own

    def _listen(self) -> None:
        while self._open:
            self._producer.poll(POLL_S)


def offset_of(message: Message) -> int:
    return int(message.offset() or 0)


def settle(answer: asyncio.Future[int], outcome: int | Exception) -> None:
    if answer.done():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
