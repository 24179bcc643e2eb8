"""Balances: the entries of the log, added up. Debits are positive, credits negative; the trial balance comes to zero per asset."""

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

from msgspec import UNSET

from domain.accounts import Account
from domain.event import Event, Recorded
from domain.policy import DAY
from domain.units import ZERO, Units
from projections.row import Change, First, Index, Key, Last, Projection, Row, Sum


class Parts(NamedTuple):
    """Of an account's name: `<asset>:<code>[.<owner>]`."""

    asset: str
    code: str
    """E.g. `2110.available`."""
    owner: str
    """An account, job, task or payout; empty for the house's own."""


def parts(account: Account) -> Parts:
    asset, _, rest = account.partition(":")
    number, _, named = rest.partition(".")
    name, _, owner = named.partition(".")
    return Parts(asset, f"{number}.{name}", owner)


class Balance(Row):
    """One account now."""

    table: ClassVar[str] = "balance"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("owner",)), Index(("asset", "code")))
    account: Key[str]
    position: Last[int] = UNSET
    asset: First[str] = UNSET
    code: First[str] = UNSET
    owner: First[str] = UNSET
    amount: Sum[Units] = ZERO
    """Debits minus credits."""
    debits: Sum[Units] = ZERO
    credits: Sum[Units] = ZERO
    lines: Sum[int] = 0


class BalanceDay(Row):
    """What one day (UTC) changed of an account."""

    table: ClassVar[str] = "balance_day"
    account: Key[str]
    day: Key[int]
    """Days since 1970."""
    position: Last[int] = UNSET
    amount: Sum[Units] = ZERO
    debits: Sum[Units] = ZERO
    credits: Sum[Units] = ZERO
    lines: Sum[int] = 0


class TrialLine(Row):
    """All accounts of one asset and code. The amounts of an asset add up to zero."""

    table: ClassVar[str] = "trial_line"
    asset: Key[str]
    code: Key[str]
    position: Last[int] = UNSET
    amount: Sum[Units] = ZERO
    debits: Sum[Units] = ZERO
    credits: Sum[Units] = ZERO
    lines: Sum[int] = 0


class Balances(Projection):
    name = "balances"
    rows = (Balance, BalanceDay, TrialLine)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        for account, amount in e.entry:
            its = parts(account)
            sums = amount, Units(max(amount, 0)), Units(max(-amount, 0)), 1
            yield Balance(account, e.pos, its.asset, its.code, its.owner, *sums)
            yield BalanceDay(account, e.at_us // DAY, e.pos, *sums)
            yield TrialLine(its.asset, its.code, e.pos, *sums)
