"""The one loop of every projection: verify, fold, write a batch with the head at which it stands. The same code serves live views, a
rebuild beside them, and an answer `as of` a position.

While a batch is being written, records are read ahead and folded; the next batch is what came meanwhile. So batches are large when there
is much to catch up with, and single blocks when there is not. Whoever follows takes a breath between two batches: a write costs a process
some thirty times what a block does that is folded into it.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager

from msgspec import Struct

from domain.event import Event, Recorded
from domain.log import wire
from domain.log.block import Void, accept
from domain.log.log import Log
from domain.log.merkle import Head
from projections.memory import MemoryViews
from projections.row import Batch, Projection
from projections.views import Move, Store, Swapped, Unavailable

EVENTS_PER_BATCH_MAX = 5_000
EVENTS_PER_TURN_MAX = 100
"""That are folded at once: what is being written meanwhile, and whoever else is in the process, waits for no more."""
RETRY_S = 0.5
PAUSE_S = 0.02
"""From the beginning of one batch to that of the next, while the log is followed: a block that comes alone is written at once."""
AHEAD_BYTES_MAX = 8_000_000
"""Of records that were read and not folded; and one more, however large."""
logger = logging.getLogger(__name__)


class Pending(Struct):
    """What waits to be written for one projection."""

    projection: Projection
    before: Head
    after: Head
    batch: Batch

    def fold(self, events: Sequence[Recorded[Event]]) -> None:
        for event in events:
            for change in self.projection.fold(event):
                self.batch.add(change)

    def move(self) -> Move:
        move = Move(self.projection, self.batch, self.before, self.after)
        self.before, self.batch = self.after, Batch()
        return move


async def run(
    projections: Sequence[Projection], log: Log, store: Store, start: Head, *, follow: bool = True, until: int | None = None
) -> Counter[str]:
    """Bring the projections to the end of the log and, with `follow`, keep them there; or bring them up to the block that ends at
    `until`. `start` is the log's empty head. Returns how many records did not count, by why. Raises `Broken` or `Diverged` if the log
    is wrong, `Behind` if somebody else writes these views, `Unreachable` if the log cannot be read, and `Unavailable` unless it follows:
    then it waits for the views."""
    void = Counter[str]()
    while True:
        try:
            return await _run(projections, log, store, start, void, follow=follow, until=until)
        except Swapped:
            await asyncio.sleep(0)
        except Unavailable as silence:
            if not follow:
                raise
            logger.warning("the views cannot be written, trying again: %s", silence)
            await asyncio.sleep(RETRY_S)


async def _run(
    projections: Sequence[Projection], log: Log, store: Store, start: Head, void: Counter[str], *, follow: bool, until: int | None
) -> Counter[str]:
    pending = [Pending(each, head, head, Batch()) for each in projections for head in [await store.head(each) or start]]
    head = min((each.after for each in pending), key=lambda each: each.size)
    async with ahead(log, head.size, follow=follow) as records, writer(store) as written:
        begun, due, now = head.size, 0.0, asyncio.get_running_loop().time
        while (until is None or head.size < until) and (record := await records.next()):
            head = await take(record, head, pending, void)
            # Others have their turn, the reader among them: it may have brought more.
            await asyncio.sleep(0 if records else max(0.0, due - now()))
            if not records or head.size - begun >= EVENTS_PER_BATCH_MAX:
                begun, due = head.size, now() + PAUSE_S if follow else 0.0
                await written.begin(pending)
            if not records:
                await written.done()
        await written.begin(pending)
        await written.done()
    return void


class Writer:
    """Writes one batch while the next is folded."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writing: asyncio.Task[None] | None = None

    async def begin(self, pending: Sequence[Pending]) -> None:
        """When the batch before is there. Raises what its writing raised."""
        await self.done()
        if moves := [each.move() for each in pending if each.after != each.before]:
            self._writing = asyncio.create_task(self._store.write(*moves))

    async def done(self) -> None:
        if writing := self._writing:
            await writing
            self._writing = None

    async def stop(self) -> None:
        if writing := self._writing:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)


@asynccontextmanager
async def writer(store: Store) -> AsyncGenerator[Writer, None]:
    written = Writer(store)
    try:
        yield written
    finally:
        await written.stop()


async def take(record: bytes, head: Head, pending: Sequence[Pending], void: Counter[str]) -> Head:
    """Fold one record, if it counts. Returns the head after it."""
    try:
        block = accept(head, record)
    except Void as reason:
        void[reason.why] += 1
        return head
    events, behind = wire.events(block), [each for each in pending if each.after.size < block.after.size]
    for first in range(0, len(events), EVENTS_PER_TURN_MAX):
        for each in behind:
            each.fold(events[first : first + EVENTS_PER_TURN_MAX])
        await asyncio.sleep(0)
    for each in behind:
        each.after = block.after
    return block.after


class Ahead:
    """Records that are read while others are folded and written. True while there are any."""

    def __init__(self) -> None:
        self._records: deque[bytes] = deque()
        self._bytes = 0
        self._ended = False
        self._failure: Exception | None = None
        self._changed = asyncio.Condition()

    def __bool__(self) -> bool:
        return bool(self._records)

    async def read(self, log: Log, after: int, *, follow: bool) -> None:
        try:
            async with aclosing(log.read(after, follow=follow)) as records:
                async for record in records:
                    async with self._changed:
                        await self._changed.wait_for(lambda: self._bytes < AHEAD_BYTES_MAX)
                        self._records.append(record)
                        self._bytes += len(record)
                        self._changed.notify_all()
        except Exception as failure:
            self._failure = failure
        async with self._changed:
            self._ended = True
            self._changed.notify_all()

    async def next(self) -> bytes | None:
        """None at the log's end. Raises what reading raised, after what was read before."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._records or self._ended)
            if not self._records:
                if self._failure:
                    raise self._failure
                return None
            record = self._records.popleft()
            self._bytes -= len(record)
            self._changed.notify_all()
            return record


@asynccontextmanager
async def ahead(log: Log, after: int, *, follow: bool) -> AsyncGenerator[Ahead, None]:
    records = Ahead()
    reader = asyncio.create_task(records.read(log, after, follow=follow))
    try:
        yield records
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


class TooMany(Exception):
    """The view has more rows than it may have."""


async def as_of(projection: Projection, log: Log, position: int, start: Head, rows_max: int | None = None) -> MemoryViews:
    """The projection as it stood after the event at `position`. Reads the log up to there; others have their turn after each record.
    Raises `TooMany`."""
    views, pending = MemoryViews(projection), Pending(projection, start, start, Batch())
    async with aclosing(log.read()) as records:
        async for record in records:
            if pending.after.size >= position:
                break
            try:
                block = accept(pending.after, record)
            except Void:
                continue
            pending.fold([event for event in wire.events(block) if event.pos <= position])
            pending.after = block.after
            if block.after.size - pending.before.size >= EVENTS_PER_BATCH_MAX or block.after.size >= position:
                move = pending.move()
                views.take(move, min(position, move.after.size))
                if rows_max is not None and views.size > rows_max:
                    raise TooMany
            await asyncio.sleep(0)
    move = pending.move()
    views.take(move, min(position, move.after.size))
    return views
