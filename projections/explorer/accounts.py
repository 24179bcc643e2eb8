"""Accounts with their roles and keys, and what they have at stake. Balances are in projections/finance."""

from collections.abc import Iterator
from typing import ClassVar

from msgspec import UNSET

from domain.event import Event, Recorded
from domain.treasury import account, stake
from domain.units import ZERO, Units
from projections.row import Change, First, Id, Index, Key, Last, Projection, Row, Sum

AccountKind = account.Kind


class Account(Row):
    table: ClassVar[str] = "account"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("kind",)),)
    account: Id
    position: Last[int] = UNSET
    kind: First[AccountKind] = UNSET
    identity_commitment: First[str] = UNSET
    opened_us: First[int] = UNSET
    payout_address: Last[str] = UNSET
    usable_us: Last[int] = UNSET
    """From when payouts may go there."""


class Role(Row):
    table: ClassVar[str] = "account_role"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("role",)),)
    account: Id
    role: Key[str]
    position: Last[int] = UNSET
    held: Last[bool] = UNSET
    since_us: Last[int] = UNSET
    approver: Last[str] = UNSET


class AccountKey(Row):
    """A key as the log holds it: the SHA-256 of an API key's secret, or an address."""

    table: ClassVar[str] = "account_key"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("account",)),)
    key: Key[str]
    position: Last[int] = UNSET
    account: Last[str] = UNSET
    alg: Last[str] = UNSET
    purpose: Last[str] = UNSET
    scopes: Last[tuple[str, ...]] = UNSET
    expires_us: Last[int] = UNSET
    """Zero: never."""
    held: Last[bool] = UNSET
    added_us: Last[int] = UNSET
    removed_us: Last[int] = UNSET
    """Zero: it was not."""


class Stake(Row):
    """What an account has at stake in one asset."""

    table: ClassVar[str] = "stake"
    account: Id
    asset: Key[str]
    position: Last[int] = UNSET
    amount: Sum[Units] = ZERO
    unlocking: Last[Units] = UNSET
    """Asked back, and not released."""
    available_us: Last[int] = UNSET
    """When that is released; zero: nothing is asked back."""
    locked: Sum[Units] = ZERO
    """In all; the amount is what is left of it."""
    released: Sum[Units] = ZERO
    slashed: Sum[Units] = ZERO


class Accounts(Projection):
    name = "accounts"
    rows = (Account, Role, AccountKey, Stake)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        match e.event:
            case account.Opened() as it:
                yield Account(it.account, e.pos, it.kind, it.identity_commitment, e.at_us, "", 0)
                yield from (Role(it.account, role, e.pos, True, e.at_us, "") for role in it.roles)
                yield from (key(it.account, line, e) for line in it.keys)
            case account.Changed() as it:
                address = it.payout_address or UNSET
                yield Account(it.account, e.pos, payout_address=address, usable_us=it.usable_us if it.payout_address else UNSET)
                for roles, held in ((it.roles_removed, False), (it.roles_added, True)):
                    yield from (Role(it.account, role, e.pos, held, e.at_us, it.approver) for role in roles)
                yield from (AccountKey(name, e.pos, it.account, held=False, removed_us=e.at_us) for name in it.keys_removed)
                yield from (key(it.account, line, e) for line in it.keys_added)
            case stake.Locked() as it:
                yield Stake(it.account, it.asset, e.pos, it.amount, locked=it.amount)
            case stake.Unlocking() as it:
                yield Stake(it.account, it.asset, e.pos, unlocking=it.amount, available_us=it.available_us)
            case stake.Released() as it:
                yield Stake(it.account, it.asset, e.pos, -it.amount, ZERO, 0, released=it.amount)
            case stake.Slashed() as it:
                yield Stake(it.account, it.asset, e.pos, -it.from_stake, slashed=it.from_stake)


def key(account: str, line: account.KeyLine, e: Recorded[Event]) -> AccountKey:
    return AccountKey(line.key, e.pos, account, line.alg, line.purpose, line.scopes, line.expires_us, True, e.at_us, 0)
