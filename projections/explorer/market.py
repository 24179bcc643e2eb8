"""The market: what work was sold for, what is asked now, and what waits to be done (DOMAIN.md §1 *Average bid*)."""

from collections.abc import Iterator, Sequence
from typing import ClassVar, TypeVar

from msgspec import UNSET, field

from domain.event import Event, Recorded
from domain.policy import DAY, MINUTE
from domain.units import ZERO, Units
from domain.value import Value
from domain.work import task
from projections.explorer.jobs import Job
from projections.explorer.workers import Standing
from projections.row import Change, Cursor, Key, Last, Plain, Projection, Row, Sum
from projections.views import Views

SLOT_US = 15 * MINUTE
PAGE = 1_000
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


async def asks(views: Views, cls: str, at_us: int) -> list[Standing]:
    """The bids that stand in a class."""
    return [row for row in (await everything(views, Standing, {"cls": cls}))[0] if row.price_per_kwu and stands(row, at_us)]


async def quotation(views: Views, cls: str, at_us: int, asked: Sequence[Standing] | None = None) -> Quotation:
    """As of `at_us`, normally the time of the last event. `asked` are the class's bids, if they were read already."""
    since = (at_us - DAY) // SLOT_US
    sold, position = await everything(views, Sold, {"cls": cls}, (since, -1))
    asked = await asks(views, cls, at_us) if asked is None else asked
    weights = [(row.price_per_kwu, row.wu_milli) for row in sold]
    bids = [(int(row.price_per_kwu or 0), 1) for row in asked]
    return Quotation(cls, median(weights), median(bids), len(asked), sum(weight for _, weight in weights), position)


def stands(row: Standing, at_us: int) -> bool:
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
    sums: dict[str, list[int]] = {}
    for row in (await everything(views, Job, {"status": "open"}))[0]:
        of_one = (row.wu_milli or 0) // max(row.tasks, 1)
        entry = sums.setdefault(row.engine or "", [0, 0, 0])
        for n, more in enumerate((1, row.ready * of_one, row.leased * of_one)):
            entry[n] += more
    return [Demand(engine, *numbers) for engine, numbers in sorted(sums.items())]


async def everything(views: Views, kind: type[R], where: dict[str, Plain], after: Cursor | None = None) -> tuple[list[R], int]:
    """All pages of a small table, and the position of the last one."""
    rows = list[R]()
    while True:
        page = await views.page(kind, where=where, after=after, limit=PAGE)
        rows += page.rows
        if (after := page.next) is None:
            return rows, page.position
