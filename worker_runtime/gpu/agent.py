"""What a worker does next. No I/O, no clock: inputs in, actions out; worker_runtime/loop.py performs them.

Each lease: waiting → running → uploading → holding → committing → over, and as many run at once as the worker has slots. Work comes
by itself: the house leases to whoever has a bid standing. A lease that ends in any of these states ends what is done for it, since
that cannot be paid. An answer that does not come is asked for by the same command again, so it is done once at most. What fails is
reported, so that somebody else can have the task at once.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from domain.event import Event, Recorded
from domain.ids import NO_JOB, JobId, TaskId, WorkerId
from domain.market import worker
from domain.proof import bench, proof
from domain.value import Value
from domain.work import task as tasks
from worker_runtime import inputs
from worker_runtime.inputs import Action, Answered, Input, Refused, Silent
from worker_runtime.presence import BEAT_US, Presence

REFERENCE_SCORE = 1_000
UPLOADS_MAX = 3
_OVER = {"stale_fence", "not_live", "not_found", "not_yours", "deadline_passed", "gate_failed"}
"""Refusals of a proof after which there is no lease to give back."""
_REMEMBERED_MAX = 1_000


class Lease(Value):
    """What the house gave us. `fence` is the number of the attempt; times are ledger times."""

    task: TaskId
    fence: int
    job: JobId
    """Empty for a bench."""
    seed: int
    """Of a bench's scene."""
    cls: str
    wu_milli: int
    since_us: int
    expires_us: int


class OfLease(Input):
    task: TaskId
    fence: int


class Granted(Input):
    lease: Lease


class Lost(OfLease):
    """The attempt is over: it ended, or its proof stands."""


class TileDone(OfLease):
    tile: int
    """How many are done, of how many."""
    of: int


class Rendered(OfLease):
    raw: tuple[str, ...]
    """SHA-256 of each tile's raw object, in order."""
    raw_bytes: int
    seconds_us: int
    """What the renderer was busy."""


class Failed(OfLease):
    """It could not be rendered, or not uploaded. `code` says why, in a word."""

    code: str


class Uploaded(OfLease): ...


class Scored(Input):
    cls: str
    score: int


class Render(Action):
    lease: Lease


class Kill(Action):
    """End at once whatever is done for the lease."""

    task: TaskId
    fence: int


class Forget(Action):
    """What was made for the lease is not needed any more."""

    task: TaskId
    fence: int


class Report(Action):
    task: TaskId
    fence: int
    tile: int
    of: int


class Upload(Action):
    task: TaskId
    fence: int


class Commit(Action):
    task: TaskId
    fence: int
    cls: str
    raw: tuple[str, ...]
    raw_bytes: int
    seconds_us: int


class End(Action):
    task: TaskId
    fence: int
    outcome: Literal["declined", "error"]
    code: str


class Pace(Protocol):
    """When a worker hands in what it has."""

    def hold_us(self, lease: Lease, seconds_us: int, at_us: int, score: int) -> int:
        """Not before then; `seconds_us` is how long the renderer was busy until `at_us`, `score` the worker's in the class, or 0."""
        ...


SOONEST_PERCENT = 55
"""Of the expected time, from the lease to the proof: the gate's half, and a little for clocks."""


