"""Shares until they mature, what a conviction takes of them, and the checkers' pool."""

from typing import TypeVar

import pytest
from msgspec.structs import replace

from domain import accounts
from domain.accounts import ETH, USDC, Asset, move
from domain.event import Event, Origin, Recorded
from domain.house import invariants
from domain.ids import HOUSE, AccountId, AuditId, JobId, TaskId, command_id
from domain.parts import CheckClaim, Job, Share, Task, Worker
from domain.policy import DAY, HOUR, STANDARD
from domain.treasury import earnings, stake
from domain.units import ZERO, Units
from domain.work import job
from domain.world import World
from tests.domain.test_ends import cancelled_late
from tests.network import CLASS, Network, populated

E = TypeVar("E", bound=Event)
AUDIT = AuditId("audit-77")


def found(events: list[Recorded[Event]], kind: type[E]) -> list[E]:
    return [each.event for each in events if isinstance(each.event, kind)]


def owning(*amounts: int, staked: int = 0) -> tuple[World, Worker]:
    """A worker's owner with a stake, and with shares of these amounts that are not mature, the oldest first."""
    it = Network("standard", signs=False)
    owner = it.person("provider")
    worker = it.world.workers[it.worker(owner)]
    post(it.world, accounts.stake(USDC, owner), staked)
    job_id = JobId("job-999")
    it.world.jobs[job_id] = Job(job_id, owner, USDC, "e", "b", "standard", "", "", 1, 1, 1, (1, 1), 1, Units(1), 0, [], [], 0, len(amounts))
    for n, amount in enumerate(amounts, 1):
        task = Task(TaskId(f"{job_id}/{n}"), job_id, 1, 1, CLASS, "accepted", worker.id, owner)
        it.world.tasks[task.id] = task
        it.world.accrue(share(task, Units(amount), it.now_us, worker.classes[CLASS].cleared))
        post(it.world, accounts.accrued(USDC, owner), amount)
    return it.world, worker


def share(task: Task, amount: Units, at_us: int, cleared: int) -> Share:
    return Share(task.id, task.job, USDC, task.owner, task.worker, CLASS, amount, ZERO, ZERO, at_us, cleared)


def post(world: World, account: accounts.Account, amount: int, asset: Asset = USDC) -> None:
    world.post(move(Units(amount), debit=accounts.treasury(asset), credit=account))


def slashed(world: World, worker: Worker, gross: int, p_ppm: int) -> tuple[int, list[tuple[str, int]], int]:
    event = stake.slash(world, worker.id, AUDIT, TaskId("job-999/1"), Units(gross), p_ppm, USDC)
    world.post(event.entry())
    event.apply(world)
    assert world.credit(accounts.safety(USDC)) == event.from_stake + event.from_accrued
    assert event.from_accrued == sum(part.amount for part in event.taken)
    return event.from_stake, [(part.task, int(part.amount)) for part in event.taken], event.shortfall


@pytest.mark.parametrize(
    ("staked", "shares", "gross", "p_ppm", "expected"),
    [
        (1_000, (), 100, 1_000_000, (100, [], 0)),
        (1_000, (), 100, 100_000, (1_000, [], 0)),
        (1_000, (70,), 100, 100_000, (1_000, [], 0)),
        (500, (300, 300), 100, 100_000, (500, [("job-999/1", 300), ("job-999/2", 200)], 0)),
        (500, (300, 100), 100, 100_000, (500, [("job-999/1", 300), ("job-999/2", 100)], 100)),
        (0, (), 100, 1_000_000, (0, [], 100)),
        (0, (40,), 100, 300_000, (0, [("job-999/1", 40)], 293)),
    ],
)
def test_a_conviction_costs_the_price_by_its_chance_the_stake_first_then_the_oldest_shares(
    staked: int, shares: tuple[int, ...], gross: int, p_ppm: int, expected: tuple[int, list[tuple[str, int]], int]
) -> None:
    world, worker = owning(*shares, staked=staked)

    assert slashed(world, worker, gross, p_ppm) == expected
    assert world.credit(accounts.accrued(USDC, worker.owner)) == sum(each.amount for each in world.shares.values())


