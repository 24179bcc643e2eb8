"""The topic: made safe, refused when it is not, and watched for what no client is told."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, NewTopic, OffsetSpec  # type: ignore[attr-defined]

from adapters.files.home import Home, Settings
from adapters.kafka import topic as topics
from adapters.kafka.topic import SETTINGS, Exists, KafkaTopic, Unsafe
from domain.log.block import Diverged
from domain.log.log import Unreachable
from roles.ledger import Unstartable, opened
from tests.contracts.log import START, block
from tests.fix_kafka import empty_log
from tests.kafka.strangers import Administrator

pytestmark = pytest.mark.system

UNSAFE = [
    ("cleanup.policy", "compact", "set it to delete"),
    ("cleanup.policy", "compact,delete", "set it to delete"),
    ("retention.ms", "604800000", "set it to -1"),
    ("retention.bytes", "1000000000", "set it to -1"),
    ("unclean.leader.election.enable", "true", "set it to false"),
    ("max.message.bytes", "900000", "set it to 1048588"),
    ("compression.type", "gzip", "set it to producer"),
    ("min.insync.replicas", "2", "there are 1 copies, so no block would be taken: set it to 1"),
]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "WATCH_S", 0.05)
    monkeypatch.setattr(topics, "LOOK_S", 0.2)


async def test_a_topic_as_we_make_it_is_safe_and_made_once(kafka: str, topic: str, caplog: pytest.LogCaptureFixture) -> None:
    it = KafkaTopic(kafka, topic)
    assert not await it.exists()
    await it.create()
    await it.check()

    assert await it.exists()
    assert "has one copy: the loss of a disk loses the ledger" in caplog.text
    with pytest.raises(Exists):
        await it.create()
    assert (await it.home()).split(":")[0] == "kafka"
    assert await it.home() == await KafkaTopic(kafka, topic).home()


@pytest.mark.parametrize(("name", "value", "remedy"), UNSAFE)
async def test_each_unsafe_setting_is_refused_with_its_name_its_value_and_the_remedy(
    kafka: str, topic: str, name: str, value: str, remedy: str
) -> None:
    Administrator(kafka).make(topic, settings={**SETTINGS, name: value})
    with pytest.raises(Unsafe) as refusal:
        await KafkaTopic(kafka, topic).check()

    shown = str(refusal.value).replace("delete,compact", "compact,delete")
    assert shown == f"{name} of the topic {topic} is {value}: {remedy}"


async def test_a_topic_is_made_when_brokers_are_back_that_were_just_found_missing(
    kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A controller that heard nothing of a broker for a moment gives it no topics (tests/chaos found it)."""
    it = KafkaTopic(kafka, topic)
    monkeypatch.setattr(it, "_admin", Fenced(it._admin, refusals=2))
    await it.create()
    assert await it.exists()

    never = KafkaTopic(kafka, f"{topic}-never")
    monkeypatch.setattr(never, "_admin", Fenced(never._admin, refusals=1_000))
    with pytest.raises(Unsafe, match="the cluster does not take the topic"):
        await never.create()


async def test_no_ledger_begins_on_a_cluster_that_takes_no_topic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(self: KafkaTopic, partitions: int = 1) -> None:
        raise Unsafe("the cluster does not take the topic")

    monkeypatch.setattr(KafkaTopic, "create", refused)
    home = Home(tmp_path)
    home.keep(Settings(kafka="127.0.0.1:1"))
    with pytest.raises(Unstartable, match="does not take"):
        async with opened(home, "", START.log):
            pass


class Fenced:
    def __init__(self, admin: AdminClient, refusals: int) -> None:
        self._real, self._refusals = admin.create_topics, refusals
        self.describe_cluster, self.describe_topics = admin.describe_cluster, admin.describe_topics

    def create_topics(self, new: list[NewTopic], **options: float) -> dict[str, Future[None]]:
        self._refusals -= 1
        if self._refusals < 0:
            return self._real(new, **options)
        answer = Future[None]()
        answer.set_exception(KafkaException(KafkaError(KafkaError.INVALID_REPLICATION_FACTOR)))
        return {each.topic: answer for each in new}


