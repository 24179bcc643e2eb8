"""Jobs as the explorer shows them."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from msgspec import UNSET

from domain.event import Event, Recorded
from domain.ids import JobId
from domain.lifecycle import JobStatus
from domain.proof import audit, proof, ruling
from domain.treasury import earnings
from domain.units import ZERO, Units
from domain.work import job, task
from projections.row import Change, First, Id, Index, Key, Last, Projection, Row, Sum
from projections.tally import Tally


class Job(Row):
    """A job: what is computed, how far it is, and what it costs so far."""

    table: ClassVar[str] = "job"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("status",)), Index(("creator",)))
    job: Id
    position: Last[int] = UNSET
    status: Last[JobStatus] = UNSET
    creator: First[str] = UNSET
    asset: First[str] = UNSET
    kind: First[str] = UNSET
    engine: First[str] = UNSET
    build: First[str] = UNSET
    spec_sha256: First[str] = UNSET
    manifest_sha256: First[str] = UNSET
    frames: First[int] = UNSET
    width: First[int] = UNSET
    height: First[int] = UNSET
    columns: First[int] = UNSET
    """Of the grid of tiles; likewise `rows`."""
    rows: First[int] = UNSET
    group: First[int] = UNSET
    """Tiles per task."""
    groups: First[int] = UNSET
    """Tasks per frame."""
    samples: First[int] = UNSET
    seed: First[int] = UNSET
    vram_mib: First[int] = UNSET
    countries: First[tuple[str, ...]] = UNSET
    models: First[tuple[str, ...]] = UNSET
    """Of devices that it may run on; empty: all."""
    limit_price: First[Units] = UNSET
    deadline_us: First[int] = UNSET
    policy: First[str] = UNSET
    submitted_us: First[int] = UNSET

    quoted_us: First[int] = UNSET
    total: First[Units] = UNSET
    """By the quote, at the creator's limit."""
    eta_s: First[int] = UNSET
    wu_milli: First[int] = UNSET
    """Thousandths of a work unit, of all tasks."""
    task_wu_milli: First[int] = UNSET
    """The same of one task, their mean rounded down."""
    valid_until_us: First[int] = UNSET

    opened_us: First[int] = UNSET
    hold: First[Units] = UNSET
    locked: Sum[Units] = ZERO
    """Of the hold: prices of tasks under way."""
    spent: Sum[Units] = ZERO
    """Prices of accepted tasks, and fees of cancelled ones."""
    refund: First[Units] = UNSET
    outcome: Last[str] = UNSET
    reason: Last[str] = UNSET
    """Of a pause or of the end."""
    closed_us: First[int] = UNSET
    archived_us: First[int] = UNSET

    tasks: Sum[int] = 0
    """In all, once the job is open; the next seven add up to it."""
    ready: Sum[int] = 0
    leased: Sum[int] = 0
    committed: Sum[int] = 0
    auditing: Sum[int] = 0
    accepted: Sum[int] = 0
    dead: Sum[int] = 0
    cancelled: Sum[int] = 0
    matured: Sum[int] = 0
    """Of those accepted."""
    attempts: Sum[int] = 0
    failures: Sum[int] = 0
    """Attempts that ended in an error, at the gate or without a reply."""
    rejected: Sum[int] = 0
    audits: Sum[int] = 0
    first_leased_us: First[int] = UNSET
    last_accepted_us: Last[int] = UNSET


class Waiting(Tally):
    """The jobs of an engine that are in one status, and the work in them that is not done, by their quotes."""

    table: ClassVar[str] = "waiting"
    of = Job
    adds: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "jobs": (),
        "ready_wu_milli": ("ready", "task_wu_milli"),
        "leased_wu_milli": ("leased", "task_wu_milli"),
    }
    status: Key[JobStatus]
    engine: Key[str]
    jobs: Sum[int] = 0
    ready_wu_milli: Sum[int] = 0
    leased_wu_milli: Sum[int] = 0


