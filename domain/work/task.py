"""Tasks and their attempts. The house leases a task to a worker under a fence token, the number of the attempt; the lease ends by a proof
(domain/proof/proof.py) or otherwise (here)."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from msgspec import field
from pydantic import Field

from domain import accounts, body
from domain.accounts import Asset, Entry, entry, move
from domain.errors import DeadlinePassed, NotYours, StaleFence
from domain.event import Event, Origin
from domain.ids import AccountId, JobId, TaskId, WorkerId
from domain.parts import Share, Task, Worker
from domain.units import ZERO, Units
from domain.work import job as jobs
from domain.world import World

Outcome = Literal["declined", "error", "no_reply", "cancelled", "gate", "inconclusive"]
Next = Literal["ready", "dead", "cancelled", "failed"]
FAILURES = ("error", "no_reply", "gate")


class TaskEvent(Event):
    task: TaskId
    job: JobId
    """Empty for a bench."""

    @property
    def stream(self) -> str:
        return self.task


class Leased(TaskEvent, tag="task.leased.v1"):
    """The house gave the task to a worker, at his price, until the lease expires."""

    asset: Asset
    fence: int
    worker: WorkerId
    owner: AccountId
    cls: str = field(name="class")
    price: Units
    wu_milli: int
    expires_us: int
    candidates: int
    """Free workers of the class whose bid is within the creator's limit."""
    runner_up_price: Units | None
    """What the task would have cost with the next of them."""

    def apply(self, world: World) -> None:
        task = world.tasks[self.task]
        world.withdraw(task)
        task.move(self.verb())
        task.cls, task.price = self.cls, self.price
        world.lease(task, world.workers[self.worker], self.fence, self.expires_us)

    def entry(self) -> Entry:
        return move(self.price, debit=accounts.unallocated(self.asset, self.job), credit=accounts.held(self.asset, self.task))


class Ended(TaskEvent, tag="attempt.ended.v1"):
    """An attempt ended without a verdict on it. Its price is free again, but for a fee if the creator cancelled late."""

    who: ClassVar[str] = "the worker, the gate, an audit, or the house"

    asset: Asset
    fence: int
    worker: WorkerId
    owner: AccountId
    cls: str = field(name="class")
    price: Units
    outcome: Outcome
    code: str
    fee: Units
    log_sha256: str
    next: Next

    def apply(self, world: World) -> None:
        task, worker = world.tasks[self.task], world.workers[self.worker]
        leased = task.status == "leased"
        task.move(self.verb(), self.next)
        task.past.append((self.fence, self.worker))
        if self.outcome in FAILURES:
            worker.note(good=False)
        if leased:
            world.release(task)
        if not self.job:
            self._end_bench(world, worker)
            return
        world.unhold(task)
        job = world.jobs[self.job]
        if self.outcome in FAILURES:
            task.errors += 1
            task.failed.append(self.worker)
            job.failures[self.worker] = job.failures.get(self.worker, 0) + 1
        if self.next == "ready":
            world.offer(task)
        else:
            job.open_tasks -= 1
            job.dead += self.next == "dead"
        if self.fee:
            cleared = worker.classes[self.cls].cleared
            world.accrue(
                Share(self.task, self.job, self.asset, self.owner, self.worker, self.cls, self.fee, ZERO, ZERO, world.at_us, cleared)
            )

    def _end_bench(self, world: World, worker: Worker) -> None:
        del world.tasks[self.task]
        world.versions.pop(self.task, None)
        world.benches -= 1
        if worker.presence == "online":
            world.want_bench(worker, self.cls, world.at_us + world.policy.bench_retry_us)

    def entry(self) -> Entry:
        if not self.job:
            return ()
        held = accounts.held(self.asset, self.task)
        return entry(
            move(Units(self.price - self.fee), debit=held, credit=accounts.unallocated(self.asset, self.job)),
            move(self.fee, debit=held, credit=accounts.accrued(self.asset, self.owner)),
        )


def ended(world: World, task: Task, outcome: Outcome, code: str = "", *, fee: Units = ZERO, log_sha256: str = "") -> Iterator[Event]:
    """An attempt ends, and what follows for its job."""
    asset = world.jobs[task.job].asset if task.job else Asset("")
    yield Ended(
        task.id,
        task.job,
        asset,
        task.fence,
        task.worker,
        task.owner,
        task.cls,
        task.price,
        outcome,
        code,
        fee,
        log_sha256,
        following(world, task, outcome),
    )
    if task.job:
        yield from jobs.settle(world, world.jobs[task.job])


def following(world: World, task: Task, outcome: str) -> Next:
    """What becomes of a task whose attempt ended so."""
    if not task.job:
        return "failed"
    if world.jobs[task.job].status == "closing":
        return "cancelled"
    if outcome in FAILURES and task.errors + 1 >= world.policy.errors_max:
        return "dead"
    return "ready"


def find(world: World, id: TaskId, origin: Origin) -> Task:
    return world.tasks.get(id) or origin.missing_part(id, world)


def me(world: World, origin: Origin) -> Worker:
    """The worker that acts, which must be the authenticated account's own."""
    worker = world.workers.get(WorkerId(origin.actor)) or origin.missing(origin.actor)
    if worker.owner != origin.account:
        raise NotYours(id=worker.id)
    return worker


class End(body.Body):
    """Give a lease back: the worker declines the task, or it failed."""

    task: body.Task
    fence: body.Number
    outcome: Literal["declined", "error"]
    code: Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,39}$")]
    log_sha256: body.Digest | None = None

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        worker, task = me(world, origin), find(world, self.task, origin)
        if (self.fence, worker.id) in task.past:
            return
        if task.worker != worker.id:
            raise NotYours(id=task.id)
        if task.status != "leased" or task.fence != self.fence:
            raise StaleFence(task=task.id, fence=task.fence, given=self.fence)
        if (due_us := world.timer("expire", task.id)) is not None and origin.at_us >= due_us:
            raise DeadlinePassed(what=f"the lease of {task.id}", due_us=due_us)
        yield from ended(world, task, self.outcome, self.code, log_sha256=self.log_sha256 or "")


class Stop(body.Body):
    """A proof did not pass the gate: the attempt ends. By the gate daemon."""

    task: body.Task
    fence: body.Number
    code: Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,39}$")]

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        origin.require(world, "gate")
        task = find(world, self.task, origin)
        if task.status == "leased" and task.fence == self.fence:
            yield from ended(world, task, "gate", self.code)
