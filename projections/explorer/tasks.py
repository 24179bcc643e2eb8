"""Tasks and benches as they stand, and each of their attempts."""

from collections.abc import Iterator
from typing import ClassVar

from msgspec import UNSET, field

from domain.event import Event, Recorded
from domain.ids import task_id
from domain.lifecycle import BenchStatus, TaskStatus
from domain.proof import audit, bench, proof, ruling
from domain.treasury import earnings
from domain.units import ZERO, Units
from domain.work import job, task
from projections.row import Change, First, Id, Index, Key, Last, Projection, Row, Sum, Sweep


class Task(Row):
    """A task of a job, or a bench: then `job` is empty, and `fence` is 1."""

    table: ClassVar[str] = "task"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("job",)), Index(("job", "status")), Index(("job", "frame")), Index(("worker",)))
    task: Id
    position: Last[int] = UNSET
    job: First[str] = UNSET
    number: First[int] = UNSET
    """Within the job, from 1."""
    frame: First[int] = UNSET
    """From 0; likewise `group`, within the frame."""
    group: First[int] = UNSET
    wu_milli: First[int] = UNSET
    seed: First[int] = UNSET
    """Of a bench."""
    status: Last[TaskStatus | BenchStatus] = UNSET
    fence: Last[int] = UNSET
    """Number of the last attempt; likewise the worker and all times and prices below are of that."""
    worker: Last[str] = UNSET
    owner: Last[str] = UNSET
    cls: Last[str] = field(default=UNSET, name="class")
    price: Last[Units] = UNSET
    leased_us: Last[int] = UNSET
    expires_us: Last[int] = UNSET
    committed_us: Last[int] = UNSET
    """Zero: not yet; likewise the proof's position."""
    proof_position: Last[int] = UNSET
    audit: Last[str] = UNSET
    """The last one; empty: none, or the lottery waived it."""
    accepted_us: Last[int] = UNSET
    matures_us: Last[int] = UNSET
    """At the earliest."""
    matured_us: Last[int] = UNSET
    attempts: Sum[int] = 0
    failures: Sum[int] = 0
    """Attempts that ended in an error, at the gate or without a reply."""
    rejected: Sum[int] = 0


class Attempt(Row):
    """One lease of a task to a worker, and how it ended."""

    table: ClassVar[str] = "attempt"
    indexes: ClassVar[tuple[Index, ...]] = (
        Index(("worker",), "leased_position"),
        Index(("owner",), "leased_position"),
        Index(("job",), "leased_position"),
        Index((), "leased_position"),
    )
    task: Id
    fence: Key[int]
    position: Last[int] = UNSET
    leased_position: First[int] = UNSET
    leased_us: First[int] = UNSET
    job: First[str] = UNSET
    worker: First[str] = UNSET
    owner: First[str] = UNSET
    cls: First[str] = field(default=UNSET, name="class")
    asset: First[str] = UNSET
    price: First[Units] = UNSET
    wu_milli: First[int] = UNSET
    candidates: First[int] = UNSET
    """Free workers of the class within the creator's limit, at the lease."""
    runner_up_price: First[Units] = UNSET
    expires_us: First[int] = UNSET
    status: Last[str] = UNSET
    """`leased`, `committed`, `auditing`; then `accepted`, `matured`, `rejected`, `scored`, `failed`, or why it ended: `declined`,
    `error`, `no_reply`, `cancelled`, `gate`, `inconclusive`."""
    code: Last[str] = UNSET
    """What the worker or the gate said."""
    ended_us: Last[int] = UNSET
    """When it was accepted, rejected or otherwise over."""
    committed_us: First[int] = UNSET
    proof_position: First[int] = UNSET
    late: Last[bool] = UNSET
    """A proof came after the end."""
    seconds_us: First[int] = UNSET
    """What the worker says it rendered."""
    raw_bytes: First[int] = UNSET
    build: First[str] = UNSET
    device: First[str] = UNSET
    log_sha256: Last[str] = UNSET
    basis: Last[str] = UNSET
    beacon: Last[str] = UNSET
    """Of the lottery; likewise `p_ppm` and `u`."""
    p_ppm: Last[int] = UNSET
    u: Last[str] = UNSET
    audit: Last[str] = UNSET
    earned: Sum[Units] = ZERO
    """The worker's share, or its fee."""
    matured: Sum[Units] = ZERO
    matured_us: Last[int] = UNSET
    score: Last[int] = UNSET
    """Of a bench."""


