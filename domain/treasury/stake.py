"""Stakes: what a worker's or checker's owner may lose. Locked and released by its owner, slashed by a conviction."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from msgspec.structs import replace

from domain import accounts, body
from domain.accounts import Account, Asset, Entry, entry, move
from domain.errors import InsufficientFunds, NotAllowed, NumberUsed
from domain.event import Event, Origin
from domain.ids import AccountId, AuditId, TaskId, WorkerId
from domain.parts import Person
from domain.signing import Claim
from domain.units import ZERO, Units
from domain.value import Value
from domain.world import World

Source = Literal["available", "payable"]


class StakeEvent(Event):
    account: AccountId
    asset: Asset
    amount: Units

    @property
    def stream(self) -> str:
        return self.account


class Locked(StakeEvent, tag="stake.locked.v1"):
    """Money of the account became its stake."""

    who: ClassVar[str] = "its owner"

    source: Source
    number: int
    signature: str

    def apply(self, world: World) -> None:
        world.people[self.account].stakes = self.number
        world.arm_payday(self.account)

    def entry(self) -> Entry:
        return move(self.amount, debit=source(self.asset, self.account, self.source), credit=accounts.stake(self.asset, self.account))

    def claims(self) -> tuple[Claim, ...]:
        return (locking(self.account, self.asset, self.amount, self.source, self.number, self.signature),)


class Unlocking(StakeEvent, tag="stake.unlocking.v1"):
    """The account asked for its stake back; until then it can still be slashed."""

    who: ClassVar[str] = "its owner"

    available_us: int
    number: int
    signature: str

    def apply(self, world: World) -> None:
        person = world.people[self.account]
        person.stakes, person.unlocking = self.number, self.amount
        world.set_timer("unlock", f"{self.account} {self.asset}", self.available_us)

    def claims(self) -> tuple[Claim, ...]:
        return (unlocking(self.account, self.asset, self.amount, self.number, self.signature),)


class Released(StakeEvent, tag="stake.released.v1"):
    """What was asked back, and not slashed since, is available again."""

    def apply(self, world: World) -> None:
        world.people[self.account].unlocking = ZERO
        world.drop_timer("unlock", f"{self.account} {self.asset}")

    def entry(self) -> Entry:
        return move(self.amount, debit=accounts.stake(self.asset, self.account), credit=accounts.available(self.asset, self.account))


class Taken(Value):
    """Part of a share that has not matured."""

    task: TaskId
    amount: Units
    worker: WorkerId
    """Who did that task: another one of the same owner, perhaps."""


class Slashed(Event, tag="stake.slashed.v1"):
    """A conviction cost the owner his stake, then his unmatured shares, the oldest first; what neither covered is the shortfall."""

    who: ClassVar[str] = "a conviction"

    account: AccountId
    worker: WorkerId
    asset: Asset
    audit: AuditId
    task: TaskId
    gross: Units
    """Price of the work that was rejected."""
    p_ppm: int
    from_stake: Units
    from_accrued: Units
    taken: tuple[Taken, ...]
    shortfall: Units

    @property
    def stream(self) -> str:
        return self.account

    def apply(self, world: World) -> None:
        for part in self.taken:
            share = world.shares[part.task]
            world.shares[part.task] = replace(share, amount=share.amount - part.amount)

    def entry(self) -> Entry:
        safety = accounts.safety(self.asset)
        return entry(
            move(self.from_stake, debit=accounts.stake(self.asset, self.account), credit=safety),
            move(self.from_accrued, debit=accounts.accrued(self.asset, self.account), credit=safety),
        )


def source(asset: Asset, account: AccountId, name: Source) -> Account:
    return accounts.available(asset, account) if name == "available" else accounts.payable(asset, account)


def locking(account: AccountId, asset: Asset, amount: Units, source: str, number: int, signature: str) -> Claim:
    fields = (("account", account), ("asset", asset), ("amount", str(int(amount))), ("source", source), ("number", number))
    return Claim("StakeLock", fields, account, "owner", signature)


def unlocking(account: AccountId, asset: Asset, amount: Units, number: int, signature: str) -> Claim:
    fields = (("account", account), ("asset", asset), ("amount", str(int(amount))), ("number", number))
    return Claim("StakeUnlock", fields, account, "owner", signature)


def numbered(person: Person, number: int) -> bool:
    """Is it the account's next stake command? False if it is the last one again."""
    if number == person.stakes:
        return False
    if number != person.stakes + 1:
        raise NumberUsed(expected=person.stakes + 1, number=number)
    return True


class Lock(body.Body):
    """Lock money as one's stake. Signed by an owner key."""

    asset: body.AssetId
    amount: body.Amount
    source: Source = "available"
    number: body.Number
    signature: body.Signature

    def claim(self, account: AccountId) -> Claim:
        return locking(account, self.asset, self.amount, self.source, self.number, self.signature)

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        person = world.people.get(origin.account) or origin.missing(origin.account)
        origin.require_signature(world, self.claim(person.id))
        if not numbered(person, self.number):
            return
        has = world.credit(where := source(self.asset, person.id, self.source))
        if has < self.amount:
            raise InsufficientFunds(account=where, available=has, needed=self.amount)
        yield Locked(person.id, self.asset, self.amount, self.source, self.number, self.signature)


class Unlock(body.Body):
    """Ask for part of one's stake back. It is released after the policy's delay. Signed by an owner key."""

    asset: body.AssetId
    amount: body.Amount
    number: body.Number
    signature: body.Signature

    def claim(self, account: AccountId) -> Claim:
        return unlocking(account, self.asset, self.amount, self.number, self.signature)

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        person = world.people.get(origin.account) or origin.missing(origin.account)
        origin.require_signature(world, self.claim(person.id))
        if not numbered(person, self.number):
            return
        if person.unlocking:
            raise NotAllowed(what=person.id, status="waiting for an earlier release", happens="stake.unlocking")
        has = world.stake(self.asset, person.id)
        if has < self.amount:
            raise InsufficientFunds(account=accounts.stake(self.asset, person.id), available=has, needed=self.amount)
        available_us = origin.at_us + world.policy.unlock_us
        yield Unlocking(person.id, self.asset, self.amount, available_us, self.number, self.signature)


class Release(Value):
    """The delay is over. By the house."""

    account: AccountId
    asset: Asset

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        person = world.people[self.account]
        yield Released(person.id, self.asset, Units(min(person.unlocking, world.stake(self.asset, person.id))))


def slash(world: World, worker: WorkerId, audit: AuditId, task: TaskId, gross: Units, p_ppm: int, asset: Asset) -> Slashed:
    """The penalty of a conviction: `gross / p`, so that lying pays at no audit rate, and no more than there is (DOMAIN.md §5.8)."""
    account = world.workers[worker].owner
    penalty = Units(gross * 1_000_000 // p_ppm)
    from_stake = Units(min(penalty, world.stake(asset, account)))
    left, taken = penalty - from_stake, list[Taken]()
    for share in world.shares.values():
        if share.owner == account and share.asset == asset and share.amount and left and len(taken) < 100:
            part = Units(min(left, share.amount))
            taken.append(Taken(share.task, part, share.worker))
            left -= part
    from_accrued = Units(sum(part.amount for part in taken))
    return Slashed(account, worker, asset, audit, task, gross, p_ppm, from_stake, from_accrued, tuple(taken), left)
