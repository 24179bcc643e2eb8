"""A frame as it is cut: its shape, the pieces beside each other and below each other, and what a checker was sent to look at."""

from collections.abc import Sequence

from domain.value import Value
from domain.work import tiles
from domain.work.tiles import Box
from projections.explorer.audits import Round
from projections.explorer.jobs import Job

TALL_MAX = 3
"""A frame is drawn at most this many times as high as it is wide, a wide one at most WIDE_MAX times as wide as high."""
WIDE_MAX = 8
DENSE_ABOVE = 8
"""Pieces of a frame: with more of them there is no room for words on it."""


class Shape(Value):
    """Of a job's frames."""

    width: int
    height: int
    across: int
    """Pieces beside each other; 1 too where their edges are not those of rows."""
    dense: bool

    @property
    def tall(self) -> bool:
        return self.height > self.width


class Spot(Value):
    """A tile that a checker rendered again: in percent of its piece's picture."""

    round: int
    region: int
    x: float
    y: float
    width: float
    height: float


def shape(job: Job) -> Shape:
    width, height = size(job)
    columns, group = job.columns or 1, job.group or 1
    across = columns // group if group <= columns and columns % group == 0 else 1
    return Shape(max(width, height // TALL_MAX), max(height, width // WIDE_MAX), across, (job.groups or 1) > DENSE_ABOVE)


def size(job: Job) -> tiles.Pair:
    """Of a frame, in pixels."""
    return job.width or 1, job.height or 1


def extent(boxes: Sequence[Box]) -> Box:
    """What holds all of these."""
    left, top = min(each.x for each in boxes), min(each.y for each in boxes)
    right, bottom = max(each.x + each.width for each in boxes), max(each.y + each.height for each in boxes)
    return Box(left, top, right - left, bottom - top)


def boxes(job: Job, number: int) -> list[Box]:
    """Of the tiles of a piece."""
    grid = job.columns or 1, job.rows or 1
    return [tiles.box(size(job), grid, tile) for tile in tiles.task_tiles(number, grid, job.group or 1)[1]]


def spots(job: Job, number: int, rounds: Sequence[Round]) -> list[Spot]:
    """What the rounds of an audit of the piece looked at."""
    if not rounds:
        return []
    its = boxes(job, number)
    whole = extent(its)
    return [spot(its[region], whole, each.round, region) for each in rounds for region in each.regions or () if region < len(its)]


def spot(box: Box, whole: Box, number: int, region: int) -> Spot:
    x, width = (round(100 * each / whole.width, 3) for each in (box.x - whole.x, box.width))
    y, height = (round(100 * each / whole.height, 3) for each in (box.y - whole.y, box.height))
    return Spot(number, region, x, y, width, height)
