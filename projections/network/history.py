"""What happened when: counts, levels and money by periods of ten seconds, an hour and a day, and since the ledger began.

A level is how many of something there are: workers online, leases at work. A fold knows only that one came or went, so a period holds
two sums: by how much the level changed, and the changes weighted by the time that was left of the period. With the level at the period's
begin they give its mean: level + area / length. The level now is the sum of all changes; from there whoever draws goes backwards.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal

from msgspec import UNSET

from domain.event import Event, Recorded
from domain.log import wire
from domain.market import worker
from domain.policy import DAY, HOUR, SECOND
from domain.proof import bench, proof, ruling
from domain.treasury import batch, deposit
from domain.units import ZERO, Units
from domain.work import job, task
from projections.row import Change, Key, Last, Projection, Row, Sum

Unit = Literal["moment", "hour", "day", "ever"]
LENGTHS_US: dict[Unit, int] = {"moment": 10 * SECOND, "hour": HOUR, "day": DAY}
EVER: Unit = "ever"
"""The one period without an end; it has no areas."""


class Pace(Row):
    """How the log grew."""

    table: ClassVar[str] = "pace"
    unit: Key[Unit]
    start: Key[int]
    """How many such periods went before it, since 1970."""
    position: Last[int] = UNSET
    """Of the last event in it."""
    events: Sum[int] = 0
    bytes: Sum[int] = 0
    """Of their lines."""


class Period(Row):
    """What was done."""

    table: ClassVar[str] = "period"
    unit: Key[Unit]
    start: Key[int]
    position: Last[int] = UNSET
    jobs: Sum[int] = 0
    """Submitted."""
    jobs_closed: Sum[int] = 0
    leases: Sum[int] = 0
    """Of tasks, without benches."""
    wu_milli: Sum[int] = 0
    accepted: Sum[int] = 0
    rejected: Sum[int] = 0
    online: Sum[int] = 0
    """By how many more workers and checkers are online at the end than at the begin."""
    online_area_us: Sum[int] = 0
    work: Sum[int] = 0
    """Likewise of leases at work, benches included."""
    work_area_us: Sum[int] = 0


class Flow(Row):
    """What money did."""

    table: ClassVar[str] = "flow"
    unit: Key[str]
    asset: Key[str]
    start: Key[int]
    position: Last[int] = UNSET
    treasury: Sum[Units] = ZERO
    """By how much more there is on the chain (codes 1…)."""
    owed: Sum[Units] = ZERO
    """By how much more is owed to others (codes 2…)."""
    deposited: Sum[Units] = ZERO
    earned: Sum[Units] = ZERO
    """By workers."""
    paid: Sum[Units] = ZERO
    """On the chain, final."""


class History(Projection):
    name = "history"
    rows = (Pace, Period, Flow)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        size = len(wire.encode(e)) + 1
        for unit, length_us in LENGTHS_US.items():
            yield Pace(unit, e.at_us // length_us, e.pos, 1, size)
        if counts := counted(e.event):
            yield from periods(e, counts)
        if e.entry:
            yield from flows(e)


def counted(event: Event) -> dict[str, int]:
    match event:
        case job.Submitted():
            return {"jobs": 1}
        case job.Closed():
            return {"jobs_closed": 1}
        case task.Leased() as it:
            return {"leases": 1, "wu_milli": it.wu_milli, "work": 1}
        case ruling.Accepted():
            return {"accepted": 1}
        case ruling.Rejected():
            return {"rejected": 1}
        case worker.Online(again=False):
            return {"online": 1}
        case worker.Offline():
            return {"online": -1}
    return {"work": change} if (change := at_work(event)) else {}


def at_work(event: Event) -> int:
    """How many more leases are at work after the event."""
    match event:
        case task.Leased() | bench.Opened():
            return 1
        case proof.Committed(late=False):
            return -1
        case task.Ended(outcome=outcome):
            return -int(outcome != "inconclusive")
    return 0


def area_us(e: Recorded[Event], length_us: int, change: int) -> int:
    """The change for what is left of the period."""
    return change * (length_us - e.at_us % length_us)


def periods(e: Recorded[Event], counts: dict[str, int]) -> Iterator[Period]:
    online, work = counts.get("online", 0), counts.get("work", 0)
    for unit, length_us in LENGTHS_US.items():
        row = Period(unit, e.at_us // length_us, e.pos, **counts)
        row.online_area_us, row.work_area_us = area_us(e, length_us, online), area_us(e, length_us, work)
        yield row
    yield Period(EVER, 0, e.pos, **counts)


def flows(e: Recorded[Event]) -> Iterator[Flow]:
    sums: dict[str, list[int]] = {}
    for account, amount in e.entry:
        asset, _, code = account.partition(":")
        if code[0] in "12":
            of = sums.setdefault(asset, [0, 0])
            of[code[0] == "2"] += amount if code[0] == "1" else -amount
    for asset, (treasury, owed) in sums.items():
        gains = gained(e.event, asset)
        if not any((treasury, owed, *gains)):
            continue
        for unit, start in [*((unit, e.at_us // length_us) for unit, length_us in LENGTHS_US.items()), (EVER, 0)]:
            yield Flow(unit, asset, start, e.pos, Units(treasury), Units(owed), *gains)


def gained(event: Event, asset: str) -> tuple[Units, Units, Units]:
    """Deposited, earned, paid."""
    match event:
        case deposit.Finalised(credited=True, asset=its) as it if its == asset:
            return it.amount, ZERO, ZERO
        case ruling.Accepted(asset=its) as it if its == asset:
            return ZERO, it.shares.worker, ZERO
        case task.Ended(asset=its) as it if its == asset:
            return ZERO, it.fee, ZERO
        case batch.Finalised(asset=its) as it if its == asset:
            return ZERO, ZERO, Units(sum(item.amount for item in it.paid))
    return ZERO, ZERO, ZERO
