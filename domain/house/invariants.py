"""What must hold of the world after every block, on one page: for tests, the simulator, and the live watch of a server.

Each check looks at one thing at a time, and says what is wrong as a sentence; an empty one says that it has looked at another piece and
found nothing. Whoever checks a large world while it is in use stops between pieces, never within one.
"""

from collections import defaultdict
from collections.abc import Iterator

from domain import accounts
from domain.accounts import Asset
from domain.house import house
from domain.ids import AccountId, JobId, WorkerId, order, position
from domain.lifecycle import JOB
from domain.market import match
from domain.parts import Job, Task, Worker
from domain.world import World

DEBIT = ("1110", "1120", "5110")
"""Accounts that hold debits; 1140 and 3110 may be of either kind; all others are liabilities and never overdrawn."""
EITHER = ("1140", "3110")
UNDER_WAY = ("leased", "committed", "auditing")
FINE = ""


class Breach(Exception):
    """The world is not as it must be."""


def check(world: World) -> None:
    """Raises `Breach` for the first thing that is wrong."""
    for breach in breaches(world):
        if breach:
            raise Breach(breach)


def check_sealed(world: World, at_us: int) -> None:
    """After the house had its turn, and had it to the end."""
    check(world)
    left = [name for name in ("draws", "looks", "quoting") if getattr(world, name)]
    if left or match.best(world, at_us) is not None:
        raise Breach(f"the house left undone: {left or 'a bid and a task that agree did not meet'}")
    wakes_us = house.wakes_us(world, at_us)
    if wakes_us is not None and wakes_us <= at_us:
        raise Breach("something is due and was left undone")


def breaches(world: World) -> Iterator[str]:
    """All that holds at every position."""
    yield from money(world)
    yield from work(world)
    yield from lists(world)


def money(world: World) -> Iterator[str]:
    yield balanced(world)
    accrued, locked = defaultdict[tuple[AccountId, Asset], int](int), defaultdict[JobId, int](int)
    for share in world.shares.values():
        accrued[share.owner, share.asset] += share.amount
    for task in world.tasks.values():
        if task.job:
            asset, under_way = world.jobs[task.job].asset, task.status in UNDER_WAY
            if (held := world.credit(accounts.held(asset, task.id))) != (task.price if under_way else 0):
                yield f"{task.id} is {task.status} at {task.price} and holds {held}"
            locked[task.job] += held
    yield FINE
    for job in world.jobs.values():
        if job.status in {"closed", "archived"} and (world.credit(accounts.unallocated(job.asset, job.id)) or locked[job.id]):
            yield f"{job.id} is closed and holds money"
    yield FINE
    for owner in world.people:
        for asset in world.assets:
            if world.credit(accounts.accrued(asset, owner)) != accrued[owner, asset]:
                yield f"{owner} has accrued other than its shares in {asset}"
    yield FINE
    yield from payouts(world)


def balanced(world: World) -> str:
    """Every asset sums to zero; nobody is owed less than nothing, no treasury holds less."""
    sums = defaultdict[Asset, int](int)
    for account, balance in world.balances.items():
        asset, _, name = account.partition(":")
        sums[Asset(asset)] += balance
        code = name[:4]
        if code not in EITHER and (balance > 0) != (code in DEBIT):
            return f"{account} holds {balance}"
    return f"entries do not balance: {dict(sums)}" if any(sums.values()) else FINE


def payouts(world: World) -> Iterator[str]:
    for owner, person in world.people.items():
        due_us = world.timer("payday", owner)
        wanted = bool(world.policy.payday_us and person.payout_address and not world.frozen and world.is_payable(owner))
        if (due_us is not None) != wanted or (due_us is not None and due_us < person.usable_us):
            yield f"the payday of {owner} is at {due_us}"
    yield FINE
    for payout in world.payouts.values():
        held = world.credit(accounts.inflight(payout.asset, payout.id))
        if held != payout.amount and (payout.status != "mined" or held):
            yield f"{payout.id} of {payout.amount} is {payout.status} and holds {held}"
    yield FINE
    for batch in world.batches.values():
        if any(id not in world.payouts or world.payouts[id].batch != batch.id for id in batch.payouts) or batch.nonce > world.nonce:
            yield f"{batch.id} pays what is not its own"
    if len({(batch.asset, batch.nonce) for batch in world.batches.values()}) < len(world.batches):
        yield "two batches have one nonce"


