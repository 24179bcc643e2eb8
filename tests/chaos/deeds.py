"""What is done to rivals, brokers, disks and topic. Faults heal, and are forgotten; after an ending nobody may go on."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from confluent_kafka import KafkaException

from adapters.kafka.topic import SETTINGS, Unsafe
from domain.log.block import Diverged, seal
from domain.log.ledger import NotOpened
from tests.chaos import disks
from tests.kafka.strangers import Administrator, transact, write
from tests.log.ledgers import START

if TYPE_CHECKING:
    from tests.chaos.episode import Episode

ALIEN = (b"not one of ours\n", b"", b'{"gridledger":1}\n')
RIVAL_STOPPED_S, BROKER_STOPPED_S, BROKER_AWAY_S = (0.3, 3.0), (0.3, 4.0), (0.0, 1.5)
OPEN_S = 3.0
"""Longer than a transaction may stay open."""
ON_ITS_WAY_S = 1.0
TRIES = 10
AHEAD = 200_000
"""Events, more than an episode has."""


async def rival_killed(it: "Episode") -> None:
    it.draw.choice(it.living() or it.rivals).kill()
    it.born()


async def rival_stopped(it: "Episode") -> None:
    rival = it.draw.choice(it.living() or it.rivals)
    rival.pause()
    await asyncio.sleep(it.draw.uniform(*RIVAL_STOPPED_S))
    rival.resume()


async def broker_killed(it: "Episode") -> None:
    number = it.draw.choice(it.cluster.numbers)
    async with it.brokers:
        it.cluster.kill(number)
        await asyncio.sleep(it.draw.uniform(*BROKER_AWAY_S))
        await asyncio.to_thread(it.cluster.start, number)


async def broker_stopped(it: "Episode") -> None:
    await stop_broker(it, it.draw.uniform(*BROKER_STOPPED_S))


async def broker_stopped_long(it: "Episode") -> None:
    await stop_broker(it, 3.0)


async def stop_broker(it: "Episode", seconds: float) -> None:
    number = it.draw.choice(it.cluster.numbers)
    async with it.brokers:
        it.cluster.pause(number)
        await asyncio.sleep(seconds)
        it.cluster.resume(number)


async def disk_full(it: "Episode") -> None:
    number = it.draw.choice(it.cluster.numbers)
    async with it.brokers:
        it.counts["brokers that went down without room"] += await asyncio.to_thread(disks.fill, it.cluster, number)
        it.cluster.kill(number)
        await asyncio.to_thread(it.cluster.start, number)


def stray(it: "Episode") -> bytes:
    """Something that does not count: not of this ledger, or there already."""
    return it.draw.choice([*ALIEN, *it.draw.sample(it.read, min(3, len(it.read)))])


async def stray_records(it: "Episode") -> None:
    records = [stray(it) for _ in range(it.draw.randint(1, 20))]
    async with it.brokers:
        await asyncio.to_thread(write, it.cluster.bootstrap, it.topic, *records)


async def stray_flood(it: "Episode") -> None:
    """Something strange before and after whatever the rivals write, for seconds."""
    until = time.monotonic() + 3.0
    async with it.brokers:
        while time.monotonic() < until:
            await asyncio.to_thread(write, it.cluster.bootstrap, it.topic, *(stray(it) for _ in range(200)))


async def transaction(it: "Episode", *, commit: bool, open: bool = False) -> None:
    records = [stray(it) for _ in range(3)]
    async with it.brokers:
        for attempt in range(1, TRIES + 1):
            try:
                await asyncio.to_thread(transact, it.cluster.bootstrap, it.topic, *records, commit=commit, open=open)
                break
            except KafkaException:  # its coordinator may not be back yet
                if attempt == TRIES:
                    raise
                await asyncio.sleep(0.5)
    if open:
        await asyncio.sleep(OPEN_S)


async def committed(it: "Episode") -> None:
    await transaction(it, commit=True)


async def aborted(it: "Episode") -> None:
    await transaction(it, commit=False)


async def left_open(it: "Episode") -> None:
    await transaction(it, commit=False, open=True)


async def nothing(it: "Episode") -> None:
    await asyncio.sleep(0.5)


FAULTS: Mapping[str, Callable[["Episode"], Coroutine[Any, Any, None]]] = {
    "rival killed": rival_killed,
    "rival stopped": rival_stopped,
    "broker killed": broker_killed,
    "broker stopped": broker_stopped,
    "disk full": disk_full,
    "stray records": stray_records,
    "committed transaction": committed,
    "aborted transaction": aborted,
    "open transaction": left_open,
    # For planted bugs:
    "broker stopped for long": broker_stopped_long,
    "flood of stray records": stray_flood,
    "nothing": nothing,
}
DRAWN = {
    "rival killed": 6,
    "rival stopped": 6,
    "broker killed": 3,
    "broker stopped": 3,
    "disk full": 1,
    "stray records": 2,
    "committed transaction": 1,
    "aborted transaction": 1,
    "open transaction": 1,
}
"""How often each is drawn."""


class Ending(NamedTuple):
    deed: Callable[["Episode"], None]
    faults: tuple[type[Exception], ...]
    """With one of them every rival ends."""
    within_s: float
    lost: bool
    """There is no topic any more that could take what is acknowledged."""


def administrator(it: "Episode") -> Administrator:
    return Administrator(it.cluster.bootstrap)


def deleted(it: "Episode") -> None:
    administrator(it).delete(it.topic)


def made_anew(it: "Episode") -> None:
    administrator(it).make_anew(it.topic, dict(SETTINGS))


def cut(it: "Episode") -> None:
    administrator(it).cut(it.topic, len(it.read) // 2)


def changed(name: str, value: str) -> Callable[["Episode"], None]:
    return lambda it: administrator(it).change(it.topic, name, value)


def forked(it: "Episode") -> None:
    """A record on a head that never was."""
    head = START.extend([b"another history"] * AHEAD)
    write(it.cluster.bootstrap, it.topic, seal(head, [b"that goes on"]).record)


ENDINGS = {
    "deleted": Ending(deleted, (Diverged,), 12.0, lost=True),
    "made anew": Ending(made_anew, (Diverged, NotOpened), 12.0, lost=True),
    "cut": Ending(cut, (Diverged,), 12.0, lost=False),
    "forked": Ending(forked, (Diverged,), 12.0, lost=True),
    "given a retention": Ending(changed("retention.ms", "86400000"), (Unsafe,), 8.0, lost=False),
    "compacted": Ending(changed("cleanup.policy", "compact"), (Unsafe,), 8.0, lost=False),
    "given smaller records": Ending(changed("max.message.bytes", "900000"), (Unsafe,), 8.0, lost=False),
}
