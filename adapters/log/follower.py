"""The one reader of the log in a process: folds what comes into a ledger of its own, and hands each event to whoever waits for it.

A subscriber is a position and topics. It first gets what it missed, from the log and then from a ring of recent events in memory, and
then each event as it comes. Nobody waits for a slow one: who leaves more than `BEHIND_MAX` events unread is dropped and may come again
with the last position that it has seen.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import aclosing
from functools import cache
from heapq import heappop, heappush
from itertools import count, islice
from typing import get_args, get_type_hints

from adapters.log.history import History
from domain import ids
from domain.event import Event, Recorded
from domain.ids import CommandId
from domain.log import snapshot, wire
from domain.log.block import Void
from domain.log.ledger import Ledger
from domain.log.log import Log
from domain.log.merkle import Head
from domain.world import World

RING_MAX = 20_000
BEHIND_MAX = 5_000
TURN_S_MAX = 0.005

SUBJECTS = {
    *(ids.AccountId, ids.WorkerId, ids.JobId, ids.TaskId, ids.AuditId),
    *(ids.BeaconId, ids.DepositId, ids.PayoutId, ids.BatchId),
}
Item = tuple[Recorded[Event], bytes]
Items = AsyncGenerator[Item, None]
logger = logging.getLogger(__name__)


class TooSlow(Exception):
    """The subscriber left too much unread. It may come again, from `position` on."""

    def __init__(self, position: int) -> None:
        super().__init__(f"behind since position {position}")
        self.position = position


class Stopped(Exception):
    """Nobody follows the log any more, because of a failure or because the process ends."""


class Follower:
    def __init__(self, log: Log, ledger: Ledger) -> None:
        """`ledger` is one of this log, empty or from a snapshot; nobody else folds into it."""
        self._log, self._ledger = log, ledger
        self._history = History(log, ledger.passed)
        self._ring: deque[Item] = deque(maxlen=RING_MAX)
        self._feeds: dict[str, dict[Feed, None]] = {}
        self._awaited: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._stopped = False
        self.void: Counter[str] = Counter()
        """Records that did not count, by why."""

    @property
    def head(self) -> Head:
        return self._ledger.head

    @property
    def world(self) -> World:
        """As of `head`. To be read only."""
        return self._ledger.world

    def remembers(self, cmd: CommandId) -> bool:
        """Whether a keyed command was done before, as of `head`."""
        receipts = self._ledger.receipts
        return cmd in receipts.new or cmd in receipts.old

    @property
    def at_us(self) -> int:
        """Ledger time of the last block."""
        return self._ledger.at_us

    def freeze(self, fold: str) -> bytes:
        """A snapshot of where this process stands; `fold` names the version of the code."""
        return snapshot.freeze(self._ledger, fold)

    async def run(self) -> None:
        """Follow the log. Raises `Broken` or `Diverged` if nobody may go on."""
        turned = time.monotonic()
        try:
            async with aclosing(self._log.read(self.head.size, follow=True)) as records:
                async for record in records:
                    self._take(record)
                    if time.monotonic() - turned > TURN_S_MAX:
                        await asyncio.sleep(0)
                        turned = time.monotonic()
        finally:
            self._stopped = True
            for feed in [feed for feeds in self._feeds.values() for feed in feeds]:
                feed.grown.set()
            for _, _, reached in self._awaited:
                if not reached.done():
                    reached.set_exception(Stopped())

    async def reached(self, position: int, timeout_s: float) -> None:
        """Returns when the head is at `position` or beyond. Raises `TimeoutError`, `Stopped`."""
        if self.head.size >= position:
            return
        if self._stopped:
            raise Stopped
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._awaited, (position, next(self._numbers), reached))
        async with asyncio.timeout(timeout_s):
            await reached

    async def events(self, after: int, *, types: Collection[str] = (), streams: Collection[str] = (), about: Collection[str] = ()) -> Items:
        """Events after a position, with their lines, for ever. `types` are stored names, `about` are ids of whatever the events name
        (a worker, a job, an account); empty means all. To be closed. Raises `TooSlow`, `Stopped`, `Unreachable`."""
        feed = Feed(frozenset(types), frozenset(streams), frozenset(about), after)
        async with aclosing(self._earlier(after)) as earlier:
            async for item in earlier:
                after = item[0].pos
                if feed.wants(item[0], subjects(item[0])):
                    yield item
        assert after >= self._ring_after
        recent = islice(self._ring, after - self._ring_after, None)
        backlog = [item for item in recent if feed.wants(item[0], subjects(item[0]))]
        feed.unread.extend(backlog)
        feed.room += len(backlog)
        for topic in feed.topics:
            self._feeds.setdefault(topic, {})[feed] = None
        try:
            async with aclosing(feed.items(self)) as items:
                async for item in items:
                    yield item
        finally:
            for topic in feed.topics:
                del self._feeds[topic][feed]
                if not self._feeds[topic]:
                    del self._feeds[topic]

    @property
    def stopped(self) -> bool:
        return self._stopped

    @property
    def _ring_after(self) -> int:
        """The position before the first event in the ring."""
        return self.head.size - len(self._ring)

    async def _earlier(self, after: int) -> Items:
        """What left the ring, from the log."""
        while after < self._ring_after:
            async with aclosing(self._history.lines(after, self._ring_after)) as lines:
                async for position, line in lines:
                    after = position
                    yield wire.event(line), line

    def _take(self, record: bytes) -> None:
        try:
            folded = self._ledger.fold(record)
        except Void as void:
            self.void[void.why] += 1
            if void.why == "alien":
                logger.error("a record of the log does not belong to this ledger")
            return
        for item in zip(folded.events, folded.block.lines, strict=True):
            self._ring.append(item)
            self._hand_out(item)
        while self._awaited and self._awaited[0][0] <= self.head.size:
            reached = heappop(self._awaited)[2]
            if not reached.done():
                reached.set_result(None)

    def _hand_out(self, item: Item) -> None:
        recorded = item[0]
        about = subjects(recorded)
        topics = ("", f"type {stored_name(type(recorded.event))}", f"stream {recorded.stream}", *(f"about {id}" for id in about))
        for feed in dict.fromkeys(feed for topic in topics for feed in self._feeds.get(topic, ())):
            if feed.wants(recorded, about):
                feed.offer(item)


class Feed:
    """What one subscriber has not read yet."""

    def __init__(self, types: frozenset[str], streams: frozenset[str], about: frozenset[str], after: int) -> None:
        self._types, self._streams, self._about = types, streams, about
        self._position = after
        self.topics = (
            [f"about {id}" for id in sorted(about)]
            or [f"stream {name}" for name in sorted(streams)]
            or [f"type {name}" for name in sorted(types)]
            or [""]
        )
        """Where it is listed: by the narrowest of what it asks for."""
        self.unread: deque[Item] = deque()
        self.room = BEHIND_MAX
        self.dropped = False
        self.grown = asyncio.Event()

    def wants(self, recorded: Recorded[Event], about: Collection[str]) -> bool:
        return (
            recorded.pos > self._position
            and (not self._types or stored_name(type(recorded.event)) in self._types)
            and (not self._streams or recorded.stream in self._streams)
            and (not self._about or not self._about.isdisjoint(about))
        )

    def offer(self, item: Item) -> None:
        self.dropped = self.dropped or len(self.unread) >= self.room
        if self.dropped:
            self.unread.clear()
        else:
            self.unread.append(item)
        self.grown.set()

    async def items(self, follower: Follower) -> Items:
        while True:
            self.grown.clear()
            while self.unread:
                item = self.unread.popleft()
                self._position = item[0].pos
                yield item
            if self.dropped:
                raise TooSlow(self._position)
            if follower.stopped:
                raise Stopped
            if not self.grown.is_set():
                await self.grown.wait()


@cache
def stored_name(kind: type[Event]) -> str:
    return str(kind.__struct_config__.tag)


@cache
def subject_fields(kind: type[Event]) -> tuple[str, ...]:
    """The fields of an event that name things: an id, or a list of ids."""
    hints = get_type_hints(kind)
    return tuple(name for name in kind.__struct_fields__ if SUBJECTS & {hints[name], *get_args(hints[name])})


def subjects(recorded: Recorded[Event]) -> frozenset[str]:
    """The ids of whatever the event names."""
    return frozenset(_subjects(recorded))


def _subjects(recorded: Recorded[Event]) -> Iterator[str]:
    yield recorded.stream
    for field in subject_fields(type(recorded.event)):
        value = getattr(recorded.event, field)
        if isinstance(value, str):
            yield value
        else:
            yield from value or ()
