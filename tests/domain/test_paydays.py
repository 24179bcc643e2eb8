"""On paydays the house pays out what is payable, to whoever has an address, without being asked."""

from domain import accounts
from domain.accounts import USDC, move
from domain.event import Event, Recorded
from domain.house import invariants
from domain.ids import HOUSE, AccountId
from domain.policy import DAY
from domain.treasury import account, earnings, payout
from domain.units import Units
from tests.network import Network

ADDRESS = "0x" + "7" * 40


def earned(policy: str, worker: int, checker: int = 0) -> tuple[Network, AccountId]:
    """Somebody who has earned so much as a worker and as a checker, in the middle of a day."""
    it = Network(policy, signs=False)
    owner = it.person("provider", "checker")
    it.now_us = (it.now_us // DAY + 3) * DAY + DAY // 2
    it.person("creator")
    for amount, where in ((worker, accounts.payable), (checker, accounts.checker_payable)):
        it.world.post(move(Units(amount), debit=accounts.treasury(USDC), credit=where(USDC, owner)))
    it.world.arm_payday(owner)
    return it, owner


def asked(done: list[Recorded[Event]]) -> list[payout.Requested]:
    return [each.event for each in done if isinstance(each.event, payout.Requested)]


def test_at_midnight_utc_both_kinds_of_earnings_are_paid_out_once() -> None:
    it, owner = earned("standard", 1_000_000, 2_500_000)
    midnight_us = (it.now_us // DAY + 1) * DAY
    assert it.wait(midnight_us - it.now_us - 1) == []
    done = it.wait(1)
    paid = asked(done)

    assert [(each.kind, int(each.amount), each.number, each.signature) for each in paid] == [
        ("worker", 1_000_000, 1, ""),
        ("checker", 2_500_000, 2, ""),
    ]
    assert {each.to for each in paid} == {it.world.people[owner].payout_address}
    assert {each.by for each in done} == {HOUSE}
    assert [each.claims() for each in paid] == [(), ()]
    assert it.wait(DAY) == []
    invariants.check_sealed(it.world, it.ledger.at_us)


def test_what_is_below_the_minimum_waits_until_it_is_enough() -> None:
    it, owner = earned("standard", 999_999)
    assert it.wait(DAY) == []
    it.world.post(move(Units(1), debit=accounts.treasury(USDC), credit=accounts.payable(USDC, owner)))
    it.world.arm_payday(owner)

    assert [int(each.amount) for each in asked(it.wait(DAY))] == [1_000_000]


def test_a_new_address_is_paid_on_the_first_payday_on_which_it_may_be_used() -> None:
    it, owner = earned("standard", 5_000_000)
    it.do(owner, account.Change(payout_address=ADDRESS), keyed=True)
    usable_us = it.now_us + it.policy.address_delay_us
    assert it.wait(DAY) == []
    done = it.wait(DAY)

    assert [each.to for each in asked(done)] == [ADDRESS]
    assert done[0].at_us >= usable_us


def test_who_asks_before_has_nothing_left_for_the_payday() -> None:
    it, owner = earned("standard", 5_000_000)
    it.request(owner, "worker", 4_500_000)
    assert it.world.timer("payday", owner) is None
    id = next(iter(it.world.payouts))
    it.do(owner, payout.Cancel(payout=id), keyed=True)

    assert [(int(each.amount), each.number) for each in asked(it.wait(DAY))] == [(5_000_000, 2)]


def test_what_fails_on_chain_is_paid_again_on_the_next_payday() -> None:
    it, _ = earned("standard", 5_000_000)
    (first,) = asked(it.wait(DAY))
    it.sign_batch([first.payout])
    it.land(failing=[first.payout])

    assert [int(each.amount) for each in asked(it.wait(DAY))] == [5_000_000]


def test_without_paydays_everything_is_on_request() -> None:
    it, _ = earned("demo", 5_000_000)

    assert it.wait(3 * DAY) == []


def test_earnings_that_mature_set_the_payday() -> None:
    it, owner = earned("standard", 0)
    event = earnings.Distributed(USDC, it.now_us, (earnings.PoolLine(owner, Units(2_000_000)),))
    it.world.post(event.entry())
    event.apply(it.world)

    assert it.world.timer("payday", owner) == (it.world.at_us // DAY + 1) * DAY
