"""Money frozen and released: what stops, what goes on, and who may."""

from hashlib import sha256

import pytest

from domain import accounts
from domain.accounts import USDC
from domain.body import Body
from domain.errors import ApproverMissing, MoneyFrozen, NumberUsed, RoleMissing
from domain.house import invariants, override
from domain.ids import AccountId
from domain.treasury import account
from domain.units import Units
from tests.domain.test_office import countersigned, office
from tests.network import DUMMY, Network, populated


def frozen_money() -> Network:
    """The watch found a breach; two admins looked at it and went on."""
    it, one, two = office()
    evidence = sha256(b"what was found").hexdigest()
    it.do(it.daemon("watch"), override.Override(action="freeze", reason="invariants", evidence_sha256=evidence, number=1))
    it.do(one, countersigned(it, releasing(two), two), keyed=True)
    return it


def releasing(approver: AccountId, number: int = 2) -> Body:
    return override.Override(action="release", reason="checked", number=number, approver=approver, approval=DUMMY)


def test_frozen_money_neither_enters_escrow_nor_leaves_until_two_admins_release_it() -> None:
    it, creator, _ = populated()
    one, two = (person.id for person in it.world.people.values() if "admin" in person.roles)
    job = it.submit(creator)
    waiting = it.request(creator, "customer", 1_000_000)
    watch = it.daemon("watch")
    it.do(watch, override.Override(action="freeze", reason="invariants", number=1))
    it.do(watch, override.Override(action="freeze", reason="invariants", number=2))
    for refused in (lambda: it.open(job), lambda: it.request(creator, "customer", 1_000_000), lambda: it.sign_batch([waiting])):
        with pytest.raises(MoneyFrozen):
            refused()
    with pytest.raises(RoleMissing):
        it.do(watch, countersigned(it, releasing(two), two))
    with pytest.raises(ApproverMissing):
        it.do(one, override.Override(action="release", reason="checked", number=2), keyed=True)
    with pytest.raises(NumberUsed):
        it.do(one, countersigned(it, releasing(two, 3), two), keyed=True)
    invariants.check_sealed(it.world, it.ledger.at_us)
    it.do(one, countersigned(it, releasing(two), two), keyed=True)
    it.open(job)

    assert it.world.jobs[job].status == "open"
    assert it.sign_batch([waiting])
    invariants.check_sealed(it.world, it.ledger.at_us)


def test_paydays_wait_while_money_is_frozen() -> None:
    it, creator, _ = populated("standard")
    it.do(creator, account.Change(payout_address="0x" + "6" * 40), keyed=True)
    it.ledger.world.balances[accounts.payable(USDC, creator)] = Units(-5_000_000)
    it.ledger.world.arm_payday(creator)
    assert it.world.timer("payday", creator)
    it.do(it.daemon("watch"), override.Override(action="freeze", reason="invariants", number=1))
    assert it.world.timer("payday", creator) is None
    one, two = (person.id for person in it.world.people.values() if "admin" in person.roles)
    it.do(one, countersigned(it, releasing(two), two), keyed=True)

    assert it.world.timer("payday", creator)
