"""The house: what happens because of time, because a beacon was drawn, and because a bid meets a task. Nobody asks for it, so the ledger
does at the end of each block, with commands like everybody's; so many per block at most, the next block goes on (LOG.md §7)."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import islice, takewhile

from domain.accounts import Asset
from domain.event import Command, Event, Origin
from domain.ids import AccountId, AuditId, JobId, TaskId, WorkerId
from domain.market import match, worker
from domain.market.match import Match
from domain.parts import Task
from domain.proof import bench, ruling
from domain.treasury import earnings, payout, stake
from domain.units import ZERO, Units
from domain.value import Value
from domain.work import routine, task
from domain.world import World

TIMERS_MAX, DRAWS_MAX, LEASES_MAX = 64, 256, 200
"""Of one block."""
TIMERS_MIN = 16
"""Of a block in which others asked for something, too, if they made no more events. Timers may be due by the ten thousand at one moment,
and whoever asks meanwhile waits for those that are in his block."""

Chore = tuple[str, Command]
"""`<verb>/<subject>/<fence, time or position>`, which names the command; and the command."""


class Expire(Value):
    """A lease ran out: nobody replied, and the worker is taken for offline."""

    task: TaskId

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        it = world.tasks[self.task]
        last = world.workers[it.worker]
        yield from task.ended(world, it, "no_reply", "no_reply")
        if last.presence == "online":
            yield worker.Offline(last.id, "no_reply", it.leased_us, last.online_us)


class CancelLease(Value):
    """The grace of a cancelled job is over: late enough, the worker gets a fee."""

    task: TaskId

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        it = world.tasks[self.task]
        long = origin.at_us - it.leased_us > world.policy.cancel_free_us
        fee = Units(it.price * world.policy.cancel_fee_ppm // 1_000_000) if long else ZERO
        yield from task.ended(world, it, "cancelled", "job_cancelled", fee=fee)


class Lease(Value):
    """A bid meets a task."""

    match: Match

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        it, to = world.tasks[self.match.task], world.workers[self.match.worker]
        of = world.jobs[it.job]
        fence = it.fence + 1
        expires_us = origin.at_us + lease_us(world, it, fence, to.classes[self.match.cls].score)
        yield task.Leased(
            it.id,
            of.id,
            of.asset,
            fence,
            to.id,
            to.owner,
            self.match.cls,
            self.match.price,
            it.wu_milli,
            expires_us,
            self.match.candidates,
            self.match.runner_up_price,
        )


def expected_us(wu_milli: int, score: int) -> int:
    """How long work takes at a score, in microseconds: thousandths of a work unit, by thousandths of one per second."""
    return wu_milli * 1_000_000 // score


def lease_us(world: World, it: Task, fence: int, score: int) -> int:
    """So many times the expected time, within the policy's bounds, spread a little so that leases do not end all at once."""
    policy = world.policy
    length = min(max(policy.lease_factor * expected_us(it.wu_milli, score), policy.lease_min_us), policy.lease_max_us)
    spread = int.from_bytes(sha256(f"{it.id} {fence}".encode()).digest()[:4], "big")
    return length + spread % (length // 20 + 1)


ON_TIME: dict[str, Callable[[str], Command]] = {
    "expire": lambda id: Expire(TaskId(id)),
    "cancel": lambda id: CancelLease(TaskId(id)),
    "tally": lambda id: ruling.Tally(AuditId(id)),
    "quote": lambda id: routine.End(JobId(id), "quote"),
    "paused": lambda id: routine.End(JobId(id), "paused"),
    "deadline": lambda id: routine.End(JobId(id), "deadline"),
    "archive": lambda id: routine.Archive(JobId(id)),
    "release": lambda id: worker.Release(WorkerId(AccountId(id))),  # type: ignore[arg-type]
    "unlock": lambda id: stake.Release(AccountId(id.split()[0]), Asset(id.split()[1])),  # type: ignore[arg-type]
    "payday": lambda id: payout.PayDay(AccountId(id)),  # type: ignore[arg-type]
    "pool": lambda _: earnings.Distribute(),
}
"""What each timer asks for; `mature` is asked for many at once."""


def chores(world: World, at_us: int, asked: int) -> Iterator[Chore]:
    """The house's commands for this block, in which `asked` events are others' already. Each is to be carried out before the next is
    asked for."""
    for _ in range(max(TIMERS_MIN, min(asked, TIMERS_MAX)) if asked else TIMERS_MAX):
        if not (due := next_timer(world, at_us)):
            break
        yield due
    for _ in range(DRAWS_MAX):
        if not world.draws:
            break
        draw = world.draws[0]
        yield key("draw", draw.subject, world.tasks[TaskId(draw.subject)].fence), ruling.Lottery(draw)
    for _ in range(DRAWS_MAX):
        if not world.looks:
            break
        look = world.looks[0]
        yield key("look", look.subject, 1), ruling.Look(look)
    while world.quoting:
        yield key("quote", world.quoting[0], 0), routine.Quote(world.quoting[0])
    while waiting := bench.next_bench(world):
        yield key("bench", waiting.subject, at_us), bench.Start(waiting)
    for _ in range(LEASES_MAX):
        if not (found := match.best(world, at_us)):
            break
        yield key("lease", found.task, world.tasks[found.task].fence + 1), Lease(found)


def key(verb: str, subject: str, number: int) -> str:
    return f"{verb}/{subject}/{number}"


def next_timer(world: World, at_us: int) -> Chore | None:
    """The timer that is due first, as a command."""
    if not world.timers or world.timers[0][0] > at_us:
        return None
    due_us, _, _, name = world.timers[0]
    verb, _, subject = name.partition(" ")
    asked = mature(world, TaskId(subject), at_us) if verb == "mature" else ON_TIME[verb](subject)
    return key(verb, subject, due_us), asked


def mature(world: World, first: TaskId, at_us: int) -> earnings.Mature:
    """All shares of this asset that are due, up to the limit of a list."""
    asset = world.shares[first].asset
    due = (name.partition(" ") for _, _, _, name in takewhile(lambda row: row[0] <= at_us, world.timers))
    mine = (TaskId(subject) for verb, _, subject in due if verb == "mature" and world.shares[TaskId(subject)].asset == asset)
    return earnings.Mature(asset, tuple(islice(mine, earnings.LINES_MAX)))


def wakes_us(world: World, at_us: int) -> int | None:
    """When the house has something to do next, if nothing else happens before: `at_us` if there is something now."""
    if world.draws or world.looks or world.quoting or bench.next_bench(world) or match.best(world, at_us):
        return at_us
    return world.timers[0][0] if world.timers else None
