"""Verdicts: sealed first, so that no checker copies another's; then opened."""

from bisect import insort
from collections.abc import Iterator
from hashlib import sha256
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from domain import body
from domain.errors import DeadlinePassed, NotAllowed, NotDrawn, SealBroken, TooEarly, VerdictNotByRule
from domain.event import Event, Origin
from domain.ids import AccountId, AuditId, WorkerId
from domain.lifecycle import AUDIT
from domain.parts import Audit
from domain.proof import comparator, ruling
from domain.proof.audit import AuditEvent
from domain.signing import Claim
from domain.value import Value
from domain.work.task import me
from domain.world import World

Verdict = Literal["valid", "invalid", "inconclusive"]


class Committed(AuditEvent, tag="verdict.committed.v1"):
    """A checker has rendered its regions, and sealed what it found."""

    who: ClassVar[str] = "a drawn checker"

    checker: WorkerId
    owner: AccountId
    round: int
    seal: str
    signature: str

    def apply(self, world: World) -> None:
        audit = world.audits[self.audit]
        audit.move(self.verb())
        audit.seals[self.checker] = self.seal
        if len(audit.seals) == 1 and len(audit.rounds) == 1 and world.policy.second_look_ppm:
            audit.looking = True
            world.drop_timer("tally", self.audit)
            insort(world.looks_waiting, (world.at_us, world.pos, self.audit))
        elif all(checker in audit.seals for checker in audit.rounds[-1].checkers):
            world.set_timer("tally", self.audit, world.at_us + world.policy.reveal_us)

    def claims(self) -> tuple[Claim, ...]:
        return (sealing(self.audit, self.checker, self.round, self.seal, self.owner, self.signature),)


class Metric(Value):
    """One region of the worker's against the checker's (domain/proof/comparator.py)."""

    region: int
    equal: bool
    psnr_mdb: int | None
    """Peak signal to noise in thousandths of a decibel; none where there is no noise."""
    differing_ppm: int
    """Pixels of a million that differ visibly."""


class Revealed(AuditEvent, tag="verdict.revealed.v1"):
    """The seal was opened."""

    who: ClassVar[str] = "a drawn checker"

    checker: WorkerId
    round: int
    verdict: Verdict
    metrics: tuple[Metric, ...]
    comparator: str
    evidence_sha256: tuple[str, ...]
    """The checker's own rendering of each region."""
    nonce: str

    def apply(self, world: World) -> None:
        audit = world.audits[self.audit]
        audit.move(self.verb())
        audit.verdicts[self.checker] = self.verdict


def sealing(audit: AuditId, checker: WorkerId, round: int, seal: str, owner: AccountId, signature: str) -> Claim:
    fields = (("audit", audit), ("checker", checker), ("round", round), ("seal", seal))
    return Claim("Verdict", fields, owner, "agent", signature)


def seal_of(audit: str, checker: str, verdict: str, metrics: tuple[Metric, ...], evidence: tuple[str, ...], nonce: str) -> str:
    """SHA-256 of these lines, joined by a line feed: the tag, audit, checker, verdict, `region equal psnr differing` per region,
    evidence hashes, nonce. `equal` is 0 or 1, a missing PSNR is `-`."""
    rows = [f"{m.region} {int(m.equal)} {'-' if m.psnr_mdb is None else m.psnr_mdb} {m.differing_ppm}" for m in metrics]
    return sha256("\n".join(["gl/verdict/1", audit, checker, verdict, *rows, *evidence, nonce]).encode()).hexdigest()


def drawn(audit: Audit, checker: WorkerId) -> int:
    """The checker's round, from 1."""
    for number, each in enumerate(audit.rounds, 1):
        if checker in each.checkers:
            return number
    raise NotDrawn(id=checker, audit=audit.id)


