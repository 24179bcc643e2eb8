"""Every event of the log comes to the topic, in order within its stream, whatever dies on the way: shown on a real broker."""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft7Validator

from adapters.files.home import Home, Settings
from adapters.kafka import brokers
from adapters.kafka.log import KafkaLog, topic_of
from adapters.kafka.relay import WINDOW, Relay, Undelivered
from adapters.kafka.topic import KafkaTopic
from domain.log import wire
from domain.log.block import Diverged, seal
from domain.log.log import MemoryLog
from domain.log.merkle import Head
from tests.relay.book import AT_US, Book, Entry, directory, entries, gaps, line, new_id, stream_of, type_of

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]
ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".tools"


def program(path: Path, servers: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "gridledger", "relay", str(path), "--to", f"kafka://{servers}", *options]


def started(command: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def until(holds: Callable[[], bool], within_s: float = 30) -> None:
    async with asyncio.timeout(within_s):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - a broker tells nobody
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def relaying(relay: Relay) -> AsyncIterator["asyncio.Task[int]"]:
    task = asyncio.create_task(relay.run(follow=True))
    try:
        yield task
    finally:
        task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(outcome, asyncio.CancelledError), outcome


async def test_each_event_is_one_cloudevent_behind_the_earlier_ones_of_its_stream(kafka: str) -> None:
    book = Book(MemoryLog())
    await book.grow(2_000)

    assert await Relay(book.log, book.id, kafka).run(follow=False) == 2_000

    found = entries(kafka, book.topic)
    assert (gaps(found, 2_000), len(found)) == ([], 2_000)
    assert len({each.partition for each in found}) == 6
    seventh = next(each for each in found if each.pos == 7)
    assert (seventh.key.decode(), seventh.value) == (stream_of(7), line(7))
    assert seventh.headers == {
        "pos": "7",
        "type": type_of(7),
        "ce_specversion": "1.0",
        "ce_id": f"{book.id}/7",
        "ce_source": f"urn:gridledger:{book.id}",
        "ce_type": type_of(7),
        "ce_subject": stream_of(7),
        "ce_time": "2027-01-15T08:00:00.123463Z",
        "content-type": "application/json",
    }
    assert AT_US + 7 == 1_800_000_000_123_463


async def test_a_relay_goes_on_where_the_topic_ends(kafka: str) -> None:
    book = Book(MemoryLog())
    await book.grow(3_000)
    await Relay(book.log, book.id, kafka).run(follow=False)
    await book.grow(30)

    await Relay(book.log, book.id, kafka).run(follow=False)

    found = entries(kafka, book.topic)
    assert gaps(found, 3_030) == []
    assert len(found) == 3_030 + WINDOW


async def test_a_log_in_kafka_is_relayed_as_well(kafka: str) -> None:
    id = new_id()
    topic = KafkaTopic(kafka, topic_of(id))
    await topic.create()
    async with KafkaLog(kafka, topic, id) as log:
        book = Book(log, id)
        await book.grow(700)
        async with relaying(Relay(log, id, kafka)) as task:
            await asyncio.sleep(1)
            await book.grow(50, per_block=1)
            await until(lambda: book.topic_holds(kafka, 750))
            assert not task.done()

    assert gaps(entries(kafka, book.topic), 750) == []


async def test_two_relays_at_once_only_repeat(kafka: str) -> None:
    book = Book(MemoryLog())
    await book.grow(2_000)
    async with relaying(Relay(book.log, book.id, kafka)), relaying(Relay(book.log, book.id, kafka)):
        await book.grow(500, per_block=5)
        await until(lambda: book.topic_holds(kafka, 2_500))

    found = entries(kafka, book.topic)
    assert gaps(found, 2_500) == []


async def test_the_head_that_a_snapshot_knows_spares_the_beginning(kafka: str) -> None:
    book = Book(MemoryLog())
    await book.grow(2_000)
    head = book.head
    await book.grow(2_000)
    await Relay(book.log, book.id, kafka).run(follow=False)
    reads = list[int]()

    class Watched(MemoryLog):
        def read(self, after: int = 0, *, follow: bool = False):  # type: ignore[no-untyped-def]
            reads.append(after)
            return book.log.read(after, follow=follow)

    await Relay(Watched(), book.id, kafka, passed=[Head(book.id), head, book.head]).run(follow=False)

    assert reads == [2_000]
    assert gaps(entries(kafka, book.topic), 4_000) == []


async def test_a_log_that_ends_before_the_topic_is_not_relayed(kafka: str) -> None:
    book, shorter = Book(MemoryLog()), Book(MemoryLog())
    shorter.id, shorter.head = book.id, book.head
    await book.grow(200)
    await shorter.grow(199)
    await Relay(book.log, book.id, kafka).run(follow=False)

    with pytest.raises(Diverged, match="position 200, the log ends at 199"):
        await Relay(shorter.log, book.id, kafka).run(follow=False)


async def test_what_others_wrote_into_the_topic_is_not_taken_for_ours(kafka: str) -> None:
    from confluent_kafka import Producer

    book = Book(MemoryLog())
    await book.grow(1_000)
    await Relay(book.log, book.id, kafka).run(follow=False)
    foreign = Producer({"bootstrap.servers": kafka})
    for partition in range(6):
        for number in range(30):
            headers: dict[str, str | bytes | None] = {"pos": "9999", **({"ce_source": "urn:other"} if number % 2 else {})}
            foreign.produce(book.topic, b"x", b"x", partition=partition, headers=headers)
    foreign.flush(10)
    await book.grow(10)

    assert await Relay(book.log, book.id, kafka).run(follow=False) == 1_010
    ours = [each for each in entries(kafka, book.topic) if each.pos != 9999]
    assert (gaps(ours, 1_010), len(ours)) == ([], 1_010 + WINDOW)


async def test_a_topic_that_is_there_is_used_as_it_is(kafka: str) -> None:
    book = Book(MemoryLog())
    await book.grow(50)
    relay = Relay(book.log, book.id, kafka)
    await relay.topic.create(2)

    await relay.run(partitions=7, follow=False)

    assert {each.partition for each in entries(kafka, book.topic)} == {0, 1}


async def test_a_relay_that_is_killed_again_and_again_leaves_nothing_out(kafka: str, database: str, tmp_path: Path) -> None:
    async with directory(tmp_path, database) as book:
        await book.grow(20_000, per_block=200)
        chance = random.Random(7)
        for _ in range(4):
            child = started(program(tmp_path, kafka))
            assert child.stderr is not None
            await asyncio.to_thread(child.stderr.readline)  # it says from where on
            await book.grow(200, per_block=3)
            await asyncio.sleep(chance.uniform(0, 0.4))
            child.kill()
            child.communicate()
            assert gaps_before(entries(kafka, book.topic)) == []

        done = await asyncio.to_thread(
            subprocess.run, program(tmp_path, kafka, "--once", "--json"), capture_output=True, text=True, check=False
        )

        assert (done.returncode, json.loads(done.stdout)) == (0, {"topic": book.topic, "position": book.head.size}), done.stderr
        assert gaps(entries(kafka, book.topic), book.head.size) == []


def gaps_before(found: list[Entry]) -> list[str]:
    """What is wrong with a topic whose relay died under way."""
    return gaps(found, max((each.pos for each in found), default=0) - WINDOW)


async def test_it_ends_well_when_it_is_told_to(kafka: str, database: str, tmp_path: Path) -> None:
    async with directory(tmp_path, database) as book:
        await book.grow(5)
        for how in (signal.SIGTERM, signal.SIGINT):
            child = started(program(tmp_path, kafka))
            assert child.stderr is not None
            lines = list[str]()
            while not any("relayed up to position 5" in each for each in lines):
                lines.append(await asyncio.to_thread(child.stderr.readline))
                assert lines[-1]
            child.send_signal(how)
            said, _ = await asyncio.to_thread(child.communicate, timeout=20)

            assert (child.returncode, said) == (0, f"relayed up to position 5 to the topic {book.topic}\n")
            assert all("event" in json.loads(each) for each in lines)


async def test_without_an_answer_it_says_so(database: str, tmp_path: Path, free_port: int) -> None:
    async with directory(tmp_path, database):
        pass
    done = await asyncio.to_thread(
        subprocess.run, program(tmp_path, f"127.0.0.1:{free_port}", "--once"), capture_output=True, text=True, check=False
    )

    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("gridledger: ")


async def told(*words: str) -> tuple[int, str, str]:
    """The exit status of the program, and what it says."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRIDLEDGER_")}
    command = [sys.executable, "-m", "gridledger", *words]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    return done.returncode, done.stdout, done.stderr


async def test_a_ledger_in_kafka_is_relayed_to_the_same_cluster_as_its_document_says(kafka: str, database: str, tmp_path: Path) -> None:
    place = str(tmp_path / "ledger")
    status, said, fault = await told("init", place, "--database-url", database, "--kafka", kafka, "--json")
    assert status == 0, fault
    topic = f"gridledger.{json.loads(said)['log']}.events"

    status, said, fault = await told("relay", place, "--partitions", "3", "--once", "--json")

    assert status == 0, fault
    found = sorted(entries(kafka, topic), key=lambda each: each.pos)
    assert json.loads(said) == {"topic": topic, "position": len(found)}
    assert [each.pos for each in found] == list(range(1, len(found) + 1))
    parts = json.loads((ROOT / "docs" / "asyncapi.json").read_text())["components"]
    for each in found:
        recorded = wire.event(each.value)
        assert each.key.decode() == recorded.stream
        Draft7Validator(parts["schemas"][each.headers["type"]]).validate(json.loads(each.value))
        Draft7Validator(parts["messageTraits"]["event"]["headers"]).validate(each.headers)


async def test_a_relay_does_not_start_without_an_address_or_without_the_servers_database(tmp_path: Path) -> None:
    Home(tmp_path).keep(Settings(log=new_id()))

    assert await told("relay", str(tmp_path)) == (3, "", "gridledger: where to? --to needs the bootstrap servers of a Kafka cluster\n")
    status, _, fault = await told("relay", str(tmp_path), "--to", "127.0.0.1:1")
    assert (status, "first gridledger serve" in fault) == (3, True)


async def test_a_broker_that_dies_and_comes_back_only_delays(tmp_path: Path) -> None:
    with brokers.running(tmp_path / "cluster", TOOLS) as cluster:
        book = Book(MemoryLog())
        await book.grow(1_000)
        async with relaying(Relay(book.log, book.id, cluster.bootstrap)) as task:
            await until(lambda: book.topic_holds(cluster.bootstrap, 1_000))
            for _ in range(2):
                cluster.kill(1)
                await book.grow(2_000, per_block=50)
                await asyncio.sleep(1)
                await asyncio.to_thread(cluster.start)
                await until(lambda: book.topic_holds(cluster.bootstrap, book.head.size), 60)
            assert not task.done()
        assert gaps(entries(cluster.bootstrap, book.topic), 5_000) == []


def limit_messages(servers: str, topic: str, bytes_max: int) -> None:
    from confluent_kafka import admin

    known: Any = admin
    entry = known.ConfigEntry("max.message.bytes", str(bytes_max), incremental_operation=known.AlterConfigOpType.SET)
    resource = known.ConfigResource(known.ResourceType.TOPIC, topic, incremental_configs=[entry])
    asking = admin.AdminClient({"bootstrap.servers": servers})
    for done in asking.incremental_alter_configs([resource]).values():
        done.result(10)


async def test_an_event_that_the_topic_refuses_ends_the_relay_and_is_not_passed_by_later_ones(kafka: str) -> None:
    book = Book(MemoryLog())
    await book.grow(1_000)
    relay = Relay(book.log, book.id, kafka)
    task = asyncio.create_task(relay.run(follow=True))
    await until(lambda: book.topic_holds(kafka, 1_000))
    limit_messages(kafka, book.topic, 100)
    await asyncio.sleep(1)
    await book.grow(1)
    with pytest.raises(Undelivered):
        await asyncio.wait_for(task, 20)

    await book.grow(300)
    with pytest.raises(Undelivered):
        await Relay(book.log, book.id, kafka).run(follow=False)
    assert {each.pos for each in entries(kafka, book.topic)} == set(range(1, 1_001))

    limit_messages(kafka, book.topic, 1_000_000)
    await asyncio.sleep(1)
    assert await Relay(book.log, book.id, kafka).run(follow=False) == 1_301
    assert gaps(entries(kafka, book.topic), 1_301) == []


async def test_a_log_with_another_event_at_the_topics_end_is_not_relayed(kafka: str) -> None:
    book, other = Book(MemoryLog()), MemoryLog()
    await book.grow(199)
    await book.log.append(last := seal(book.head, [line(200)]))
    await Relay(book.log, book.id, kafka).run(follow=False)
    forked = Book(other, book.id)
    await forked.grow(199)
    await other.append(seal(last.before, [line(200) + b" "]))

    with pytest.raises(Diverged, match="another event at position 200"):
        await Relay(other, book.id, kafka).run(follow=False)
