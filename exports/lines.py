"""What rows an export has: of the journal, of a statement; of payouts: exports/payouts.py. A row is made of the log alone, so it is the
same for ever.

Debits are positive and credits negative, in whole units of the asset with all its decimals; no number is ever a float.
"""

from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import timedelta
from operator import attrgetter
from typing import ClassVar, Literal, NamedTuple, Protocol, TypeVar

from domain.accounts import ETH, Asset
from domain.value import Value
from domain.world import World
from projections.finance.balances import parts
from projections.finance.journal import JournalLine, StatementLine
from projections.row import Plain, Row
from projections.times import EPOCH
from projections.views import Views

R = TypeVar("R", bound=Row)

PAGE_ROWS = 1_000
ETH_DECIMALS = 18
"""Gas is paid in it, and nobody lists it."""
Kind = Literal["text", "count", "time", "amount"]
Cell = str | int | None
"""Text; a count; microseconds since 1970; an amount as a decimal string. None: there is none."""


class Column(Value):
    name: str
    kind: Kind = "text"


class Entry(NamedTuple):
    """One row, and what the end of the export adds up."""

    cells: tuple[Cell, ...]
    asset: str
    units: int
    label: str
    """Under which it is added up, e.g. `debit`."""


class Broken(Exception):
    """The export cannot be finished: a file that ends here has no end."""


class Table(Protocol):
    """One export's rows. It is used up by one export: some go along with what came before."""

    kinds: ClassVar[tuple[type[Row], ...]]
    """Of the views that it reads."""
    columns: ClassVar[tuple[Column, ...]]
    balanced: bool
    """Whether its rows have to come to zero per asset."""

    def __init__(self, places: Mapping[Asset, int], account: str = "") -> None: ...

    def pages(self, views: Views, size: int) -> AsyncGenerator[list[Entry], None]:
        """Its rows in their order, up to the event at position `size`. Raises `Broken` where a view is not there."""
        ...


async def walk(
    views: Views, kind: type[R], where: Mapping[str, Plain], size: int, made: Callable[[R], int]
) -> AsyncGenerator[list[R], None]:
    """Rows of a view by their key, as far as they were made up to the event at position `size`. Raises `Broken` where the view is not
    there."""
    after = None
    while True:
        found = await views.page(kind, where=where, after=after, limit=PAGE_ROWS)
        if found.position < size:
            raise Broken(f"the view stands at {found.position}")
        rows = [row for row in found.rows if made(row) <= size]
        yield rows
        if found.next is None or len(rows) < len(found.rows):
            return
        after = found.next


def decimals(world: World) -> dict[Asset, int]:
    """How many decimals each asset has."""
    return {ETH: ETH_DECIMALS} | {asset: info.decimals for asset, info in world.assets.items()}


def decimal(units: int, places: int) -> str:
    """`-1.500000` of -1500000 units with six decimals: always all of them, never an exponent."""
    whole, rest = divmod(abs(units), 10**places)
    sign = "-" if units < 0 else ""
    return f"{sign}{whole}.{rest:0{places}}" if places else f"{sign}{whole}"


def iso(at_us: int) -> str:
    """UTC, ISO 8601, with microseconds."""
    return f"{(EPOCH + timedelta(microseconds=at_us)).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def day(at_us: int) -> str:
    return (EPOCH + timedelta(microseconds=at_us)).date().isoformat()


DOUBLE = (Column("debit", "amount"), Column("credit", "amount"), Column("amount", "amount"))


def sides(units: int, places: int) -> tuple[Cell, Cell, Cell]:
    """Of `DOUBLE`."""
    amount = decimal(units, places)
    return (amount, None, amount) if units > 0 else (None, amount, amount)


class Journal:
    """Every line of every entry, or those of one account of the ledger."""

    kinds: ClassVar[tuple[type[Row], ...]] = (JournalLine,)
    columns: ClassVar[tuple[Column, ...]] = (
        Column("id"),
        Column("position", "count"),
        Column("line", "count"),
        Column("time", "time"),
        Column("event"),
        Column("stream"),
        Column("by"),
        Column("account"),
        Column("asset"),
        Column("code"),
        Column("owner"),
        *DOUBLE,
    )

    def __init__(self, places: Mapping[Asset, int], account: str = "") -> None:
        self._places, self._account = places, account
        self.balanced = not account

    async def pages(self, views: Views, size: int) -> AsyncGenerator[list[Entry], None]:
        where = {"account": self._account} if self._account else {}
        async for rows in walk(views, JournalLine, where, size, attrgetter("position")):
            yield [self._entry(row) for row in rows]

    def _entry(self, row: JournalLine) -> Entry:
        name, units = str(row.account), row.amount
        its = parts(row.account)  # type: ignore[arg-type] # set whenever a row begins
        where = f"{row.position}-{row.line}", row.position, row.line, row.at_us, row.event, row.stream, row.by, name
        cells = (*where, its.asset, its.code, its.owner, *sides(units, self._places[Asset(its.asset)]))
        return Entry(cells, its.asset, units, "debit" if units > 0 else "credit")  # type: ignore[arg-type]


class Statement:
    """Every line on the accounts of one owner, each with that account's balance after it."""

    kinds: ClassVar[tuple[type[Row], ...]] = (StatementLine,)
    balanced: bool = False
    columns: ClassVar[tuple[Column, ...]] = (
        Column("id"),
        Column("position", "count"),
        Column("line", "count"),
        Column("time", "time"),
        Column("event"),
        Column("stream"),
        Column("owner"),
        Column("account"),
        Column("asset"),
        Column("code"),
        *DOUBLE,
        Column("balance", "amount"),
    )

    def __init__(self, places: Mapping[Asset, int], account: str = "") -> None:
        self._places, self._owner = places, account
        self._balances = defaultdict[str, int](int)

    async def pages(self, views: Views, size: int) -> AsyncGenerator[list[Entry], None]:
        async for rows in walk(views, StatementLine, {"owner": self._owner}, size, attrgetter("position")):
            yield [self._entry(row) for row in rows]

    def _entry(self, row: StatementLine) -> Entry:
        name, units = str(row.account), row.amount
        its = parts(row.account)  # type: ignore[arg-type] # set whenever a row begins
        self._balances[name] += units
        places = self._places[Asset(its.asset)]
        where = f"{row.position}-{row.line}", row.position, row.line, row.at_us, row.event, row.stream, row.owner, name
        cells = (*where, its.asset, its.code, *sides(units, places), decimal(self._balances[name], places))
        return Entry(cells, its.asset, units, "debit" if units > 0 else "credit")  # type: ignore[arg-type]


class Totals:
    """How many rows, and their sums."""

    def __init__(self, places: Mapping[Asset, int]) -> None:
        self._places = places
        self.rows = 0
        self._sums = defaultdict[tuple[str, str], int](int)

    def add(self, entries: Sequence[Entry]) -> None:
        self.rows += len(entries)
        for it in entries:
            self._sums[it.asset, it.label] += it.units

    def nets(self) -> dict[str, int]:
        """Of each asset, debits and credits together."""
        found = defaultdict[str, int](int)
        for (asset, _), units in self._sums.items():
            found[asset] += units
        return found

    def texts(self, *, net: bool) -> tuple[tuple[str, str, str], ...]:
        """(asset, label, amount), sorted; with the sum of all labels as `net`."""
        sums = self._sums | ({(asset, "net"): units for asset, units in self.nets().items()} if net else {})
        return tuple((asset, label, decimal(units, self._places[Asset(asset)])) for (asset, label), units in sorted(sums.items()))