class Commit(body.Body):
    """Commit to a verdict by its seal. Signed by an agent key of the checker's owner."""

    audit: body.Audit
    checker: body.Worker
    round: Annotated[int, Field(ge=1, le=100)]
    seal: body.Digest
    signature: body.Signature

    def claim(self, account: AccountId) -> Claim:
        return sealing(self.audit, self.checker, self.round, self.seal, account, self.signature)

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        checker = me(world, origin)
        audit = world.audits.get(self.audit) or origin.missing(self.audit)
        origin.require_signature(world, self.claim(checker.owner))
        if checker.id != self.checker or drawn(audit, checker.id) != self.round:
            raise NotDrawn(id=self.checker, audit=audit.id)
        if audit.seals.get(checker.id) == self.seal:
            return
        if checker.id in audit.seals:
            raise NotAllowed(what=audit.id, status="sealed by this checker", happens=Committed.verb())
        AUDIT.guard(audit.id, audit.status, Committed.verb())
        if self.round != len(audit.rounds) or origin.at_us >= max(audit.due_us, graced(world, audit)):
            raise DeadlinePassed(what=f"the verdict on {audit.id}", due_us=audit.due_us)
        yield Committed(audit.id, audit.task, checker.id, checker.owner, self.round, self.seal, self.signature)


def graced(world: World, audit: Audit) -> int:
    """An election moves the audit's timer on; its verdicts are due as much later."""
    return (world.timer("tally", audit.id) or 0) - world.policy.reveal_us


class MetricIn(body.Body):
    """What was measured of one region; `region` is the tile within the task."""

    region: Annotated[int, Field(ge=0, le=99)]
    equal: bool
    psnr_mdb: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] | None
    differing_ppm: Annotated[int, Field(ge=0, le=1_000_000)]


class Reveal(body.Body):
    """Open the seal. The evidence, the checker's own regions, is in the store already."""

    audit: body.Audit
    checker: body.Worker
    verdict: Verdict
    metrics: Annotated[tuple[MetricIn, ...], Field(min_length=1, max_length=3, strict=False)]
    comparator: body.Word
    evidence_sha256: Annotated[tuple[body.Digest, ...], Field(min_length=1, max_length=3, strict=False)]
    nonce: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        checker = me(world, origin)
        audit = world.audits.get(self.audit) or origin.missing(self.audit)
        round = drawn(audit, checker.id)
        if checker.id in audit.verdicts:
            return
        AUDIT.guard(audit.id, audit.status, Revealed.verb())
        metrics = tuple(Metric(m.region, m.equal, m.psnr_mdb, m.differing_ppm) for m in self.metrics)
        seal = seal_of(audit.id, checker.id, self.verdict, metrics, self.evidence_sha256, self.nonce)
        if checker.id != self.checker or audit.seals.get(checker.id) != seal:
            raise SealBroken(audit=audit.id)
        if audit.looking:
            raise TooEarly(what=Revealed.verb(), due_us=(world.next_grid_us() or origin.at_us) + world.policy.delay_us)
        waiting = [each for each in audit.rounds[-1].checkers if each not in audit.seals]
        if waiting and origin.at_us < audit.due_us:
            raise TooEarly(what=Revealed.verb(), due_us=audit.due_us)
        if (over_us := world.timer("tally", audit.id)) is not None and origin.at_us >= over_us:
            raise DeadlinePassed(what=f"the reveal for {audit.id}", due_us=over_us)
        self._check_rule(world, audit, checker.classes, round)
        yield Revealed(audit.id, audit.task, checker.id, round, self.verdict, metrics, self.comparator, self.evidence_sha256, self.nonce)
        if all(each in audit.verdicts for each in audit.rounds[-1].checkers if each in audit.seals):
            yield from ruling.rule(world, audit, origin.at_us)

    def _check_rule(self, world: World, audit: Audit, classes: object, round: int) -> None:
        """A verdict follows from its metrics by the comparator's rule; a checker says what it measured, not what it thinks."""
        regions = [metric.region for metric in self.metrics]
        if regions != audit.rounds[round - 1].regions or len(self.evidence_sha256) != len(regions):
            raise NotDrawn(id=f"the regions {regions}", audit=audit.id)
        seen = [comparator.Metrics(m.equal, m.psnr_mdb, m.differing_ppm) for m in self.metrics]
        expected = comparator.verdict(comparator.worst(seen), audit.cls in classes)  # type: ignore[operator]
        if self.verdict != expected:
            raise VerdictNotByRule(expected=expected)
