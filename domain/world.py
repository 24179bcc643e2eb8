"""The world: all that a decision may look at.

It is a fold of the ledger's events and nothing else; only `Event.apply` and the ledger write it. Whoever needs more (lists, pages,
history) asks a projection. What is archived is gone from here, so the world stays as small as the work in progress.

What the house looks at is kept sorted, and whatever ends a thing removes it from there too: nothing stale is ever looked at.
"""

from bisect import bisect_left, insort
from typing import Any, TypeVar

from msgspec import Struct

from domain import accounts
from domain.accounts import Account, Asset, Entry
from domain.ids import NO_AUDIT, AccountId, AuditId, BatchId, JobId, LogId, PayoutId, TaskId, WorkerId, order, position
from domain.parts import (
    AssetInfo,
    Audit,
    Batch,
    CheckClaim,
    Deposit,
    Draw,
    Engine,
    Job,
    Payout,
    Person,
    Seat,
    Share,
    Task,
    Worker,
)
from domain.policy import Policy
from domain.units import ZERO, Units

T = TypeVar("T", bound=tuple[Any, ...] | int)


class World(Struct):
    log: LogId = LogId("")
    home: str = ""
    heir: str = ""
    """The home at which a sealed log goes on; empty: it is not sealed."""
    pos: int = 0
    """Of the event that is being applied, or the last one that was."""
    at_us: int = 0
    policy: Policy = Policy()
    coming: list[tuple[int, Policy]] = []
    """Policies that were adopted and are not in force yet: (from when, policy)."""
    assets: dict[Asset, AssetInfo] = {}
    engines: dict[str, Engine] = {}
    """The newest build of each."""
    builds: dict[str, Engine] = {}
    """Every build that there ever was: jobs and workers keep theirs."""
    people: dict[AccountId, Person] = {}
    keys: dict[str, AccountId] = {}
    workers: dict[WorkerId, Worker] = {}
    jobs: dict[JobId, Job] = {}
    tasks: dict[TaskId, Task] = {}
    audits: dict[AuditId, Audit] = {}
    shares: dict[TaskId, Share] = {}
    """Not mature, the oldest first."""
    deposits: dict[str, Deposit] = {}
    """Not final, by `tx/log index`."""
    payouts: dict[PayoutId, Payout] = {}
    batches: dict[BatchId, Batch] = {}
    balances: dict[Account, Units] = {}
    """Debits minus credits; an account at zero is absent."""
    versions: dict[str, int] = {}
    """Last version of each stream that is still open."""

    hungry: list[int] = []
    """Positions of the jobs with ready tasks."""
    free: dict[str, list[Seat]] = {}
    """By class, the free workers in the order in which they are asked."""
    checkers: dict[str, list[int]] = {}
    """By class, the positions of the checkers that may be drawn."""
    timers: list[tuple[int, int, int, str]] = []
    """(due, position, number, "<verb> <subject>"), the next first."""
    due_us: dict[str, int] = {}
    quoting: list[JobId] = []
    """Submitted jobs that the house owes a quote."""

    grid_us: int = 0
    """Of the last beacon."""
    marks: list[tuple[int, int, str]] = []
    """(grid, size, root): the head at the last block of each grid interval since the last beacon."""
    proofs_waiting: list[tuple[int, int, TaskId]] = []
    """(since, position, task): for a beacon; the next below, likewise (since, worker's position, class)."""
    benches_waiting: list[tuple[int, int, str]] = []
    looks_waiting: list[tuple[int, int, AuditId]] = []
    """(since, position, audit): whether a second checker looks is drawn from the next beacon."""
    draws: list[Draw] = []
    looks: list[Draw] = []
    benches_due: list[Draw] = []
    benches: int = 0
    """Under lease."""

    claims: dict[Asset, list[CheckClaim]] = {}
    """Of this epoch, by the asset of the work."""
    barred: list[WorkerId] = []
    """Checkers that missed or erred in this epoch, in whatever asset."""
    epoch_us: int = 0
    """When this epoch began."""
    final_block: int = 0
    """Of the last finalised fact from the chain."""
    reconciled_block: int = 0
    nonce: int = -1
    """Of the last signed batch."""
    anchored_size: int = 0
    """Up to here nothing is new since the last anchor: the position of the event that reports it."""
    anchored_us: int = 0
    leader: str = ""
    frozen: bool = False
    """Payouts and new escrow are stopped."""
    overrides: int = 0
    """Number of the last override."""

    # What the ledger calls.

    def begin_block(self, at_us: int) -> None:
        while self.coming and self.coming[0][0] <= at_us:
            self.policy = self.coming.pop(0)[1]
            for worker in self.workers.values():
                self.seat(worker)
            for owner in self.people:
                self.arm_payday(owner)

    def begin_event(self, pos: int, at_us: int) -> None:
        self.pos, self.at_us = pos, at_us

    def end_block(self, at_us: int, size: int, root: str) -> None:
        """Keep the head at each grid time to come: `beacon.drawn` names it."""
        grid = self.grid_after(at_us)
        if self.marks and self.marks[-1][0] == grid:
            self.marks.pop()
        elif (since_us := self.waits_since_us()) is None or since_us > at_us:
            self.marks.clear()
        self.marks.append((grid, size, root))

    def post(self, entry: Entry) -> None:
        for account, amount in entry:
            if balance := self.balances.get(account, ZERO) + amount:
                self.balances[account] = balance
            else:
                self.balances.pop(account, None)

    # Money.

    def credit(self, account: Account) -> Units:
        """What a liability account holds."""
        return -self.balances.get(account, ZERO)

    def stake(self, asset: Asset, owner: AccountId) -> Units:
        return self.credit(accounts.stake(asset, owner))

    # Time.

    def grid_after(self, at_us: int) -> int:
        """The smallest grid time that is not before `at_us`."""
        grid = self.policy.grid_us
        return -(-at_us // grid) * grid

    def waits_since_us(self) -> int | None:
        """Since when the oldest waits that needs a beacon."""
        oldest = (*self.proofs_waiting[:1], *self.benches_waiting[:1], *self.looks_waiting[:1])
        return min((row[0] for row in oldest), default=None)

    def next_grid_us(self) -> int | None:
        """Of the beacon that is wanted next, if any is: the smallest after the last one that is not before the oldest that waits."""
        since_us = self.waits_since_us()
        return None if since_us is None else max(self.grid_after(since_us), self.grid_us + self.policy.grid_us)

    def set_timer(self, verb: str, subject: str, due_us: int) -> None:
        self.drop_timer(verb, subject)
        name = f"{verb} {subject}"
        self.due_us[name] = due_us
        insort(self.timers, (due_us, *order(subject.partition(" ")[0]), name))

    def drop_timer(self, verb: str, subject: str) -> None:
        name = f"{verb} {subject}"
        if (due_us := self.due_us.pop(name, None)) is not None:
            drop(self.timers, (due_us, *order(subject.partition(" ")[0]), name))

    def timer(self, verb: str, subject: str) -> int | None:
        return self.due_us.get(f"{verb} {subject}")

    def delay_timers(self, verbs: tuple[str, ...], until_us: int) -> None:
        """No deadline of these kinds is due before `until_us`."""
        for due_us, _, _, name in list(self.timers):
            verb, _, subject = name.partition(" ")
            if due_us < until_us and verb in verbs:
                self.set_timer(verb, subject, until_us)

    # Work.

    def offer(self, task: Task) -> None:
        """The task waits for a worker."""
        job, (pos, number) = self.jobs[task.job], order(task.id)
        if not job.ready and job.status == "open":
            insort(self.hungry, pos)
        insort(job.ready, number)

    def feed(self, job: Job) -> None:
        """The job's ready tasks are to be had (again)."""
        if job.ready:
            insort(self.hungry, position(job.id))

    def withdraw(self, task: Task) -> None:
        job, (pos, number) = self.jobs[task.job], order(task.id)
        drop(job.ready, number)
        if not job.ready and job.status == "open":
            drop(self.hungry, pos)

    def lease(self, task: Task, worker: Worker, fence: int, expires_us: int) -> None:
        task.worker, task.owner, task.fence, task.leased_us = worker.id, worker.owner, fence, self.at_us
        task.proof, task.audit = None, NO_AUDIT
        worker.leases.append(task.id)
        self.set_timer("expire", task.id, expires_us)
        if task.job:
            worker.classes[task.cls].held += 1
        self.seat(worker)

    def release(self, task: Task) -> None:
        """The lease is over, by a proof or otherwise."""
        worker = self.workers[task.worker]
        self.drop_timer("expire", task.id)
        self.drop_timer("cancel", task.id)
        worker.leases.remove(task.id)
        worker.idle_us = self.at_us
        self.seat(worker)

    def unhold(self, task: Task) -> None:
        """The worker waits no longer for what becomes of the task."""
        worker = self.workers[task.worker]
        worker.classes[task.cls].held -= 1
        self.seat(worker)

    def seat(self, worker: Worker) -> None:
        """Put the worker where it belongs among the free ones, a checker among those to draw from; to be called after whatever may
        change that."""
        if worker.kind == "checker":
            self._seat_checker(worker)
            return
        free = worker.is_there and len(worker.leases) < worker.slots
        for cls, standing in worker.classes.items():
            row = self.free.setdefault(cls, [])
            if standing.seat:
                drop(row, standing.seat)
                standing.seat = None
            newcomer_full = standing.clean < self.policy.warm_up and standing.held >= self.policy.probation
            if free and standing.price and standing.score and not newcomer_full:
                place = (int(standing.price), -worker.reliability_ppm, -standing.score, worker.idle_us, position(worker.id))
                standing.seat = place
                insort(row, place)

    def _seat_checker(self, worker: Worker) -> None:
        at = position(worker.id)
        for cls in worker.classes:
            row = self.checkers.setdefault(cls, [])
            if at in row[(found := bisect_left(row, at)) : found + 1]:
                row.remove(at)
            if worker.is_there:
                insort(row, at)

    def want_bench(self, worker: Worker, cls: str, since_us: int) -> None:
        self.unwant_bench(worker, cls)
        worker.classes[cls].bench_us = since_us
        insort(self.benches_waiting, (since_us, position(worker.id), cls))

    def unwant_bench(self, worker: Worker, cls: str) -> None:
        standing = worker.classes[cls]
        if standing.bench_us is not None:
            drop(self.benches_waiting, (standing.bench_us, position(worker.id), cls))
            standing.bench_us = None
        self.benches_due = [due for due in self.benches_due if (due.subject, due.cls) != (worker.id, cls)]

    def accrue(self, share: Share) -> None:
        """Keep a share until it matures; its timer stands as soon as it is known when that is at the earliest (DOMAIN.md §1). A fee for
        a cancelled lease has no work that could be audited."""
        self.shares[share.task] = share
        self.jobs[share.job].unmatured += 1
        task = self.tasks[share.task]
        if not self.policy.later_audits or task.status == "cancelled":
            self.set_timer("mature", share.task, share.accepted_us + self.policy.maturity_us)
            return
        self.workers[share.worker].classes[share.cls].waiting.append(share.task)
        if task.audit:
            self.set_timer("mature", share.task, share.accepted_us + self.policy.audited_us)

    def clear(self, worker: Worker, cls: str) -> None:
        """Another clean audit: the shares that waited for it mature at their time."""
        standing = worker.classes[cls]
        standing.clean += 1
        standing.cleared += 1
        while standing.waiting:
            share = self.shares[standing.waiting[0]]
            if standing.cleared - share.cleared < self.policy.later_audits:
                return
            del standing.waiting[0]
            self.set_timer("mature", share.task, max(self.at_us, share.accepted_us + self.policy.maturity_us))

    def ripen(self, task: TaskId) -> Share:
        """Take a share out: it is mature."""
        share = self.shares.pop(task)
        self.drop_timer("mature", task)
        waiting, job = self.workers[share.worker].classes[share.cls].waiting, self.jobs[share.job]
        if task in waiting:
            waiting.remove(task)
        job.unmatured -= 1
        self.arm_archive(job)
        return share

    def arm_archive(self, job: Job) -> None:
        """A closed job is forgotten some time after its end, when every share of it has matured. None of its audits is open then: it
        closed with the last task that was audited."""
        if job.status == "closed" and not job.unmatured:
            self.set_timer("archive", job.id, max(self.at_us, job.closed_us + self.policy.archive_us))

    def arm_pool(self) -> None:
        """The pools are distributed at the end of the epoch in which there is something to distribute, and somebody to have it."""
        if self.timer("pool", "epoch-0") is None and any(self.credit(accounts.pool(asset)) for asset in self.claims):
            epoch = self.policy.epoch_us
            self.set_timer("pool", "epoch-0", (self.at_us // epoch + 1) * epoch)

    def is_payable(self, owner: AccountId) -> bool:
        """Whether the account has earned enough for a payout."""
        kinds = (accounts.payable, accounts.checker_payable)
        return any(self.credit(kind(asset, owner)) >= self.policy.payout_min for asset in self.assets for kind in kinds)

    def arm_payday(self, owner: AccountId) -> None:
        """What is payable is paid out at the next payday on which the account's address may be used, while money is not frozen; to be
        called after whatever may change that."""
        person, day_us = self.people[owner], self.policy.payday_us
        if not (day_us and person.payout_address and not self.frozen and self.is_payable(owner)):
            self.drop_timer("payday", owner)
        elif (due_us := self.timer("payday", owner)) is None or due_us < person.usable_us:
            self.set_timer("payday", owner, (max(self.at_us, person.usable_us) // day_us + 1) * day_us)


def drop(row: list[T], item: T) -> None:
    """The opposite of `insort`."""
    at = bisect_left(row, item)
    assert row[at] == item, f"{item} is not where it should be"
    del row[at]
