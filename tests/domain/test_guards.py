"""What is refused, at its exact edge."""

import msgspec
import pytest

from domain import accounts
from domain.accounts import USDC, move
from domain.errors import (
    AddressNotUsable,
    DeadlinePassed,
    Frozen,
    NotAllowed,
    NotFound,
    NotLive,
    NotYours,
    NumberUsed,
    RoleMissing,
    StaleFence,
    TooEarly,
    WrongBeacon,
    WrongNonce,
    WrongTiles,
)
from domain.house import invariants
from domain.ids import AccountId, TaskId, WorkerId
from domain.lifecycle import LIFECYCLES
from domain.market import bid, worker
from domain.parts import Proof, Task
from domain.proof import beacon, bench, lottery, proof
from domain.treasury import batch, payout, stake
from domain.units import Units
from domain.work import job, task
from tests.domain.test_audits import audited, revealing, sealing
from tests.domain.test_ends import released_cheat
from tests.network import BUILD, CHAIN_ID, CLASS, DUMMY, Network, block_hash, populated


def leased() -> tuple[Network, Task, Task]:
    """Two leases of different owners."""
    it, creator, workers = populated(signs=False)
    it.open(it.submit(creator, frames=2))
    one, two = (it.world.tasks[it.world.workers[workers[name]].leases[0]] for name in ("slow", "fast"))
    return it, one, two


def committing(of: Task, tiles: int) -> proof.Commit:
    given = {"worker": of.worker, "task": of.id, "fence": of.fence, "raw": ["ab" * 32] * tiles, "raw_bytes": 1, "seconds_us": 1}
    return proof.Commit.model_validate(given | {"build": BUILD, "device": "cpu", "signature": DUMMY})


@pytest.mark.parametrize("tiles", [1, 3, 5])
def test_a_proof_has_one_hash_for_each_tile_of_its_task(tiles: int) -> None:
    it, one, _ = leased()
    with pytest.raises(WrongTiles):
        it.do(one.worker, committing(one, tiles), one.owner)


def test_a_proof_at_the_end_of_its_lease_is_too_late_and_a_moment_before_it_is_not() -> None:
    it, one, two = leased()
    due_us = it.world.timer("expire", one.id) or 0
    it.now_us = due_us - 1_001
    it.do(one.worker, committing(one, 4), one.owner)
    it.now_us = (it.world.timer("expire", two.id) or 0) - 1_000
    with pytest.raises(DeadlinePassed):
        it.do(two.worker, committing(two, 4), two.owner)

    assert (one.status, two.status) == ("committed", "leased")


def test_a_proof_under_an_old_fence_is_recorded_once_and_changes_nothing() -> None:
    it, one, _ = leased()
    first, late = one.worker, committing(one, 4)
    owner = one.owner
    it.do(first, task.End(task=one.id, fence=1, outcome="error", code="crashed"), owner)
    recorded = it.do(first, late, owner)[0].event
    assert isinstance(recorded, proof.Committed)
    assert recorded.late
    assert recorded.entry() == ()
    assert one.proof is None
    with pytest.raises(StaleFence):
        it.do(first, late, owner)
    with pytest.raises(StaleFence):
        it.do(first, late.model_copy(update={"fence": 9}), owner)


def test_nobody_gives_back_anothers_lease_nor_acts_as_anothers_worker() -> None:
    it, one, two = leased()
    end = task.End(task=one.id, fence=one.fence, outcome="declined", code="busy")
    with pytest.raises(NotYours):
        it.do(two.worker, end, two.owner)
    with pytest.raises(NotYours):
        it.do(one.worker, end, two.owner)


def test_declining_costs_nothing_and_the_task_is_leased_under_the_next_fence() -> None:
    it, one, _ = leased()
    first = it.world.workers[one.worker]
    before = first.reliability_ppm
    it.do(first.id, task.End(task=one.id, fence=1, outcome="declined", code="busy"), one.owner)

    assert first.reliability_ppm == before
    assert (one.errors, one.failed, one.past) == (0, [], [(1, first.id)])
    assert one.fence == 2


def test_a_task_is_dead_after_three_errors_of_whomever() -> None:
    it, creator, _ = populated(signs=False)
    id = it.submit(creator)
    it.open(id)
    it.world.policy = msgspec.structs.replace(it.policy, dead_ppm=900_000)
    of = it.world.tasks[TaskId(f"{id}/1")]
    statuses = []
    for n in range(3):
        while of.status != "leased":
            other = next(one for one, each in it.world.tasks.items() if each.status == "leased")
            it.commit(other, after_us=1_500_000)
        it.do(it.daemon("gate"), task.Stop(task=of.id, fence=of.fence, code="constant"))
        statuses.append((of.errors, of.status == "dead"))
        assert len(set(of.failed)) == n + 1, "each time another worker"

    assert statuses == [(1, False), (2, False), (3, True)]
    invariants.check_sealed(it.world, it.ledger.at_us)


