"""Bugs that somebody could have written into the adapter of Kafka, or into what leads on it; among them those that it had once. Each is a
few lines that are put in the place of the product's, in every process of a run."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from adapters import succession
from adapters.kafka import clients
from adapters.kafka import log as logs
from adapters.kafka import topic as topics
from domain.log.block import Sealed, Void, read_header
from domain.log.log import Lost, OutcomeUnknown, Unreachable

Patch = tuple[Any, str, Any]
"""(Owner, name, what is there instead.)"""
ELECTION = b'"type":"ledger.leader_elected.v1"'


@contextmanager
def planted(bug: str) -> Iterator[None]:
    """While this lasts, in this process. Empty: none."""
    with ExitStack() as stack:
        for owner, name, value in BUGS[bug]() if bug else ():
            stack.enter_context(mock.patch.object(owner, name, value))
        yield


def answered_early() -> list[Patch]:
    real, under_way = logs.KafkaLog.append, list[asyncio.Task[None]]()

    async def append(self: logs.KafkaLog, block: Sealed) -> None:
        before, under_way[:] = under_way[:], []
        await asyncio.gather(*before)
        if ELECTION in block.record:
            return await real(self, block)
        under_way.append(asyncio.create_task(real(self, block)))
        return None

    return [(logs.KafkaLog, "append", append)]


class Anything:
    def __contains__(self, code: object) -> bool:
        return True


def unknown_is_lost() -> list[Patch]:
    return [(clients, "NEVER_TAKEN", Anything())]


def delivered_is_in() -> list[Patch]:
    real = logs.KafkaLog.append

    async def append(self: logs.KafkaLog, block: Sealed) -> None:
        try:
            await real(self, block)
        except Lost as lost:
            if str(lost) != "another block came first":
                raise

    return [(logs.KafkaLog, "append", append)]


def elsewhere_is_lost() -> list[Patch]:
    real = logs.KafkaLog._fold

    async def fold(self: logs.KafkaLog, place: logs.Place, until: int | None = None) -> logs.Place:
        return await real(self, place, None if until is None else until - 1)

    return [(logs.KafkaLog, "_fold", fold)]


def folded_beyond_its_own() -> list[Patch]:
    real = logs.KafkaLog._fold

    async def fold(self: logs.KafkaLog, place: logs.Place, until: int | None = None) -> logs.Place:
        return await real(self, place)

    return [(logs.KafkaLog, "_fold", fold)]


def void_counts() -> list[Patch]:
    def judge(mark: Any, record: bytes) -> Any:
        if (header := read_header(record)) is None:
            raise Void("alien")
        return header

    return [(logs, "judge", judge)]


def committed_only() -> list[Patch]:
    settings = {name: value for name, value in clients.CONSUMER.items() if name != "isolation.level"}
    return [(clients, "CONSUMER", settings)]


def markers_not_stepped_over() -> list[Patch]:
    real = clients.Reader.batch

    async def batch(self: clients.Reader, offset: int) -> tuple[list[Any], int]:
        messages, _ = await real(self, offset)
        return messages, clients.offset_of(messages[-1]) + 1 if messages else offset

    return [(clients.Reader, "batch", batch)]


def topic_not_watched() -> list[Patch]:
    real, last = clients.Writer.send, [0]

    async def send(self: clients.Writer, topic: str, record: bytes) -> int:
        last[0] = max(await real(self, topic, record), last[0] + 1)
        return last[0]

    async def watch(self: topics.KafkaTopic, reached: object) -> None:
        await asyncio.Event().wait()

    return [(clients.Writer, "send", send), (topics.KafkaTopic, "watch", watch)]


def settings_not_watched() -> list[Patch]:
    async def check(self: topics.KafkaTopic, facts: topics.Facts) -> None:
        return

    return [(topics.KafkaTopic, "_check", check)]


def leads_without_election() -> list[Patch]:
    real = succession.Succession.take_over

    async def take_over(self: Any, ledger: Any, *, again: bool) -> Any:
        while True:
            try:
                await succession.catch_up(self._log, ledger)
                return ledger if ledger.world.leader else await real(self, ledger, again=again)
            except Unreachable:
                await asyncio.sleep(succession.RETRY_S)

    return [(succession.Succession, "take_over", take_over)]


def sent_again_by_another() -> list[Patch]:
    real = logs.KafkaLog.append

    async def append(self: logs.KafkaLog, block: Sealed) -> None:
        try:
            await real(self, block)
        except OutcomeUnknown:
            await real(self, block)

    return [(logs.KafkaLog, "append", append)]


BUGS: dict[str, Callable[[], list[Patch]]] = {
    "answered early": answered_early,
    "unknown is lost": unknown_is_lost,
    "delivered is in": delivered_is_in,
    "elsewhere is lost": elsewhere_is_lost,
    "folded beyond its own": folded_beyond_its_own,
    "void counts": void_counts,
    "committed only": committed_only,
    "markers not stepped over": markers_not_stepped_over,
    "topic not watched": topic_not_watched,
    "settings not watched": settings_not_watched,
    "leads without election": leads_without_election,
    "sent again by another producer": sent_again_by_another,
}
