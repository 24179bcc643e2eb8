"""What must hold of the world after every block, on one page: for tests, the simulator, and the live watch of a server.

Each check yields what it finds. None ends a piece: something was looked at, of a size that does not grow with the world, and nothing of
it is needed any more. Whoever checks a large world while it is in use lets it move there, and never within a piece. Therefore what is
compared with each other is read, or copied, within one piece; across pieces go only copies and ids, and an id may name nothing any more.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Any, TypeVar

from domain import accounts
from domain.accounts import Account, Asset
from domain.house import house
from domain.ids import AuditId, TaskId, job_id, position, task_id, worker_id
from domain.lifecycle import JOB
from domain.market import match
from domain.parts import Job, Payout, Person, Share, Task, Worker
from domain.value import Value
from domain.world import World

K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R", bound=tuple[Any, ...] | int)

DEBIT = ("1110", "1120", "5110")
"""Accounts that hold debits; 1140 and 3110 may be of either kind; all others are liabilities or income, and never overdrawn."""
EITHER = ("1140", "3110")
DERIVED = ("1120", "2210", "2240", "2410")
"""Accounts whose sum is known from parts of the world: deposits that are not final, shares that are not mature."""
UNDER_WAY = ("leased", "committed", "auditing")
STATUSES = {status for row in JOB for status in (row[0], row[2])}
PIECE = 500
"""Things looked at in one go."""
WORDS_MAX = 200
status_of = attrgetter("status")


class Breach(Exception):
    """The world is not as it must be."""


class Finding(Value):
    """Something that is not as it must be. `what` and `subject` name it for as long as it stands; the other two may change with time."""

    what: str
    subject: str
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.what}: {self.actual}, not {self.expected}"


Findings = Iterator[Finding | None]


def check(world: World) -> None:
    """Raises `Breach` for the first thing that is wrong."""
    for finding in breaches(world):
        if finding:
            raise Breach(str(finding))


def check_sealed(world: World, at_us: int) -> None:
    """After the house had its turn, and had it to the end."""
    check(world)
    left = [name for name in ("draws", "looks", "quoting") if getattr(world, name)]
    if left or match.best(world, at_us) is not None:
        raise Breach(f"the house left undone: {left or 'a bid and a task that agree did not meet'}")
    wakes_us = house.wakes_us(world, at_us)
    if wakes_us is not None and wakes_us <= at_us:
        raise Breach("something is due and was left undone")


def breaches(world: World) -> Findings:
    """All that holds at every position."""
    yield from money(world)
    yield from payouts(world)
    yield from tasks(world)
    yield from jobs(world)
    yield from workers(world)
    yield from waiting(world)
    yield from timers(world.timers.copy(), world.due_us.copy())


def differ(what: str, subject: str, expected: Any, actual: Any) -> Iterator[Finding]:
    if expected != actual:
        yield Finding(what, subject, str(expected)[:WORDS_MAX], str(actual)[:WORDS_MAX])


def pieces(things: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), PIECE):
        yield things[start : start + PIECE]


def each(part: dict[K, T]) -> Iterator[list[T]]:
    """What is there of a part of the world, piece by piece, each as it is when it is asked for."""
    for keys in pieces(list(part)):
        yield [part[key] for key in keys if key in part]


def has(row: list[R], item: R) -> bool:
    """Whether a sorted list holds it."""
    at = bisect_left(row, item)
    return row[at : at + 1] == [item]


def rises(row: Sequence[Any]) -> bool:
    """Whether it is sorted, and holds nothing twice."""
    return all(one < another for one, another in pairwise(row))


# Money.


def money(world: World) -> Findings:
    """Of one moment: every asset sums to zero, nobody is owed less than nothing, what is owed is there, and an account that stands for
    parts of the world holds their sum."""
    balances, shares = world.balances.copy(), list(world.shares.values())
    derived = defaultdict[Account, int](int)
    for deposit in world.deposits.values():
        derived[accounts.inbound(deposit.asset)] += deposit.amount
    sums, actual = defaultdict[tuple[str, str], int](int), dict[Account, int]()
    for rows in pieces(list(balances.items())):
        for account, balance in rows:
            asset, _, name = account.partition(":")
            code = name[:4]
            sums[asset, code] += int(balance)
            if code not in EITHER and (balance > 0) != (code in DEBIT):
                yield Finding("overdrawn", account, "a debit" if code in DEBIT else "a credit", str(balance))
            if code in DERIVED:
                actual[account] = int(balance)
        yield None
    yield from covered(sums)
    yield from earned(shares, derived)
    for account in sorted(actual.keys() | derived.keys()):
        yield from differ("the sum of its parts", account, derived[account], actual.get(account, 0))
    yield None


def covered(sums: dict[tuple[str, str], int]) -> Findings:
    """By asset and code of account."""
    for asset in sorted({asset for asset, _ in sums}):
        of = {code: amount for (its, code), amount in sums.items() if its == asset}
        yield from differ("entries balance", asset, 0, sum(of.values()))
        there, owed = (sum(amount for code, amount in of.items() if code[0] == kind) for kind in "12")
        if there < -owed:
            yield Finding("the treasury covers what is owed", asset, f"{-owed} or more", str(there))
    yield None


def earned(shares: list[Share], sums: dict[Account, int]) -> Findings:
    """Adds the shares to the sums of the accounts that hold them."""
    for some in pieces(shares):
        for it in some:
            sums[accounts.accrued(it.asset, it.owner)] -= it.amount
            sums[accounts.checkers(it.asset)] -= it.checkers
            sums[accounts.fee_deferred(it.asset)] -= it.fee
        yield None


def payouts(world: World) -> Findings:
    for people in each(world.people):
        for person in people:
            yield from payday(world, person)
        yield None
    for some in each(world.payouts):
        for payout in some:
            held = world.credit(accounts.inflight(payout.asset, payout.id))
            if held != payout.amount and (payout.status != "mined" or held):
                yield Finding("a payout holds its amount", payout.id, f"{int(payout.amount)} while {payout.status}", str(int(held)))
        yield None
    out = defaultdict[Asset, int](int)
    for batch in world.batches.values():
        its = [world.payouts[id] for id in batch.payouts if id in world.payouts]
        yield from differ("a batch pays what is its own", batch.id, batch.payouts, [it.id for it in its if it.batch == batch.id])
        if batch.nonce > world.nonce:
            yield Finding("a nonce is the wallet's", batch.id, f"{world.nonce} at most", str(batch.nonce))
        out[batch.asset] -= sum(it.amount for it in its if left(world, it))
    if len({(batch.asset, batch.nonce) for batch in world.batches.values()}) < len(world.batches):
        yield Finding("a batch has a nonce of its own", "batches", f"{len(world.batches)} nonces", "fewer")
    for asset in world.assets:
        yield from differ(
            "the sum of its parts", accounts.outbound(asset), out[asset], int(world.balances.get(accounts.outbound(asset), 0))
        )
    yield None


def left(world: World, payout: Payout) -> bool:
    """Whether it is in a block that is not final, and was paid there."""
    return payout.status == "mined" and not world.credit(accounts.inflight(payout.asset, payout.id))


def payday(world: World, person: Person) -> Iterator[Finding]:
    due_us = world.timer("payday", person.id)
    wanted = bool(world.policy.payday_us and person.payout_address and not world.frozen and world.is_payable(person.id))
    if (due_us is not None) != wanted or (due_us is not None and due_us < person.usable_us):
        yield Finding("a payday is due", person.id, f"after {person.usable_us}" if wanted else "none", str(due_us))


# Work.


def tasks(world: World) -> Findings:
    for some in each(world.tasks):
        drawn = {draw.subject for draw in world.draws}
        for task in some:
            yield from of_task(world, task, drawn)
        yield None
    leased = [world.tasks[id] for worker in world.workers.values() for id in worker.leases if id in world.tasks]
    yield from differ("benches are counted", "benches", sum(not task.job for task in leased), world.benches)
    proved = [world.tasks[id] for id in (*committed(world),) if id in world.tasks]
    audited = [world.tasks[it.task] for it in world.audits.values() if it.status != "closed" and it.task in world.tasks]
    held = Counter((task.worker, task.cls) for task in (*leased, *proved, *audited) if task.job)
    noted = {(worker.id, cls): it.held for worker in world.workers.values() for cls, it in worker.classes.items() if it.held}
    yield None
    for worker, cls in sorted(held.keys() | noted.keys()):
        yield from differ(f"tasks of {cls} are counted", worker, held[worker, cls], noted.get((worker, cls), 0))
    yield None


def committed(world: World) -> Iterator[TaskId]:
    """Tasks whose proof waits for the lottery."""
    yield from (task for _, _, task in world.proofs_waiting)
    yield from (TaskId(draw.subject) for draw in world.draws)


def of_task(world: World, task: Task, drawn: set[str]) -> Iterator[Finding]:
    status, expires_us = task.status, world.timer("expire", task.id)
    if task.job:
        held = world.balances.get(accounts.held(world.jobs[task.job].asset, task.id), 0)
        if held != (-task.price if status in UNDER_WAY else 0):
            yield Finding("a task holds its price", task.id, f"{int(task.price)} while {status}", str(-held))
    if (expires_us is not None) != (status == "leased"):
        yield Finding("a lease ends", task.id, f"a time while leased, and it is {status}", str(expires_us))
    if status == "leased" and task.id not in world.workers[task.worker].leases:
        yield Finding("a worker knows its leases", task.id, f"one of {task.worker}", "none of it")
    if status == "committed" and task.id not in drawn and not waits(world, task):
        yield Finding("a proof waits for the lottery", task.id, "among those that wait", "forgotten")
    if status == "auditing" and ((audit := world.audits.get(task.audit)) is None or audit.task != task.id or audit.status == "closed"):
        yield Finding("a task under audit has one that is open", task.id, "an open audit", task.audit)


def waits(world: World, task: Task) -> bool:
    """Whether its proof waits for a beacon."""
    return task.proof is not None and has(world.proofs_waiting, (task.proof.at_us, task.proof.pos, task.id))


def jobs(world: World) -> Findings:
    for id in list(world.jobs):
        mine = list[Task]()
        if task_id(id, 1) in world.tasks:
            for numbers in pieces(range(1, world.jobs[id].tasks + 1)):
                mine += [task for number in numbers if (task := world.tasks.get(task_id(id, number)))]
                if len(mine) > PIECE:
                    yield None
        if job := world.jobs.get(id):
            yield from of_job(world, job, mine)
        yield None
    for pos in world.hungry:
        yield from differ("the list of jobs with ready tasks holds such", f"job-{pos}", True, is_hungry(world.jobs.get(job_id(pos))))
    yield from differ("the list of jobs with ready tasks is sorted", "hungry", True, rises(world.hungry))
    yield None


def of_job(world: World, job: Job, mine: list[Task]) -> Findings:
    """What it notes of its tasks: they are all there from its opening to its archive."""
    statuses, ready = list(map(status_of, mine)), job.ready.copy()
    facts = {
        "open tasks": (sum(map(statuses.count, ("ready", *UNDER_WAY))), job.open_tasks),
        "accepted tasks": (statuses.count("accepted") + statuses.count("matured"), job.accepted),
        "dead tasks": (statuses.count("dead"), job.dead),
        "tasks": (job.tasks if mine else 0, len(mine)),
        "place among the hungry": (is_hungry(job), has(world.hungry, position(job.id))),
        "time of its archive": (job.status == "closed" and not job.unmatured, world.timer("archive", job.id) is not None),
        "status": (True, job.status in STATUSES),
    }
    if job.status in {"closed", "archived"}:
        facts["escrow after its end"] = (0, int(world.credit(accounts.unallocated(job.asset, job.id))))
        facts["open tasks after its end"] = (0, job.open_tasks)
    for what, (expected, noted) in facts.items():
        if expected != noted:
            yield Finding(f"a job's {what}", job.id, str(expected), str(noted))
    if len(mine) > PIECE:
        yield None
    yield from differ("a job's ready tasks", job.id, [number for number, it in enumerate(statuses, 1) if it == "ready"], ready)
    if len(mine) > PIECE:
        yield None
    if job.id in world.jobs:
        unmatured = sum(map(world.shares.__contains__, [task.id for task in mine]))
        yield from differ("a job's shares that are not mature", job.id, unmatured, job.unmatured)


def is_hungry(job: Job | None) -> bool:
    return job is not None and bool(job.ready) and job.status == "open"


# Who is there, and what waits.


def workers(world: World) -> Findings:
    for some in each(world.workers):
        for worker in some:
            yield from of_worker(world, worker)
            for cls in worker.classes:
                yield from seat(world, worker, cls)
        yield None
    for cls, seats in list(world.free.items()):
        yield from differ("the list of the free is sorted", cls, True, rises(seats))
        for place in seats:
            it = world.workers[worker_id(place[4])].classes.get(cls)
            yield from differ("the list of the free holds such", f"{worker_id(place[4])} in {cls}", place, it and it.seat)
        yield None
    for cls, checkers in list(world.checkers.items()):
        yield from differ("the list of the checkers is sorted", cls, True, rises(checkers))
        yield None


def of_worker(world: World, worker: Worker) -> Iterator[Finding]:
    its = [id for id in worker.leases if (task := world.tasks.get(id)) and (task.status, task.worker) == ("leased", worker.id)]
    if its != worker.leases or len(set(its)) < len(its):
        yield Finding("a worker's leases are its own, and each is noted once", worker.id, str(its), str(worker.leases))


def seat(world: World, worker: Worker, cls: str) -> Iterator[Finding]:
    it, at = worker.classes[cls], position(worker.id)
    newcomer_full = it.clean < world.policy.warm_up and it.held >= world.policy.probation
    free = worker.is_there and worker.kind != "checker" and len(worker.leases) < worker.slots and not newcomer_full
    drawn = worker.kind == "checker" and worker.is_there
    facts = (
        ("who may be asked has a seat", bool(free and it.price and it.score), it.seat is not None),
        ("a seat is where it belongs", it.seat and (-worker.reliability_ppm, -it.score), it.seat and it.seat[1:3]),
        ("a seat is among the free", True, it.seat is None or has(world.free.get(cls, []), it.seat)),
        ("who may be drawn is among the checkers", drawn, has(world.checkers.get(cls, []), at)),
        ("a bench waits for its beacon", True, it.bench_us is None or has(world.benches_waiting, (it.bench_us, at, cls))),
    )
    for what, expected, actual in facts:
        if expected != actual:
            yield Finding(what, f"{worker.id} in {cls}", str(expected), str(actual))


def waiting(world: World) -> Findings:
    """What the house looks at is sorted, whole, and has nothing stale."""
    proved = list(committed(world))
    stale = [id for id in proved if id not in world.tasks or world.tasks[id].status != "committed"]
    yield from differ("the proofs that wait for the lottery wait", "proofs", [], stale)
    yield from differ("each waits once", "proofs", len(set(proved)), len(proved))
    yield None
    for some in each(world.audits):
        looks = {audit for _, _, audit in world.looks_waiting} | {look.subject for look in world.looks}
        for audit in some:
            if audit.looking != (audit.id in looks):
                yield Finding("an audit waits for its second look", audit.id, str(audit.looking), str(audit.id in looks))
            timed = world.timer("tally", audit.id) is not None
            if timed == (audit.looking or audit.status == "closed"):
                yield Finding("an audit that is open has an end", audit.id, str(not timed), str(timed))
        yield None
    looking = [audit for _, _, audit in world.looks_waiting] + [AuditId(look.subject) for look in world.looks]
    yield from differ("the audits that wait for a second look are there", "looks", [], [id for id in looking if id not in world.audits])
    for name in ("proofs_waiting", "benches_waiting", "looks_waiting"):
        yield from differ("what waits is sorted", name, True, rises(getattr(world, name)))
    for _, at, cls in world.benches_waiting:
        it = world.workers[worker_id(at)].classes.get(cls)
        yield from differ("the benches that wait are wanted", f"{worker_id(at)} in {cls}", True, it is not None and it.bench_us is not None)
    yield None


def timers(rows: list[tuple[int, int, int, str]], due_us: dict[str, int]) -> Findings:
    """Of one moment: the list and the times by name are the same, and the list is sorted."""
    yield from differ("timers have a time each", "timers", len(due_us), len(rows))
    last = (-1, 0, 0, "")
    for some in pieces(rows):
        for row in some:
            if due_us.get(row[3]) != row[0]:
                yield Finding("a timer's time", row[3], str(due_us.get(row[3])), str(row[0]))
            if row <= last:
                yield Finding("timers are sorted", row[3], f"after {last}", str(row))
            last = row
        yield None
