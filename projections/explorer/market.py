"""The market: what work was sold for, what is asked now, and what waits to be done (DOMAIN.md §1 *Average bid*)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import ClassVar, TypeVar, cast

from msgspec import UNSET, field

from domain.event import Event, Recorded
from domain.policy import DAY, MINUTE
from domain.units import ZERO, Units
from domain.value import Value
from domain.work import task
from projections.explorer.jobs import Waiting
from projections.explorer.workers import Level, Standing
from projections.row import INT_MAX, Change, Cursor, Key, Last, Plain, Projection, Row, Sum
from projections.views import Views

SLOT_US = 15 * MINUTE
PAGE = 5_000
NOBODY = f"worker-{10**15 - 1}"
"""Sorts after every worker."""
R = TypeVar("R", bound=Row)


class Sold(Row):
    """Work of a class that was leased at one price within a quarter of an hour. Few rows, however much is sold: a price is a bid."""

    table: ClassVar[str] = "sold"
    cls: Key[str] = field(name="class")
    slot: Key[int]
    """Quarters of an hour since 1970."""
    price_per_kwu: Key[int]
    """Minor units: the locked price of a thousand work units, rounded down."""
    position: Last[int] = UNSET
    wu_milli: Sum[int] = 0
    leases: Sum[int] = 0
    amount: Sum[Units] = ZERO


class Market(Projection):
    name = "market"
    rows = (Sold,)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        if isinstance(it := e.event, task.Leased):
            per_kwu = int(it.price) * 1_000_000 // it.wu_milli
            yield Sold(it.cls, e.at_us // SLOT_US, per_kwu, e.pos, it.wu_milli, 1, it.price)


class Quarter(Value):
    """What was sold of a class within a quarter of an hour."""

    slot: int
    sold: list[tuple[int, int]]
    """Price and thousandths of a work unit, the cheapest first; not empty."""
    median: int
    wu_milli: int

    @property
    def low(self) -> int:
        return self.sold[0][0]

    @property
    def high(self) -> int:
        return self.sold[-1][0]


class Quarters:
    """Sales of one ledger by quarters of an hour. One that is over never changes, so it is read once."""

    def __init__(self) -> None:
        self._over: dict[str, tuple[int, int, dict[int, Quarter]]] = {}
        """By class: from which slot to which one all are known, and those of them in which something was sold."""

    async def sales(self, views: Views, cls: str, at_us: int) -> tuple[list[Quarter], int]:
        """Of the 24 hours before, from a quarter of an hour on, the oldest first, and the position at which they stand."""
        first = (at_us - DAY) // SLOT_US
        low, high, known = self._over.get(cls, (first, first - 1, {}))
        begin = max(first, high + 1) if low <= first else first
        rows, position = await everything(views, Sold, {"cls": cls}, (begin, -1))
        found = [quarter for slot, quarter in known.items() if first <= slot < begin] + quarters(rows)
        if low <= first and rows:  # the ledger's time never falls: what comes before its newest sale is over
            over = {each.slot: each for each in found[:-1]}
            self._over[cls] = first, max(found[-1].slot - 1, high), {**{n: q for n, q in known.items() if n >= first}, **over}
        return found, position


class Quotation(Value):
    """A class's market at one moment. Prices in minor units per thousand work units; none where nothing was sold or is asked."""

    cls: str = field(name="class")
    average_bid: Units | None
    """Median of the locked prices of 24 hours, weighted by work units; the window begins on a quarter of an hour."""
    open_bid: Units | None
    """Median of the standing bids, the lower of two in the middle."""
    open_bids: int
    sold_wu_milli: int
    """Within the window."""
    position: int


class Demand(Value):
    """What the open jobs of an engine wait for, in thousandths of a work unit, by their quotes."""

    engine: str
    jobs: int
    ready_wu_milli: int
    leased_wu_milli: int


async def levels(views: Views, cls: str, at_us: int) -> list[Level]:
    """Of the bids that stand in a class, the cheapest first."""
    found, _ = await everything(views, Level, {"cls": cls}, (0, INT_MAX))
    return [row for row in found if stands(row, at_us)]


async def cheapest(views: Views, cls: str, at_us: int, most: int) -> list[Standing]:
    """So many of the bids that stand in a class, the first of them first."""
    found, after = list[Standing](), cast(Cursor | None, (0, NOBODY))
    while after and len(found) < most:
        page = await views.page(Standing, where={"cls": cls}, by="price_per_kwu", after=after, limit=most)
        found += [row for row in page.rows if stands(row, at_us)]
        after = page.next
    return found[:most]


def quarters(rows: Sequence[Sold]) -> list[Quarter]:
    """Of rows in the order of their keys."""
    slots: dict[int, list[tuple[int, int]]] = {}
    for row in rows:
        slots.setdefault(row.slot, []).append((row.price_per_kwu, row.wu_milli))
    return [Quarter(slot, sold, int(median(sold) or 0), sum(weight for _, weight in sold)) for slot, sold in slots.items()]


async def quotation(views: Views, cls: str, at_us: int, known: Quarters | None = None) -> Quotation:
    """As of `at_us`, normally the time of the last event."""
    sold, position = await (known or Quarters()).sales(views, cls, at_us)
    return quoted(cls, sold, await levels(views, cls, at_us), position)


def quoted(cls: str, sold: Sequence[Quarter], asked: Sequence[Level], position: int) -> Quotation:
    """From what was sold and is asked."""
    prices = Counter[int]()
    for quarter in sold:
        for price, weight in quarter.sold:
            prices[price] += weight
    weights = list(prices.items())
    bids = [(int(row.price_per_kwu), row.bids) for row in asked]
    open_bids, wu_milli = (sum(weight for _, weight in each) for each in (bids, weights))
    return Quotation(cls, median(weights), median(bids), open_bids, wu_milli, position)


def stands(row: Standing | Level, at_us: int) -> bool:
    return not row.bid_expires_us or row.bid_expires_us > at_us


def median(weighted: Sequence[tuple[int, int]]) -> Units | None:
    """The least value that at least half of the weight does not exceed; none if there is no weight."""
    whole, passed = sum(weight for _, weight in weighted), 0
    for value, weight in sorted(weighted):
        passed += weight
        if weight and 2 * passed >= whole:
            return Units(value)
    return None


async def demand(views: Views) -> list[Demand]:
    """Of each engine with an open job."""
    found, _ = await everything(views, Waiting, {"status": "open"})
    return [Demand(row.engine, row.jobs, row.ready_wu_milli, row.leased_wu_milli) for row in found]


async def everything(views: Views, kind: type[R], where: dict[str, Plain], after: Cursor | None = None) -> tuple[list[R], int]:
    """All pages of a small table, and the position of the last one."""
    rows = list[R]()
    while True:
        page = await views.page(kind, where=where, after=after, limit=PAGE)
        rows += page.rows
        if (after := page.next) is None:
            return rows, page.position
