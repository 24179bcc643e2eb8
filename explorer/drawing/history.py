"""The network's history as charts: who worked, how the ledger grew, what was paid, the treasury against what is owed."""

from collections.abc import Sequence
from typing import NamedTuple

from domain.policy import DAY, HOUR, MINUTE
from domain.value import Value
from explorer.drawing.plots import Line, Plot
from explorer.look import Look, Wrong
from projections.network import history
from projections.network.history import EVER, LENGTHS_US, Flow, Pace, Period
from projections.row import Row

COUNT, COUNT_MIN = 60, 12
"""Periods in a chart."""
EXACT_BELOW = 10
"""Percent."""


class Unit(NamedTuple):
    name: str
    stored: history.Unit
    factor: int
    """How many of the stored periods make one of these."""
    up_to_us: int
    """A ledger of this age is shown by it, if the address does not say."""


UNITS = (
    Unit("10s", "moment", 1, 10 * MINUTE),
    Unit("minute", "moment", 6, 2 * HOUR),
    Unit("hour", "hour", 1, 3 * DAY),
    Unit("day", "day", 1, 2**62),
)


class History(Value):
    unit: str
    plots: list[Plot]


class Window(Value):
    """Stored periods, from the first one on; `factor` of them make one of the chart. The last one is not over at `now_us`."""

    first: int
    count: int
    factor: int
    length_us: int
    now_us: int

    @property
    def times(self) -> tuple[int, int]:
        """When the first period of the chart begins, and how long each is."""
        return self.first * self.length_us, self.length_us * self.factor

    def over(self, starts: Sequence[int], values: Sequence[int]) -> list[int]:
        """What each stored period says; where there is no row, zero."""
        found = [0] * self.count
        for start, value in zip(starts, values, strict=True):
            if 0 <= start - self.first < self.count:
                found[start - self.first] = int(value)
        return found

    def sums(self, values: Sequence[int]) -> list[int]:
        return [sum(values[n : n + self.factor]) for n in range(0, self.count, self.factor)]

    def levels(self, now: int, changes: Sequence[int]) -> list[int]:
        """At the end of each stored period, going back from now."""
        found = list[int]()
        for change in reversed(changes):
            found.append(now)
            now -= change
        return found[::-1]

    def ends(self, levels: Sequence[int]) -> list[int]:
        return list(levels[self.factor - 1 :: self.factor])

    def areas_us(self, levels: Sequence[int], changes: Sequence[int], areas: Sequence[int]) -> list[int]:
        """Level times time in each period of the chart, up to now."""
        each = [(level - change) * self.length_us + area for level, change, area in zip(levels, changes, areas, strict=True)]
        for n in range(self.count):
            ahead_us = (self.first + n + 1) * self.length_us - self.now_us
            each[n] -= levels[n] * min(max(ahead_us, 0), self.length_us)
        return self.sums(each)

    def means(self, areas: Sequence[int]) -> list[float]:
        """Of a level, by its areas."""
        start_us, step_us = self.times
        spent = [min(step_us, max(self.now_us - start_us - n * step_us, 1)) for n in range(len(areas))]
        return [round(area / us, 6) for area, us in zip(areas, spent, strict=True)]


class Level(NamedTuple):
    """How many of something there are now, and what a row says of it: the change, and the change's area."""

    now: int
    change: str
    area: str


def areas(over: Window, starts: Sequence[int], rows: Sequence[Row], level: Level) -> list[int]:
    changes = over.over(starts, [getattr(row, level.change) for row in rows])
    return over.areas_us(over.levels(level.now, changes), changes, over.over(starts, [getattr(row, level.area) for row in rows]))


def utilisation(work: Sequence[int], online: Sequence[int]) -> str:
    """The one's time over the other's."""
    share = 100 * sum(work) / sum(online) if sum(online) else None
    return "nobody online" if share is None else f"{share:.1f} %" if share < EXACT_BELOW else f"{share:.0f} %"


async def read(look: Look, first_us: int, asset: str) -> History:
    """By the unit that the address names, else by one that fits the ledger's age. Raises `Wrong`."""
    unit = unit_of(look.query.get("by", ""), look.ledger_us - first_us)
    length_us = LENGTHS_US[unit.stored]
    last = look.ledger_us // (length_us * unit.factor)
    first = min(max(last - COUNT + 1, first_us // (length_us * unit.factor)), last - COUNT_MIN + 1)
    over = Window(first * unit.factor, (last - first + 1) * unit.factor, unit.factor, length_us, look.ledger_us)
    plots = [*await network(look, unit.stored, over), *await money(look, unit.stored, asset, over)]
    return History(unit.name, plots)


def unit_of(name: str, age_us: int) -> Unit:
    found = next((each for each in UNITS if (each.name == name if name else age_us <= each.up_to_us)), None)
    if found is None:
        raise Wrong(f"History is by {', '.join(each.name for each in UNITS)}.")
    return found


async def network(look: Look, stored: str, over: Window) -> list[Plot]:
    periods = (await look.page(Period, {"unit": stored}, limit=over.count)).rows
    paces = (await look.page(Pace, {"unit": stored}, limit=over.count)).rows
    ever = await look.get(Period, EVER, 0) or Period(EVER, 0)
    starts = [row.start for row in periods]
    there = areas(over, starts, periods, Level(ever.online, "online", "online_area_us"))
    busy = areas(over, starts, periods, Level(ever.work, "work", "work_area_us"))
    begun = [row.start for row in paces]
    events = over.sums(over.over(begun, [row.events for row in paces]))
    size = sum(over.over(begun, [row.bytes for row in paces]))
    lines = [Line("at work", "c1", over.means(busy)), Line("online, checkers too", "c0", over.means(there))]
    return [
        Plot("At work", utilisation(busy, there), "steps", *over.times, lines),
        Plot("Ledger growth", f"{sum(events):,} events, {kilobytes(size)}", "bars", *over.times, [Line("events", "c0", events)]),
    ]


async def money(look: Look, stored: str, asset: str, over: Window) -> list[Plot]:
    rows = (await look.page(Flow, {"unit": stored, "asset": asset}, limit=over.count)).rows
    ever = await look.get(Flow, EVER, asset, 0) or Flow(EVER, asset, 0)
    starts = [row.start for row in rows]
    treasury = over.ends(over.levels(int(ever.treasury), over.over(starts, [row.treasury for row in rows])))
    owed = over.ends(over.levels(int(ever.owed), over.over(starts, [row.owed for row in rows])))
    earned, paid = (over.sums(over.over(starts, [getattr(row, name) for row in rows])) for name in ("earned", "paid"))
    pay = [Line("earned", "c2", earned), Line("paid out", "c3", paid)]
    purse = [Line("owed", "c3", owed), Line("treasury", "c2", treasury)]
    return [
        Plot("Pay", "", "bars", *over.times, pay, asset, sum(paid)),
        Plot("Treasury and debts", "", "steps", *over.times, purse, asset, treasury[-1]),
    ]


def kilobytes(size: int) -> str:
    return f"{size / 1000:,.0f} kB" if size < 1_000_000 else f"{size / 1e6:,.1f} MB"
