"""Accounts: all of them, and one with its balances, its statement, and why what it is owed is not paid yet."""

from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import ClassVar

from domain.accounts import Account as Name
from domain.policy import DAY
from domain.value import Value
from explorer.drawing import charts
from explorer.look import Look, encode
from explorer.model import Model, Table
from explorer.pages.money import explain
from explorer.pages.money.explain import Node
from projections.explorer.accounts import Account, Role, Stake
from projections.explorer.house import Policy
from projections.explorer.payouts import Payout
from projections.explorer.tasks import Attempt, Task
from projections.explorer.workers import Worker
from projections.finance.balances import Balance, BalanceDay, Parts, parts
from projections.finance.journal import StatementLine
from projections.finance.parties import Party

FEW, LINES, DAYS, RECENT = 12, 200, 60, 50
"""Rows of a list beside others; lines, or else days, in the chart; attempts that are looked at for the next one to mature."""
ORDER = ("2110.available", "2310.stake", "2210.accrued", "2220.payable", "2250.checker-payable")
"""Codes of what is an account's own, as they stand in its statement."""
EARNED = ("2210.accrued", "2220.payable", "2250.checker-payable")
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
    def records(self) -> Table:
        return Table(Account, self.rows)


async def accounts(look: Look) -> Accounts:
    found = await look.list(Account, ("kind",), newest=False)
    return Accounts(found.rows, encode(found.next) if found.next else None)


class Owed(Value):
    """An amount that the account has and cannot spend yet, and why."""

    code: str
    asset: str
    amount: int
    why: str
    when: str
    """What is known of when that ends, and by what; empty: it is up to its owner."""
    when_us: int


class Move(Value):
    """What one event changed on the account, and what it was owed in all after that."""

    line: StatementLine
    """The one that says most; its explanation is that of the event."""
    changes: dict[str, int]
    """By code; positive is more for the account."""
    owed: int | None
    """None: the page begins later, so nobody has added it up."""

    @property
    def posting(self) -> str:
        return f"{self.line.position}-{self.line.line}"


class Course(Value):
    """What the account was owed over time."""

    asset: str
    span: charts.Span
    owed: str
    """In all: a path in a frame of 100 by 40."""
    unpaid: str
    """Likewise what was earned and not paid yet, in its own scale."""
    top: int
    """The most that it was ever owed, of what is drawn."""
    peak: int
    """Likewise, the most that was earned and not paid yet."""
    by_days: bool


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
    unpaid: int
    """Earned, and not paid yet; of the first asset."""
    course: Course | None
    stakes: Sequence[Stake]
    workers: Sequence[Worker]
    payouts: Sequence[Payout]
    moves: list[Move]
    codes: list[str]
    """That the moves change."""
    posting: str
    """Which of them is explained."""
    explained: Node | None
    rows: Sequence[StatementLine]
    next: str | None

    @property
    def title(self) -> str:
        return self.account.account

    @property
    def about(self) -> str:
        return self.account.account

    @property
    def records(self) -> Table:
        return Table(StatementLine, self.rows)


async def account(look: Look) -> Page:
    row = await look.need(Account, look.path["account"])
    own = {"owner": row.account}
    after = look.cursor(StatementLine, own, "")
    found = await look.page(StatementLine, own, after=after)
    balances = (await look.page(Balance, own, newest=False)).rows
    policies = (await look.page(Policy, limit=1)).rows
    of_it = {"account": row.account}
    codes = [code for code in ORDER if any(of_line(line).code == code for line in found.rows)]
    posting = look.query.get("explain", "")
    asset = str(balances[0].asset) if balances else ""
    return Page(
        row,
        [str(each.role) for each in (await look.page(Role, of_it, newest=False)).rows if each.held],
        (await look.page(Party, of_it, newest=False)).rows,
        balances,
        [await owed(look, row.account, each) for each in balances if each.amount and each.code in UNPAID],
        int(policies[0].parameters.payout_min) if policies and policies[0].parameters else None,
        -sum(int(each.amount) for each in balances if each.code in EARNED and each.asset == asset),
        await course(look, row, [each for each in balances if each.asset == asset]),
        (await look.page(Stake, of_it, newest=False)).rows,
        (await look.page(Worker, own, limit=FEW, newest=False)).rows,
        (await look.page(Payout, of_it, limit=FEW)).rows,
        moves(found.rows, {} if after else totals(balances)),
        codes,
        posting,
        await explain.find(look, posting) if posting else None,
        found.rows,
        encode(found.next) if found.next else None,
    )