class Jobs(Projection):
    name = "jobs"
    version = 2
    rows = (Job, Waiting)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        match e.event:
            case job.JobEvent() as its:
                yield from own(its, e)
            case earnings.Matured() as matured:
                for line in matured.lines:
                    yield Job(of(line.task), e.pos, matured=int(line.next == "matured"))
            case audit.Opened(job=id) if id:
                yield Job(id, e.pos, committed=-1, auditing=1, audits=1)
            case proof.Committed(job=id, late=False) if id:
                yield moved(id, e.pos, "leased", "committed")
            case task.TaskEvent(job=id) as its if id:
                yield from of_task(its, e)


def of(task: str) -> JobId:
    return JobId(task.partition("/")[0])


def own(event: job.JobEvent, e: Recorded[Event]) -> Iterator[Job]:
    match event:
        case job.Submitted() as it:
            yield submitted(it, e)
        case job.Quoted() as it:
            tasks = sum(run.range[1] - run.range[0] + 1 for run in it.wu)
            wu_milli = sum(run.wu_milli * (run.range[1] - run.range[0] + 1) for run in it.wu)
            offer = Job(it.job, e.pos, "quoted", quoted_us=e.at_us)
            offer.total, offer.eta_s, offer.valid_until_us = it.total, it.eta_s, it.valid_until_us
            offer.wu_milli, offer.task_wu_milli = wu_milli, wu_milli // max(tasks, 1)
            yield offer
        case job.Opened() as it:
            tasks = sum(run.range[1] - run.range[0] + 1 for run in it.plan)
            yield Job(it.job, e.pos, "open", opened_us=e.at_us, hold=it.hold, tasks=tasks, ready=tasks)
        case job.Paused() as it:
            yield Job(it.job, e.pos, "paused", reason=it.reason)
        case job.Resumed() as it:
            yield Job(it.job, e.pos, "open", reason="")
        case job.Closing() as it:
            yield Job(it.job, e.pos, "closing", outcome=it.outcome, reason=it.reason, ready=-it.cancelled, cancelled=it.cancelled)
        case job.Closed() as it:
            yield Job(
                it.job,
                e.pos,
                "closed",
                refund=it.refund,
                outcome=it.outcome,
                reason=it.reason,
                closed_us=e.at_us,
                ready=-it.cancelled,
                cancelled=it.cancelled,
            )
        case job.Archived() as it:
            yield Job(it.job, e.pos, "archived", archived_us=e.at_us)


def submitted(it: job.Submitted, e: Recorded[Event]) -> Job:
    spec = it.spec
    return Job(
        it.job,
        e.pos,
        "submitted",
        it.creator,
        it.asset,
        it.kind,
        it.engine,
        it.build,
        it.spec_sha256,
        it.manifest_sha256,
        spec.frames,
        *spec.size,
        *spec.tiles,
        spec.group,
        spec.groups,
        spec.samples,
        spec.seed,
        it.constraints.vram_mib,
        it.constraints.countries,
        it.constraints.models,
        it.limit_price,
        it.deadline_us,
        it.policy,
        e.at_us,
    )


def of_task(event: task.TaskEvent, e: Recorded[Event]) -> Iterator[Job]:
    match event:
        case task.Leased() as it:
            yield Job(it.job, e.pos, ready=-1, leased=1, attempts=1, locked=it.price, first_leased_us=e.at_us)
        case task.Ended() as it:
            was = "auditing" if it.outcome == "inconclusive" else "leased"
            ended = moved(it.job, e.pos, was, it.next)
            ended.locked, ended.spent, ended.failures = -it.price, it.fee, int(it.outcome in task.FAILURES)
            yield ended
        case ruling.Accepted() as it:
            accepted = moved(it.job, e.pos, "committed" if it.basis == "waived" else "auditing", "accepted")
            accepted.locked, accepted.spent, accepted.last_accepted_us = -it.price, it.price, e.at_us
            yield accepted
        case ruling.Rejected() as it:
            rejected = moved(it.job, e.pos, "auditing", it.next)
            rejected.locked, rejected.rejected = -it.price, 1
            yield rejected


def moved(id: JobId, position: int, was: str, after: str) -> Job:
    """One task less in this status, and one more in that."""
    row = Job(id, position)
    setattr(row, was, -1)
    setattr(row, after, 1)
    return row
