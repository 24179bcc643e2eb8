"""Audits, their rounds, and the verdicts of those who were drawn."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from msgspec import UNSET, field

from domain.event import Event, Recorded
from domain.lifecycle import AuditStatus
from domain.proof import audit, verdict
from projections.row import Change, First, Id, Index, Key, Last, Projection, Row, Sum

Metrics = tuple[verdict.Metric, ...]
Cause = audit.Cause
Result = audit.Result


class Audit(Row):
    table: ClassVar[str] = "audit"
    indexes: ClassVar[tuple[Index, ...]] = (
        *(Index((name,)) for name in ("task", "job", "worker", "status", "result", "cause")),
        Index(("job", "status")),
    )
    audit: Id
    position: Last[int] = UNSET
    task: First[str] = UNSET
    job: First[str] = UNSET
    """Empty for a bench."""
    fence: First[int] = UNSET
    worker: First[str] = UNSET
    """Whose work is checked."""
    owner: First[str] = UNSET
    cls: First[str] = field(default=UNSET, name="class")
    cause: First[Cause] = UNSET
    status: Last[AuditStatus] = UNSET
    result: Last[Result] = UNSET
    proof_position: First[int] = UNSET
    beacon: First[str] = UNSET
    p_ppm: First[int] = UNSET
    u: First[str] = UNSET
    round: Last[int] = UNSET
    opened_us: First[int] = UNSET
    due_us: Last[int] = UNSET
    closed_us: Last[int] = UNSET
    drawn: Sum[int] = 0
    """Checkers, in all rounds; the next five say what became of them."""
    sealed: Sum[int] = 0
    valid: Sum[int] = 0
    invalid: Sum[int] = 0
    inconclusive: Sum[int] = 0
    missed: Sum[int] = 0


class Round(Row):
    table: ClassVar[str] = "audit_round"
    audit: Id
    round: Key[int]
    position: Last[int] = UNSET
    regions: First[tuple[int, ...]] = UNSET
    """Tiles of the task, from 0."""
    checkers: First[tuple[str, ...]] = UNSET
    opened_us: First[int] = UNSET
    due_us: Last[int] = UNSET
    looked_us: First[int] = UNSET
    """When a later beacon decided whether another checker takes a second look; the next four are of that lottery."""
    second: First[tuple[str, ...]] = UNSET
    """Who does; nobody if it was not drawn."""
    beacon: First[str] = UNSET
    p_ppm: First[int] = UNSET
    u: First[str] = UNSET


class Verdict(Row):
    """What one checker found."""

    table: ClassVar[str] = "verdict"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("checker",)), Index(("checker", "status")))
    audit: Id
    checker: Id
    position: Last[int] = UNSET
    task: First[str] = UNSET
    round: First[int] = UNSET
    status: Last[Literal["drawn", "sealed", "revealed", "missed"]] = UNSET
    owner: First[str] = UNSET
    seal: First[str] = UNSET
    sealed_us: First[int] = UNSET
    verdict: First[Result] = UNSET
    metrics: First[Metrics] = UNSET
    comparator: First[str] = UNSET
    evidence_sha256: First[tuple[str, ...]] = UNSET
    """The checker's own rendering of each region."""
    nonce: First[str] = UNSET
    revealed_us: First[int] = UNSET


class Audits(Projection):
    name = "audits"
    rows = (Audit, Round, Verdict)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        match e.event:
            case audit.Opened() as it:
                whose = it.task, it.job, it.fence, it.worker, it.owner, it.cls, it.cause
                lot = it.proof_pos, it.beacon, it.p_ppm, it.u
                yield Audit(it.audit, e.pos, *whose, "checking", UNSET, *lot, 1, e.at_us, it.due_us, drawn=len(it.checkers))
                yield from drawn(it, e)
            case audit.Widened() as it:
                yield Audit(it.audit, e.pos, status="checking", round=it.round, due_us=it.due_us, drawn=len(it.checkers))
                yield from drawn(it, e)
            case audit.SecondLook() as it:
                yield Audit(it.audit, e.pos, due_us=it.due_us, drawn=len(it.checkers))
                look = Round(it.audit, it.round, e.pos, due_us=it.due_us, looked_us=e.at_us)
                look.second, look.beacon, look.p_ppm, look.u = it.checkers, it.beacon, it.p_ppm, it.u
                yield look
                yield from asked(it, e)
            case verdict.Committed() as it:
                yield Audit(it.audit, e.pos, sealed=1)
                sealed = Verdict(it.audit, it.checker, e.pos, status="sealed", owner=it.owner)
                sealed.seal, sealed.sealed_us = it.seal, e.at_us
                yield sealed
            case verdict.Revealed() as it:
                row = Audit(it.audit, e.pos, status="revealing")
                setattr(row, it.verdict, 1)
                yield row
                revealed = Verdict(it.audit, it.checker, e.pos, status="revealed", verdict=it.verdict, revealed_us=e.at_us)
                revealed.metrics, revealed.comparator = it.metrics, it.comparator
                revealed.evidence_sha256, revealed.nonce = it.evidence_sha256, it.nonce
                yield revealed
            case audit.Closed() as it:
                yield Audit(it.audit, e.pos, status="closed", result=it.result, closed_us=e.at_us, missed=len(it.missed))
                for checker in it.missed:
                    yield Verdict(it.audit, checker, e.pos, status="missed")


def drawn(it: audit.RoundEvent, e: Recorded[Event]) -> Iterator[Row]:
    yield Round(it.audit, it.round, e.pos, it.regions, it.checkers, e.at_us, it.due_us)
    yield from asked(it, e)


def asked(it: audit.RoundEvent, e: Recorded[Event]) -> Iterator[Verdict]:
    for checker in it.checkers:
        yield Verdict(it.audit, checker, e.pos, it.task, it.round, "drawn")
