"""Views as they stood at a position of the past: folded from the log, a few of them kept. What is past never changes.

A fold reads the log from its begin, so it may take long and hold much: one runs at a time, a few may wait, and what is kept is bounded by
its rows. Whoever asks waits for a while; the fold goes on without him, and is there when he comes again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from domain.log.log import Log
from domain.log.merkle import Head
from domain.value import Value
from projections import runner
from projections.memory import MemoryViews
from projections.row import Projection, Row
from projections.views import Unavailable

Which = tuple[str, int]
"""Projection and position."""


class Bounds(Value):
    folds: int = 12
    """Of one projection each; a page reads several. So many may be under way or wait, and whoever asks for more is sent away."""
    wait_s: float = 8.0
    """So long somebody waits for his."""
    rows: int = 200_000
    """Of all that is kept together, some kilobyte each; one fold may have half of them."""


class Crowded(Unavailable):
    """Too many ask for the past at the moment, or this fold takes longer than anybody waits: it goes on. Come back later."""


class TooMuch(Unavailable):
    """What stood there has more rows than this process may hold. An export has them."""


class Past:
    def __init__(self, log: Log, projections: Sequence[Projection], bounds: Bounds | None = None) -> None:
        self._log, self._bounds = log, bounds or Bounds()
        self._of = {kind: projection for projection in projections for kind in projection.rows}
        self._kept: OrderedDict[Which, MemoryViews] = OrderedDict()
        self._folding: dict[Which, asyncio.Task[MemoryViews]] = {}
        self._turn = asyncio.Lock()

    async def at(self, kind: type[Row], position: int, start: Head) -> MemoryViews:
        """The view that holds rows of the kind, as of a position that the log has. `start` is the log's empty head. Raises `Crowded`, and
        `TooMuch`."""
        projection = self._of[kind]
        which = projection.name, position
        if which in self._kept:
            self._kept.move_to_end(which)
            return self._kept[which]
        if (fold := self._folding.get(which)) is None:
            if len(self._folding) >= self._bounds.folds:
                raise Crowded
            fold = self._folding[which] = asyncio.create_task(self._fold(projection, position, start))
            fold.add_done_callback(lambda done: self._folded(which, done))
        try:
            return await asyncio.wait_for(asyncio.shield(fold), self._bounds.wait_s)
        except TimeoutError:
            raise Crowded from None

    async def _fold(self, projection: Projection, position: int, start: Head) -> MemoryViews:
        async with self._turn:
            try:
                return await runner.as_of(projection, self._log, position, start, self._bounds.rows // 2)
            except runner.TooMany:
                raise TooMuch from None

    def _folded(self, which: Which, done: asyncio.Task[MemoryViews]) -> None:
        del self._folding[which]
        if done.cancelled() or done.exception():
            return
        self._kept[which] = done.result()
        while sum(each.size for each in self._kept.values()) > self._bounds.rows:
            self._kept.popitem(last=False)
