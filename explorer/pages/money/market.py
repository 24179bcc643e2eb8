"""The market: what work was sold for, what is asked for it, what waits and what would help, and who won of late, and why."""

from collections.abc import Sequence
from typing import ClassVar

from domain.ids import job_id
from domain.policy import DAY
from domain.value import Value
from domain.world import World
from explorer.drawing import charts
from explorer.drawing.plots import HEIGHT, Line, Plot
from explorer.idle import JOBS_MAX
from explorer.look import Look, encode
from explorer.model import Model, Table
from projections.explorer import market
from projections.explorer.house import Engine
from projections.explorer.market import SLOT_US, Quarter, Quotation
from projections.explorer.tasks import Attempt
from projections.explorer.workers import Level, Standing

ASKS, ENGINES = 25, 50
STEPS_MAX = 100
"""In the picture of the bids: if there are more prices, they are drawn to the percent."""
SLOTS, SLOTS_MIN, SLOTS_SHOWN_MIN = DAY // SLOT_US, 12, 2
"""Quarters of an hour: in a chart, in the shortest one, and with sales, to be worth one."""


class Ask(Value):
    """A standing bid."""

    standing: Standing
    share: float
    """Of the highest, in percent."""


class Depth(Value):
    """How many bids there are up to each price: steps in a frame of 100 by HEIGHT, between two prices."""

    path: str
    low: int
    high: int
    average_x: float | None
    """Where the average bid is, in percent; none: nothing was sold, or not within these prices."""


class Leases(Value):
    """What the last leases were locked at: each a point, in percent of a frame, between the lowest and the highest price."""

    points: list[tuple[float, float]]
    start_us: int
    end_us: int
    low: int
    high: int


class Waits(Value):
    """Pieces of open jobs that nobody has leased yet."""

    pieces: int
    jobs: int
    beyond: int
    """Below the cheapest standing bid, by their limit."""
    best: int
    """The highest limit among these: minor units per thousand work units."""


class Class(Value):
    quotation: Quotation
    asks: list[Ask]
    """The cheapest, the first of them first."""
    depth: Depth | None
    leases: Leases | None
    prices: list[Plot]
    waits: Waits | None
    """In the past nobody can tell."""


class Market(Model):
    template: ClassVar[str] = "market.html"
    section: ClassVar[str] = "Market"
    classes: list[Class]
    awards: Sequence[Attempt]
    next: str | None

    @property
    def title(self) -> str:
        return "Market"

    @property
    def records(self) -> Table:
        return Table(Attempt, self.awards)


async def model(look: Look) -> Market:
    engines = (await look.page(Engine, limit=ENGINES)).rows
    names = sorted({cls for engine in engines for cls in engine.classes or ()})
    found = await look.page(Attempt, by="leased_position", after=look.cursor(Attempt, {}, "leased_position"))
    awards = [row for row in found.rows if row.job]
    return Market([await of_class(look, name, awards) for name in names], awards, encode(found.next) if found.next else None)


async def of_class(look: Look, cls: str, awards: Sequence[Attempt]) -> Class:
    levels = await market.levels(look.views, cls, look.ledger_us)
    sold, position = await look.quarters.sales(look.views, cls, look.ledger_us)
    quotation = market.quoted(cls, sold, levels, position)
    asked = await market.cheapest(look.views, cls, look.ledger_us, ASKS)
    low, high = (int(levels[n].price_per_kwu) if levels else None for n in (0, -1))
    asks = [Ask(row, round(100 * price(row) / max(high or 0, price(row)), 1)) for row in asked]
    waits = waiting(look.world, cls, low) if look.world else None
    won = leases([row for row in awards if row.cls == cls])
    return Class(quotation, asks, depth(levels, quotation), won, await history(look, sold), waits)


def price(row: Standing) -> int:
    """Of its standing bid; zero: it has none."""
    return int(row.price_per_kwu) if row.price_per_kwu else 0


def depth(bids: Sequence[Level], quotation: Quotation) -> Depth | None:
    """Of bids by their prices. None: nobody asks."""
    if not bids:
        return None
    first, last = int(bids[0].price_per_kwu), int(bids[-1].price_per_kwu)
    air = max((last - first) // 10, first // 20, 1)
    low, high = first - air, last + air

    def x(of: int) -> float:
        return round(100 * (of - low) / (high - low), 2)

    steps, passed = dict[float, int](), 0
    for row in bids:
        passed += row.bids
        at = x(int(row.price_per_kwu))
        steps[at if len(bids) <= STEPS_MAX else float(round(at))] = passed
    scale = (HEIGHT - 2) / passed
    path = f"M0 {HEIGHT}" + "".join(f"H{at}V{HEIGHT - n * scale:.2f}" for at, n in steps.items()) + "H100"
    average = int(quotation.average_bid) if quotation.average_bid is not None else -1
    return Depth(path, low, high, x(average) if low <= average <= high else None)


def leases(rows: Sequence[Attempt]) -> Leases | None:
    """None: there was none of late."""
    locked = [(row.leased_us or 0, int(row.price or 0) * 1_000_000 // (row.wu_milli or 1)) for row in rows]
    if not locked:
        return None
    low, high = min(each for _, each in locked), max(each for _, each in locked)
    over = charts.span([at_us for at_us, _ in locked])
    points = [(over.x(at_us), round(20 + 65 * (high - each) / max(high - low, 1), 2)) for at_us, each in locked]
    return Leases(points, over.start_us, over.end_us, low, high)


async def history(look: Look, rows: Sequence[Quarter]) -> list[Plot]:
    """Of the last 24 hours, by quarters of an hour: what was paid per thousand work units, and how much was sold."""
    last = look.ledger_us // SLOT_US
    if len(rows) < SLOTS_SHOWN_MIN:
        return []
    first = min(last - SLOTS_MIN + 1, rows[0].slot)
    slots = {row.slot: row for row in rows}
    sold = [slots.get(slot) for slot in range(first, last + 1)]
    paid = list[tuple[int | None, int | None, int | None]]()
    for slot in sold:  # a price stands until the next quarter in which something is sold
        paid.append((slot.median, slot.low, slot.high) if slot else paid[-1] if paid else (None, None, None))
    middle, low, high = (list(each) for each in zip(*paid, strict=True))
    times = first * SLOT_US, SLOT_US
    lines = [Line("median", "c3", middle), Line("lowest", "c2", low), Line("highest", "c0", high)]
    work = [slot.wu_milli / 1000 if slot else 0.0 for slot in sold]
    asset = next((each.asset for each in (await look.page(Attempt, by="leased_position", limit=1)).rows if each.asset), "")
    return [
        Plot("Price per kWU", "", "steps", *times, lines, asset, middle[-1] or 0),
        Plot("Work sold", f"{sum(work):,.3f} WU", "bars", *times, [Line("work units", "c1", work)]),
    ]


def waiting(world: World, cls: str, cheapest: int | None) -> Waits:
    """What waits in the open jobs whose build runs on the class; of the jobs the oldest."""
    jobs = [world.jobs[job_id(pos)] for pos in list(world.hungry)[:JOBS_MAX]]
    fit = [job for job in jobs if cls in world.builds[job.build].classes and job.ready]
    beyond = [job for job in fit if cheapest is None or job.limit_price < cheapest]
    pieces = [sum(len(job.ready) for job in each) for each in (fit, beyond)]
    return Waits(pieces[0], len(fit), pieces[1], max((int(job.limit_price) for job in beyond), default=0))
