"""What follows from the lottery and from audits: work is accepted and its price shared, or rejected and its worker convicted."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from msgspec import field

from domain import accounts
from domain.accounts import Asset, Entry, entry, move
from domain.event import Event, Origin
from domain.ids import NO_AUDIT, AccountId, AuditId, BeaconId, TaskId, WorkerId
from domain.market.worker import Quarantined
from domain.parts import Audit, Draw, Share, Task
from domain.proof import audit as audits
from domain.proof import bench, lottery
from domain.treasury import stake
from domain.units import Units, split
from domain.value import Value
from domain.work import job as jobs
from domain.work import task as tasks
from domain.work.task import Next, TaskEvent
from domain.world import World


class Shares(Value):
    worker: Units
    checkers: Units
    fee: Units


class Accepted(TaskEvent, tag="task.accepted.v1"):
    """The proof stands: the price leaves the escrow and is earned."""

    who: ClassVar[str] = "the lottery, or the reveal that decided the audit"

    asset: Asset
    fence: int
    worker: WorkerId
    owner: AccountId
    cls: str = field(name="class")
    price: Units
    basis: Literal["waived", "audited"]
    audit: AuditId
    """Empty if the lottery waived it."""
    beacon: BeaconId
    p_ppm: int
    u: str
    shares: Shares
    matures_us: int
    """At the earliest."""

    def apply(self, world: World) -> None:
        task, job, worker = world.tasks[self.task], world.jobs[self.job], world.workers[self.worker]
        if self.basis == "waived":
            audits.take_draw(world, self.task)
            worker.note(good=True)
        task.move(self.verb())
        world.unhold(task)
        job.open_tasks -= 1
        job.accepted += 1
        cleared = worker.classes[self.cls].cleared
        parts = self.shares.worker, self.shares.checkers, self.shares.fee
        world.accrue(Share(self.task, self.job, self.asset, self.owner, self.worker, self.cls, *parts, world.at_us, cleared))

    def entry(self) -> Entry:
        held = accounts.held(self.asset, self.task)
        return entry(
            move(self.shares.worker, debit=held, credit=accounts.accrued(self.asset, self.owner)),
            move(self.shares.checkers, debit=held, credit=accounts.checkers(self.asset)),
            move(self.shares.fee, debit=held, credit=accounts.fee_deferred(self.asset)),
        )


class Rejected(TaskEvent, tag="task.rejected.v1"):
    """The work is wrong: nobody is paid for it, and its worker gets this task never again."""

    who: ClassVar[str] = "the reveal that decided the audit"

    asset: Asset
    fence: int
    worker: WorkerId
    owner: AccountId
    cls: str = field(name="class")
    price: Units
    audit: AuditId
    next: Next

    def apply(self, world: World) -> None:
        task, job = world.tasks[self.task], world.jobs[self.job]
        task.move(self.verb(), self.next)
        task.barred.append(self.worker)
        job.failures[self.worker] = job.failures.get(self.worker, 0) + 1
        world.unhold(task)
        if self.next == "ready":
            world.offer(task)
        else:
            job.open_tasks -= 1

    def entry(self) -> Entry:
        return move(self.price, debit=accounts.held(self.asset, self.task), credit=accounts.unallocated(self.asset, self.job))


class Ticket(Value):
    """A proof in the lottery."""

    beacon: BeaconId
    p_ppm: int
    u: str


def rule(world: World, audit: Audit, at_us: int) -> Iterator[Event]:
    """A round of the audit is over: what it comes to, with all consequences."""
    task = world.tasks[audit.task]
    for event in audits.tally(world, audit, at_us):
        yield event
        if not isinstance(event, audits.Closed):
            return
        if event.cause == "bench":
            if event.result == "valid":
                yield bench.score(world, task)
        elif event.result == "valid":
            yield from accept(world, task, "audited", audit, at_us)
        elif event.result == "invalid":
            yield from convict(world, task, audit, at_us)
        else:
            yield from tasks.ended(world, task, "inconclusive")


def accept(world: World, task: Task, basis: Literal["waived", "audited"], by: Audit | Ticket, at_us: int) -> Iterator[Event]:
    job = world.jobs[task.job]
    shares = Shares(*split(task.price, world.policy.shares_ppm))
    yield Accepted(
        task.id,
        task.job,
        job.asset,
        task.fence,
        task.worker,
        task.owner,
        task.cls,
        task.price,
        basis,
        by.id if isinstance(by, Audit) else NO_AUDIT,
        by.beacon,
        by.p_ppm,
        by.u,
        shares,
        at_us + world.policy.maturity_us,
    )
    yield from jobs.settle(world, job)


def convict(world: World, task: Task, audit: Audit, at_us: int) -> Iterator[Event]:
    """At least two independent checkers found the work wrong: it is unpaid, its worker pays, and its leases end (DOMAIN.md §5.8)."""
    job, worker = world.jobs[task.job], world.workers[task.worker]
    gross, closing = task.price, job.status == "closing"
    yield Rejected(
        task.id,
        job.id,
        job.asset,
        task.fence,
        worker.id,
        worker.owner,
        task.cls,
        gross,
        audit.id,
        "cancelled" if closing else "ready",
    )
    yield stake.slash(world, worker.id, audit.id, task.id, gross, audit.p_ppm, job.asset)
    if not worker.quarantined_us:
        yield Quarantined(worker.id, "convicted", audit.id, at_us + world.policy.quarantine_us)
    for id in list(worker.leases):
        yield from tasks.ended(world, world.tasks[id], "cancelled", "convicted")
    yield from jobs.settle(world, job)


class Lottery(Value):
    """Decide whether a proof whose beacon was drawn is audited. By the house."""

    draw: Draw

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        task = world.tasks[TaskId(self.draw.subject)]
        assert task.proof is not None
        u = lottery.number(lottery.LOTTERY, self.draw.value, task.proof.pos, 0)
        p_ppm = lottery.MILLION
        if task.job:
            p_ppm = lottery.audit_ppm(world, task.worker, task.cls, task.price, world.jobs[task.job].asset)
        if not task.job or lottery.is_audited(u, p_ppm):
            opened = audits.opening(world, self.draw, p_ppm, u, origin.at_us)
            yield opened
            if not opened.checkers:
                yield from rule(world, world.audits[opened.audit], origin.at_us)
        else:
            yield from accept(world, task, "waived", Ticket(self.draw.beacon, p_ppm, str(u)), origin.at_us)


class Look(Value):
    """Decide whether a second checker looks. By the house."""

    draw: Draw

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        yield audits.second_look(world, self.draw, origin.at_us)


class Tally(Value):
    """The time to reveal is over. By the house."""

    audit: AuditId

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        yield from rule(world, world.audits[self.audit], origin.at_us)
