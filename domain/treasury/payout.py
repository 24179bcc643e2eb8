"""Payouts: an account asks for what is payable to it; a batch carries up to a hundred of them onto the chain (domain/treasury/batch.py)."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from domain import accounts, body
from domain.accounts import Account, Asset, Entry, move
from domain.errors import AddressNotUsable, BelowMinimum, InsufficientFunds, MoneyFrozen, NotYours, NumberUsed
from domain.event import Event, Origin
from domain.ids import AccountId, PayoutId
from domain.lifecycle import PAYOUT
from domain.parts import Payout
from domain.signing import Claim
from domain.units import Units
from domain.value import Value
from domain.world import World

Kind = Literal["worker", "checker", "customer"]
EARNED: tuple[Kind, ...] = ("worker", "checker")
APPROVALS = 2
"""Of different persons, for a payout of `approval_min` or more."""


def source(asset: Asset, account: AccountId, kind: Kind) -> Account:
    if kind == "worker":
        return accounts.payable(asset, account)
    return accounts.checker_payable(asset, account) if kind == "checker" else accounts.available(asset, account)


class PayoutEvent(Event):
    payout: PayoutId
    account: AccountId
    asset: Asset
    amount: Units

    @property
    def stream(self) -> str:
        return self.payout


class Requested(PayoutEvent, tag="payout.requested.v1"):
    """Money of the account is on its way out."""

    who: ClassVar[str] = "the owner of the money; on paydays the house, without a signature"

    kind: Kind
    to: str
    number: int
    signature: str

    def apply(self, world: World) -> None:
        world.people[self.account].payouts = self.number
        back_to = source(self.asset, self.account, self.kind)
        world.payouts[self.payout] = Payout(self.payout, self.account, self.asset, self.kind, back_to, self.to, self.amount, world.at_us)
        world.arm_payday(self.account)

    def entry(self) -> Entry:
        debit = source(self.asset, self.account, self.kind)
        return move(self.amount, debit=debit, credit=accounts.inflight(self.asset, self.payout))

    def claims(self) -> tuple[Claim, ...]:
        if not self.signature:
            return ()
        return (requesting(self.account, self.asset, self.kind, self.to, self.amount, self.number, self.signature),)


class Approved(PayoutEvent, tag="payout.approved.v1"):
    """One of finance approved a payout. A large one needs two."""

    who: ClassVar[str] = "finance"

    approver: AccountId
    next: Literal["requested", "approved"]

    def apply(self, world: World) -> None:
        payout = world.payouts[self.payout]
        payout.move(self.verb(), self.next)
        payout.approvers.append(self.approver)


class Cancelled(PayoutEvent, tag="payout.cancelled.v1"):
    """The payout was taken back before it was signed."""

    who: ClassVar[str] = "its owner, or finance"

    back_to: Account

    def apply(self, world: World) -> None:
        world.payouts.pop(self.payout).move(self.verb())
        world.versions.pop(self.payout, None)
        world.arm_payday(self.account)

    def entry(self) -> Entry:
        return move(self.amount, debit=accounts.inflight(self.asset, self.payout), credit=self.back_to)


def requesting(account: AccountId, asset: Asset, kind: str, to: str, amount: Units, number: int, signature: str) -> Claim:
    fields = (
        ("account", account),
        ("asset", asset),
        ("kind", kind),
        ("to", to),
        ("amount", str(int(amount))),
        ("number", number),
    )
    return Claim("Payout", fields, account, "owner", signature)


class Request(body.Body):
    """Ask for a payout to one's registered address. Signed by an owner key; `number` is the account's last one plus one."""

    asset: body.AssetId
    kind: Kind
    to: body.Address
    amount: body.Amount
    number: body.Number
    signature: body.Signature

    def claim(self, account: AccountId) -> Claim:
        return requesting(account, self.asset, self.kind, self.to, self.amount, self.number, self.signature)

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        person = world.people.get(origin.account) or origin.missing(origin.account)
        origin.require_signature(world, self.claim(person.id))
        if world.frozen:
            raise MoneyFrozen(what=Requested.verb())
        if self.number != person.payouts + 1:
            raise NumberUsed(expected=person.payouts + 1, number=self.number)
        if self.to != person.payout_address or origin.at_us < person.usable_us:
            raise AddressNotUsable(id=person.id, address=self.to)
        if self.amount < world.policy.payout_min:
            raise BelowMinimum(amount=self.amount, minimum=world.policy.payout_min)
        has = world.credit(where := source(self.asset, person.id, self.kind))
        if has < self.amount:
            raise InsufficientFunds(account=where, available=has, needed=self.amount)
        id = PayoutId(f"payout-{origin.pos}")
        yield Requested(id, person.id, self.asset, self.amount, self.kind, self.to, self.number, self.signature)


class PayDay(Value):
    """Pay out what the account has earned, to the address that it registered. By the house."""

    account: AccountId

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        person = world.people[self.account]
        for asset in list(world.assets):
            for kind in EARNED:
                amount = world.credit(source(asset, person.id, kind))
                if amount >= world.policy.payout_min:
                    id = PayoutId(f"payout-{world.pos + 1}")
                    yield Requested(id, person.id, asset, amount, kind, person.payout_address, person.payouts + 1, "")


class Approve(body.Body):
    """Approve a payout that is large. By two of finance, neither of whom it goes to."""

    payout: body.Payout

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        origin.require(world, "finance")
        it = world.payouts.get(self.payout) or origin.missing(self.payout)
        if it.account == origin.account:
            raise NotYours(id=it.id)
        if origin.account in it.approvers:
            return
        PAYOUT.guard(it.id, it.status, Approved.verb())
        after: Literal["requested", "approved"] = "approved" if len(it.approvers) + 1 >= APPROVALS else "requested"
        yield Approved(it.id, it.account, it.asset, it.amount, origin.account, after)


class Cancel(body.Body):
    """Take a payout back, as long as nobody signed it. By its owner or by finance."""

    payout: body.Payout

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        it = world.payouts.get(self.payout) or origin.missing(self.payout)
        if it.account != origin.account and "finance" not in world.people[origin.account].roles:
            raise NotYours(id=it.id)
        PAYOUT.guard(it.id, it.status, Cancelled.verb())
        yield Cancelled(it.id, it.account, it.asset, it.amount, it.back_to)
