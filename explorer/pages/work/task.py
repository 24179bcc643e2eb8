"""A piece of a job: every attempt at it, who won it and why."""

from collections.abc import Sequence
from typing import ClassVar

from domain.log import wire
from domain.proof import proof
from explorer import states
from explorer.drawing import lanes, wall
from explorer.look import Look
from explorer.model import Model, Table
from explorer.pages.work.job import Piece, looked_at, piece, standing
from projections.explorer.audits import Audit
from projections.explorer.events import Line
from projections.explorer.jobs import Job
from projections.explorer.tasks import Attempt, Task

PROOFS = 5


class Page(Model):
    template: ClassVar[str] = "task.html"
    section: ClassVar[str] = "Jobs"
    job: Job
    piece: Piece
    size: tuple[int, int]
    """Of the piece, in pixels."""
    attempts: Sequence[Attempt]
    raws: dict[int, tuple[str, ...]]
    """By the number of an attempt that delivered: the hash of each of its tiles, in their order."""
    lanes: lanes.Lanes | None
    audits: Sequence[Audit]
    lines: Sequence[Line]

    @property
    def title(self) -> str:
        return self.piece.task.task

    @property
    def about(self) -> str:
        return self.piece.task.task

    @property
    def records(self) -> Table:
        return Table(Attempt, self.attempts)


async def model(look: Look) -> Page:
    job = await look.need(Job, look.path["job"])
    row = await look.need(Task, f"{job.job}/{look.path['number']}")
    attempts = (await look.page(Attempt, {"task": row.task})).rows
    audits = (await look.page(Audit, {"task": row.task})).rows
    standings = await standing(look, attempts)
    rounds = (await looked_at(look, [row])).get(str(row.audit), [])
    its = piece(job, row, standings, look.now_us, rounds, shows=await look.shows(job))
    extent = wall.extent(wall.boxes(job, row.number or 1))
    drawn = lanes.draw(attempts, standings, look.now_us, live=look.as_of is None and states.look(its.state) in {"leased", "overdue"})
    return Page(
        job,
        its,
        (extent.width, extent.height),
        attempts,
        await raws(look, attempts),
        drawn,
        audits,
        (await look.page(Line, {"stream": row.task})).rows,
    )


async def raws(look: Look, attempts: Sequence[Attempt]) -> dict[int, tuple[str, ...]]:
    """Of the last few attempts that delivered."""
    found: dict[int, tuple[str, ...]] = {}
    for each in [row for row in attempts if row.proof_position][:PROOFS]:
        line = await look.get(Line, each.proof_position or 0)
        event = wire.event(str(line.line).encode()).event if line else None
        if isinstance(event, proof.Committed):
            found[each.fence] = event.raw
    return found