def work(world: World) -> Iterator[str]:
    held, leases, mine = defaultdict[tuple[WorkerId, str], int](int), defaultdict[WorkerId, int](int), defaultdict[JobId, list[Task]](list)
    benches = 0
    for task in world.tasks.values():
        if task.status == "leased":
            leases[task.worker] += 1
            benches += not task.job
            if task.id not in world.workers[task.worker].leases:
                yield f"{task.id} is leased to {task.worker}, who does not know"
        if task.job:
            mine[task.job].append(task)
            if task.status in UNDER_WAY:
                held[task.worker, task.cls] += 1
        if (world.timer("expire", task.id) is not None) != (task.status == "leased"):
            yield f"{task.id} is {task.status}, its lease ends at {world.timer('expire', task.id)}"
    if world.benches != benches:
        yield f"{world.benches} benches are counted and {benches} under lease"
    yield FINE
    for worker in world.workers.values():
        yield standing(world, worker, leases[worker.id], held)
    shares = defaultdict[JobId, int](int)
    for share in world.shares.values():
        shares[share.job] += 1
    for job in world.jobs.values():
        yield of_job(world, job, mine[job.id], shares[job.id])


def standing(world: World, worker: Worker, leases: int, held: dict[tuple[WorkerId, str], int]) -> str:
    if not leases == len(worker.leases) <= worker.slots:
        return f"{worker.id} has {worker.slots} slots, {len(worker.leases)} leases noted and {leases} in fact"
    for cls, it in worker.classes.items():
        if held.get((worker.id, cls), 0) != it.held:
            return f"{worker.id} holds {held.get((worker.id, cls), 0)} tasks of {cls}, and {it.held} are noted"
        if it.clean < world.policy.warm_up and it.held > world.policy.probation:
            return f"{worker.id} is new to {cls} and holds {it.held} tasks"
    return FINE


def of_job(world: World, job: Job, tasks: list[Task], shares: int) -> str:
    statuses = [task.status for task in tasks]
    facts = {
        "ready": (job.ready, sorted(order(task.id)[1] for task in tasks if task.status == "ready")),
        "open_tasks": (job.open_tasks, sum(status in {"ready", *UNDER_WAY} for status in statuses)),
        "accepted": (job.accepted, sum(status in {"accepted", "matured"} for status in statuses)),
        "dead": (job.dead, statuses.count("dead")),
        "unmatured": (job.unmatured, shares),
        "archive": (world.timer("archive", job.id) is not None, job.status == "closed" and not job.unmatured),
        "status": (any(job.status in {row[0], row[2]} for row in JOB), True),
    }
    wrong = [name for name, (noted, actual) in facts.items() if noted != actual]
    return f"{job.id} notes other than is so: {', '.join(wrong)}" if wrong else FINE


def lists(world: World) -> Iterator[str]:
    """What the house looks at is sorted, whole, and has nothing stale."""
    if world.hungry != sorted(position(job.id) for job in world.jobs.values() if job.ready and job.status == "open"):
        yield "the list of jobs with ready tasks"
    if world.timers != sorted(world.timers) or {row[3] for row in world.timers} != world.due_us.keys():
        yield "the list of timers"
    waiting = [task for _, _, task in world.proofs_waiting] + [draw.subject for draw in world.draws]
    if sorted(waiting) != sorted(task.id for task in world.tasks.values() if task.status == "committed"):
        yield "the proofs that wait for a beacon"
    looking = [audit for _, _, audit in world.looks_waiting] + [look.subject for look in world.looks]
    if sorted(looking) != sorted(audit.id for audit in world.audits.values() if audit.looking):
        yield "the audits that wait for a second look"
    yield FINE
    for cls, seats in world.free.items():
        seated = (worker.classes[cls].seat for worker in world.workers.values() if cls in worker.classes)
        if seats != sorted(seat for seat in seated if seat):
            yield f"the free workers of {cls}"
    for worker in world.workers.values():
        yield seats_of(world, worker)
    for audit in world.audits.values():
        if (world.timer("tally", audit.id) is None) != (audit.looking or audit.status == "closed"):
            yield f"the timer of {audit.id}"
    yield FINE


def seats_of(world: World, worker: Worker) -> str:
    for cls, it in worker.classes.items():
        newcomer_full = it.clean < world.policy.warm_up and it.held >= world.policy.probation
        free = worker.is_there and worker.kind != "checker" and len(worker.leases) < worker.slots and not newcomer_full
        seated = it.seat is None or it.seat[1:3] == (-worker.reliability_ppm, -it.score)
        if (it.seat is not None) != bool(free and it.price and it.score) or not seated:
            return f"the seat of {worker.id} in {cls}"
        if (position(worker.id) in world.checkers.get(cls, [])) != (worker.kind == "checker" and worker.is_there):
            return f"{worker.id} among the checkers of {cls}"
        if ((it.bench_us, position(worker.id), cls) in world.benches_waiting) != (it.bench_us is not None):
            return f"the bench of {worker.id} in {cls}"
    return FINE
