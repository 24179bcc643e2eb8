"""The chart of accounts, and entries between them. Debits are positive, credits negative; every entry sums to zero per asset.

An account is `<asset>:<code>.<name>[.<owner>]` and holds one asset (DOMAIN.md §4). Owners are accounts of people, jobs, tasks or payouts,
never workers.
"""

from collections import defaultdict
from typing import NewType

from domain.ids import AccountId, JobId, PayoutId, TaskId
from domain.units import Units

Account = NewType("Account", str)
Asset = NewType("Asset", str)

USDC, ETH = Asset("usdc"), Asset("eth")

Line = tuple[Account, Units]
Entry = tuple[Line, ...]
NO_MONEY: Entry = ()


def account(asset: Asset, code: str, owner: str = "") -> Account:
    return Account(f"{asset}:{code}.{owner}" if owner else f"{asset}:{code}")


def treasury(asset: Asset) -> Account:
    """The treasury contract's finalised balance."""
    return account(asset, "1110.treasury")


def inbound(asset: Asset) -> Account:
    """Deposits seen on chain and not final."""
    return account(asset, "1120.inbound")


def outbound(asset: Asset) -> Account:
    """Payouts mined and not final."""
    return account(asset, "1140.outbound")


def available(asset: Asset, owner: AccountId) -> Account:
    return account(asset, "2110.available", owner)


def unallocated(asset: Asset, job: JobId) -> Account:
    """The part of a job's escrow that no task holds."""
    return account(asset, "2120.unallocated", job)


def held(asset: Asset, task: TaskId) -> Account:
    """The part of a job's escrow that is locked for one task."""
    return account(asset, "2120.task", task)


def accrued(asset: Asset, owner: AccountId) -> Account:
    """Earned by accepted work, not mature."""
    return account(asset, "2210.accrued", owner)


def payable(asset: Asset, owner: AccountId) -> Account:
    return account(asset, "2220.payable", owner)


def inflight(asset: Asset, payout: PayoutId) -> Account:
    return account(asset, "2230.inflight", payout)


def checkers(asset: Asset) -> Account:
    """The checkers' share of accepted work, not mature."""
    return account(asset, "2240.checkers")


def pool(asset: Asset) -> Account:
    """The checkers' share, mature, not distributed."""
    return account(asset, "2245.pool")


def checker_payable(asset: Asset, owner: AccountId) -> Account:
    return account(asset, "2250.checker-payable", owner)


def stake(asset: Asset, owner: AccountId) -> Account:
    return account(asset, "2310.stake", owner)


def safety(asset: Asset) -> Account:
    """What was slashed. Not income: the judge must not profit."""
    return account(asset, "2330.safety")


def fee_deferred(asset: Asset) -> Account:
    return account(asset, "2410.fee-deferred")


def suspense(asset: Asset) -> Account:
    """Receipts that belong to nobody yet."""
    return account(asset, "2910.suspense")


def capital(asset: Asset) -> Account:
    return account(asset, "3110.capital")


def fee(asset: Asset) -> Account:
    """The platform's revenue; it is an agent, so the fee is all of it."""
    return account(asset, "4110.fee")


def gas(asset: Asset) -> Account:
    return account(asset, "5110.gas")


OF_PEOPLE = (available, accrued, payable, checker_payable, stake)
"""Which accounts somebody may have, in each asset."""


def asset_of(of: Account) -> Asset:
    return Asset(of.partition(":")[0])


def move(amount: Units, *, debit: Account, credit: Account) -> Entry:
    """Nothing moves where the amount is zero."""
    return ((debit, amount), (credit, -amount)) if amount else NO_MONEY


def entry(*parts: Entry) -> Entry:
    """One entry of several; lines on the same account are added up, and those that come to nothing left out."""
    sums: dict[Account, Units] = defaultdict(Units)
    for part in parts:
        for where, amount in part:
            sums[where] += amount
    return tuple((where, amount) for where, amount in sums.items() if amount)


def is_balanced(lines: Entry) -> bool:
    sums: dict[Asset, int] = defaultdict(int)
    for where, amount in lines:
        sums[asset_of(where)] += amount
    return not any(sums.values())