class Tasks(Projection):
    name = "tasks"
    rows = (Task, Attempt)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        match e.event:
            case job.Opened() as opened:
                yield from planned(opened, e)
            case job.Closing(job=id) | job.Closed(job=id):
                yield Sweep(Task, {"job": id, "status": "ready"}, {"status": "cancelled", "position": e.pos})
            case earnings.Matured() as matured:
                for line in matured.lines:
                    yield Task(line.task, e.pos, status=line.next, matured_us=e.at_us)
                    status = line.next if line.next == "matured" else UNSET
                    yield Attempt(line.task, line.fence, e.pos, status=status, matured=line.worker, matured_us=e.at_us)
            case audit.Opened() as drawn:
                yield Task(drawn.task, e.pos, status="auditing", audit=drawn.audit)
                row = Attempt(drawn.task, drawn.fence, e.pos, status="auditing", audit=drawn.audit)
                row.beacon, row.p_ppm, row.u = drawn.beacon, drawn.p_ppm, drawn.u
                yield row
            case bench.Opened() as begun:
                yield from bench_opened(begun, e)
            case bench.Scored() as scored:
                yield Task(scored.task, e.pos, status="scored")
                yield Attempt(scored.task, 1, e.pos, status="scored", score=scored.score, ended_us=e.at_us)
            case audit.Closed(cause="bench") as closed if closed.result != "valid":
                yield Task(closed.task, e.pos, status="failed", rejected=int(closed.result == "invalid"))
                yield Attempt(closed.task, 1, e.pos, status="failed", code=closed.result, ended_us=e.at_us)
            case task.TaskEvent() as its:
                yield from attempted(its, e)


def planned(it: job.Opened, e: Recorded[Event]) -> Iterator[Task]:
    for run in it.plan:
        for number in range(run.range[0], run.range[1] + 1):
            frame, group = divmod(number - 1, it.groups)
            yield Task(task_id(it.job, number), e.pos, it.job, number, frame, group, run.wu_milli, status="ready")


def bench_opened(it: bench.Opened, e: Recorded[Event]) -> Iterator[Row]:
    who = it.worker, it.owner, it.cls
    times = e.at_us, it.expires_us
    yield Task(it.task, e.pos, "", 0, 0, 0, it.wu_milli, it.seed, "leased", it.fence, *who, ZERO, *times, attempts=1)
    yield Attempt(
        it.task,
        it.fence,
        e.pos,
        e.pos,
        e.at_us,
        "",
        *who,
        "",
        ZERO,
        it.wu_milli,
        expires_us=it.expires_us,
        status="leased",
    )


def leased(it: task.Leased, e: Recorded[Event]) -> Iterator[Row]:
    who = it.worker, it.owner, it.cls
    row = Task(it.task, e.pos, status="leased", fence=it.fence, price=it.price, attempts=1)
    row.worker, row.owner, row.cls = who
    row.leased_us, row.expires_us = e.at_us, it.expires_us
    row.committed_us, row.proof_position, row.audit = 0, 0, ""
    yield row
    yield Attempt(
        it.task,
        it.fence,
        e.pos,
        e.pos,
        e.at_us,
        it.job,
        *who,
        it.asset,
        it.price,
        it.wu_milli,
        it.candidates,
        UNSET if it.runner_up_price is None else it.runner_up_price,
        it.expires_us,
        "leased",
    )


def attempted(event: task.TaskEvent, e: Recorded[Event]) -> Iterator[Row]:
    match event:
        case task.Leased() as it:
            yield from leased(it, e)
        case proof.Committed(late=True) as it:
            yield Attempt(it.task, it.fence, e.pos, late=True)
        case proof.Committed() as it:
            yield Task(it.task, e.pos, status="committed", committed_us=e.at_us, proof_position=e.pos)
            row = Attempt(it.task, it.fence, e.pos, status="committed", committed_us=e.at_us, proof_position=e.pos)
            row.seconds_us, row.raw_bytes, row.build, row.device = it.seconds_us, it.raw_bytes, it.build, it.device
            row.log_sha256 = it.log_sha256 or UNSET
            yield row
        case task.Ended() as it:
            yield Task(it.task, e.pos, status=it.next, failures=int(it.outcome in task.FAILURES))
            row = Attempt(it.task, it.fence, e.pos, status=it.outcome, code=it.code, ended_us=e.at_us, earned=it.fee)
            row.log_sha256 = it.log_sha256 or UNSET
            yield row
        case ruling.Accepted() as it:
            yield Task(it.task, e.pos, status="accepted", accepted_us=e.at_us, matures_us=it.matures_us, audit=it.audit)
            row = Attempt(it.task, it.fence, e.pos, status="accepted", ended_us=e.at_us, earned=it.shares.worker)
            row.basis, row.beacon, row.p_ppm, row.u, row.audit = it.basis, it.beacon, it.p_ppm, it.u, it.audit
            yield row
        case ruling.Rejected() as it:
            yield Task(it.task, e.pos, status=it.next, rejected=1)
            yield Attempt(it.task, it.fence, e.pos, status="rejected", ended_us=e.at_us, audit=it.audit)
