"""Audits: drawn checkers render drawn regions again, commit to a sealed verdict, then reveal it. One checker can clear, never convict
(DOMAIN.md §5.6)."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from msgspec import field

from domain.accounts import Asset
from domain.event import Event
from domain.ids import AccountId, AuditId, BeaconId, JobId, TaskId, WorkerId
from domain.parts import Audit, Draw, Round, Task
from domain.proof import bench, lottery
from domain.treasury import earnings
from domain.world import World

Cause = Literal["lottery", "bench"]
Result = Literal["valid", "invalid", "inconclusive"]
WIDEN = 2
"""Checkers of each further round."""


class AuditEvent(Event):
    audit: AuditId
    task: TaskId

    @property
    def stream(self) -> str:
        return self.audit


class RoundEvent(AuditEvent):
    fence: int
    worker: WorkerId
    round: int
    beacon: BeaconId
    regions: tuple[int, ...]
    """Tiles of the task, from 0."""
    checkers: tuple[WorkerId, ...]
    due_us: int
    """Until when verdicts are to be committed."""


class DrawnEvent(RoundEvent):
    drawn_regions: int
    """Numbers of the region stream that are used up; likewise of the checker stream."""
    drawn_checkers: int

    def begin(self, world: World, audit: Audit) -> None:
        audit.rounds.append(Round(list(self.regions), list(self.checkers)))
        audit.due_us, audit.drawn_regions, audit.drawn_checkers = self.due_us, self.drawn_regions, self.drawn_checkers
        world.set_timer("tally", self.audit, self.due_us + world.policy.reveal_us)


class Opened(DrawnEvent, tag="audit.opened.v1"):
    """The lottery chose this proof, or it is a bench."""

    job: JobId
    owner: AccountId
    cls: str = field(name="class")
    cause: Cause
    proof_pos: int
    p_ppm: int
    u: str
    """The lottery's number, below 2^64, in decimal."""

    def apply(self, world: World) -> None:
        task = world.tasks[self.task]
        draw = take_draw(world, self.task)
        task.move(self.verb())
        task.audit = self.audit
        audit = Audit(
            self.audit,
            self.task,
            self.fence,
            self.worker,
            self.cls,
            self.cause,
            self.proof_pos,
            self.beacon,
            draw.value,
            self.p_ppm,
            self.u,
            [],
            self.due_us,
        )
        world.audits[self.audit] = audit
        if self.job:
            world.jobs[self.job].audits.append(self.audit)
        self.begin(world, audit)


class SecondLook(RoundEvent, tag="audit.second_look.v1"):
    """The first checker has sealed its verdict, and a later beacon decided whether another one looks at the same regions: nobody could
    know before. `beacon` is that one, and without a checker it was not drawn, or nobody was there to draw."""

    p_ppm: int
    u: str
    """The lottery's number, below 2^64, in decimal."""

    def apply(self, world: World) -> None:
        audit = world.audits[self.audit]
        take_look(world, self.audit)
        audit.move(self.verb())
        audit.looking, audit.due_us = False, self.due_us
        audit.rounds[-1].checkers.extend(self.checkers)
        at_us = self.due_us if self.checkers else world.at_us
        world.set_timer("tally", self.audit, at_us + world.policy.reveal_us)


class Widened(DrawnEvent, tag="audit.widened.v1"):
    """The verdicts did not decide it: more checkers, other regions."""

    who: ClassVar[str] = "the last reveal of a round, or the house when its time is over"

    def apply(self, world: World) -> None:
        audit = world.audits[self.audit]
        audit.move(self.verb())
        self.begin(world, audit)


class Closed(AuditEvent, tag="audit.closed.v1"):
    """The audit's result, by all its rounds."""

    who: ClassVar[str] = "the last reveal of a round, or the house when its time is over"

    job: JobId
    worker: WorkerId
    cls: str = field(name="class")
    cause: Cause
    result: Result
    valid: int
    invalid: int
    inconclusive: int
    missed: tuple[WorkerId, ...]
    """Checkers that did not commit or did not reveal."""

    def apply(self, world: World) -> None:
        audit, task, worker = world.audits[self.audit], world.tasks[self.task], world.workers[self.worker]
        audit.move(self.verb())
        audit.result = self.result
        world.drop_timer("tally", self.audit)
        wrong = {checker for checker, verdict in audit.verdicts.items() if {verdict, self.result} == {"valid", "invalid"}}
        world.barred.extend(each for each in (*self.missed, *sorted(wrong)) if each not in world.barred)
        if self.result == "invalid" or (self.cause == "bench" and self.result == "valid"):
            earnings.claim_checks(world, self.audit, stake_asset(world, task))
            world.arm_pool()
        if self.result != "inconclusive":
            worker.note(good=self.result == "valid")
        if self.cause == "bench":
            self._end_bench(world, task)
        elif self.result == "valid":
            world.clear(worker, self.cls)
        elif self.result == "invalid":
            worker.classes[self.cls].clean = 0
        world.seat(worker)

    def _end_bench(self, world: World, task: Task) -> None:
        del world.audits[self.audit]
        world.versions.pop(self.audit, None)
        if self.result != "valid":
            task.move(self.verb())
            bench.leave(world, task)
            if world.workers[self.worker].presence == "online":
                world.want_bench(world.workers[self.worker], self.cls, world.at_us + world.policy.bench_retry_us)


