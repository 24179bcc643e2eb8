"""Logs of random lives, and views of them."""

import asyncio
import random
from collections.abc import Sequence
from functools import cache

from domain.log import wire
from domain.log.block import Sealed, read_header
from domain.log.log import Records
from domain.log.merkle import Head
from projections import catalog, runner
from projections.memory import MemoryViews
from projections.row import Projection, Row
from projections.views import Views
from tests.deeds import Life
from tests.network import LOG, Network

START = Head(LOG)
ALL_ROWS = 10**6


class Written:
    """A log that is written already, or grows by whole records."""

    def __init__(self, records: Sequence[bytes] = ()) -> None:
        self._records = list(records)
        self._grown = asyncio.Condition()
        self.reads = 0

    async def append(self, block: Sealed) -> None:
        await self.grow(block.record)

    async def grow(self, record: bytes) -> None:
        self._records.append(record)
        async with self._grown:
            self._grown.notify_all()

    async def read(self, after: int = 0, *, follow: bool = False) -> Records:
        self.reads += 1
        seen = 0
        while True:
            while seen < len(self._records):
                record = self._records[seen]
                seen += 1
                header = read_header(record)
                if header is None or header.next_size > after:
                    yield record
            if not follow:
                return
            async with self._grown:
                while len(self._records) == seen:
                    await self._grown.wait()


@cache
def network(seed: int, steps: int = 250) -> Network:
    """Everything that happened in so many steps."""
    life = Life(random.Random(seed))
    for _ in range(steps):
        life.step()
    return life.network


async def folded(records: Sequence[bytes], *projections: Projection) -> MemoryViews:
    projections = projections or catalog.ALL
    views = MemoryViews(*projections)
    await runner.run(projections, Written(records), views, START, follow=False)
    return views


async def rows_of(views: Views, kind: type[Row]) -> list[bytes]:
    """All rows as JSON, sorted by their key."""
    return [wire.encode(row) for row in (await views.page(kind, limit=ALL_ROWS)).rows]


async def everything(views: Views, *projections: Projection) -> dict[str, list[bytes]]:
    return {kind.table: await rows_of(views, kind) for each in projections or catalog.ALL for kind in each.rows}