def test_a_tenth_of_dead_tasks_pauses_nothing_yet() -> None:
    it, creator, _ = populated(signs=False)
    id = it.submit(creator, frames=5)
    it.open(id)
    it.world.jobs[id].dead = 1
    of = next(each for each in it.world.tasks.values() if each.status == "leased")
    of.errors = it.policy.errors_max - 1
    it.do(it.daemon("gate"), task.Stop(task=of.id, fence=of.fence, code="constant"))

    assert (it.world.jobs[id].tasks, it.world.jobs[id].dead, it.world.jobs[id].status) == (20, 2, "open")


def test_a_verdict_is_sealed_before_its_time_and_not_at_it() -> None:
    it, id = audited()
    (checker,) = it.world.audits[id].rounds[0].checkers
    seal, owner = sealing(it, revealing(it, id, checker, "valid")), it.world.workers[checker].owner
    it.now_us = it.world.audits[id].due_us - 1_000
    with pytest.raises(DeadlinePassed):
        it.do(checker, seal, owner)
    it.now_us -= 1_001
    it.do(checker, seal, owner)

    assert it.world.audits[id].seals.keys() == {checker}


def test_a_party_checks_nothing_even_without_an_address() -> None:
    it = Network(signs=False)
    owner = it.person("provider", "checker", funds=20_000_000, locked=5_000_000)
    it.world.people[owner].payout_address = ""
    it.online(it.worker(owner, "checker"))

    assert len(lottery.checker_candidates(it.world, CLASS, USDC, [], [])) == 1
    assert lottery.checker_candidates(it.world, CLASS, USDC, [owner], []) == []