def take_draw(world: World, task: TaskId) -> Draw:
    at = next(n for n, draw in enumerate(world.draws) if draw.subject == task)
    return world.draws.pop(at)


def take_look(world: World, audit: AuditId) -> None:
    world.looks = [look for look in world.looks if look.subject != audit]


def stake_asset(world: World, task: Task) -> Asset:
    """Whose stakes count: the job's asset, for a bench the first that was listed."""
    return world.jobs[task.job].asset if task.job else next(iter(world.assets))


def due_us(world: World, task: Task, at_us: int) -> int:
    return at_us + max(world.policy.verdict_us, world.policy.verdict_factor * task.wu_milli * 1_000)


def parties(world: World, task: Task) -> list[AccountId]:
    return [task.owner, *([world.jobs[task.job].creator] if task.job else [])]


def opening(world: World, draw: Draw, p_ppm: int, u: int, at_us: int) -> Opened:
    """The audit of a drawn proof: its first round has one checker."""
    task = world.tasks[TaskId(draw.subject)]
    assert task.proof is not None
    pos = task.proof.pos
    regions = lottery.draw_regions(draw.value, pos, 0, task.tiles, ())
    able = lottery.checker_candidates(world, task.cls, stake_asset(world, task), parties(world, task), ())
    checkers = lottery.draw_checkers(draw.value, pos, 0, 1, able)
    return Opened(
        AuditId(f"audit-{world.pos + 1}"),
        task.id,
        task.fence,
        task.worker,
        1,
        draw.beacon,
        tuple(regions.picks),
        tuple(checkers.picks),
        due_us(world, task, at_us),
        regions.used,
        checkers.used,
        task.job,
        task.owner,
        task.cls,
        "lottery" if task.job else "bench",
        pos,
        p_ppm,
        str(u),
    )


def widening(world: World, audit: Audit, at_us: int) -> Widened | None:
    """The next round, if there may be one and anybody is left to check."""
    if len(audit.rounds) >= world.policy.rounds_max:
        return None
    task = world.tasks[audit.task]
    seen = [region for each in audit.rounds for region in each.regions]
    before = [checker for each in audit.rounds for checker in each.checkers]
    able = lottery.checker_candidates(world, audit.cls, stake_asset(world, task), parties(world, task), before)
    checkers = lottery.draw_checkers(audit.value, audit.proof_pos, audit.drawn_checkers, WIDEN, able)
    if not checkers.picks:
        return None
    regions = lottery.draw_regions(audit.value, audit.proof_pos, audit.drawn_regions, task.tiles, seen)
    return Widened(
        audit.id,
        audit.task,
        audit.fence,
        audit.worker,
        len(audit.rounds) + 1,
        audit.beacon,
        tuple(regions.picks),
        tuple(checkers.picks),
        due_us(world, task, at_us),
        regions.used,
        checkers.used,
    )


def second_look(world: World, look: Draw, at_us: int) -> SecondLook:
    """Whether another checker looks, and who: all from the beacon after the first one's seal (DOMAIN.md §5.6)."""
    audit, p_ppm = world.audits[AuditId(look.subject)], world.policy.second_look_ppm
    task, first = world.tasks[audit.task], audit.rounds[0]
    u = lottery.number(lottery.SECOND, look.value, audit.proof_pos, 0)
    picks, due = list[WorkerId](), audit.due_us
    if lottery.is_audited(u, p_ppm):
        able = lottery.checker_candidates(world, audit.cls, stake_asset(world, task), parties(world, task), first.checkers)
        picks = lottery.draw_checkers(look.value, audit.proof_pos, 0, 1, able).picks
        due = due_us(world, task, at_us) if picks else due
    about = audit.id, audit.task, audit.fence, audit.worker
    return SecondLook(*about, 1, look.beacon, tuple(first.regions), tuple(picks), due, p_ppm, str(u))


def result(audit: Audit) -> Result | None:
    """What the verdicts of all rounds say; None if they do not decide it."""
    votes = list(audit.verdicts.values())
    valid, invalid = votes.count("valid"), votes.count("invalid")
    if invalid >= 2 and invalid > valid:
        return "invalid"
    return "valid" if valid > invalid else None


def closing(world: World, audit: Audit, decided: Result) -> Closed:
    votes = list(audit.verdicts.values())
    missed = [checker for each in audit.rounds for checker in each.checkers if checker not in audit.verdicts]
    job = world.tasks[audit.task].job
    counts = votes.count("valid"), votes.count("invalid"), votes.count("inconclusive")
    cause: Cause = "lottery" if job else "bench"
    return Closed(audit.id, audit.task, job, audit.worker, audit.cls, cause, decided, *counts, tuple(missed))


def tally(world: World, audit: Audit, at_us: int) -> Iterator[Event]:
    """The round is over: close the audit, or widen it."""
    decided = result(audit)
    if decided is None and (wider := widening(world, audit, at_us)):
        yield wider
        return
    yield closing(world, audit, decided or "inconclusive")