def of_line(line: StatementLine) -> Parts:
    return parts(Name(str(line.account)))


async def owed(look: Look, account: str, balance: Balance) -> Owed:
    when, when_us = "", 0
    if balance.code == "2210.accrued":
        when, when_us = await matures(look, account)
    elif balance.code in {"2220.payable", "2250.checker-payable"} and look.world:
        when_us = look.world.timer("payday", account) or 0
        stopped = "payouts are stopped until two admins let them go"
        when = stopped if look.world.frozen else "the next payday is" if when_us else "no payday is set"
    elif (
        balance.code == "2310.stake" and (stakes := (await look.page(Stake, {"account": account}, limit=1)).rows) and stakes[0].available_us
    ):
        when, when_us = "what was asked back comes", int(stakes[0].available_us)
    return Owed(str(balance.code), str(balance.asset), -int(balance.amount), UNPAID[str(balance.code)], when, when_us)


async def matures(look: Look, account: str) -> tuple[str, int]:
    """When the oldest share that waits may mature, of the owner's last attempts."""
    rows = (await look.page(Attempt, {"owner": account}, by="leased_position", limit=RECENT)).rows
    waits = [row for row in rows if row.status == "accepted"]
    task = await look.get(Task, waits[-1].task) if waits else None
    if task is None or not task.matures_us:
        return "", 0
    return f"{task.task} matures at the earliest", int(task.matures_us)


def totals(balances: Sequence[Balance]) -> dict[str, int]:
    """What the account is owed in all, by asset."""
    found: dict[str, int] = {}
    for each in balances:
        found[str(each.asset)] = found.get(str(each.asset), 0) - int(each.amount)
    return found


def moves(lines: Sequence[StatementLine], now: dict[str, int]) -> list[Move]:
    """The lines of each event together, the newest first; `now` is what is owed after all of them, by asset."""
    found = list[Move]()
    for (_, asset), of_one in groupby(lines, key=lambda line: (line.position, of_line(line).asset)):
        its = list(of_one)
        changes: dict[str, int] = {}
        for line in its:
            code = of_line(line).code
            changes[code] = changes.get(code, 0) - int(line.amount)
        main = max(its, key=lambda line: (int(line.amount) < 0, -line.line))
        found.append(Move(main, changes, now.get(asset)))
        if asset in now:
            now = now | {asset: now[asset] - sum(changes.values())}
    return found


async def course(look: Look, row: Account, balances: Sequence[Balance]) -> Course | None:
    """By its lines, if they are few, else by days. None: nothing has moved yet."""
    lines = await look.page(StatementLine, {"owner": row.account}, limit=LINES)
    asset = str(balances[0].asset) if balances else ""
    if lines.next is None:
        its = [(line.at_us or 0, of_line(line), -int(line.amount)) for line in reversed(lines.rows)]
        changes = [(at_us, of.code, amount) for at_us, of, amount in its if of.asset == asset]
    else:
        changes = [each for balance in balances for each in await by_days(look, balance)]
    if not changes:
        return None
    begin_us = min(at_us for at_us, _, _ in changes) if lines.next else row.opened_us or 0
    over = charts.span([begin_us, look.ledger_us])
    both = [sorted((at_us, amount) for at_us, code, amount in changes if code in codes) for codes in (ORDER, EARNED)]
    starts = [
        -sum(int(each.amount) for each in balances if each.code in codes) - sum(amount for _, amount in its)
        for codes, its in zip((ORDER, EARNED), both, strict=True)
    ]
    tops = [max(accumulate([start, *(amount for _, amount in its)])) for start, its in zip(starts, both, strict=True)]
    paths = [charts.steps(its, over, start) for start, its in zip(starts, both, strict=True)]
    return Course(asset, over, paths[0], paths[1], tops[0], tops[1], by_days=lines.next is not None)


async def by_days(look: Look, balance: Balance) -> list[tuple[int, str, int]]:
    """When, code, change; each day's at its end, or now."""
    rows = (await look.page(BalanceDay, {"account": balance.account}, limit=DAYS)).rows
    return [(min((row.day + 1) * DAY, look.ledger_us), str(balance.code), -int(row.amount)) for row in rows]