def test_where_there_is_nothing_to_take_the_entry_is_empty() -> None:
    world, worker = owning()

    assert stake.slash(world, worker.id, AUDIT, TaskId("job-9/1"), Units(5), 1_000_000, USDC).entry() == ()


def test_maturity_pays_what_a_conviction_left_of_a_share() -> None:
    world, worker = owning(300, 300)
    slashed(world, worker, 400, 1_000_000)
    lines = [earnings.line(world, each) for each in world.shares.values()]

    assert [int(line.worker) for line in lines] == [0, 200]


def test_a_share_matures_after_twenty_later_clean_audits_and_not_before_three_days() -> None:
    world, worker = owning(5)
    (task,) = world.shares
    accepted_us = world.shares[task].accepted_us
    world.at_us = accepted_us + HOUR
    for _ in range(19):
        world.clear(worker, CLASS)
    assert world.timer("mature", task) is None
    world.clear(worker, CLASS)

    assert world.timer("mature", task) == accepted_us + STANDARD.maturity_us == accepted_us + 3 * DAY
    assert worker.classes[CLASS].waiting == []


def test_when_the_twentieth_audit_comes_late_the_share_matures_at_once() -> None:
    world, worker = owning(5, 6)
    first, second = world.shares
    world.shares[second] = replace(world.shares[second], cleared=1)
    world.at_us += 5 * DAY
    for _ in range(20):
        world.clear(worker, CLASS)

    assert world.timer("mature", first) == world.at_us
    assert world.timer("mature", second) is None


def test_audited_work_matures_after_fourteen_days_waived_work_waits_for_its_audits() -> None:
    world, worker = owning(5)
    (waived,) = world.shares
    audited = Task(TaskId("job-999/2"), JobId("job-999"), 1, 1, CLASS, "accepted", worker.id, worker.owner, audit=AUDIT)
    world.tasks[audited.id] = audited
    world.accrue(share(audited, Units(6), world.at_us, 0))

    assert world.timer("mature", audited.id) == world.at_us + 14 * DAY
    assert world.timer("mature", waived) is None
    assert worker.classes[CLASS].waiting == [waived, audited.id]


def test_a_fee_for_a_cancelled_lease_waits_for_no_audit() -> None:
    it, _ = cancelled_late()
    (fee,) = it.world.shares.values()
    done = it.wait(it.policy.maturity_us)
    (matured,) = found(done, earnings.Matured)

    assert [(line.worker, line.next) for line in matured.lines] == [(fee.amount, "cancelled")]
    assert it.world.credit(accounts.payable(USDC, fee.owner)) == fee.amount
    it.wait(it.policy.archive_us)
    assert it.world.jobs == {}
    invariants.check_sealed(it.world, it.ledger.at_us)


def test_a_job_is_archived_when_its_last_share_has_matured_and_no_earlier_than_the_policy_says() -> None:
    it, creator, _ = populated(signs=False)
    id = it.submit(creator)
    it.open(id)
    while it.world.jobs[id].status != "closed":
        for lease in [one for one, each in it.world.tasks.items() if each.status == "leased"]:
            it.commit(lease, after_us=1_500_000)
        it.judge()
    closed_us = it.world.jobs[id].closed_us
    while id in it.world.jobs:
        it.wait(100_000)
    (archived,) = [each for each in it.events if isinstance(each.event, job.Archived)]
    last_us = max(each.at_us for each in it.events if isinstance(each.event, earnings.Matured))

    assert archived.at_us >= max(closed_us + it.policy.archive_us, last_us)
    assert it.world.balances.keys() & {accounts.unallocated(USDC, id)} == set()


# The checkers' pool.


