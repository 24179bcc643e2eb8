"""The topic that a log lies in: made with settings under which nothing is ever deleted, refused under others, and watched for what no
client is told reliably: that it was deleted, made anew, or cut (research: a consumer of a topic that was made anew may be silent for ever).
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple, NoReturn, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType  # type: ignore[attr-defined]

from adapters.kafka.clients import librdkafka
from domain.log.block import Diverged
from domain.log.log import Unreachable

COPIES, IN_SYNC_MIN = 3, 2
MESSAGE_BYTES_MIN = 1_000_000
SETTINGS: Mapping[str, str] = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "unclean.leader.election.enable": "false",
    "max.message.bytes": "1048588",
    "compression.type": "producer",
}
NAME = re.compile(r"gridledger\.[0-9a-f]{32}\.log")
ASK_S_MAX, WATCH_S = 5.0, 1.0
LOOKS, LOOK_S = 3, 0.5
"""Before a topic is believed to be gone: a broker that has just come back, or a topic that was just made, may not be known everywhere."""
CRITICAL = 2
"""Of what librdkafka logs (syslog's levels): who asks is told by an exception."""
NO_ENTRY = {KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE}
ENDS: tuple[Any, Any] = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]
T = TypeVar("T")
logger = logging.getLogger(__name__)


class Unsafe(Exception):
    """The topic could lose the ledger, or refuse its blocks; the message names the setting, its value and the remedy."""


class Exists(Exception):
    """There is such a topic already."""


class Facts(NamedTuple):
    """What a cluster says of a topic."""

    id: str
    partitions: int
    copies: int


