"""Workers and checkers: all of them, and one with what it did, earned and asks."""

from collections.abc import Sequence
from typing import ClassVar

from domain.accounts import USDC
from domain.ids import Actor, WorkerId
from explorer import idle, states
from explorer.drawing import attendance, charts, lanes
from explorer.drawing.plots import Plot
from explorer.look import Look, encode
from explorer.model import Model, Table
from projections.explorer.audits import Audit, Verdict
from projections.explorer.overview import NETWORK, Overview
from projections.explorer.tasks import Attempt
from projections.explorer.workers import Standing, Worker

FILTERS = ("kind", "presence", "owner")
DRAWN = 40
FEW = 12


class Workers(Model):
    template: ClassVar[str] = "workers.html"
    section: ClassVar[str] = "Workers"
    rows: Sequence[Worker]
    next: str | None
    network: Overview | None

    @property
    def title(self) -> str:
        return "Workers"

    @property
    def records(self) -> Table:
        return Table(Worker, self.rows)


async def workers(look: Look) -> Workers:
    found = await look.list(Worker, FILTERS, newest=False)
    return Workers(found.rows, encode(found.next) if found.next else None, await look.get(Overview, NETWORK))


class Page(Model):
    template: ClassVar[str] = "worker.html"
    section: ClassVar[str] = "Workers"
    worker: Worker
    state: str
    standings: Sequence[Standing]
    rows: Sequence[Attempt]
    """Its attempts, the newest first."""
    next: str | None
    lanes: lanes.Lanes | None
    audits: Sequence[Audit]
    verdicts: Sequence[Verdict]
    uptime_us: int
    """Online, all together."""
    days: list[Plot]
    pieces: list[charts.Part]
    """What each of the listed attempts at tasks earned, the oldest first."""
    strip: attendance.Strip | None
    recent: attendance.Recent
    idle: list[idle.Reason]
    """Why it has nothing to do, if it has nothing; in the past nobody can tell."""
    answer: str
    """The same in a sentence; empty: it is busy, or nobody can tell."""
    cheapest: str
    """Which of the reasons has the cheapest remedy."""

    @property
    def title(self) -> str:
        return self.worker.worker

    @property
    def about(self) -> str:
        return self.worker.worker

    @property
    def records(self) -> Table:
        return Table(Attempt, self.rows)


async def worker(look: Look) -> Page:
    row = await look.need(Worker, look.path["worker"])
    own = {"worker": row.worker}
    after = look.cursor(Attempt, own, "leased_position")
    found = await look.page(Attempt, own, by="leased_position", after=after)
    standings = (await look.page(Standing, own)).rows
    by_class = {(row.worker, str(each.cls)): each for each in standings}
    audits = (await look.page(Audit, own, limit=FEW)).rows
    verdicts = (await look.page(Verdict, {"checker": row.worker}, limit=FEW)).rows
    live = look.as_of is None and row.presence == "online"
    id, idles = WorkerId(Actor(row.worker)), look.world if not row.leases else None
    reasons = idle.reasons(idles, id, look.now_us) if idles else []
    best = idle.cheapest(reasons)
    asset = asset_of(found.rows)
    since_us = look.now_us - (row.online_us or look.now_us) if row.presence == "online" else 0
    return Page(
        row,
        states.of_worker(row, look.now_us),
        standings,
        found.rows,
        encode(found.next) if found.next else None,
        lanes.draw(found.rows[:DRAWN], by_class, look.now_us, live=live and bool(row.leases)),
        audits,
        verdicts,
        row.uptime_us + since_us,
        await attendance.days(look, row, asset),
        charts.heights([int(each.earned) for each in reversed(found.rows) if each.job]),
        await attendance.strip(look, row),
        await attendance.recent(look, row),
        reasons,
        idle.answer(idles, id, look.now_us, reasons) if idles else "",
        best.why if best else "",
    )


def asset_of(rows: Sequence[Attempt]) -> str:
    """In which it is paid."""
    return next((row.asset for row in rows if row.asset), USDC)