def pooled(pool: int, *claims: int) -> tuple[World, list[AccountId]]:
    """A pool, and one claim of each of as many checkers, all online through the epoch with the same stake."""
    it = Network("standard", signs=False)
    owners = [it.person("checker") for _ in claims]
    for owner, amount in zip(owners, claims, strict=True):
        id = it.worker(owner, "checker")
        it.online(id)
        post(it.world, accounts.stake(USDC, owner), 1_000)
        it.world.claims.setdefault(USDC, []).append(CheckClaim(id, owner, Units(amount)))
    post(it.world, accounts.pool(USDC), pool)
    it.world.epoch_us = it.now_us
    return it.world, owners


def shared(world: World, asset: Asset = USDC, after_us: int = HOUR) -> list[int]:
    return [int(amount) for _, amount in earnings.distribution(world, asset, world.at_us + after_us)]


def test_claims_are_scaled_down_when_the_pool_is_short() -> None:
    assert shared(pooled(100, 150, 50)[0]) == [75, 25]
    assert shared(pooled(10, 1, 1, 1, 100)[0]) == [0, 0, 0, 10]
    assert shared(pooled(0, 1, 1)[0]) == [0, 0]


def test_what_is_left_goes_by_stake_and_time_and_correct_reveals() -> None:
    world, owners = pooled(1_040, 20, 20)
    assert shared(world) == [520, 520]
    post(world, accounts.stake(USDC, owners[1]), 3_000)
    assert shared(world) == [20 + 200, 20 + 800]
    world.workers[world.claims[USDC][1].checker].online_us = world.at_us + 3 * HOUR // 4
    assert shared(world) == [20 + 500, 20 + 500]
    world.claims[USDC].append(CheckClaim(world.claims[USDC][0].checker, owners[0], Units(0)))
    assert sum(shared(world)) == 1_040
    assert shared(world)[0] == 20 + 667


def test_who_missed_or_erred_gets_nothing_of_the_epoch() -> None:
    world, _ = pooled(1_000, 20, 20)
    world.barred.append(world.claims[USDC][0].checker)

    assert shared(world) == [1_000]


def test_with_nobody_to_have_it_the_pool_carries_over() -> None:
    world, _ = pooled(1_000)
    world.arm_pool()
    assert world.timer("pool", "epoch-0") is None
    assert shared(world) == []


def test_each_asset_has_its_own_pool_and_its_own_claims() -> None:
    world, owners = pooled(1_000, 20)
    post(world, accounts.pool(ETH), 50, ETH)
    world.claims[ETH] = [CheckClaim(world.claims[USDC][0].checker, owners[0], Units(50))]
    world.arm_pool()
    at_us = world.timer("pool", "epoch-0") or 0
    done = list(earnings.Distribute().decide(world, origin(at_us)))
    assert [(each.asset, [int(line.amount) for line in each.lines]) for each in done if isinstance(each, earnings.Distributed)] == [
        (USDC, [1_000]),
        (ETH, [50]),
    ]
    for event in done:
        world.post(event.entry())
        event.apply(world)

    assert (world.claims, world.epoch_us) == ({}, at_us)
    assert world.credit(accounts.checker_payable(ETH, owners[0])) == 50


def origin(at_us: int) -> Origin:
    return Origin(command_id(HOUSE, "pool"), HOUSE, at_us, 1)


def test_a_correct_reveal_claims_one_and_a_half_times_the_price_of_its_regions() -> None:
    it, creator, _ = populated(signs=False)
    it.open(it.submit(creator))
    (lease, *_) = [one for one, each in it.world.tasks.items() if each.status == "leased"]
    it.commit(lease, after_us=1_500_000)
    it.judge()
    it.world.claims.clear()
    task = it.world.tasks[TaskId(lease)]
    of = it.world.audits[task.audit]
    earnings.claim_checks(it.world, of.id, USDC)
    (claim,) = it.world.claims[USDC]

    assert (task.tiles, len(of.rounds[0].regions)) == (4, 1)
    assert claim.amount == task.price * 3 // (2 * 4)
    assert [claim.checker] == of.rounds[0].checkers


def test_a_bench_is_checked_for_nothing_but_counts() -> None:
    it, _, _ = populated(signs=False)
    claims = it.world.claims.get(USDC, [])

    assert {int(claim.amount) for claim in claims} == {0}
    assert len(claims) == 4
