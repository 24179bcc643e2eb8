"""Workers and checkers: who they are, whether they are there, what they did and earned, and how they stand in each class."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from msgspec import UNSET, field

from domain.event import Event, Recorded
from domain.lifecycle import Mode, Presence
from domain.market import bid, worker
from domain.proof import audit, bench, proof, ruling, verdict
from domain.treasury import earnings, stake
from domain.units import ZERO, Units
from domain.work import task
from projections.row import Change, First, Id, Index, Key, Last, Projection, Row, Sum
from projections.tally import Tally

Devices = tuple[worker.Device, ...]

WorkerKind = worker.Kind


class Worker(Row):
    """One worker or checker."""

    table: ClassVar[str] = "worker"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("owner",)), Index(("kind",)), Index(("presence",)), Index(("kind", "presence")))
    worker: Id
    position: Last[int] = UNSET
    owner: First[str] = UNSET
    kind: First[WorkerKind] = UNSET
    slots: Last[int] = UNSET
    devices: Last[Devices] = UNSET
    ram_mib: Last[int] = UNSET
    country: Last[str] = UNSET
    classes: First[tuple[str, ...]] = UNSET
    name_commitment: Last[str] = UNSET
    registered_us: First[int] = UNSET
    mode: Last[Mode] = UNSET
    presence: Last[Presence] = UNSET
    online_us: Last[int] = UNSET
    """When it last came online."""
    offline_us: Last[int] = UNSET
    offline_reason: Last[str] = UNSET
    last_seen_us: Last[int] = UNSET
    uptime_us: Sum[int] = 0
    """Online, up to when it last went offline."""
    quarantined_us: Last[int] = UNSET
    """Until when; zero: it is not."""
    quarantine_audit: Last[str] = UNSET

    leases: Sum[int] = 0
    """Now."""
    attempts: Sum[int] = 0
    """Leases of tasks, in all; the next seven count those that are over."""
    accepted: Sum[int] = 0
    rejected: Sum[int] = 0
    failed: Sum[int] = 0
    """Error, gate or no reply."""
    declined: Sum[int] = 0
    cancelled: Sum[int] = 0
    inconclusive: Sum[int] = 0
    late: Sum[int] = 0
    """Proofs that came too late."""
    benches: Sum[int] = 0
    benches_failed: Sum[int] = 0
    audits: Sum[int] = 0
    """Of its tasks; the next three by their result."""
    audits_valid: Sum[int] = 0
    audits_invalid: Sum[int] = 0
    audits_inconclusive: Sum[int] = 0
    last_leased_us: Last[int] = UNSET

    earned: Sum[Units] = ZERO
    """Shares of accepted tasks and fees of cancelled ones; likewise what has matured of it, and what a conviction took."""
    matured: Sum[Units] = ZERO
    forfeited: Sum[Units] = ZERO
    """Of its unmatured shares, by its own conviction or another one of its owner's. What is accrued: earned - matured - forfeited."""
    slashed: Sum[Units] = ZERO
    """By its own convictions, stake and shares."""

    checks: Sum[int] = 0
    """As a checker: how often it was drawn; the next four what came of it."""
    checks_valid: Sum[int] = 0
    checks_invalid: Sum[int] = 0
    checks_inconclusive: Sum[int] = 0
    checks_missed: Sum[int] = 0


class Standing(Row):
    """A worker in a class: its bid and its score."""

    table: ClassVar[str] = "standing"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("cls",)), Index(("cls",), "price_per_kwu"))
    worker: Id
    cls: Key[str] = field(name="class")
    position: Last[int] = UNSET
    owner: First[str] = UNSET
    kind: First[WorkerKind] = UNSET
    price_per_kwu: Last[Units] = UNSET
    """The standing bid; zero: none."""
    bid_us: Last[int] = UNSET
    bid_expires_us: Last[int] = UNSET
    """Zero: never."""
    number: Last[int] = UNSET
    score: Last[int] = UNSET
    """Thousandths of a work unit per second; zero: none."""
    scored_us: Last[int] = UNSET
    seconds_us: Last[int] = UNSET
    """Of the last bench, by ledger time."""
    bench: Last[str] = UNSET


class Level(Tally):
    """The bids of a class at one price, until one time."""

    table: ClassVar[str] = "level"
    of = Standing
    adds: ClassVar[Mapping[str, tuple[str, ...]]] = {"bids": ()}
    cls: Key[str] = field(name="class")
    price_per_kwu: Key[Units]
    """Zero: no bid."""
    bid_expires_us: Key[int]
    """Zero: never."""
    bids: Sum[int] = 0


