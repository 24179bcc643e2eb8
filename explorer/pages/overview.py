"""The network at a glance."""

from collections.abc import Sequence
from typing import ClassVar

from domain.event import Event, Recorded
from domain.log import wire
from domain.proof import ruling
from domain.value import Value
from domain.work import task
from explorer import states
from explorer.drawing import charts, history
from explorer.look import Look
from explorer.model import Model
from projections.explorer.events import Line
from projections.explorer.house import Checkpoint, Override
from projections.explorer.jobs import Job
from projections.explorer.overview import NETWORK, Overview, Volume
from projections.explorer.tasks import Task
from projections.explorer.workers import Worker
from projections.finance.balances import TrialLine
from projections.network.history import at_work

LINES, SHOWN, BARS = 240, 12, 40
TOP, THUMBS, PIECES_MAX = 6, 4, 8
"""Jobs and workers shown; small pictures of frames of all jobs, and of how many pieces a frame may be to be shown so."""
LABELS = {
    "2110.available": "Available to its owners",
    "2120.unallocated": "Escrow of jobs, free",
    "2120.task": "Escrow of jobs, at work",
    "2210.accrued": "Earned, not mature",
    "2220.payable": "Payable to workers",
    "2230.inflight": "Payouts under way",
    "2240.checkers": "Checkers' shares, not mature",
    "2245.pool": "Checkers' pool",
    "2250.checker-payable": "Payable to checkers",
    "2310.stake": "Stake",
    "2320.disputed": "Disputed",
    "2330.safety": "Safety fund",
    "2410.fee-deferred": "Fee, not mature",
    "2910.suspense": "Deposits not yet credited",
    "3110.capital": "Capital",
    "4110.fee": "Platform fee",
}


class Activity(Value):
    """What the last events show, over the time in which they happened."""

    span: charts.Span
    events: list[charts.Part]
    pace: str
    """Events a second."""
    busy: str
    """Workers at work: a path."""
    busy_max: int
    prices: list[tuple[float, float]]
    """Locked price of each lease: when, and how far below the top, between the highest and the lowest of them."""
    price_max: int
    price_min: int
    price_median: int
    """Minor units per thousand work units."""
    done: str
    """Accepted pieces: a path."""
    done_count: int


class Purse(Value):
    """What the ledger owes under one heading."""

    label: str
    owed: int
    share: float


class Bit(Value):
    """A piece in a small picture of its frame."""

    look: str
    picture: str
    """Empty: there is none to show."""


class Network(Model):
    template: ClassVar[str] = "overview.html"
    section: ClassVar[str] = "Overview"
    network: Overview | None
    volumes: Sequence[Volume]
    jobs: Sequence[Job]
    thumbs: dict[str, list[list[Bit]]]
    """By job: its first frames, of the jobs whose creators let everybody see them."""
    workers: Sequence[Worker]
    lines: Sequence[Line]
    checkpoint: Checkpoint | None
    frozen: Override | None
    activity: Activity | None
    history: history.History
    asset: str
    treasury: int
    purses: list[Purse]

    @property
    def title(self) -> str:
        return "Network"

    @property
    def owed(self) -> int:
        """And owned: all that the treasury is there for."""
        return sum(purse.owed for purse in self.purses)


async def model(look: Look) -> Network:
    network = await look.get(Overview, NETWORK)
    volumes = (await look.page(Volume, newest=False)).rows
    lines = (await look.page(Line, limit=LINES)).rows
    overrides = (await look.page(Override, limit=1)).rows
    checkpoints = (await look.page(Checkpoint, limit=1)).rows
    asset = volumes[0].asset if volumes else "usdc"
    treasury, purses = owed((await look.page(TrialLine, {"asset": asset}, newest=False)).rows)
    jobs = (await look.page(Job, limit=TOP)).rows
    first_us = network.first_us or 0 if network else look.ledger_us
    return Network(
        network,
        volumes,
        jobs,
        await thumbs(look, jobs),
        [row for row in (await look.page(Worker, limit=2 * TOP, newest=False)).rows if row.kind != "checker"][:TOP],
        lines[:SHOWN],
        checkpoints[0] if checkpoints else None,
        overrides[0] if overrides and overrides[0].action == "freeze" else None,
        activity([wire.event(str(row.line).encode()) for row in reversed(lines)]),
        await history.read(look, first_us, asset),
        asset,
        treasury,
        purses,
    )


async def thumbs(look: Look, jobs: Sequence[Job]) -> dict[str, list[list[Bit]]]:
    """A few frames, shared among the jobs that show any."""
    shown = [job for job in jobs if (job.groups or PIECES_MAX + 1) <= PIECES_MAX and await look.shows(job)]
    return {job.job: await first_frames(look, job, max(THUMBS // len(shown), 1)) for job in shown}


async def first_frames(look: Look, job: Job, most: int) -> list[list[Bit]]:
    rows = (await look.page(Task, {"job": job.job}, newest=False, limit=most * (job.groups or 1))).rows
    frames: dict[int, list[Bit]] = {}
    for row in rows:
        there = row.proof_position and row.status != "leased"
        picture = f"/pictures/{row.task}/{row.fence}.png" if there else ""
        frames.setdefault(row.frame or 0, []).append(Bit(states.look(row.status), picture))
    return list(frames.values())


def owed(lines: Sequence[TrialLine]) -> tuple[int, list[Purse]]:
    """The treasury, and what is owed out of it, the largest first."""
    treasury = sum(int(line.amount) for line in lines if line.code.startswith("1"))
    amounts = sorted(((-int(line.amount), LABELS.get(line.code, line.code)) for line in lines if line.code[0] in "234"), reverse=True)
    most = max((amount for amount, _ in amounts), default=0) or 1
    return treasury, [Purse(label, amount, round(100 * max(amount, 0) / most, 1)) for amount, label in amounts if amount]


def activity(events: Sequence[Recorded[Event]]) -> Activity | None:
    if not events:
        return None
    over = charts.span([events[0].at_us, events[-1].at_us])
    leases = [(e.at_us, int(e.event.price) * 1_000_000 // e.event.wu_milli) for e in events if isinstance(e.event, task.Leased)]
    busy = [(e.at_us, change) for e in events if (change := at_work(e.event))]
    accepted = [(e.at_us, 1) for e in events if isinstance(e.event, ruling.Accepted)]
    top, low = max((price for _, price in leases), default=0), min((price for _, price in leases), default=0)
    levels = running(busy)
    return Activity(
        over,
        charts.heights(charts.buckets([e.at_us for e in events], BARS)),
        f"{len(events) * 1e6 / max(events[-1].at_us - events[0].at_us, 1_000_000):.1f}",
        charts.steps(raised(busy, levels), over),
        max(levels, default=0) - min([0, *levels]),
        [(over.x(at_us), round(20 + 65 * (top - price) / max(top - low, 1), 2)) for at_us, price in leases],
        top,
        low,
        sorted(price for _, price in leases)[len(leases) // 2] if leases else 0,
        charts.steps(accepted, over),
        len(accepted),
    )


def running(changes: Sequence[tuple[int, int]]) -> list[int]:
    level, levels = 0, []
    for _, change in changes:
        level += change
        levels.append(level)
    return levels


def raised(changes: Sequence[tuple[int, int]], levels: Sequence[int]) -> list[tuple[int, int]]:
    """Begun at what was under way already when the stretch began, so that it ends at nothing less than zero."""
    below = min([0, *levels])
    return [(changes[0][0], -below), *changes] if below and changes else list(changes)
