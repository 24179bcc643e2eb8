"""Who put in, spent, earned and got what: the demo's money table, summed from the entries of the log and nothing else.

In each row: deposited + earned + fee − spent − slashed − paid on chain = held. Over all rows: earned + fee = spent, and slashed = 0.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from domain import accounts
from domain.accounts import Account, Asset
from domain.event import Event, Recorded
from domain.ids import AccountId
from domain.treasury import batch, deposit, earnings, stake
from domain.units import Units
from domain.value import Value
from domain.work import task

PLATFORM, SAFETY, POOL = "platform", "safety fund", "checker pool"


class Party(Value):
    """One row. Amounts in minor units; `slashed` of the safety fund is negative: it has what others lost."""

    account: str
    role: str
    deposited: int
    spent: int
    earned: int
    slashed: int
    fee: int
    paid_on_chain: int
    held: int
    tx: str

    @property
    def is_balanced(self) -> bool:
        return self.deposited + self.earned + self.fee - self.spent - self.slashed - self.paid_on_chain == self.held


class Books:
    """Sums of what the log says about money."""

    def __init__(self, asset: Asset) -> None:
        self.asset = asset
        self.balances: dict[Account, int] = defaultdict(int)
        self.sums: dict[tuple[str, str], int] = defaultdict(int)
        self.transactions: dict[str, str] = {}

    def take(self, recorded: Recorded[Event]) -> None:
        for account, amount in recorded.entry:
            self.balances[account] += amount
        match recorded.event:
            case deposit.Finalised(credited=True) as it:
                self.sums["deposited", it.account] += it.amount
            case task.Ended() as it if it.fee:
                self.sums["earned", it.owner] += it.fee
            case stake.Slashed() as it:
                self.sums["slashed", it.account] += it.from_stake + it.from_accrued
            case earnings.Distributed() as it:
                for line in it.lines:
                    self.sums["earned", line.account] += line.amount
                    self.sums["distributed", ""] += line.amount
            case batch.Finalised() as it:
                for item in it.paid:
                    self.sums["paid", item.account] += item.amount
                    self.transactions[item.account] = it.tx_hash
            case _:
                self._take_work(recorded)

    def _take_work(self, recorded: Recorded[Event]) -> None:
        """What leaves a task's escrow for worker, checkers and platform, read from the entry."""
        if recorded.event.verb() != "task.accepted":
            return
        for account, amount in recorded.entry:
            if account.startswith(f"{self.asset}:2210.accrued."):
                self.sums["earned", account.rpartition(".")[2]] -= amount
            elif account == accounts.checkers(self.asset):
                self.sums["checkers", ""] -= amount
            elif account == accounts.fee_deferred(self.asset):
                self.sums["fee", ""] -= amount

    @property
    def trial_balance(self) -> int:
        """Debits minus credits over all accounts of all assets: zero, or the ledger is wrong."""
        return sum(self.balances.values())

    def held(self, owner: str) -> int:
        """What the ledger owes to an owner: all its liability accounts."""
        return -sum(amount for account, amount in self.balances.items() if account.split(".")[-1] == owner)

    def party(self, role: str, owner: str, *, spent: int = 0) -> Party:
        found = {name: self.sums[name, owner] for name in ("deposited", "earned", "slashed", "paid")}
        return Party(
            owner,
            role,
            found["deposited"],
            spent,
            found["earned"],
            found["slashed"],
            0,
            found["paid"],
            self.held(owner),
            self.transactions.get(owner, ""),
        )

    def parties(self, creator: AccountId, owners: Sequence[tuple[str, AccountId]]) -> list[Party]:
        """The rows: the creator, each owner with its role, then the house's own."""
        spent = self.sums["checkers", ""] + self.sums["fee", ""] + sum(self.sums["earned", owner] for _, owner in owners)
        spent -= self.sums["distributed", ""]
        slashed = sum(self.sums["slashed", owner] for _, owner in owners)
        fee_held = -self.balances[accounts.fee(self.asset)] - self.balances[accounts.fee_deferred(self.asset)]
        pool_held = -self.balances[accounts.pool(self.asset)] - self.balances[accounts.checkers(self.asset)]
        left = self.sums["checkers", ""] - self.sums["distributed", ""]
        return [
            self.party("creator", creator, spent=spent),
            *(self.party(role, owner) for role, owner in owners),
            Party(accounts.fee(self.asset), PLATFORM, 0, 0, 0, 0, self.sums["fee", ""], 0, fee_held, ""),
            Party(accounts.safety(self.asset), SAFETY, 0, 0, 0, -slashed, 0, 0, -self.balances[accounts.safety(self.asset)], ""),
            Party(accounts.pool(self.asset), POOL, 0, 0, left, 0, 0, 0, pool_held, ""),
        ]


def books(events: Iterable[Recorded[Event]], asset: Asset) -> Books:
    made = Books(asset)
    for recorded in events:
        made.take(recorded)
    return made


def totals(parties: Sequence[Party]) -> dict[str, Units]:
    names = ("deposited", "spent", "earned", "slashed", "fee", "paid_on_chain", "held")
    return {name: Units(sum(getattr(party, name) for party in parties)) for name in names}