class Workers(Projection):
    name = "workers"
    version = 2
    rows = (Worker, Standing, Level)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        match e.event:
            case worker.WorkerEvent() as its:
                yield from own(its, e)
            case audit.AuditEvent() as its:
                yield from audited(its, e)
            case task.TaskEvent() as its:
                yield from worked(its, e)
            case bench.Opened() as it:
                yield Worker(it.worker, e.pos, leases=1, benches=1, last_leased_us=e.at_us)
            case earnings.Matured() as it:
                for line in it.lines:
                    yield Worker(line.earner, e.pos, matured=line.worker)
            case stake.Slashed() as it:
                yield Worker(it.worker, e.pos, slashed=it.from_stake + it.from_accrued)
                for part in it.taken:
                    yield Worker(part.worker, e.pos, forfeited=part.amount)


def own(event: worker.WorkerEvent, e: Recorded[Event]) -> Iterator[Row]:
    match event:
        case worker.Registered() as it:
            machine = it.slots, it.devices, it.ram_mib, it.country, it.classes, it.name_commitment
            yield Worker(it.worker, e.pos, it.owner, it.kind, *machine, e.at_us, "active", "offline", quarantined_us=0)
            for cls in it.classes:
                yield Standing(it.worker, cls, e.pos, it.owner, it.kind, ZERO, 0, 0, 0, 0, 0, 0, "")
        case worker.Changed() as it:
            changed = Worker(it.worker, e.pos, mode=it.mode, slots=it.slots)
            changed.devices = UNSET if it.devices is None else it.devices
            changed.ram_mib = UNSET if it.ram_mib is None else it.ram_mib
            changed.country = UNSET if it.country is None else it.country
            changed.name_commitment = UNSET if it.name_commitment is None else it.name_commitment
            yield changed
            yield from (Standing(it.worker, cls, e.pos, score=0) for cls in it.rebenched)
        case worker.Online() as it:
            yield Worker(it.worker, e.pos, presence="online", online_us=UNSET if it.again else e.at_us)
        case worker.Offline() as it:
            row = Worker(it.worker, e.pos, presence="offline", offline_us=e.at_us, offline_reason=it.reason)
            row.last_seen_us, row.uptime_us = it.last_seen_us, e.at_us - it.online_us
            yield row
        case worker.Quarantined() as it:
            yield Worker(it.worker, e.pos, quarantined_us=it.until_us, quarantine_audit=it.audit)
        case worker.Released() as it:
            yield Worker(it.worker, e.pos, quarantined_us=0)
        case bid.Set() as it:
            price = ZERO if it.price_per_kwu is None else it.price_per_kwu
            row_ = Standing(it.worker, it.cls, e.pos, price_per_kwu=price, bid_us=e.at_us)
            row_.bid_expires_us, row_.number = it.expires_us, it.number
            yield row_
        case bench.Scored() as it:
            scored = Standing(it.worker, it.cls, e.pos, score=it.score, scored_us=e.at_us)
            scored.seconds_us, scored.bench = it.seconds_us, it.task
            yield scored


def audited(event: audit.AuditEvent, e: Recorded[Event]) -> Iterator[Worker]:
    match event:
        case audit.RoundEvent() as it:
            if isinstance(it, audit.Opened) and it.job:
                yield Worker(it.worker, e.pos, audits=1)
            for checker in it.checkers:
                yield Worker(checker, e.pos, checks=1)
        case audit.Closed() as it:
            if it.job:
                yield counted(Worker(it.worker, e.pos), f"audits_{it.result}")
            elif it.result != "valid":
                yield Worker(it.worker, e.pos, benches_failed=1)
            for checker in it.missed:
                yield Worker(checker, e.pos, checks_missed=1)
        case verdict.Revealed() as it:
            yield counted(Worker(it.checker, e.pos), f"checks_{it.verdict}")


def worked(event: task.TaskEvent, e: Recorded[Event]) -> Iterator[Worker]:
    match event:
        case task.Leased() as it:
            yield Worker(it.worker, e.pos, leases=1, attempts=1, last_leased_us=e.at_us)
        case proof.Committed() as it:
            yield Worker(it.worker, e.pos, late=1) if it.late else Worker(it.worker, e.pos, leases=-1)
        case task.Ended() as it:
            over = "failed" if it.outcome in task.FAILURES else it.outcome
            kind = over if it.job else "benches_failed"
            yield counted(Worker(it.worker, e.pos, leases=-(it.outcome != "inconclusive"), earned=it.fee), kind)
        case ruling.Accepted() as it:
            yield Worker(it.worker, e.pos, accepted=1, earned=it.shares.worker)
        case ruling.Rejected() as it:
            yield Worker(it.worker, e.pos, rejected=1)


def counted(row: Worker, name: str) -> Worker:
    """The row, with one more in this column."""
    setattr(row, name, 1)
    return row