class KafkaTopic:
    """Asks as an administrator, beside whoever reads and writes: a question on a consumer's connection waits behind its fetches."""

    def __init__(self, servers: str, topic: str, properties: Mapping[str, object] | None = None) -> None:
        self.name, self._servers = topic, servers
        settings: Any = {
            "bootstrap.servers": servers,
            "socket.timeout.ms": int(ASK_S_MAX * 1000),
            "log_level": CRITICAL,
            **(properties or {}),
        }
        settings |= {"logger": librdkafka, "error_cb": self._hear}
        self._admin, self._heard = AdminClient(settings), ""
        """`_heard`: why no connection came about."""

    async def create(self, partitions: int = 1) -> None:
        """With as many copies as there are brokers, up to three. Raises `Exists`, `Unreachable`, `Unsafe` if the cluster refuses."""
        for look in range(1, LOOKS + 1):
            nodes = len((await self._ask(self._admin.describe_cluster())).nodes)
            copies = min(COPIES, nodes)
            config = {**SETTINGS, "min.insync.replicas": str(IN_SYNC_MIN if copies >= COPIES else 1)}
            try:
                made = self._admin.create_topics([NewTopic(self.name, partitions, copies, config=config)], operation_timeout=ASK_S_MAX)
                await self._ask(made[self.name])
                await self._known()  # the controller has it; whom we ask next may hear of it a moment later
                return
            except KafkaException as refusal:
                code = refusal.args[0].code()
                if code == KafkaError.TOPIC_ALREADY_EXISTS:
                    raise Exists(f"there is a topic {self.name} already") from refusal
                if code != KafkaError.INVALID_REPLICATION_FACTOR or look == LOOKS:
                    raise Unsafe(f"the cluster does not take the topic {self.name}: {told(refusal)}") from refusal
            await asyncio.sleep(LOOK_S)  # a broker that has just come back is known before it is given topics

    async def exists(self) -> bool:
        """Raises `Unreachable`."""
        return await self._facts() is not None

    async def home(self) -> str:
        """What a ledger is bound to: the ids of the cluster and of the topic. Raises `Unreachable`, `Diverged` if there is no topic."""
        cluster = await self._ask(self._admin.describe_cluster())
        return f"kafka:{cluster.cluster_id}:{(await self._known()).id}"

    async def check(self) -> None:
        """Raises `Unsafe` for settings under which the ledger could be lost; warns of what one broker cannot give."""
        facts = await self._known()
        await self._check(facts)
        if facts.copies < COPIES:
            held = "one copy" if facts.copies == 1 else f"{facts.copies} copies"
            logger.warning("the topic %s has %s: the loss of a disk loses the ledger", self.name, held)

    async def _check(self, facts: Facts) -> None:
        resource = ConfigResource(ResourceType.TOPIC, self.name)
        try:
            entries = await self._ask(self._admin.describe_configs([resource])[resource])
        except KafkaException as refusal:
            if refusal.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise Unreachable(told(refusal)) from refusal  # if it is gone, the next look says so
            raise Unsafe(f"the cluster does not tell the settings of the topic {self.name}: {told(refusal)}") from refusal
        values = {name: str(entry.value) for name, entry in entries.items()}
        for name, value, remedy in unsafe(values, facts):
            raise Unsafe(f"{name} of the topic {self.name} is {value}: {remedy}")

    async def watch(self, reached: Callable[[], int]) -> NoReturn:
        """Until cancelled. Raises `Diverged` when the topic is not what it was, or ends before the offset that `reached` says was read, and
        `Unsafe` when its settings were changed to such that it could be lost."""
        first = await self._while_silent(self._known)
        while True:
            seen = reached()
            now, low, high = await self._while_silent(self._look)
            if now.id != first.id:
                raise Diverged(f"the topic {self.name} was deleted and made anew")
            if low > 0:
                raise Diverged(f"the topic {self.name} begins at offset {low}: records were deleted")
            if high < seen:
                raise Diverged(f"the topic {self.name} ends at offset {high}, and {seen} was read of it")
            await asyncio.sleep(WATCH_S)

    async def _look(self) -> tuple[Facts, int, int]:
        """What the topic is, its first offset, and the next one. As one: who asks again for its end alone is never told that it is gone."""
        now = await self._known()
        low, high = await self._bounds()
        await self._check(now)
        return now, low, high

    async def _while_silent(self, ask: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await ask()
            except Unreachable:
                await asyncio.sleep(WATCH_S)

    async def _bounds(self) -> tuple[int, int]:
        """(the first offset, the next one)"""
        place = TopicPartition(self.name, 0)
        first, last = [self._admin.list_offsets({place: spec})[place] for spec in ENDS]
        try:
            low, high = int((await self._ask(first)).offset), int((await self._ask(last)).offset)
        except KafkaException as refusal:
            raise Unreachable(told(refusal)) from refusal  # if the topic is gone, the next look says so
        if min(low, high) < 0:
            raise Unreachable("no broker leads the topic now")  # librdkafka's word for an offset that nobody told
        return low, high

    async def _known(self) -> Facts:
        for _ in range(LOOKS):
            if facts := await self._facts():
                return facts
            await asyncio.sleep(LOOK_S)
        raise Diverged(f"there is no topic {self.name}")

    async def _facts(self) -> Facts | None:
        try:
            found = await self._ask(self._admin.describe_topics(TopicCollection([self.name]))[self.name])
        except KafkaException as refusal:
            if refusal.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return None
            raise Unreachable(told(refusal)) from refusal
        partitions = found.partitions
        return Facts(str(found.topic_id), len(partitions), min(len(each.replicas) for each in partitions))

    async def _ask(self, answer: "Future[Any]") -> Any:
        """Raises `Unreachable`; `KafkaException` if the cluster says no."""
        try:
            async with asyncio.timeout(ASK_S_MAX + 1):  # not `wait_for`, which in 3.11 may take a cancellation for an answer
                return await asyncio.wrap_future(answer)
        except TimeoutError as silence:
            raise Unreachable(self._why(f"none within {ASK_S_MAX:.0f} s")) from silence
        except KafkaException as fault:
            if fault.args[0].code() < 0 or fault.args[0].retriable():
                raise Unreachable(self._why(told(fault))) from fault
            raise

    def _why(self, silence: str) -> str:
        """Who is not let in is told so beside the answer: that only times out."""
        self._heard = ""
        self._admin.poll(0)
        return f"no answer from Kafka at {self._servers}: {self._heard or silence}"

    def _hear(self, fault: KafkaError) -> None:
        if fault.code() in NO_ENTRY:
            self._heard = fault.str()


def ledgers(servers: str, properties: Mapping[str, object] | None = None) -> list[str]:
    """Topics of a cluster that are named as those of ledgers. Raises `Unreachable`."""
    settings: Any = {"bootstrap.servers": servers, **(properties or {}), "logger": librdkafka}
    try:
        found = AdminClient(settings).list_topics(timeout=ASK_S_MAX).topics
    except KafkaException as silence:
        raise Unreachable(f"no answer from Kafka at {servers}: {told(silence)}") from silence
    return sorted(name for name in found if NAME.fullmatch(name))


def unsafe(values: Mapping[str, str], facts: Facts) -> Iterator[tuple[str, str, str]]:
    """(setting, its value, what to do) of all that must not be."""
    for name in ("cleanup.policy", "retention.ms", "retention.bytes", "unclean.leader.election.enable", "compression.type"):
        if values.get(name) != SETTINGS[name]:
            yield name, values.get(name, "unknown"), f"set it to {SETTINGS[name]}"
    if int(values.get("max.message.bytes", "0")) < MESSAGE_BYTES_MIN:
        yield "max.message.bytes", values.get("max.message.bytes", "unknown"), f"set it to {SETTINGS['max.message.bytes']}"
    if facts.partitions != 1:
        yield "the number of partitions", str(facts.partitions), "a log has one: make another topic, and copy the log"
    in_sync = int(values.get("min.insync.replicas", "1"))
    if facts.copies >= COPIES and in_sync < IN_SYNC_MIN:
        yield "min.insync.replicas", str(in_sync), f"set it to {IN_SYNC_MIN}"
    if in_sync > facts.copies:
        yield "min.insync.replicas", str(in_sync), f"there are {facts.copies} copies, so no block would be taken: set it to {facts.copies}"


def told(fault: KafkaException) -> str:
    error = fault.args[0] if fault.args else fault
    return error.str() if isinstance(error, KafkaError) else str(error)
