"""What must be true of a log in Kafka after whatever was done to it. The record of truth is read by a plain consumer that shares no code
with the product."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from adapters.kafka import clients
from adapters.kafka.log import KafkaLog
from adapters.kafka.topic import KafkaTopic
from domain.house import invariants
from domain.log.block import Broken, Diverged, Void
from domain.log.ledger import Ledger
from domain.log.log import Unreachable
from domain.treasury.deposit import Finalise, reference
from tests.chaos.rivals import Rival
from tests.faults.history import History
from tests.log.ledgers import START
from tests.soak.kills import Lane

READ_S_MAX = 30.0
FETCHES: Mapping[str, Mapping[str, object]] = {
    "as the product comes": {},
    "small fetches": {"max.partition.fetch.bytes": 2_048, "queued.min.messages": 10, "queued.max.messages.kbytes": 16},
    "large fetches": {"max.partition.fetch.bytes": 8_388_608, "fetch.min.bytes": 65_536, "queued.min.messages": 1_000_000},
    "committed records only": {"isolation.level": "read_committed"},
}
"""What operators may set for a reader; the last is not theirs to set, and has to be overruled."""


class Truth(NamedTuple):
    """What the records of a topic come to by the accept rule."""

    records: Sequence[bytes]
    lines: Sequence[bytes]
    leaders: Mapping[str, str]
    """Of each block that counts, by the root that it leads to: who leads after it."""
    deposits: frozenset[str]
    """That were seen and are not final."""
    void: Counter[str]
    findings: Sequence[str]


def read_plainly(servers: str, topic: str) -> list[bytes]:
    """Every record of the topic; blocks."""
    settings = {"bootstrap.servers": servers, "group.id": "judge", "enable.auto.commit": False, "auto.offset.reset": "error"}
    consumer = Consumer({**settings, "isolation.level": "read_uncommitted", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, 0, 0)])
    records, until = list[bytes](), time.monotonic() + READ_S_MAX
    try:
        while time.monotonic() < until:
            for message in consumer.consume(1_000, 0.2):
                if (fault := message.error()) is None:
                    records.append(bytes(message.value() or b""))
                elif fault.code() == KafkaError._PARTITION_EOF:
                    return records
        raise KafkaException(f"the topic {topic} could not be read to its end")
    finally:
        consumer.close()


def fold(records: Sequence[bytes]) -> Truth:
    ledger, lines, leaders, void, findings = Ledger(START), list[bytes](), dict[str, str](), Counter[str](), list[str]()
    for record in records:
        try:
            folded = ledger.fold(record)
        except Void as why:
            void[why.why] += 1
            continue
        except (Broken, Diverged) as fault:
            findings.append(f"log: {type(fault).__name__}: {fault}")
            break
        lines += folded.block.lines
        leaders[folded.block.after.root] = ledger.world.leader
    findings += [f"invariants: {breach}" for breach in invariants.breaches(ledger.world) if breach]
    return Truth(records, lines, leaders, frozenset(ledger.world.deposits), void, findings)


def of_commands(history: History, truth: Truth) -> Iterator[str]:
    """Whoever was answered was told what the log says; and nothing that these clients ask for is ever refused by who knows the log."""
    for finding in history.findings(truth.lines):
        yield f"commands: {finding}"
    for deed in history.deeds.values():
        if deed.refusals:
            yield f"refusals: {deed.cmd} was refused: {deed.refusals[0]}"


def of_deposits(lanes: Sequence[Lane], truth: Truth) -> Iterator[str]:
    """Who has seen a deposit asks next for it to be final. That there is nothing to do may only be answered by who knows that it is."""
    asking = {reference(str(lane.step.ask.command.tx), 0) for lane in lanes if isinstance(lane.step.ask.command, Finalise)}
    for deposit in truth.deposits - asking:
        yield f"confirmation: the deposit {deposit[:12]} was said to be final before, and the log has nothing of it"


def of_blocks(rivals: Sequence[Rival], truth: Truth) -> Iterator[str]:
    """What the log said of each block is so, and whoever wrote a block that counts led when he did. The same bytes may be sent again after
    an unknown outcome, an election: then any attempt may be the one that is in."""
    for rival in rivals:
        for root, attempts in rival.blocks.items():
            if "in" in attempts and root not in truth.leaders:
                yield f"blocks: {root[:12]} of {rival.plan.name} was said to be in the log, and is not"
            if set(attempts) == {"lost"} and root in truth.leaders:
                yield f"blocks: {root[:12]} of {rival.plan.name} was said to be lost, and is in the log"
            if truth.leaders.get(root, rival.plan.name) != rival.plan.name:
                yield f"leaders: {root[:12]} is of {rival.plan.name}, and {truth.leaders[root]} was elected before it"


async def of_readers(servers: str, topic: str, truth: Truth, settings: Mapping[str, Mapping[str, object]] = FETCHES) -> list[str]:
    """Readers with all kinds of settings read the same, record for record, in whatever portions."""
    read = [_all(servers, topic, each) for each in settings.values()]
    found = list[str]()
    for name, outcome in zip(settings, await asyncio.gather(*read, return_exceptions=True), strict=True):
        if isinstance(outcome, BaseException):
            found.append(f"readers: {name}: {type(outcome).__name__}: {outcome}")
        elif outcome != truth.records:
            found.append(f"readers: {name}: {difference(outcome, truth.records)}")
    return found


def difference(read: Sequence[bytes], truth: Sequence[bytes]) -> str:
    at = next((n for n, (one, other) in enumerate(zip(read, truth, strict=False)) if one != other), min(len(read), len(truth)))
    return f"{len(read)} records of {len(truth)}, another from number {at} on"


async def _all(servers: str, topic: str, properties: Mapping[str, object]) -> list[bytes]:
    async with KafkaLog(servers, KafkaTopic(servers, topic), START.log, properties=properties) as log:
        until = time.monotonic() + clients.ANSWER_S
        while True:
            try:
                async with asyncio.timeout(READ_S_MAX), aclosing(log.read()) as records:
                    return [record async for record in records]
            except Unreachable:
                if time.monotonic() > until:
                    raise


async def until(hoped: Callable[[], bool], within_s: float) -> bool:
    end = time.monotonic() + within_s
    while not hoped():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.02)
    return True
