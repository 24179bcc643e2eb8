"""Accounts: all of them, and one with its balances, its statement, and why what it is owed is not paid yet."""

from collections.abc import Sequence
from typing import ClassVar

from domain.value import Value
from explorer.look import Look, encode
from explorer.model import Model
from projections.explorer.accounts import Account, Role, Stake
from projections.explorer.house import Policy
from projections.explorer.payouts import Payout
from projections.explorer.workers import Worker
from projections.finance.balances import Balance
from projections.finance.journal import StatementLine
from projections.finance.parties import Party

FEW = 12
UNPAID = {
    "2210.accrued": "is earned and not mature yet: its work may still be looked at again",
    "2220.payable": "is payable: it goes out on request, or on the next payday",
    "2250.checker-payable": "is payable for checking: it goes out on request, or on the next payday",
    "2230.inflight": "is on its way through the chain",
    "2310.stake": "is at stake, and comes back after it is unlocked",
}


class Accounts(Model):
    template: ClassVar[str] = "accounts.html"
    section: ClassVar[str] = "Accounts"
    rows: Sequence[Account]
    next: str | None

    @property
    def title(self) -> str:
        return "Accounts"

    @property
    def records(self) -> Sequence[Account]:
        return self.rows


async def accounts(look: Look) -> Accounts:
    found = await look.list(Account, ("kind",), newest=False)
    return Accounts(found.rows, encode(found.next) if found.next else None)


class Owed(Value):
    """An amount that the account has and cannot spend yet, and why."""

    code: str
    asset: str
    amount: int
    why: str


class Page(Model):
    template: ClassVar[str] = "account.html"
    section: ClassVar[str] = "Accounts"
    account: Account
    roles: list[str]
    parties: Sequence[Party]
    balances: Sequence[Balance]
    owed: list[Owed]
    minimum: int | None
    """Of a payout, by the policy."""
    stakes: Sequence[Stake]
    workers: Sequence[Worker]
    payouts: Sequence[Payout]
    rows: Sequence[StatementLine]
    next: str | None

    @property
    def title(self) -> str:
        return self.account.account

    @property
    def about(self) -> str:
        return self.account.account

    @property
    def records(self) -> Sequence[StatementLine]:
        return self.rows


async def account(look: Look) -> Page:
    row = await look.need(Account, look.path["account"])
    own = {"owner": row.account}
    found = await look.page(StatementLine, own, after=look.cursor(StatementLine, own, ""))
    balances = (await look.page(Balance, own, newest=False)).rows
    policies = (await look.page(Policy, limit=1)).rows
    of_it = {"account": row.account}
    return Page(
        row,
        [str(each.role) for each in (await look.page(Role, of_it, newest=False)).rows if each.held],
        (await look.page(Party, of_it, newest=False)).rows,
        balances,
        [
            Owed(each.code, str(each.asset), -int(each.amount), UNPAID[each.code])
            for each in balances
            if each.amount and each.code in UNPAID
        ],
        int(policies[0].parameters.payout_min) if policies and policies[0].parameters else None,
        (await look.page(Stake, of_it, newest=False)).rows,
        (await look.page(Worker, own, limit=FEW, newest=False)).rows,
        (await look.page(Payout, of_it, limit=FEW)).rows,
        found.rows,
        encode(found.next) if found.next else None,
    )
