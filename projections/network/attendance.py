"""Of each worker: when it was online, and by days and hours what it did and earned. Levels as in projections/network/history.py."""

from collections.abc import Iterator
from typing import ClassVar

from msgspec import UNSET

from domain.event import Event, Recorded
from domain.market import worker
from domain.policy import DAY, HOUR
from domain.proof import bench, proof, ruling
from domain.units import ZERO, Units
from domain.work import task
from projections.network import history
from projections.row import Change, First, Id, Key, Last, Projection, Row, Sum


class Session(Row):
    """A stretch of time in which a worker was online."""

    table: ClassVar[str] = "session"
    worker: Id
    online_us: Key[int]
    """When it came."""
    position: Last[int] = UNSET
    offline_us: First[int] = UNSET
    last_seen_us: First[int] = UNSET
    reason: First[str] = UNSET
    """Why it ended: `left`, `silent` or `no_reply`."""


class WorkerDay(Row):
    """What a day (UTC) added."""

    table: ClassVar[str] = "worker_day"
    worker: Id
    day: Key[int]
    """Days since 1970."""
    position: Last[int] = UNSET
    leases: Sum[int] = 0
    """Of tasks."""
    accepted: Sum[int] = 0
    rejected: Sum[int] = 0
    earned: Sum[Units] = ZERO
    online: Sum[int] = 0
    """One more: it is online at the end of the day and was not at its begin."""
    online_area_us: Sum[int] = 0
    work: Sum[int] = 0
    """By how many more leases are at work, benches included."""
    work_area_us: Sum[int] = 0


class WorkerHour(Row):
    """What an hour (UTC) added: as in a day, less what only days are counted by."""

    table: ClassVar[str] = "worker_hour"
    worker: Id
    hour: Key[int]
    """Hours since 1970."""
    position: Last[int] = UNSET
    earned: Sum[Units] = ZERO
    online: Sum[int] = 0
    online_area_us: Sum[int] = 0
    work: Sum[int] = 0
    work_area_us: Sum[int] = 0


class Attendance(Projection):
    name = "attendance"
    version = 2
    rows = (Session, WorkerDay, WorkerHour)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        match e.event:
            case worker.Online(again=False) as it:
                yield Session(it.worker, e.at_us, e.pos)
                yield from at(it.worker, e, online=1)
            case worker.Offline() as it:
                yield Session(it.worker, it.online_us, e.pos, e.at_us, it.last_seen_us, it.reason)
                yield from at(it.worker, e, online=-1)
            case task.Leased() as it:
                yield from at(it.worker, e, work=1, leases=1)
            case ruling.Accepted() as it:
                yield from at(it.worker, e, accepted=1, earned=it.shares.worker)
            case ruling.Rejected() as it:
                yield from at(it.worker, e, rejected=1)
            case task.Ended() as it:
                yield from at(it.worker, e, work=history.at_work(it), earned=it.fee)
            case bench.Opened() | proof.Committed() as it:
                yield from at(it.worker, e, work=history.at_work(it))


def at(
    id: str,
    e: Recorded[Event],
    *,
    work: int = 0,
    online: int = 0,
    leases: int = 0,
    accepted: int = 0,
    rejected: int = 0,
    earned: Units = ZERO,
) -> Iterator[Row]:
    """In its day and, if that moves there too, in its hour."""
    areas = history.area_us(e, DAY, online), history.area_us(e, DAY, work)
    yield WorkerDay(id, e.at_us // DAY, e.pos, leases, accepted, rejected, earned, online, areas[0], work, areas[1])
    if work or online or earned:
        areas = history.area_us(e, HOUR, online), history.area_us(e, HOUR, work)
        yield WorkerHour(id, e.at_us // HOUR, e.pos, earned, online, areas[0], work, areas[1])