async def test_a_topic_of_several_partitions_is_refused(kafka: str, topic: str) -> None:
    Administrator(kafka).make(topic, partitions=2, settings=dict(SETTINGS))
    with pytest.raises(Unsafe, match=r"number of partitions of the topic .* is 2: a log has one"):
        await KafkaTopic(kafka, topic).check()


def test_three_copies_of_which_one_suffices_are_refused() -> None:
    values = {**SETTINGS, "min.insync.replicas": "1"}
    assert list(topics.unsafe(values, topics.Facts("id", 1, 3))) == [("min.insync.replicas", "1", "set it to 2")]
    assert list(topics.unsafe({**values, "min.insync.replicas": "2"}, topics.Facts("id", 1, 3))) == []


async def test_a_topic_that_is_not_there_is_named(kafka: str, topic: str) -> None:
    with pytest.raises(Diverged, match=f"there is no topic {topic}"):
        await KafkaTopic(kafka, topic).check()


async def test_a_cluster_that_does_not_answer_is_unreachable(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "ASK_S_MAX", 0.5)
    with pytest.raises(Unreachable):
        await KafkaTopic(f"127.0.0.1:{free_port}", "nowhere").check()


Deed = Callable[[Administrator, str], None]
DEEDS: list[tuple[str, Deed, type[Exception], str]] = [
    ("deleted", lambda admin, topic: admin.delete(topic), Diverged, "there is no topic"),
    ("made anew", lambda admin, topic: admin.make_anew(topic, dict(SETTINGS)), Diverged, "made anew|there is no topic"),
    ("cut", lambda admin, topic: admin.cut(topic, 1), Diverged, "begins at offset 1"),
    ("unsafe", lambda admin, topic: admin.change(topic, "retention.ms", "86400000"), Unsafe, "retention.ms .* is 86400000: set it to -1"),
]


@pytest.mark.parametrize(("deed", "fault", "says"), [row[1:] for row in DEEDS], ids=[row[0] for row in DEEDS])
async def test_the_watch_sees_what_no_client_is_told(kafka: str, topic: str, deed: Deed, fault: type[Exception], says: str) -> None:
    async with empty_log(kafka, topic, START.log) as log:
        await log.append(block(START))
        await log.append(block(block(START).after))
        watch = asyncio.create_task(log.topic.watch(lambda: log.reached))
        await asyncio.sleep(0.3)
        assert not watch.done(), "all is well"
        await asyncio.to_thread(deed, Administrator(kafka), topic)
        with pytest.raises(fault, match=says):
            await watch


async def test_the_watch_sees_an_end_before_what_was_read(kafka: str, topic: str) -> None:
    async with empty_log(kafka, topic, START.log) as log:
        await log.append(block(START))
        assert log.reached == 1
        with pytest.raises(Diverged, match="ends at offset 1, and 2 was read of it"):
            await log.topic.watch(lambda: log.reached + 1)


async def test_an_end_that_no_broker_tells_is_no_end(kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a partition has no leader, librdkafka answers with an offset below nothing instead of an error (tests/chaos found it)."""
    async with empty_log(kafka, topic, START.log) as log:
        await log.append(block(START))
        monkeypatch.setattr(log.topic, "_admin", Leaderless(log.topic._admin))
        watch = asyncio.create_task(log.topic.watch(lambda: log.reached))
        await asyncio.sleep(0.5)
        assert not watch.done()
        Administrator(kafka).delete(topic)
        with pytest.raises(Diverged, match="there is no topic"):
            await watch


class Leaderless:
    def __init__(self, admin: AdminClient) -> None:
        self.describe_topics, self.describe_configs = admin.describe_topics, admin.describe_configs

    def list_offsets(self, places: dict[TopicPartition, OffsetSpec]) -> dict[TopicPartition, Future[ListOffsetsResultInfo]]:
        answer = Future[ListOffsetsResultInfo]()
        answer.set_result(ListOffsetsResultInfo(OFFSET_INVALID, -1, -1))
        return dict.fromkeys(places, answer)
