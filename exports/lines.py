"""What rows an export has: of the journal, of a statement, of payouts. A row is made of the log alone, so it is the same for ever.

Debits are positive and credits negative, in whole units of the asset with all its decimals; no number is ever a float.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal, NamedTuple, Protocol

from domain.accounts import ETH, Asset
from domain.log import wire
from domain.treasury import batch
from domain.value import Value
from domain.world import World
from projections.explorer.events import Line
from projections.finance.balances import parts
from projections.finance.journal import JournalLine, StatementLine
from projections.row import Plain, Row

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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


class Table(Protocol):
    """One export's rows. It is used up by one export: some go along with what came before."""

    kind: ClassVar[type[Row]]
    columns: ClassVar[tuple[Column, ...]]
    balanced: bool
    """Whether its rows have to come to zero per asset."""

    def __init__(self, places: Mapping[Asset, int], account: str = "") -> None: ...

    @property
    def where(self) -> dict[str, Plain]:
        """Which rows of the view it is made of."""
        ...

    def entries(self, row: Row) -> Iterator[Entry]: ...


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

    kind: ClassVar[type[Row]] = JournalLine
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

    @property
    def where(self) -> dict[str, Plain]:
        return {"account": self._account} if self._account else {}

    def entries(self, row: Row) -> Iterator[Entry]:
        assert isinstance(row, JournalLine)
        name, units = str(row.account), row.amount
        its = parts(row.account)  # type: ignore[arg-type] # set whenever a row begins
        where = f"{row.position}-{row.line}", row.position, row.line, row.at_us, row.event, row.stream, row.by, name
        cells = (*where, its.asset, its.code, its.owner, *sides(units, self._places[Asset(its.asset)]))
        yield Entry(cells, its.asset, units, "debit" if units > 0 else "credit")  # type: ignore[arg-type]


class Statement:
    """Every line on the accounts of one owner, each with that account's balance after it."""

    kind: ClassVar[type[Row]] = StatementLine
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

    @property
    def where(self) -> dict[str, Plain]:
        return {"owner": self._owner}

    def entries(self, row: Row) -> Iterator[Entry]:
        assert isinstance(row, StatementLine)
        name, units = str(row.account), row.amount
        its = parts(row.account)  # type: ignore[arg-type] # set whenever a row begins
        self._balances[name] += units
        places = self._places[Asset(its.asset)]
        where = f"{row.position}-{row.line}", row.position, row.line, row.at_us, row.event, row.stream, row.owner, name
        cells = (*where, its.asset, its.code, *sides(units, places), decimal(self._balances[name], places))
        yield Entry(cells, its.asset, units, "debit" if units > 0 else "credit")  # type: ignore[arg-type]


class Payouts:
    """Of every batch whose transaction is final: what was paid, what failed and is payable again, and the gas; or one account's part."""

    kind: ClassVar[type[Row]] = Line
    balanced: bool = False
    columns: ClassVar[tuple[Column, ...]] = (
        Column("id"),
        Column("position", "count"),
        Column("time", "time"),
        Column("batch"),
        Column("outcome"),
        Column("payout"),
        Column("account"),
        Column("asset"),
        Column("amount", "amount"),
        Column("transaction"),
        Column("block", "count"),
        Column("back_to"),
    )

    def __init__(self, places: Mapping[Asset, int], account: str = "") -> None:
        self._places, self._account = places, account

    @property
    def where(self) -> dict[str, Plain]:
        return {"type": str(batch.Finalised.__struct_config__.tag)}

    def entries(self, row: Row) -> Iterator[Entry]:
        assert isinstance(row, Line)
        it = wire.event(str(row.line).encode()).event
        assert isinstance(it, batch.Finalised)
        lines: Sequence[tuple[str, batch.Item | None]] = (
            *(("paid", item) for item in it.paid),
            *(("failed", item) for item in it.failed),
            ("gas", None),
        )
        for number, (outcome, item) in enumerate(lines, 1):
            if self._account and not (item and item.account == self._account):
                continue
            asset, units = (it.asset, item.amount) if item else (ETH, it.gas)
            whose = (item.payout, item.account) if item else (None, None)
            amount = decimal(units, self._places[asset])
            back_to = item.back_to if item and outcome == "failed" else None
            what = row.position, row.at_us, it.batch, outcome, *whose, asset, amount, it.tx_hash, it.block, back_to
            yield Entry((f"{row.position}-{number}", *what), asset, units, outcome)


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
