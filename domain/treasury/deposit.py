"""Deposits: the treasury contract's events, brought by the watch. Seen when mined, credited when final."""

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from domain import accounts, body
from domain.accounts import Asset, Entry, entry, move
from domain.errors import NotAllowed, UnknownAsset
from domain.event import Event, Origin
from domain.ids import NO_ACCOUNT, AccountId, DepositId
from domain.lifecycle import DEPOSIT
from domain.parts import Deposit
from domain.units import Units
from domain.world import World


class DepositEvent(Event):
    deposit: DepositId
    account: AccountId
    """Empty if the contract's event names no account of this ledger."""
    asset: Asset
    tx: str
    log_index: int
    block: int
    amount: Units

    @property
    def stream(self) -> str:
        return self.deposit


class Seen(DepositEvent, tag="deposit.seen.v1"):
    """A deposit was mined; it may still be reorganised away."""

    who: ClassVar[str] = "the watch"

    def apply(self, world: World) -> None:
        ref = reference(self.tx, self.log_index)
        world.deposits[ref] = Deposit(self.deposit, self.account, self.asset, self.tx, self.log_index, self.block, self.amount)

    def entry(self) -> Entry:
        return move(self.amount, debit=accounts.inbound(self.asset), credit=accounts.suspense(self.asset))


class Finalised(DepositEvent, tag="deposit.finalised.v1"):
    """The deposit is final. Credited to its account, unless that is unknown or the amount below the minimum: then it stays in suspense."""

    who: ClassVar[str] = "the watch"

    credited: bool

    def apply(self, world: World) -> None:
        leave(world, self)
        world.final_block = max(world.final_block, self.block)

    def entry(self) -> Entry:
        arrived = move(self.amount, debit=accounts.treasury(self.asset), credit=accounts.inbound(self.asset))
        if not self.credited:
            return arrived
        return entry(arrived, move(self.amount, debit=accounts.suspense(self.asset), credit=accounts.available(self.asset, self.account)))


class Orphaned(DepositEvent, tag="deposit.orphaned.v1"):
    """The block that held the deposit is not part of the chain any more."""

    who: ClassVar[str] = "the watch"

    def apply(self, world: World) -> None:
        leave(world, self)

    def entry(self) -> Entry:
        return move(self.amount, debit=accounts.suspense(self.asset), credit=accounts.inbound(self.asset))


def leave(world: World, event: DepositEvent) -> None:
    DEPOSIT.after("seen", event.verb())
    del world.deposits[reference(event.tx, event.log_index)]
    world.versions.pop(event.deposit, None)


def reference(tx: str, log_index: int) -> str:
    """What makes a deposit the same one, whoever reports it."""
    return f"{tx}/{log_index}"


class See(body.Body):
    """A deposit was mined. By the watch."""

    account: Annotated[str, Field(max_length=100)]
    """As the contract's event has it, which may be anything."""
    asset: body.AssetId
    tx: body.Hash32
    log_index: body.Count
    block: body.Count
    amount: body.Amount

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        origin.require(world, "watch")
        if self.asset not in world.assets:
            raise UnknownAsset(asset=self.asset)
        if reference(self.tx, self.log_index) in world.deposits or self.block <= world.final_block:
            return
        known = AccountId(self.account) if self.account in world.people else NO_ACCOUNT  # type: ignore[arg-type]
        id = DepositId(f"deposit-{origin.pos}")
        yield Seen(id, known, self.asset, self.tx, self.log_index, self.block, self.amount)


class Finalise(body.Body):
    """The block of a deposit is final. By the watch."""

    tx: body.Hash32
    log_index: body.Count
    block: body.Count

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        origin.require(world, "watch")
        if (it := world.deposits.get(reference(self.tx, self.log_index))) is None:
            return
        if it.block != self.block:
            raise NotAllowed(what=it.id, status=f"seen in block {it.block}", happens="deposit.finalised")
        credited = it.account in world.people and it.amount >= world.policy.deposit_min
        yield Finalised(it.id, it.account, it.asset, it.tx, it.log_index, it.block, it.amount, credited)


class Orphan(body.Body):
    """The block of a deposit was reorganised away. By the watch."""

    tx: body.Hash32
    log_index: body.Count

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        origin.require(world, "watch")
        if it := world.deposits.get(reference(self.tx, self.log_index)):
            yield Orphaned(it.id, it.account, it.asset, it.tx, it.log_index, it.block, it.amount)
