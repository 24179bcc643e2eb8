"""Views as they stood at a position of the past: folded from the log, a few of them kept. What is past never changes."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from domain.log.log import Log
from domain.log.merkle import Head
from projections import runner
from projections.memory import MemoryViews
from projections.row import Projection, Row

KEPT_MAX = 24
"""Of one projection each; a page reads several."""


class Past:
    def __init__(self, log: Log, projections: Sequence[Projection]) -> None:
        self._log = log
        self._of = {kind: projection for projection in projections for kind in projection.rows}
        self._kept: OrderedDict[tuple[str, int], MemoryViews] = OrderedDict()
        self._folding = asyncio.Lock()

    async def at(self, kind: type[Row], position: int, start: Head) -> MemoryViews:
        """The view that holds rows of the kind, as of a position that the log has. `start` is the log's empty head."""
        projection = self._of[kind]
        key = projection.name, position
        async with self._folding:
            if key not in self._kept:
                self._kept[key] = await runner.as_of(projection, self._log, position, start)
                if len(self._kept) > KEPT_MAX:
                    self._kept.popitem(last=False)
            return self._kept[key]
