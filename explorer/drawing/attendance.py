"""A worker's time: its days as charts, and when it was online as a strip."""

from collections.abc import Sequence

from domain.policy import DAY, HOUR
from domain.value import Value
from explorer.drawing import charts
from explorer.drawing.history import COUNT_MIN, Level, Window, areas, utilisation
from explorer.drawing.plots import Line, Plot
from explorer.look import Look
from projections.explorer.workers import Worker
from projections.network.attendance import Session, WorkerDay, WorkerHour

DAYS, HOURS, STRIP_US, SESSIONS = 30, 24, 7 * DAY, 200


class Strip(Value):
    """Stretches online, over the last week or since the worker is there."""

    span: charts.Span
    stretches: list[charts.Part]
    online_us: int

    @property
    def share(self) -> float:
        """Online, in percent."""
        return 100 * self.online_us / (self.span.end_us - self.span.start_us)


async def days(look: Look, worker: Worker, asset: str) -> list[Plot]:
    """What the last days brought."""
    rows = (await look.page(WorkerDay, {"worker": worker.worker}, limit=DAYS)).rows
    last = look.ledger_us // DAY
    first = min(max((worker.registered_us or 0) // DAY, last - DAYS + 1), last - COUNT_MIN + 1)
    over = Window(first, last - first + 1, 1, DAY, look.ledger_us)
    starts = [row.day for row in rows]
    online = areas(over, starts, rows, Level(int(worker.presence == "online"), "online", "online_area_us"))
    work = areas(over, starts, rows, Level(worker.leases, "work", "work_area_us"))
    earned = over.over(starts, [row.earned for row in rows])
    lines = [Line("leases at work", "c1", over.means(work)), Line("online", "c0", over.means(online))]
    return [
        Plot("Earned by day", "", "bars", *over.times, [Line("earned", "c2", earned)], asset, sum(earned)),
        Plot("Utilisation by day", utilisation(work, online), "steps", *over.times, lines),
    ]


class Recent(Value):
    """The last 24 hours, the one that goes on among them."""

    plot: Plot
    share: str
    work_us: int
    """At work, every lease counted by itself."""
    online_us: int
    earned: int


async def recent(look: Look, worker: Worker) -> Recent:
    rows = (await look.page(WorkerHour, {"worker": worker.worker}, limit=HOURS)).rows
    last = max(look.ledger_us, look.now_us) // HOUR
    over = Window(last - HOURS + 1, HOURS, 1, HOUR, max(look.ledger_us, look.now_us))
    starts = [row.hour for row in rows]
    online = areas(over, starts, rows, Level(int(worker.presence == "online"), "online", "online_area_us"))
    work = areas(over, starts, rows, Level(worker.leases, "work", "work_area_us"))
    lines = [Line("leases at work", "c1", over.means(work)), Line("online", "c0", over.means(online))]
    share = utilisation(work, online)
    earned = sum(over.over(starts, [row.earned for row in rows]))
    return Recent(Plot("The last 24 hours", share, "steps", *over.times, lines, ""), share, sum(work), sum(online), earned)


async def strip(look: Look, worker: Worker) -> Strip | None:
    """None: it has not been online yet."""
    found = await look.page(Session, {"worker": worker.worker}, limit=SESSIONS)
    if not found.rows:
        return None
    oldest_us = found.rows[-1].online_us if found.more else worker.registered_us or 0
    end_us = max(look.now_us, look.ledger_us)
    span = charts.Span(min(max(oldest_us, end_us - STRIP_US), end_us - 1), end_us)
    return Strip(span, stretches(found.rows, span), online_us(found.rows, span))


def stretches(sessions: Sequence[Session], span: charts.Span) -> list[charts.Part]:
    ends = [(span.x(each.online_us), span.x(each.offline_us or span.end_us)) for each in reversed(sessions)]
    return [charts.Part("online", start, round(max(end - start, 0.2), 3)) for start, end in ends if end > 0]


def online_us(sessions: Sequence[Session], span: charts.Span) -> int:
    both = [(max(each.online_us, span.start_us), each.offline_us or span.end_us) for each in sessions]
    return sum(max(end - start, 0) for start, end in both)
