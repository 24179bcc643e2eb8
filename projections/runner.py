"""The one loop of every projection: verify, fold, write a batch with the head at which it stands. The same code serves live views, a
rebuild beside them, and an answer `as of` a position.

While a batch is being written, records are read ahead; the next batch is what came meanwhile. So batches are large when there is much
to catch up with, and single blocks when there is not.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager

from msgspec import Struct

from domain.log import wire
from domain.log.block import Block, Void, accept
from domain.log.log import Log
from domain.log.merkle import Head
from projections.memory import MemoryViews
from projections.row import Batch, Projection
from projections.views import Move, Store, Swapped

EVENTS_PER_BATCH_MAX = 5_000
RECORDS_AHEAD_MAX = 16


class Pending(Struct):
    """What waits to be written for one projection."""

    projection: Projection
    before: Head
    after: Head
    batch: Batch

    def take(self, head: Head, block: Block) -> None:
        """The projection may be ahead of others that are read with it; then the block is in it already."""
        if self.after.size != head.size:
            return
        for event in wire.events(block):
            for change in self.projection.fold(event):
                self.batch.add(change)
        self.after = block.after

    def move(self) -> Move:
        move = Move(self.projection, self.batch, self.before, self.after)
        self.before, self.batch = self.after, Batch()
        return move


async def run(
    projections: Sequence[Projection], log: Log, store: Store, start: Head, *, follow: bool = True, until: int | None = None
) -> Counter[str]:
    """Bring the projections to the end of the log and, with `follow`, keep them there; or bring them up to the block that ends at
    `until`. `start` is the log's empty head. Returns how many records did not count, by why. Raises `Broken` or `Diverged` if the log
    is wrong, `Behind` if somebody else writes these views, `Unreachable` if the log cannot be read."""
    void = Counter[str]()
    while True:
        try:
            return await _run(projections, log, store, start, void, follow=follow, until=until)
        except Swapped:
            await asyncio.sleep(0)


async def _run(
    projections: Sequence[Projection], log: Log, store: Store, start: Head, void: Counter[str], *, follow: bool, until: int | None
) -> Counter[str]:
    pending = [Pending(each, head, head, Batch()) for each in projections for head in [await store.head(each) or start]]
    head = min((each.after for each in pending), key=lambda each: each.size)
    async with ahead(log, head.size, follow=follow) as records:
        while (until is None or head.size < until) and (came := await records.some()):
            began = head.size
            for record in came:
                head = take(record, head, pending, void)
                await asyncio.sleep(0)
                if head.size == until:
                    break
                if head.size - began >= EVENTS_PER_BATCH_MAX:
                    await write(store, pending)
                    began = head.size
            await write(store, pending)
    return void


def take(record: bytes, head: Head, pending: Sequence[Pending], void: Counter[str]) -> Head:
    """Fold one record, if it counts. Returns the head after it."""
    try:
        block = accept(head, record)
    except Void as reason:
        void[reason.why] += 1
        return head
    for each in pending:
        each.take(head, block)
    return block.after


async def write(store: Store, pending: Sequence[Pending]) -> None:
    if moves := [each.move() for each in pending if each.after != each.before]:
        await store.write(*moves)


class Ahead:
    """Records that are read while others are being written; a few at most."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(RECORDS_AHEAD_MAX)
        self._failure: BaseException | None = None

    async def read(self, log: Log, after: int, *, follow: bool) -> None:
        try:
            async with aclosing(log.read(after, follow=follow)) as records:
                async for record in records:
                    await self._queue.put(record)
        except Exception as failure:
            self._failure = failure
        await self._queue.put(None)

    async def some(self) -> list[bytes]:
        """All that is there, but at least one; empty at the log's end."""
        came = [await self._queue.get()]
        while not self._queue.empty() and came[-1] is not None:
            came.append(self._queue.get_nowait())
        if came[-1] is None and len(came) > 1:
            self._queue.put_nowait(None)
        elif came[-1] is None and self._failure:
            raise self._failure
        return [record for record in came if record is not None]


@asynccontextmanager
async def ahead(log: Log, after: int, *, follow: bool) -> AsyncGenerator[Ahead, None]:
    records = Ahead()
    reader = asyncio.create_task(records.read(log, after, follow=follow))
    try:
        yield records
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def as_of(projection: Projection, log: Log, position: int, start: Head) -> MemoryViews:
    """The projection as it stood after the event at `position`. Reads the log up to there."""
    views, batch, head = MemoryViews(projection), Batch(), start
    async with aclosing(log.read()) as records:
        async for record in records:
            if head.size >= position:
                break
            try:
                block = accept(head, record)
            except Void:
                continue
            for event in wire.events(block):
                if event.pos <= position:
                    for change in projection.fold(event):
                        batch.add(change)
            head = block.after
    views.take(Move(projection, batch, start, head), min(position, head.size))
    return views
