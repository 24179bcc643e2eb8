"""What must hold after every step: one page for scripts, state machine and simulator."""

from collections import Counter

from domain import accounts
from domain.accounts import asset_of
from domain.house import house
from domain.ids import order, position
from domain.lifecycle import JOB
from domain.market import match
from domain.world import World

DEBIT = ("1110", "1120", "5110")
"""Accounts that hold debits; 1140 and 3110 may be of either kind; all others are liabilities and never overdrawn."""
EITHER = ("1140", "3110")


def check(world: World) -> None:
    """Holds at every position."""
    money(world)
    work(world)
    lists(world)


def money(world: World) -> None:
    sums = Counter[str]()
    for account, balance in world.balances.items():
        sums[asset_of(account)] += balance
        code = account.partition(":")[2][:4]
        assert code in EITHER or (balance > 0) == (code in DEBIT), f"{account} holds {balance}"
    assert not any(sums.values()), f"entries do not balance: {sums}"
    for job in world.jobs.values():
        locked = sum(world.credit(accounts.held(job.asset, task.id)) for task in world.tasks.values() if task.job == job.id)
        prices = [task.price for task in world.tasks.values() if task.job == job.id and task.status in {"leased", "committed", "auditing"}]
        assert locked == sum(prices), f"escrow of the tasks of {job.id}"
        if job.status in {"closed", "archived"}:
            assert not world.credit(accounts.unallocated(job.asset, job.id)), f"{job.id} is closed and holds money"
    for owner in world.people:
        for asset in world.assets:
            shares = sum(share.amount for share in world.shares.values() if (share.owner, share.asset) == (owner, asset))
            assert world.credit(accounts.accrued(asset, owner)) == shares, f"shares of {owner}"
    for owner, person in world.people.items():
        due_us = world.timer("payday", owner)
        assert (due_us is not None) == bool(world.policy.payday_us and person.payout_address and world.is_payable(owner))
        assert due_us is None or due_us >= person.usable_us
    for payout in world.payouts.values():
        held_back = world.credit(accounts.inflight(payout.asset, payout.id))
        assert held_back == payout.amount or (payout.status == "mined" and not held_back), f"money of {payout.id}"


def work(world: World) -> None:
    held, leases = Counter[tuple[str, str]](), Counter[str]()
    for task in world.tasks.values():
        if task.status == "leased":
            assert task.id in world.workers[task.worker].leases
            leases[task.worker] += 1
        if task.job and task.status in {"leased", "committed", "auditing"}:
            held[task.worker, task.cls] += 1
        assert (world.timer("expire", task.id) is not None) == (task.status == "leased"), f"lease of {task.id}"
    for worker in world.workers.values():
        assert leases[worker.id] == len(worker.leases) <= worker.slots
        for cls, standing in worker.classes.items():
            assert held[worker.id, cls] == standing.held
            assert standing.clean >= world.policy.warm_up or standing.held <= world.policy.probation
    for job in world.jobs.values():
        mine = [task for task in world.tasks.values() if task.job == job.id]
        assert job.ready == sorted(order(task.id)[1] for task in mine if task.status == "ready"), f"ready of {job.id}"
        assert job.open_tasks == sum(task.status in {"ready", "leased", "committed", "auditing"} for task in mine)
        assert job.accepted == sum(task.status in {"accepted", "matured"} for task in mine)
        assert job.unmatured == sum(share.job == job.id for share in world.shares.values())
        assert job.status in {status for row in JOB for status in (row[0], row[2])}
    assert world.benches == sum(not task.job and task.status == "leased" for task in world.tasks.values())


def lists(world: World) -> None:
    assert world.hungry == sorted(position(job.id) for job in world.jobs.values() if job.ready and job.status == "open")
    assert world.timers == sorted(world.timers)
    assert {name for *_, name in world.timers} == world.due_us.keys()
    for cls, seats in world.free.items():
        assert seats == sorted(seats)
        assert seats == sorted(
            worker.classes[cls].seat for worker in world.workers.values() if cls in worker.classes and worker.classes[cls].seat
        )  # type: ignore[type-var]
    for worker in world.workers.values():
        for cls, standing in worker.classes.items():
            newcomer_full = standing.clean < world.policy.warm_up and standing.held >= world.policy.probation
            free = worker.is_there and worker.kind != "checker" and len(worker.leases) < worker.slots and not newcomer_full
            assert (standing.seat is not None) == bool(free and standing.price and standing.score), f"seat of {worker.id}"
            assert standing.seat is None or standing.seat[1:3] == (-worker.reliability_ppm, -standing.score)
            assert (position(worker.id) in world.checkers.get(cls, [])) == (worker.kind == "checker" and worker.is_there)
            assert ((standing.bench_us, position(worker.id), cls) in world.benches_waiting) == (standing.bench_us is not None)
    looking = [audit for _, _, audit in world.looks_waiting] + [look.subject for look in world.looks]
    assert sorted(looking) == sorted(audit.id for audit in world.audits.values() if audit.looking)
    for audit in world.audits.values():
        assert (world.timer("tally", audit.id) is None) == (audit.looking or audit.status == "closed"), f"timer of {audit.id}"
    for job in world.jobs.values():
        assert (world.timer("archive", job.id) is not None) == (job.status == "closed" and not job.unmatured), f"end of {job.id}"
    waiting = [task for _, _, task in world.proofs_waiting] + [draw.subject for draw in world.draws]
    assert sorted(waiting) == sorted(task.id for task in world.tasks.values() if task.status == "committed")


def check_sealed(world: World, at_us: int) -> None:
    """After the house had its turn, and had it to the end."""
    check(world)
    assert not world.draws
    assert not world.looks
    assert not world.quoting
    assert match.best(world, at_us) is None, "a bid and a task that agree did not meet"
    wakes_us = house.wakes_us(world, at_us)
    assert wakes_us is None or wakes_us > at_us, "something is due and was left undone"
