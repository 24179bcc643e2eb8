"""What happens seldom: reorganised blocks, large payouts, the end of a quarantine, elections, cancellations, unlocked stakes."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import pytest

from domain import accounts
from domain.accounts import USDC
from domain.errors import AddressNotUsable, InsufficientFunds, NotAllowed, NotYours, NumberUsed, RoleMissing, TooEarly
from domain.event import Event, Recorded
from domain.house import invariants
from domain.ids import TaskId
from domain.log.block import Sealed
from domain.log.ledger import Ledger
from domain.log.merkle import Head
from domain.market import worker
from domain.treasury import batch, deposit, payout, stake
from domain.units import Units
from domain.work import job, task
from tests.network import CLASS, DUMMY, LOG, Network, block_hash, populated, work

E = TypeVar("E", bound=Event)


def only(events: list[Recorded[Event]], kind: type[E]) -> E:
    (found,) = [each.event for each in events if isinstance(each.event, kind)]
    return found


def reorganised_deposit() -> Network:
    it = Network()
    owner, watch = it.person("creator"), it.daemon("watch")
    see = deposit.See(account=owner, asset=USDC, tx=block_hash(1), log_index=2, block=9, amount=Units(10_000_000))
    it.do(watch, see)
    it.do(watch, see)
    assert it.world.credit(accounts.suspense(USDC)) == 10_000_000
    it.do(watch, deposit.Orphan(tx=block_hash(1), log_index=2))
    return it


def test_a_deposit_that_was_reorganised_away_is_credited_to_nobody() -> None:
    it = reorganised_deposit()

    assert it.world.balances == {}
    assert it.world.deposits == {}


def test_a_deposit_below_the_minimum_or_to_nobody_stays_in_suspense() -> None:
    it = Network()
    owner = it.person("creator")
    it.deposit(owner, 9_999_999)
    it.deposit("0x1234", 20_000_000)

    assert it.world.credit(accounts.suspense(USDC)) == 29_999_999
    assert not it.world.credit(accounts.available(USDC, owner))


def funded() -> tuple[Network, list[payout.Requested]]:
    it = Network()
    owner = it.person("creator", funds=90_000_000)
    for _ in range(2):
        it.request(owner, "customer", 20_000_000)
    return it, [each.event for each in it.events if isinstance(each.event, payout.Requested)]


def unmined_batch() -> Network:
    it, asked = funded()
    ids = tuple(each.payout for each in asked)
    it.sign_batch(ids)
    (signed,) = it.world.batches.values()
    mine = batch.Mine(batch=signed.id, tx_hash=signed.tx_hash, block=40, paid=ids, failed=())
    it.do(it.daemon("watch"), mine)
    assert not it.world.credit(accounts.inflight(USDC, ids[0]))
    it.do(it.daemon("watch"), batch.Unmine(batch=signed.id, paid=ids, failed=()))
    return it


def test_a_batch_that_was_reorganised_away_is_in_flight_again_and_can_land_once_more() -> None:
    it = unmined_batch()
    assert [each.status for each in it.world.payouts.values()] == ["signed", "signed"]
    it.land()

    assert it.world.payouts == {}
    assert it.world.balances[accounts.treasury(USDC)] == 50_000_000


def test_a_payout_is_signed_once_and_not_before_the_batch_has_waited() -> None:
    it, asked = funded()
    ids = tuple(each.payout for each in asked)
    raw, tx = it.signers[it.daemon("payer")].sign_payout_batch(
        "0x" + "2" * 40, 0, [(ids[0], asked[0].to, 1)], chain_id=31337, fee_wei_max=1, tip_wei=1
    )
    sign = batch.Sign(asset=USDC, payouts=ids, nonce=0, raw_tx=raw, tx_hash=tx)
    with pytest.raises(TooEarly):
        it.do(it.daemon("payer"), sign)
    with pytest.raises(RoleMissing):
        it.do(it.daemon("watch"), sign)
    it.sign_batch(ids)
    with pytest.raises(NotAllowed):
        it.sign_batch(ids)


def test_a_payout_needs_the_next_number_a_usable_address_and_the_money() -> None:
    it, asked = funded()
    owner = asked[0].account
    again = payout.Request(asset=USDC, kind="customer", to=asked[0].to, amount=Units(10_000), number=2, signature=DUMMY)
    elsewhere = again.model_copy(update={"number": 3, "to": "0x" + "9" * 40})
    too_much = again.model_copy(update={"number": 3, "amount": Units(60_000_000)})
    for bad, reason in ((again, NumberUsed), (elsewhere, AddressNotUsable), (too_much, InsufficientFunds)):
        with pytest.raises(reason):
            it.do(owner, it.signed(bad, owner), keyed=True)


def approved_payout() -> Network:
    it, asked = funded()
    (one, two) = [person.id for person in it.world.people.values() if "finance" in person.roles]
    approve = payout.Approve(payout=asked[0].payout)
    with pytest.raises(RoleMissing):
        it.do(asked[0].account, approve)
    it.do(one, approve)
    it.do(one, approve)
    assert it.world.payouts[asked[0].payout].status == "requested", "the same person twice is one person"
    it.do(two, approve)
    return it


def test_two_of_finance_approve_and_the_owner_may_still_cancel() -> None:
    it = approved_payout()
    (first, _) = it.world.payouts.values()
    assert first.status == "approved"
    it.do(first.account, payout.Cancel(payout=first.id))

    assert it.world.credit(accounts.available(USDC, first.account)) == 70_000_000


def released_cheat() -> tuple[Network, str]:
    it, creator, workers = populated()
    id = it.submit(creator)
    it.open(id)
    while not it.world.workers[workers["cheat"]].quarantined_us:
        work(it, workers)
    it.wait(it.policy.quarantine_us)
    return it, workers["cheat"]


def test_a_quarantine_ends_by_itself_and_never_early() -> None:
    it, cheat = released_cheat()
    begun = only(it.events, worker.Quarantined)
    (over,) = [each for each in it.events if isinstance(each.event, worker.Released)]

    assert over.at_us >= begun.until_us
    assert it.world.workers[cheat].quarantined_us == 0  # type: ignore[index]


def test_a_stake_comes_back_after_its_time_less_what_was_slashed_meanwhile() -> None:
    it = Network()
    owner = it.person("provider", funds=10_000_000, locked=4_000_000)
    unlock = stake.Unlock(asset=USDC, amount=Units(3_000_000), number=2, signature=DUMMY)
    it.do(owner, it.signed(unlock, owner))
    with pytest.raises(NotAllowed):
        it.do(owner, it.signed(unlock.model_copy(update={"number": 3}), owner))
    it.wait(it.policy.unlock_us - 10_000)
    assert it.world.stake(USDC, owner) == 4_000_000
    it.wait(20_000)

    assert it.world.stake(USDC, owner) == 1_000_000
    assert it.world.credit(accounts.available(USDC, owner)) == 9_000_000


def elected() -> Network:
    it, creator, _ = populated()
    it.open(it.submit(creator))
    record = it.ledger.election("leader-2", it.now_us).record
    it.ledger.fold(record)
    it._keep(record)
    return it


def moved() -> Network:
    """To another home and on: a seal, a bind, an election."""
    it = elected()
    ledger, now_us = it.ledger, it.now_us
    end: Callable[[], Sealed] = partial(ledger.ending, "leader-2", "kafka:cluster:topic", "moved", now_us)
    for make in (end, partial(ledger.binding, now_us), partial(ledger.election, "leader-3", now_us)):
        record = make().record
        ledger.fold(record)
        it._keep(record)
    it.now_us = it.ledger.at_us
    it.wait(it.policy.grace_us)
    return it


def test_after_an_election_deadlines_of_others_wait_for_the_grace() -> None:
    it = elected()
    leased = [each for each in it.world.tasks.values() if each.status == "leased"]
    due = min(it.world.timer("expire", each.id) or 0 for each in leased)
    invariants.check(it.world)

    assert due >= it.world.at_us + it.policy.grace_us
    replayed = Ledger(Head(LOG))
    for record in it.records:
        replayed.fold(record)
    assert replayed == it.ledger


def cancelled_late() -> tuple[Network, list[Recorded[Event]]]:
    """The standard policy: a lease that runs for more than a minute when its job is cancelled."""
    it = Network("standard")
    creator = it.person("creator", funds=900_000_000)
    it.lock(owner := it.person("provider", funds=10_000_000), 5_000_000)
    checkers = [it.worker(it.person("checker", funds=10_000_000, locked=5_000_000), "checker") for _ in range(3)]
    id = it.worker(owner, price=150_000_000)
    for each in (*checkers, id):
        it.online(each)
    for _ in range(3):
        it.beacon()
        (bench,) = [one for one, each in it.world.tasks.items() if each.status == "leased"]
        it.commit(bench, after_us=1_500_000)
        it.judge()
    made = job.Submit(
        engine="mitsuba",
        manifest_sha256="ab" * 32,
        frames=1,
        size=(4096, 4096),
        samples=2000,
        limit_price=Units(10**6),
    )
    it.bid(id, 10**6)
    submitted = only(it.do(creator, made, keyed=True), job.Submitted)
    it.open(submitted.job)
    it.wait(90_000_000)
    it.do(creator, job.Cancel(job=submitted.job), keyed=True)
    return it, it.wait(it.policy.cancel_grace_us + 10_000_000)


def test_who_cancels_late_pays_a_tenth_and_gets_the_rest_back() -> None:
    it, done = cancelled_late()
    ended, closed = only(done, task.Ended), only(done, job.Closed)
    invariants.check_sealed(it.world, it.ledger.at_us)

    assert ended.fee == ended.price // 10 > 0
    assert closed.outcome == "cancelled"
    assert it.world.credit(accounts.available(USDC, closed.creator)) == 900_000_000 - ended.fee
    assert it.world.shares[ended.task].amount == ended.fee


def test_a_proof_within_the_grace_of_a_cancelled_job_counts() -> None:
    it, creator, workers = populated()
    id = it.submit(creator)
    it.open(id)
    leased = [TaskId(one) for one, each in it.world.tasks.items() if each.status == "leased" and each.worker != workers["cheat"]]
    it.do(creator, job.Cancel(job=id), keyed=True)
    it.commit(leased[0], after_us=1_500_000)
    it.judge()
    it.wait(it.policy.cancel_grace_us)

    accepted = [each for each in it.events if each.event.verb() == "task.accepted"]
    assert [each.stream for each in accepted] == [leased[0]]
    assert it.world.jobs[id].status == "closed"


def test_nobody_touches_what_is_not_his() -> None:
    it, creator, workers = populated()
    other = it.person("creator", "provider")
    id = it.submit(creator)
    for command in (job.Open(job=id), job.Cancel(job=id), worker.Change(worker=workers["slow"], mode="paused")):
        with pytest.raises(NotYours):
            it.do(other, command, keyed=True)
    with pytest.raises(NotYours):
        it.do(workers["slow"], worker.GoOffline(worker=workers["slow"]), other)
    assert CLASS in it.world.workers[workers["slow"]].classes


def paused_job() -> Network:
    it, creator, workers = populated()
    id = it.submit(creator, frames=2)
    it.do(creator, job.Open(job=id), keyed=True)
    it.do(creator, job.Pause(job=id), keyed=True)
    leases = [each.leases for each in it.world.workers.values()]
    for one in [one for leased in leases for one in leased]:
        it.commit(one, honest=it.world.tasks[one].worker != workers["cheat"], after_us=1_500_000)
    assert not [each for each in it.world.tasks.values() if each.status == "leased"]
    it.do(creator, job.Resume(job=id), keyed=True)
    return it


def test_a_paused_job_leases_nothing_until_it_is_resumed() -> None:
    it = paused_job()
    invariants.check_sealed(it.world, it.ledger.at_us)

    assert [each for each in it.world.tasks.values() if each.status == "leased"]
