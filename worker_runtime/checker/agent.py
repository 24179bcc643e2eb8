"""What a checker does next. No I/O, no clock: inputs in, actions out; worker_runtime/loop.py performs them.

Each audit that it is drawn for: waiting → rendering → filing → comparing → keeping → sealing → sealed → revealing → over. It renders
its regions before it may see the worker's, files them as evidence, and only then compares; so it cannot hand back what it was to
check. The verdict follows from the numbers. Its nonce lies on disk before the seal is sent: a checker that was killed in between can
still open its seal.
"""

from collections.abc import Sequence
from typing import Literal

from domain.event import Event, Recorded
from domain.ids import AuditId, TaskId, WorkerId
from domain.market import worker
from domain.proof import audit as audits
from domain.proof import comparator
from domain.proof import verdict as verdicts
from domain.value import Value
from worker_runtime import inputs
from worker_runtime.inputs import Action, Answered, Input, Refused, Silent
from worker_runtime.presence import BEAT_US, Presence

TRIES_MAX = 3
PATIENCE_US = 200_000
"""Before a reveal that came too early is tried again; twice as long each time."""
PATIENCE_DOUBLED_MAX = 6


class Check(Value):
    """What was drawn: regions are indexes within the task's tiles, times are ledger times."""

    audit: AuditId
    task: TaskId
    fence: int
    round: int
    regions: tuple[int, ...]
    checkers: tuple[WorkerId, ...]
    due_us: int


class Found(Value):
    """A verdict, sealed by `nonce`."""

    round: int
    verdict: comparator.Verdict
    metrics: tuple[verdicts.Metric, ...]
    evidence: tuple[str, ...]
    nonce: str

    def seal(self, audit: AuditId, checker: WorkerId) -> str:
        return verdicts.seal_of(audit, checker, self.verdict, self.metrics, self.evidence, self.nonce)


class RoundBegan(Input):
    """An audit was opened, or widened."""

    check: Check


class SealSeen(Input):
    """Some checker committed to a verdict."""

    audit: AuditId
    checker: WorkerId


class OfAudit(Input):
    audit: AuditId


class Closed(OfAudit):
    """The audit is over, or our part in it: our verdict is revealed."""


class Rendered(OfAudit):
    """Our regions are rendered."""


class Filed(OfAudit):
    """They are evidence now, under these names."""

    evidence: tuple[str, ...]


class Compared(OfAudit):
    """Region by region, the worker's against ours; `nonce` are 16 random bytes as hex."""

    metrics: tuple[verdicts.Metric, ...]
    nonce: str


class Kept(OfAudit):
    """The verdict lies on disk."""


class Remembered(OfAudit):
    """It was kept by an earlier process of this checker."""

    found: Found


class Failed(OfAudit):
    """Rendering, filing or comparing did not succeed. `code` says why, in a word."""

    code: str


class Render(Action):
    check: Check


class Kill(Action):
    """End at once whatever is done for the audit."""

    audit: AuditId


class File(Action):
    check: Check


class Compare(Action):
    check: Check


class Keep(Action):
    audit: AuditId
    found: Found


class Seal(Action):
    audit: AuditId
    round: int
    seal: str


class Reveal(Action):
    audit: AuditId
    found: Found


class Forget(Action):
    """What was made and kept for the audit is not needed any more."""

    audit: AuditId


Status = Literal["waiting", "rendering", "filing", "comparing", "keeping", "sealing", "sealed", "revealing"]


class Doing(Value):
    """Where an audit is."""

    check: Check
    status: Status
    tries: int = 0
    evidence: tuple[str, ...] = ()
    found: Found | None = None
    until_us: int = 0
    """Not to reveal before then."""


