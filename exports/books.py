"""The journal as a book of plain-text accounting: beancount and hledger read it, and check its balances against their own sums.

An account of the book is a code of the chart, e.g. `Liabilities:2110-Available`; whose it is stands beside the line. So a book has as many
accounts as the chart has codes, however many people the ledger has, and its writer remembers no more.
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import ClassVar, NamedTuple

from exports.forms import Trailer
from exports.lines import Cell, Column, Entry, day, decimal, iso

ROOTS = {"1": "Assets", "2": "Liabilities", "3": "Equity", "4": "Income", "5": "Expenses"}
"""By the first digit of the code."""
SPOILS = str.maketrans(dict.fromkeys('"\\;,|\r\n', " "))
"""What would end a text or a tag. No name of ours has one of them."""


class Posting(NamedTuple):
    id: str
    account: str
    amount: str
    commodity: str
    owner: str


class Transaction(NamedTuple):
    """An event's entry."""

    position: int
    at_us: int
    event: str
    stream: str
    by: str
    postings: list[Posting]


class Balance(NamedTuple):
    """What an account must hold at the end of a day."""

    account: str
    amount: str
    commodity: str


def account_of(code: str) -> str:
    """`Liabilities:2250-Checker-Payable` of `2250.checker-payable`."""
    number, _, name = code.partition(".")
    return f"{ROOTS[number[0]]}:{number}-{name.title()}"


class Book:
    """Transactions in the order of the log. A day ends with the balances of all accounts that moved on it, the book with all there are."""

    media_type: ClassVar[str] = "text/plain; charset=utf-8"

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self._at = {column.name: number for number, column in enumerate(columns)}
        self._open: Transaction | None = None
        """Its entry may go on with the next page."""
        self._places = dict[str, int]()
        self._known = set[str]()
        self._balances = dict[tuple[str, str], int]()
        self._moved = dict[tuple[str, str], None]()
        """Accounts with their assets, since the last balances."""

    def begin(self) -> bytes:
        return b"; The journal of a Gridledger. Debits are positive; the owner of an account stands beside each line.\n"

    def page(self, entries: Sequence[Entry]) -> bytes:
        return "".join(text for entry in entries for text in self._take(entry)).encode()

    def end(self, trailer: Trailer) -> bytes:
        closed = [*self._closed()]
        if self._open:
            closed.append(self.balanced(day(self._open.at_us), self._standing(sorted(self._balances))))
        totals = [f"; total {asset.upper()} {label} {amount}\n" for asset, label, amount in trailer.totals]
        ends = [f"; rows {trailer.rows}\n", *totals, f"; log {trailer.log}\n", f"; head {trailer.size} {trailer.root}\n"]
        return "".join([*closed, "\n", *ends]).encode()

    def seal(self, sha256_hex: str) -> bytes:
        return f"; sha256 {sha256_hex}\n".encode()

    def _take(self, entry: Entry) -> Iterable[str]:
        cells, before = entry.cells, self._open
        if before is None or before.position != cells[self._at["position"]]:
            yield from self._closed()
            event, stream, by = (plain(cells[self._at[name]]) for name in ("event", "stream", "by"))
            self._open = Transaction(number(cells[self._at["position"]]), number(cells[self._at["time"]]), event, stream, by, [])
            if before and self._moved and day(before.at_us) != day(self._open.at_us):
                yield self.balanced(day(before.at_us), self._standing(self._moved))
                self._moved.clear()
        assert self._open
        amount, account, commodity = str(cells[self._at["amount"]]), account_of(str(cells[self._at["code"]])), entry.asset.upper()
        if commodity not in self._places:
            self._places[commodity] = len(amount.partition(".")[2])
            yield self.listed(commodity, decimal(10 ** self._places[commodity], self._places[commodity]))
        if account not in self._known:
            self._known.add(account)
            yield self.opened(day(self._open.at_us), account)
        its = account, commodity
        self._balances[its] = self._balances.get(its, 0) + entry.units
        self._moved[its] = None
        self._open.postings.append(Posting(plain(cells[0]), account, amount, commodity, plain(cells[self._at["owner"]])))

    def _closed(self) -> Iterable[str]:
        if self._open:
            yield self.written(self._open)

    def _standing(self, which: Iterable[tuple[str, str]]) -> list[Balance]:
        return [Balance(account, decimal(self._balances[account, name], self._places[name]), name) for account, name in which]

    def listed(self, commodity: str, one: str) -> str:
        raise NotImplementedError

    def opened(self, on: str, account: str) -> str:
        raise NotImplementedError

    def written(self, it: Transaction) -> str:
        raise NotImplementedError

    def balanced(self, on: str, balances: Sequence[Balance]) -> str:
        raise NotImplementedError


class Beancount(Book):
    """Version 2 and 3."""

    def listed(self, commodity: str, one: str) -> str:
        return ""

    def opened(self, on: str, account: str) -> str:
        return f"{on} open {account}\n"

    def written(self, it: Transaction) -> str:
        lines = [f'\n{day(it.at_us)} * "{it.event}" "{it.stream}"', f"  position: {it.position}"]
        lines += [f'  time: "{iso(it.at_us)}"', f'  by: "{it.by}"']
        for each in it.postings:
            lines += [f"  {each.account}  {each.amount} {each.commodity}", f'    id: "{each.id}"']
            lines += [f'    owner: "{each.owner}"'] if each.owner else []
        return "\n".join([*lines, ""])

    def balanced(self, on: str, balances: Sequence[Balance]) -> str:
        """Beancount's balances are those of a day's beginning."""
        on = (date.fromisoformat(on) + timedelta(days=1)).isoformat()
        # Without a tolerance of its own a balance may be wrong by half of its last decimal.
        return "".join(["\n", *(f"{on} balance {each.account}  {each.amount} ~ 0 {each.commodity}\n" for each in balances)])


class Hledger(Book):
    """Version 1."""

    def listed(self, commodity: str, one: str) -> str:
        return f"commodity {one} {quoted(commodity)}\n"

    def opened(self, on: str, account: str) -> str:
        return f"account {account}\n"

    def written(self, it: Transaction) -> str:
        lines = [f"\n{day(it.at_us)} * ({it.position}) {it.event} {it.stream}  ; time:{iso(it.at_us)}, by:{it.by}"]
        for each in it.postings:
            owner = f", owner:{each.owner}" if each.owner else ""
            lines.append(f"    {each.account}  {each.amount} {quoted(each.commodity)}  ; id:{each.id}{owner}")
        return "\n".join([*lines, ""])

    def balanced(self, on: str, balances: Sequence[Balance]) -> str:
        nothing = ((each, decimal(0, len(each.amount.partition(".")[2])), quoted(each.commodity)) for each in balances)
        return "".join([f"\n{on} * balances\n", *(f"    {it.account}  {zero} {name} = {it.amount} {name}\n" for it, zero, name in nothing)])


def quoted(commodity: str) -> str:
    """Names with digits stand in quotes."""
    return commodity if commodity.isalpha() else f'"{commodity}"'


def plain(cell: Cell) -> str:
    return str(cell or "").translate(SPOILS)


def number(cell: Cell) -> int:
    assert isinstance(cell, int)
    return cell
