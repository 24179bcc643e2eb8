"""Audits: all of them, and one with the draw that caused it, who checked what, and the pixels that decided."""

from collections.abc import Sequence
from typing import ClassVar

from domain.ids import order
from domain.proof.lottery import MILLION
from domain.value import Value
from domain.work.tiles import Box
from explorer.drawing import wall
from explorer.look import Look, encode
from explorer.model import Model, Table
from projections.explorer.audits import Audit, Round, Verdict
from projections.explorer.events import Line
from projections.explorer.house import Beacon
from projections.explorer.jobs import Job
from projections.explorer.overview import NETWORK, Overview
from projections.explorer.tasks import Task

PIECES_MAX = 64
"""Of a frame that is drawn."""
FILTERS = ("result", "status", "cause", "job", "task", "worker")


class Audits(Model):
    template: ClassVar[str] = "audits.html"
    section: ClassVar[str] = "Audits"
    rows: Sequence[Audit]
    next: str | None
    network: Overview | None

    @property
    def title(self) -> str:
        return "Audits"

    @property
    def records(self) -> Table:
        return Table(Audit, self.rows)


async def audits(look: Look) -> Audits:
    found = await look.list(Audit, FILTERS)
    return Audits(found.rows, encode(found.next) if found.next else None, await look.get(Overview, NETWORK))


class Compared(Value):
    """One region as the worker and a checker rendered it."""

    round: int
    region: int
    """Tile of the piece, from 0."""
    checkers: list[str]
    path: str
    """Of its pictures, without `worker.png`, `checker.png`, `difference.png`."""
    psnr: str
    """In dB; empty: the bytes are equal."""
    differing: str
    """Percent of the pixels."""
    width: int
    """In pixels; zero: it is of a bench, whose cut nobody keeps."""
    height: int


class Cell(Value):
    """A piece of the frame that the audited one lies on."""

    task: str
    number: int
    picture: str
    """Of the attempt that was audited, or of the last one that delivered; empty: there is none to show."""
    spots: list[wall.Spot]


class Place(Value):
    """Where on its frame the audit looked."""

    frame: int
    shape: wall.Shape
    cells: list[Cell]


class Page(Model):
    template: ClassVar[str] = "audit.html"
    section: ClassVar[str] = "Audits"
    audit: Audit
    beacon: Beacon | None
    rounds: Sequence[Round]
    verdicts: Sequence[Verdict]
    compared: list[Compared]
    place: Place | None
    """None: of a bench, or of a frame of too many pieces."""
    why: str
    """It was drawn."""
    chance: float
    drawn: float
    """u as a number from 0 to 1: it is audited where that is below the chance."""
    lines: Sequence[Line]

    @property
    def title(self) -> str:
        return self.audit.audit

    @property
    def about(self) -> str:
        return self.audit.audit

    @property
    def records(self) -> Table:
        return Table(Verdict, self.verdicts)


async def audit(look: Look) -> Page:
    row = await look.need(Audit, look.path["audit"])
    own = {"audit": row.audit}
    rounds = (await look.page(Round, own, newest=False)).rows
    verdicts = (await look.page(Verdict, own, newest=False)).rows
    job = await look.get(Job, str(row.job)) if row.job else None
    boxes = wall.boxes(job, order(str(row.task))[1]) if job else []
    return Page(
        row,
        await look.get(Beacon, row.beacon) if row.beacon else None,
        rounds,
        verdicts,
        compared(row, rounds, verdicts, boxes) if row.status == "closed" else [],
        await place(look, row, job, rounds) if job else None,
        why(row),
        (row.p_ppm or 0) / 1_000_000,
        int(row.u or "0") / 2**64,
        (await look.page(Line, {"stream": row.audit})).rows,
    )


def why(row: Audit) -> str:
    """The rule of the lottery that the chance came from (DOMAIN.md §5)."""
    if row.cause == "bench":
        return "Every bench is looked at: the score that comes of it decides who gets work."
    if row.p_ppm == MILLION:
        return "Every proof of its worker was looked at then: so it is for a newcomer in the class, and for whoever has too little to lose."
    return "The chance is such that a lie costs more than it brings: the price of the piece over what its owner has at stake, or the floor."


async def place(look: Look, row: Audit, job: Job, rounds: Sequence[Round]) -> Place | None:
    number, groups = order(str(row.task))[1], job.groups or 1
    if groups > PIECES_MAX:
        return None
    frame, shows = (number - 1) // groups, await look.shows(job)
    first = frame * groups
    after = (f"{job.job}/{first}",) if first else None
    tasks = (await look.page(Task, {"job": job.job}, after=after, newest=False, limit=groups)).rows
    return Place(frame, wall.shape(job), [cell(job, task, row, rounds, shows=shows) for task in tasks])


def cell(job: Job, task: Task, row: Audit, rounds: Sequence[Round], *, shows: bool) -> Cell:
    ours = task.task == row.task
    there = ours or (task.proof_position and task.status != "leased")
    picture = f"/pictures/{task.task}/{row.fence if ours else task.fence}.png" if shows and there else ""
    number = task.number or 1
    return Cell(task.task, number, picture, wall.spots(job, number, rounds) if ours else [])


def compared(row: Audit, rounds: Sequence[Round], verdicts: Sequence[Verdict], boxes: Sequence[Box]) -> list[Compared]:
    """Of each region that was drawn, by the first checker who said what he saw."""
    found = []
    for its in rounds:
        said = [each for each in verdicts if each.round == its.round and each.metrics]
        for place, region in enumerate(its.regions or ()):
            if said and place < len(said[0].metrics or ()):
                metric = (said[0].metrics or ())[place]
                psnr = "" if metric.psnr_mdb is None else f"{metric.psnr_mdb / 1_000:.1f}"
                who = [each.checker for each in said]
                path = f"/pictures/{row.audit}/{its.round}/{place}/"
                box = boxes[region] if region < len(boxes) else None
                size = (box.width, box.height) if box else (0, 0)
                found.append(Compared(its.round, region, who, path, psnr, f"{metric.differing_ppm / 10_000:.1f}", *size))
    return found