class Agent:
    def __init__(self, me: WorkerId, session: str, slots: int = 1, beat_us: int = BEAT_US) -> None:
        self.me, self.slots = me, slots
        self.presence = Presence(session, beat_us)
        self.doing: dict[AuditId, Doing] = {}
        self.seals: dict[AuditId, set[WorkerId]] = {}
        self.kept: dict[AuditId, Found] = {}

    def handle(self, seen: Input, at_us: int) -> Sequence[Action]:
        if self.presence.over:
            return []
        actions = [*self._react(seen, at_us), *self._pass_time(at_us), *self._start()]
        return [*actions, *self.presence.stop("left")] if self.presence.gone else actions

    def wake_us(self) -> int | None:
        """The next time that matters."""
        times = [self.presence.due_us] if self.presence.due_us is not None else []
        asked = {"sealing", "revealing"}
        times += [max(doing.check.due_us, doing.until_us) for doing in self.doing.values() if doing.status not in asked]
        return min(times, default=None)

    def _react(self, seen: Input, at_us: int) -> Sequence[Action]:
        match seen:
            case RoundBegan(check):
                return self._begin(check, at_us)
            case SealSeen(audit, checker):
                if audit in self.doing:
                    self.seals.setdefault(audit, set()).add(checker)
            case Remembered(audit, found):
                self.kept[audit] = found
            case inputs.Left():
                # What is sealed is kept, and can be revealed by whoever starts next.
                return [*(Kill(audit) for audit, doing in self.doing.items() if _is_busy(doing)), *self.presence.leave()]
            case OfAudit(audit) if audit in self.doing:
                return self._advance(self.doing[audit], seen)
            case Answered(Seal() | Reveal() as asked) | Refused(Seal() | Reveal() as asked) | Silent(Seal() | Reveal() as asked):
                if asked.audit in self.doing:
                    return self._hear(self.doing[asked.audit], asked, seen, at_us)
            case Closed(audit) if audit in self.kept:
                del self.kept[audit]
                return [Forget(audit)]
            case _:
                return self.presence.handle(seen, at_us)
        return []

    def _begin(self, check: Check, at_us: int) -> Sequence[Action]:
        before = self.doing.get(check.audit)
        if before and check.round == before.check.round and self.me not in check.checkers:
            # A second look: another one checks the same regions, or nobody. Until it has sealed we wait, no longer than its time.
            whole = *before.check.checkers, *check.checkers
            both = Check(check.audit, check.task, check.fence, check.round, check.regions, whole, check.due_us)
            self.doing[check.audit] = Doing(both, before.status, 0, before.evidence, before.found)
        elif before and check.round > before.check.round:
            if before.found is None or before.status == "keeping":
                return self._drop(before)
            # If our verdict was sealed in time it counts; it is revealed with those of the next round.
            later = Check(check.audit, check.task, check.fence, before.check.round, before.check.regions, check.checkers, check.due_us)
            self.doing[check.audit] = Doing(later, before.status, 0, before.evidence, before.found)
        elif not before and self.me in check.checkers and not self.presence.leaving:
            found = self.kept.get(check.audit)
            if found and found.round == check.round:
                self.doing[check.audit] = Doing(check, "sealing", found=found)
                return [Seal(check.audit, check.round, found.seal(check.audit, self.me))]
            if at_us < check.due_us:
                self.doing[check.audit] = Doing(check, "waiting")
        return []

    def _advance(self, doing: Doing, seen: OfAudit) -> Sequence[Action]:
        check = doing.check
        match doing.status, seen:
            case _, Closed():
                return self._drop(doing)
            case "rendering", Rendered():
                self._now(doing, "filing")
                return [File(check)]
            case "filing", Filed(_, evidence):
                self.doing[check.audit] = Doing(check, "comparing", doing.tries, evidence)
                return [Compare(check)]
            case "comparing", Compared(_, metrics, nonce):
                found = Found(check.round, judge(metrics), metrics, doing.evidence, nonce)
                self.doing[check.audit] = Doing(check, "keeping", 0, doing.evidence, found)
                return [Keep(check.audit, found)]
            case "keeping", Kept() if doing.found:
                self._now(doing, "sealing")
                return [Seal(check.audit, check.round, doing.found.seal(check.audit, self.me))]
            case (("rendering" | "filing" | "comparing" | "keeping"), Failed()):
                if doing.tries + 1 >= TRIES_MAX:
                    return self._drop(doing)
                self.doing[check.audit] = Doing(check, "waiting", doing.tries + 1)
                return [Kill(check.audit)]
        return []

    def _hear(self, doing: Doing, asked: Seal | Reveal, seen: Input, at_us: int) -> Sequence[Action]:
        match asked, seen:
            case _, Silent():
                return [asked]
            case Seal(), Answered():
                self._now(doing, "sealed")
                return []
            case Reveal(), Refused(_, "too_early"):
                later = max(seen.time_us("due_us"), at_us + (PATIENCE_US << min(doing.tries, PATIENCE_DOUBLED_MAX)))
                self.doing[asked.audit] = Doing(doing.check, "sealed", doing.tries + 1, doing.evidence, doing.found, later)
                return []
        return self._drop(doing)

    def _pass_time(self, at_us: int) -> Sequence[Action]:
        actions: list[Action] = []
        for doing in list(self.doing.values()):
            check = doing.check
            if _is_busy(doing) or doing.status == "waiting":
                actions += self._drop(doing) if at_us >= check.due_us else []
            elif doing.status == "sealed" and doing.found and self._may_reveal(doing, at_us):
                self._now(doing, "revealing")
                actions.append(Reveal(check.audit, doing.found))
        due_us = self.presence.due_us
        return [*actions, *self.presence.handle(inputs.Ticked(), at_us)] if due_us is not None and at_us >= due_us else actions

    def _may_reveal(self, doing: Doing, at_us: int) -> bool:
        """All of the round have sealed, so that nobody can copy us, or their time is over."""
        sealed = self.seals.get(doing.check.audit, set()) | {self.me}
        return at_us >= doing.until_us and (at_us >= doing.check.due_us or sealed.issuperset(doing.check.checkers))

    def _start(self) -> Sequence[Action]:
        """Fills the slots with what is due first."""
        busy = sum(_is_busy(doing) for doing in self.doing.values())
        waiting = sorted((doing for doing in self.doing.values() if doing.status == "waiting"), key=lambda each: each.check.due_us)
        chosen = [] if self.presence.leaving else waiting[: max(0, self.slots - busy)]
        for doing in chosen:
            self._now(doing, "rendering")
        return [Render(doing.check) for doing in chosen]

    def _drop(self, doing: Doing) -> Sequence[Action]:
        audit = doing.check.audit
        del self.doing[audit]
        self.seals.pop(audit, None)
        self.kept.pop(audit, None)
        return [*([Kill(audit)] if _is_busy(doing) else ()), Forget(audit)]

    def _now(self, doing: Doing, status: Status) -> None:
        check = doing.check
        self.doing[check.audit] = Doing(check, status, doing.tries, doing.evidence, doing.found, doing.until_us)


def _is_busy(doing: Doing) -> bool:
    return doing.status in {"rendering", "filing", "comparing", "keeping"}


def judge(metrics: Sequence[verdicts.Metric]) -> comparator.Verdict:
    """The verdict by the comparator's rule. Who is drawn has the worker's class."""
    return comparator.verdict(comparator.worst(comparator.Metrics(each.equal, each.psnr_mdb, each.differing_ppm) for each in metrics))


def seen(recorded: Recorded[Event], me: WorkerId) -> Input | None:
    """What an event of the feed is to the checker; None if it is nothing."""
    match recorded.event:
        case audits.RoundEvent() as began:
            check = Check(began.audit, began.task, began.fence, began.round, began.regions, began.checkers, began.due_us)
            return RoundBegan(check)
        case verdicts.Committed() as sealed:
            return SealSeen(sealed.audit, sealed.checker)
        case verdicts.Revealed() as revealed if revealed.checker == me:
            return Closed(revealed.audit)
        case audits.Closed() as closed:
            return Closed(closed.audit)
        case worker.Offline() as offline if offline.worker == me:
            return inputs.WentOffline()
    return None
