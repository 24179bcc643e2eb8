"""Worlds that are not as they must be: for each thing that the invariants look at, one that is wrong."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from msgspec.structs import replace

from domain import accounts
from domain.accounts import ETH, USDC, Account
from domain.ids import BatchId, position
from domain.parts import Audit, Job, Payout, Standing, Task, Worker
from domain.units import Units
from domain.world import World

T = TypeVar("T")
Plant = Callable[[World], None]
"""Spoils the world. StopIteration if it has nothing of the kind."""


def shift(world: World, account: Account, amount: int) -> None:
    world.post(((account, Units(amount)),))


def move(world: World, debit: Account, credit: Account, amount: int) -> None:
    world.post(((debit, Units(amount)), (credit, Units(-amount))))


def task(world: World, status: str) -> Task:
    return next(it for it in world.tasks.values() if it.status == status and it.job)


def job(world: World, *statuses: str) -> Job:
    return next(it for it in world.jobs.values() if it.status in statuses)


def audit(world: World, *, open: bool = True) -> Audit:
    return next(it for it in world.audits.values() if (it.status != "closed") == open)


def payout(world: World, status: str) -> Payout:
    return next(it for it in world.payouts.values() if it.status == status)


def standing(world: World, *, seated: bool) -> tuple[Worker, str, Standing]:
    found = ((it, cls, its) for it in world.workers.values() for cls, its in it.classes.items() if bool(its.seat) == seated)
    return next(found)


def owed(world: World) -> Account:
    return next(account for account, balance in world.balances.items() if ":2110." in account and balance)


def people(world: World) -> Iterator[str]:
    return (it.id for it in world.people.values())


def unbalanced(world: World) -> None:
    shift(world, owed(world), -1)


def overdrawn(world: World) -> None:
    move(world, owed(world), accounts.safety(USDC), 10**12)


def insolvent(world: World) -> None:
    move(world, accounts.capital(USDC), accounts.treasury(USDC), 1)


def lost_share(world: World) -> None:
    id, share = next(iter(world.shares.items()))
    world.shares[id] = replace(share, amount=Units(share.amount - 1))


def share_of_the_house(world: World) -> None:
    id, share = next(iter(world.shares.items()))
    world.shares[id] = replace(share, fee=Units(share.fee + 1))


def forgotten_deposit(world: World) -> None:
    move(world, accounts.inbound(USDC), accounts.suspense(USDC), 1_000)


def paid_twice(world: World) -> None:
    move(world, accounts.safety(USDC), accounts.outbound(USDC), 1)


def price_changed(world: World) -> None:
    task(world, "leased").price += 1


def price_kept_after_acceptance(world: World) -> None:
    it = task(world, "accepted")
    move(world, accounts.safety(USDC), accounts.held(USDC, it.id), 1)


def endless_lease(world: World) -> None:
    world.drop_timer("expire", task(world, "leased").id)


def lease_unknown_to_its_worker(world: World) -> None:
    it = task(world, "leased")
    world.workers[it.worker].leases.remove(it.id)


def leased_to_two(world: World) -> None:
    it = task(world, "leased")
    next(each for each in world.workers.values() if each.id != it.worker).leases.append(it.id)


def forgotten_proof(world: World) -> None:
    next(iter(world.proofs_waiting))
    del world.proofs_waiting[0]


def stale_proof(world: World) -> None:
    world.proofs_waiting.append((world.at_us + 1, world.pos, task(world, "accepted").id))


def audit_closed_alone(world: World) -> None:
    next(it for it in world.audits.values() if it.status != "closed" and world.tasks[it.task].job).status = "closed"


def endless_audit(world: World) -> None:
    world.drop_timer("tally", audit(world).id)


def forgotten_look(world: World) -> None:
    audit(world).looking = True


def ready_task_forgotten(world: World) -> None:
    next(it for it in world.jobs.values() if len(it.ready) > 1).ready.pop()


def job_counts_too_many_open(world: World) -> None:
    job(world, "open").open_tasks += 1


def job_counts_too_many_accepted(world: World) -> None:
    job(world, "open").accepted += 1


def job_counts_too_many_dead(world: World) -> None:
    job(world, "open").dead += 1


def job_counts_too_many_shares(world: World) -> None:
    job(world, "open", "closed").unmatured += 1


def job_loses_a_task(world: World) -> None:
    it = task(world, "accepted")
    del world.tasks[it.id]


def job_never_archived(world: World) -> None:
    it = next(it for it in world.jobs.values() if world.timer("archive", it.id) is not None)
    world.drop_timer("archive", it.id)


def job_keeps_escrow(world: World) -> None:
    it = job(world, "closed")
    move(world, accounts.safety(USDC), accounts.unallocated(it.asset, it.id), 1)


def job_closed_with_open_tasks(world: World) -> None:
    next(it for it in world.jobs.values() if it.status == "open" and it.open_tasks).status = "closed"


def hungry_forgotten(world: World) -> None:
    next(iter(world.hungry))
    del world.hungry[0]


def full_among_the_hungry(world: World) -> None:
    world.hungry.append(position(job(world, "closed").id))
    world.hungry.sort()


def miscounted_tasks_of_a_worker(world: World) -> None:
    standing(world, seated=True)[2].held += 1


def miscounted_benches(world: World) -> None:
    world.benches += 1


def seat_lost(world: World) -> None:
    standing(world, seated=True)[2].seat = None


def not_among_the_free(world: World) -> None:
    _worker, cls, its = standing(world, seated=True)
    assert its.seat is not None
    world.free[cls].remove(its.seat)


def seat_twice(world: World) -> None:
    _worker, cls, its = standing(world, seated=True)
    assert its.seat is not None
    world.free[cls].insert(0, its.seat)


def seat_of_yesterday(world: World) -> None:
    standing(world, seated=True)[0].record.append(0)


def checker_forgotten(world: World) -> None:
    next(row for row in world.checkers.values() if row).pop()


def bench_forgotten(world: World) -> None:
    next(iter(world.benches_waiting))
    del world.benches_waiting[0]


def bench_unwanted(world: World) -> None:
    worker, cls, _its = next((it, cls, its) for it in world.workers.values() for cls, its in it.classes.items() if its.bench_us is None)
    world.benches_waiting.append((world.at_us + 10**12, position(worker.id), cls))


def timers_out_of_order(world: World) -> None:
    next(iter(world.timers[1:]))
    world.timers.reverse()


def timer_without_time(world: World) -> None:
    del world.due_us[next(iter(world.due_us))]


def timer_of_another_time(world: World) -> None:
    world.due_us[next(iter(world.due_us))] += 1


def payout_of_another_amount(world: World) -> None:
    payout(world, "requested").amount += 1


def batch_of_a_nonce_to_come(world: World) -> None:
    next(iter(world.batches.values())).nonce += 1


def batch_pays_for_another(world: World) -> None:
    it = next(iter(world.batches.values()))
    world.payouts[it.payouts[0]].batch = BatchId("batch-1")


def payday_of_nobody(world: World) -> None:
    world.set_timer("payday", next(people(world)), world.at_us)


def gas_that_nobody_paid(world: World) -> None:
    shift(world, accounts.gas(ETH), 1)


PLANTS: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (
        *(unbalanced, overdrawn, insolvent, lost_share, share_of_the_house, forgotten_deposit, paid_twice, gas_that_nobody_paid),
        *(price_changed, price_kept_after_acceptance, endless_lease, lease_unknown_to_its_worker, leased_to_two),
        *(forgotten_proof, stale_proof, audit_closed_alone, endless_audit, forgotten_look),
        *(ready_task_forgotten, job_counts_too_many_open, job_counts_too_many_accepted, job_counts_too_many_dead),
        *(job_counts_too_many_shares, job_loses_a_task, job_never_archived, job_keeps_escrow, job_closed_with_open_tasks),
        *(hungry_forgotten, full_among_the_hungry, miscounted_tasks_of_a_worker, miscounted_benches),
        *(seat_lost, not_among_the_free, seat_twice, seat_of_yesterday, checker_forgotten, bench_forgotten, bench_unwanted),
        *(timers_out_of_order, timer_without_time, timer_of_another_time),
        *(payout_of_another_amount, batch_of_a_nonce_to_come, batch_pays_for_another, payday_of_nobody),
    )
}