class Duty(NamedTuple):
    """A machine that is ours for `percent` of the time only: after it rendered, it sleeps."""

    percent: int = 100

    def hold_us(self, lease: Lease, seconds_us: int, at_us: int, score: int) -> int:
        """Whoever is much faster than his score says waits: the gate takes a proof before half of the expected time for a lie."""
        rested_us = at_us + seconds_us * (100 - self.percent) // self.percent
        if not (lease.job and score):
            return rested_us
        return max(rested_us, lease.since_us + lease.wu_milli * 1_000_000 // score * SOONEST_PERCENT // 100)


class Doing(Value):
    """Where a lease is."""

    lease: Lease
    status: Literal["waiting", "running", "uploading", "holding", "committing", "ending", "abandoned"]
    work: Rendered | None = None
    until_us: int = 0
    """When holding ends."""
    uploads: int = 0


class Agent:
    def __init__(self, me: WorkerId, session: str, slots: int = 1, pace: Pace | None = None, beat_us: int = BEAT_US) -> None:
        self.me, self.slots, self.pace = me, slots, pace or Duty()
        self.presence = Presence(session, beat_us)
        self.doing: dict[TaskId, Doing] = {}
        self.scores: dict[str, int] = {}
        self.past: dict[TaskId, int] = {}
        """The last attempt of each task that is over, for the last tasks."""

    def handle(self, seen: Input, at_us: int) -> Sequence[Action]:
        if self.presence.over:
            return []
        actions = [*self._react(seen, at_us), *self._pass_time(at_us), *self._start()]
        if self.presence.gone and not self.doing:
            actions += self.presence.stop("left")
        return actions

    def wake_us(self) -> int | None:
        """The next time that matters."""
        times = [self.presence.due_us] if self.presence.due_us is not None else []
        for doing in self.doing.values():
            times += [doing.until_us] if doing.status == "holding" else []
            times += [doing.lease.expires_us] if doing.status in {"waiting", "running", "uploading", "holding"} else []
        return min(times, default=None)

    def _react(self, seen: Input, at_us: int) -> Sequence[Action]:
        match seen:
            case Granted(lease):
                return self._grant(lease, at_us)
            case Scored(cls, score):
                self.scores[cls] = score
            case inputs.Left():
                return self._leave()
            case OfLease(task, fence):
                doing = self.doing.get(task)
                if doing and doing.lease.fence == fence:
                    return self._advance(doing, seen, at_us)
                if isinstance(seen, Lost):
                    self._remember(task, fence)
            case Answered(Commit() | End() as asked) | Refused(Commit() | End() as asked) | Silent(Commit() | End() as asked):
                doing = self.doing.get(asked.task)
                if doing and doing.lease.fence == asked.fence:
                    return self._hear(doing, asked, seen)
            case _:
                return self._be_there(seen, at_us)
        return []

    def _be_there(self, seen: Input, at_us: int) -> Sequence[Action]:
        gone = self.presence.gone
        actions = [*self.presence.handle(seen, at_us)]
        if self.presence.gone and not gone:
            # Only now: what we give back while we are there, the house would give us again. A server that is silent is not waited for.
            for doing in [doing for doing in self.doing.values() if doing.status == "abandoned"]:
                actions += self._drop(doing) if isinstance(seen, Silent) else self._end(doing, "declined", "leaving")
        return actions

    def _grant(self, lease: Lease, at_us: int) -> Sequence[Action]:
        before = self.doing.get(lease.task)
        if lease.fence <= max(self.past.get(lease.task, 0), before.lease.fence if before else 0):
            return []
        actions = [*self._drop(before)] if before else []
        doing = Doing(lease, "waiting")
        self.doing[lease.task] = doing
        speed = self.scores.get(lease.cls, REFERENCE_SCORE)
        if self.presence.leaving:
            self._now(doing, "abandoned")
            return [*actions, *(self._end(doing, "declined", "leaving") if self.presence.gone else ())]
        if at_us + lease.wu_milli * 1_000_000 // speed > lease.expires_us:
            return [*actions, *self._end(doing, "declined", "too_late")]
        return actions

    def _advance(self, doing: Doing, seen: OfLease, at_us: int) -> Sequence[Action]:
        lease = doing.lease
        match doing.status, seen:
            case _, Lost():
                return self._drop(doing)
            case "running", TileDone(_, _, tile, of):
                return [Report(lease.task, lease.fence, tile, of)]
            case "running", Rendered():
                until_us = self.pace.hold_us(lease, seen.seconds_us, at_us, self.scores.get(lease.cls, 0))
                self.doing[lease.task] = Doing(lease, "uploading", seen, until_us, 1)
                return [Upload(lease.task, lease.fence)]
            case "uploading", Uploaded():
                self._now(doing, "holding")
            case (("running" | "uploading"), Failed(_, _, code)):
                return self._end(doing, "error", code)
        return []

    def _hear(self, doing: Doing, asked: Commit | End, seen: Input) -> Sequence[Action]:
        """What the server said to a proof, or to a lease that was given back."""
        match asked, seen:
            case _, Silent() if not self.presence.gone:
                return [asked]
            case Commit(), Refused(_, "not_uploaded") if doing.uploads < UPLOADS_MAX:
                self.doing[asked.task] = Doing(doing.lease, "uploading", doing.work, doing.until_us, doing.uploads + 1)
                return [Upload(asked.task, asked.fence)]
            case Commit(), Refused(_, code) if code not in _OVER:
                return self._end(doing, "error", code)
        return self._drop(doing)

    def _pass_time(self, at_us: int) -> Sequence[Action]:
        actions: list[Action] = []
        for doing in list(self.doing.values()):
            lease, work = doing.lease, doing.work
            if doing.status in {"waiting", "running", "uploading", "holding"} and at_us >= lease.expires_us:
                actions += self._drop(doing)
            elif doing.status == "holding" and work and at_us >= doing.until_us:
                self._now(doing, "committing")
                actions.append(Commit(lease.task, lease.fence, lease.cls, work.raw, work.raw_bytes, work.seconds_us))
        due_us = self.presence.due_us
        return [*actions, *self.presence.handle(inputs.Ticked(), at_us)] if due_us is not None and at_us >= due_us else actions

    def _start(self) -> Sequence[Action]:
        """Fills the slots with what waits."""
        busy = sum(doing.status not in {"waiting", "ending", "abandoned"} for doing in self.doing.values())
        waiting = [doing for doing in self.doing.values() if doing.status == "waiting"]
        for doing in (chosen := waiting[: max(0, self.slots - busy)]):
            self._now(doing, "running")
        return [Render(doing.lease) for doing in chosen]

    def _leave(self) -> Sequence[Action]:
        actions: list[Action] = []
        for doing in list(self.doing.values()):
            if doing.status not in {"committing", "ending", "abandoned"}:
                actions += self._clear(doing)
                self._now(doing, "abandoned")
        return [*actions, *self.presence.leave()]

    def _end(self, doing: Doing, outcome: Literal["declined", "error"], code: str) -> Sequence[Action]:
        lease = doing.lease
        kept = self._clear(doing)
        self._now(doing, "ending")
        return [*kept, End(lease.task, lease.fence, outcome, code)]

    def _drop(self, doing: Doing) -> Sequence[Action]:
        lease = doing.lease
        del self.doing[lease.task]
        self._remember(lease.task, lease.fence)
        return self._clear(doing)

    def _clear(self, doing: Doing) -> Sequence[Action]:
        """Nothing is left of what was done for the lease."""
        lease = doing.lease
        if doing.status in {"running", "uploading"}:
            return [Kill(lease.task, lease.fence)]
        return [Forget(lease.task, lease.fence)] if doing.status in {"holding", "committing"} else []

    def _now(self, doing: Doing, status: Literal["running", "holding", "committing", "ending", "abandoned"]) -> None:
        self.doing[doing.lease.task] = Doing(doing.lease, status, doing.work, doing.until_us, doing.uploads)

    def _remember(self, task: TaskId, fence: int) -> None:
        self.past[task] = max(fence, self.past.pop(task, 0))
        if len(self.past) > _REMEMBERED_MAX:
            del self.past[next(iter(self.past))]


def seen(recorded: Recorded[Event], me: WorkerId) -> Input | None:
    """What an event of the feed is to the worker; None if it is nothing."""
    match recorded.event:
        case tasks.Leased() as leased if leased.worker == me:
            return Granted(Lease(leased.task, leased.fence, leased.job, 0, leased.cls, leased.wu_milli, recorded.at_us, leased.expires_us))
        case bench.Opened() as opened if opened.worker == me:
            return Granted(
                Lease(opened.task, opened.fence, NO_JOB, opened.seed, opened.cls, opened.wu_milli, recorded.at_us, opened.expires_us)
            )
        case (tasks.Ended() | proof.Committed()) as over if over.worker == me:
            return Lost(over.task, over.fence)
        case bench.Scored() as scored if scored.worker == me:
            return Scored(scored.cls, scored.score)
        case worker.Offline() as offline if offline.worker == me:
            return inputs.WentOffline()
    return None