def test_beacons_come_for_the_wanted_grid_in_order_and_not_before_their_block_can_be() -> None:
    it, _, two = leased()
    it.commit(two.id, after_us=1_500_000)
    grid_us = it.world.next_grid_us()
    assert grid_us is not None
    bring = beacon.Bring(grid_us=grid_us, chain_id=CHAIN_ID, block_number=1, block_hash=block_hash(1))
    watch = it.daemon("watch")
    for wrong in (grid_us - it.policy.grid_us // 2, grid_us + it.policy.grid_us, grid_us + 1):
        if wrong > it.world.grid_us:
            with pytest.raises(WrongBeacon):
                it.do(watch, bring.model_copy(update={"grid_us": wrong}))
    it.now_us = grid_us + it.policy.delay_us - 1_001
    with pytest.raises(TooEarly):
        it.do(watch, bring)
    with pytest.raises(RoleMissing):
        it.do(it.daemon("gate"), bring)
    it.now_us = grid_us + it.policy.delay_us
    assert it.do(watch, bring)[0].event.verb() == "beacon.drawn"
    assert it.do(watch, bring) == []
    with pytest.raises(WrongBeacon):
        it.do(watch, bring.model_copy(update={"grid_us": grid_us + it.policy.grid_us}))


def test_a_beacon_that_comes_late_seals_what_was_there_before_a_quiet_time() -> None:
    it, _, workers = populated()
    it.online(workers["slow"], "1" * 8)
    at_its_grid = it.ledger.head.size
    it.do(workers["fast"], worker.GoOffline(worker=workers["fast"]), it.world.workers[workers["fast"]].owner)
    it.now_us += it.policy.score_age_us
    drawn = [each.event for _ in range(2) for each in it.beacon() if isinstance(each.event, beacon.Drawn)]

    assert [each.sealed_size for each in drawn] == [at_its_grid + 1] * 2
    assert drawn[0].grid_us + it.policy.grid_us < drawn[1].grid_us


def test_a_beacon_seals_what_was_there_at_its_grid_time_and_draws_no_later_proof() -> None:
    it, one, two = leased()
    it.now_us = (it.now_us // it.policy.grid_us + 1) * it.policy.grid_us - 600_000
    it.commit(one.id, after_us=1_000)
    size, root = it.ledger.head.size, it.ledger.head.root
    it.commit(two.id, after_us=700_000)
    (drawn,) = [each.event for each in it.beacon() if isinstance(each.event, beacon.Drawn)]

    assert (drawn.sealed_size, drawn.sealed_root) == (size, root)
    assert (one.status, two.status) == ("auditing", "committed")


def test_a_bid_has_the_next_number_and_the_same_again_does_nothing() -> None:
    it, _, workers = populated(signs=False)
    fast = it.world.workers[workers["fast"]]
    fields = {"worker": fast.id, "class": CLASS, "price_per_kwu": "190000000", "signature": DUMMY}
    for number in (fast.bids - 1, fast.bids + 2):
        with pytest.raises((NumberUsed, ValueError)):
            it.do(fast.owner, bid.Bid.model_validate(fields | {"number": number}))
    right = bid.Bid.model_validate(fields | {"number": fast.bids + 1})
    assert len(it.do(fast.owner, right)) == 1
    assert it.do(fast.owner, right) == []


def test_a_score_is_the_median_of_the_last_benches() -> None:
    it = Network("standard", signs=False)
    owner = it.person("provider")
    of = Task(TaskId("bench-9"), "", 1_000, 4, CLASS, "auditing", it.worker(owner), owner)  # type: ignore[arg-type]
    of.leased_us, of.proof = 0, Proof(1, 2_000_000, [])
    standing = it.world.workers[of.worker].classes[CLASS]
    scores = {}
    for before in ((), (1_000_000,), (1_000_000, 5_000_000), (9_000_000, 1_000_000, 5_000_000), (9_000_000, 8_000_000, 7_000_000)):
        standing.seconds_us = list(before)
        scores[before] = bench.score(it.world, of).score

    assert list(scores.values()) == [500, 1_000, 500, 500, 142]


def test_a_new_address_is_of_no_use_for_a_day() -> None:
    it = Network("standard", signs=False)
    owner = it.person("creator", funds=50_000_000)
    person = it.world.people[owner]
    with pytest.raises(AddressNotUsable):
        it.request(owner, "customer", 2_000_000)
    it.now_us = person.usable_us
    it.request(owner, "customer", 2_000_000)

    assert [each.to for each in it.world.payouts.values()] == [person.payout_address]


def test_a_quarantined_worker_cannot_come_online() -> None:
    it, id = released_cheat()
    cheat = it.world.workers[WorkerId(AccountId(id))]  # type: ignore[arg-type]
    it.do(cheat.id, worker.GoOffline(worker=cheat.id), cheat.owner)
    cheat.quarantined_us = it.now_us + 10**9
    with pytest.raises(Frozen):
        it.online(cheat.id, "1" * 8)


def test_the_wallets_nonces_follow_each_other_and_a_batch_lands_once() -> None:
    it = Network(signs=False)
    owner = it.person("creator", funds=90_000_000)
    first, second = (it.request(owner, "customer", 10_000) for _ in range(2))
    it.sign_batch([first])
    sign = batch.Sign(asset=USDC, payouts=(second,), nonce=2, raw_tx="0xab", tx_hash=block_hash(5))
    for wrong in (0, 2):
        with pytest.raises(WrongNonce):
            it.do(it.daemon("payer"), sign.model_copy(update={"nonce": wrong}))
    (of,) = it.world.batches.values()
    mine = batch.Mine(batch=of.id, tx_hash=of.tx_hash, block=3, paid=(first,), failed=())
    with pytest.raises(NotAllowed):
        it.do(it.daemon("watch"), mine.model_copy(update={"paid": (second,)}))
    it.do(it.daemon("watch"), mine)
    assert it.do(it.daemon("watch"), mine) == []
    with pytest.raises(NotAllowed):
        it.do(it.daemon("watch"), mine.model_copy(update={"block": 4}))


def test_a_fee_bump_has_the_same_payouts_and_the_same_nonce() -> None:
    it = Network(signs=False)
    id = it.request(it.person("creator", funds=90_000_000), "customer", 10_000)
    it.sign_batch([id])
    (of,) = it.world.batches.values()
    bump = batch.Sign(asset=USDC, payouts=(id,), nonce=of.nonce, raw_tx="0xcd", tx_hash=block_hash(6), batch=of.id)
    with pytest.raises(WrongNonce):
        it.do(it.daemon("payer"), bump.model_copy(update={"nonce": of.nonce + 1}))
    it.do(it.daemon("payer"), bump)

    assert [(each.id, each.raw_tx) for each in it.world.batches.values()] == [(of.id, "0xcd")]


def test_a_stake_that_was_slashed_while_it_was_unlocked_comes_back_as_far_as_it_is_there() -> None:
    it = Network(signs=False)
    owner = it.person("provider", funds=10_000_000, locked=4_000_000)
    it.do(owner, stake.Unlock(asset=USDC, amount=Units(3_000_000), number=2, signature=DUMMY))
    it.world.post(move(Units(2_500_000), debit=accounts.stake(USDC, owner), credit=accounts.safety(USDC)))
    (released,) = it.wait(it.policy.unlock_us)

    assert isinstance(released.event, stake.Released)
    assert released.event.amount == 1_500_000
    assert it.world.stake(USDC, owner) == 0


def test_what_never_was_is_not_found_and_what_is_over_is_not_live() -> None:
    it, one, _ = leased()
    creator = it.world.jobs[one.job].creator
    for id, reason in (
        ("job-1", NotLive),
        (f"job-{it.ledger.head.size}", NotLive),
        (f"job-{it.ledger.head.size + 1}", NotFound),
        ("job-999999", NotFound),
    ):
        with pytest.raises(reason):
            it.do(creator, job.Open.model_validate({"job": id}), keyed=True)
    with pytest.raises(NotFound):
        it.do(it.daemon("gate"), task.Stop.model_validate({"task": f"{one.job}/99", "fence": 1, "code": "x"}))
    with pytest.raises(NotFound):
        it.do(creator, payout.Cancel.model_validate({"payout": "payout-999999"}), keyed=True)


@pytest.mark.parametrize("table", LIFECYCLES, ids=lambda table: str(table.of))
def test_every_status_can_be_reached_from_the_first_one(table: "object") -> None:
    rows = list(table)  # type: ignore[call-overload]
    reached = [rows[0][0]]
    while fresh := [after for before, _, after in rows if before in reached and after not in reached]:
        reached += fresh

    assert {status for row in rows for status in (row[0], row[2])} == set(reached)
