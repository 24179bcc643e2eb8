"""A library's ledger in a process: one thread with an event loop that follows the log and appends to it, and what callers in other threads
do with it: record a batch, read, be woken.

Several processes may write to one log, without a lease: what another one appended first is folded, and the batches that waited are decided
anew. A caller is answered when its batch is in the log and folded, or cannot be any more. Of a batch whose outcome was unknown when its
caller was sent away, the ledger remembers what it sent: the same batch once more gets the ids that it got, if it landed.
"""

import asyncio
import atexit
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager, suppress
from threading import Event, Lock, Thread
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from msgspec import Struct

from adapters.library.line import Batch
from adapters.library.machine import Clash, Full, Machine, NextBlock, TooLarge
from domain.log.block import Block, Sealed, Void
from domain.log.log import Log, Lost, OutcomeUnknown, Unreachable
from domain.log.merkle import Head

ANSWER_S_MAX, RETRY_S, CLOSE_S = 30.0, 0.05, 10.0
DOUBTS_MAX = 10_000
"""Batches that are remembered because nobody knows what became of them."""

Answer = Future[list[int]]
logger = logging.getLogger(__name__)


class NotAnswered(Exception):
    """The log could not be reached in time. Nothing was recorded."""


class Closed(Exception):
    """The ledger was closed, or failed: then the cause says why."""


class Opened(NamedTuple):
    """A log that can be read and written, and what looks after it until it is cancelled."""

    log: Log
    head: Head
    """The empty one."""
    watch: Coroutine[Any, Any, Any] | None = None


Open = Callable[[], AbstractAsyncContextManager[Opened]]


class Asked(NamedTuple):
    batch: Batch
    answer: Answer
    until_s: float


class Sent(Struct):
    """A block on its way."""

    block: Sealed
    ids: dict[str, list[int]]
    """Of each batch in it."""
    landed: bool | None = None
    """None: the log has not told yet."""


class Folding(Protocol):
    """What a log is folded into."""

    head: Head

    def read(self, record: bytes) -> tuple[Block, Any]:
        """A record, judged, and what is in it; nothing changes. Raises `Void`, `Broken`, `Diverged`."""
        ...

    def fold(self, block: Block, events: Any) -> None:
        """Takes what was read."""
        ...


M = TypeVar("M", bound=Folding)


class Reading(Generic[M]):
    """A log that is followed in a thread. To be closed; one that nobody holds any more closes by itself."""

    def __init__(self, open: Open, by: str, begin: Callable[[Head], M], answer_s_max: float = ANSWER_S_MAX) -> None:
        """Returns when the log is folded up to its end. `begin` makes the state of an empty log. Raises what `open` raises."""
        self._desk = Desk(open, by, begin, answer_s_max)
        weakref.finalize(self, self._desk.leave).atexit = False
        self._desk.started.result()

    @contextmanager
    def reading(self) -> Iterator[M]:
        """As of the last block that this process has folded; nothing is folded meanwhile. Raises `Closed`."""
        with self._desk.lock:
            if self._desk.failure:
                raise Closed from self._desk.failure
            yield self._desk.machine

    def listen(self, event: Event) -> None:
        """It is set whenever a block was folded."""
        self._desk.listeners.add(event)

    def unlisten(self, event: Event) -> None:
        self._desk.listeners.discard(event)

    def close(self) -> None:
        """What waits is sent away. Leaves no thread."""
        self._desk.close()


class Ledger(Reading[Machine]):
    """One that is written, too."""

    def __init__(self, open: Open, by: str, answer_s_max: float = ANSWER_S_MAX) -> None:
        """`by` is the application, as its lines name it."""
        super().__init__(open, by, Machine, answer_s_max)

    def record(self, batch: Batch) -> list[int]:
        """The notification ids of its events, once they are in the log. Raises `Clash`, `TooLarge`, `NotAnswered`, `OutcomeUnknown`,
        `Closed`."""
        return self._desk.ask(batch).result()


class Desk(Generic[M]):
    """What the thread does. It does not know whom it does it for, so that one who was forgotten can end it."""

    machine: M

    def __init__(self, open: Open, by: str, begin: Callable[[Head], M], answer_s_max: float) -> None:
        self._open, self._by, self._begin, self._answer_s_max = open, by, begin, answer_s_max
        self.lock = Lock()
        self.listeners: set[Event] = set()
        self.failure: BaseException | None = None
        self.started: Future[None] = Future()
        self._queue: deque[Asked] = deque()
        self._sent: list[Sent] = []
        self._doubts: dict[str, list[Sent]] = {}
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._wake, self._stop = asyncio.Event(), asyncio.Event()
        self._thread = Thread(target=self._run, name=f"ledger {by}", daemon=True)
        atexit.register(self.close)
        self._thread.start()

    def ask(self, batch: Batch) -> Answer:
        answer: Answer = Future()
        with self.lock:
            if self._closed or self.failure:
                raise Closed from self.failure
            self._queue.append(Asked(batch, answer, time.monotonic() + self._answer_s_max))
            self._loop.call_soon_threadsafe(self._wake.set)
        return answer

    def leave(self) -> None:
        """Ends soon. May be called in any thread, whatever it holds."""
        with suppress(RuntimeError):  # it ended already
            self._loop.call_soon_threadsafe(self._stop.set)

    def close(self) -> None:
        self.leave()
        if threading.current_thread() is not self._thread:  # where a forgotten application may be collected, too
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._work())
        except BaseException as fault:  # it is told to whoever asks
            self._fail(fault)
        finally:
            self._end()

    async def _work(self) -> None:
        async with self._open() as (log, head, watch):
            self.machine = self._begin(head)
            tasks = [asyncio.create_task(watch)] if watch else []
            try:
                await self._catch_up(log)
                self.started.set_result(None)
                tasks += [asyncio.create_task(each) for each in (self._follow(log), self._write(log), self._stop.wait())]
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _fail(self, fault: BaseException) -> None:
        logger.error("the ledger of %s stopped: %s", self._by, type(fault).__name__)
        with self.lock:
            self.failure = fault
        if not self.started.done():
            self.started.set_exception(fault)

    def _end(self) -> None:
        with self.lock:
            self._closed = True
            waiting, self._queue = self._queue, deque()
        for asked in waiting:
            settle(asked.answer, Closed())
        for listener in tuple(self.listeners):
            listener.set()
        atexit.unregister(self.close)

    async def _catch_up(self, log: Log) -> None:
        """Raises `Unreachable`."""
        async with aclosing(log.read(self.machine.head.size)) as records:
            await self._take_all(records)

    async def _follow(self, log: Log) -> None:
        async with aclosing(log.read(self.machine.head.size, follow=True)) as records:
            await self._take_all(records)

    async def _take_all(self, records: AsyncGenerator[bytes, None]) -> None:
        async for record in records:
            self._take(record)

    def _take(self, record: bytes) -> None:
        """Fold a record, if it counts. Raises `Broken`, `Diverged`."""
        try:
            block, events = self.machine.read(record)
        except Void as void:
            if void.why == "alien":
                logger.error("a record of the log does not belong to this ledger")
            return
        with self.lock:
            self.machine.fold(block, events)
        for sent in self._sent:
            if sent.block.before.size < block.after.size:
                sent.landed = sent.block.after == block.after
        self._sent = [sent for sent in self._sent if sent.landed is None]
        for listener in tuple(self.listeners):
            listener.set()

    async def _write(self, log: Log) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                await self._commit(log)

    async def _commit(self, log: Log) -> None:
        """One block of what waits, as far as it goes in."""
        group = list[tuple[Asked, list[int] | Exception]]()
        assert isinstance(self.machine, Machine)
        following = NextBlock(self.machine, self._by, time.time_ns() // 1000)
        while self._queue:
            try:
                outcome = self._decide(following, self._queue[0].batch)
            except Full:
                break
            group.append((self._queue.popleft(), outcome))
        block = following.seal()
        try:
            if block is None or await self._land(log, block, group):
                for asked, outcome in group:
                    settle(asked.answer, outcome)
            else:
                self._queue.extendleft(asked for asked, _ in reversed(group))
        except BaseException as fault:
            for asked, _ in group:
                doubtful = asked.batch.cmd in self._doubts or not isinstance(fault, NotAnswered)
                settle(asked.answer, OutcomeUnknown() if doubtful else NotAnswered())
            if not isinstance(fault, (NotAnswered, OutcomeUnknown)):
                raise

    def _decide(self, following: NextBlock, batch: Batch) -> list[int] | Exception:
        """Raises `Full`."""
        if (doubts := self._doubts.get(batch.cmd)) and all(sent.landed is False for sent in doubts):
            del self._doubts[batch.cmd]
        elif doubts and (landed := [sent for sent in doubts if sent.landed]):
            del self._doubts[batch.cmd]
            return landed[0].ids[batch.cmd]
        try:
            return following.add(batch)
        except (Clash, TooLarge) as refusal:
            return refusal

    async def _land(self, log: Log, block: Sealed, group: list[tuple[Asked, list[int] | Exception]]) -> bool:
        """Whether it is in the log, as soon as that is certain. Raises `NotAnswered`, and `OutcomeUnknown` if it is not in time; a later
        fold may still tell."""
        sent = Sent(block, {asked.batch.cmd: ids for asked, ids in group if isinstance(ids, list)})
        self._sent.append(sent)
        unknown, until_s = False, min(asked.until_s for asked, _ in group)
        while True:
            try:
                await log.append(block)
                self._take(block.record)
                return True
            except OutcomeUnknown:
                unknown = True
            except Lost:
                pass
            with suppress(Unreachable):
                await self._catch_up(log)
            if sent.landed is not None:
                return sent.landed
            if time.monotonic() > until_s:
                self._give_up(sent, unknown=unknown)
            await asyncio.sleep(RETRY_S)

    def _give_up(self, sent: Sent, *, unknown: bool) -> None:
        if not unknown:
            self._sent.remove(sent)
            raise NotAnswered
        for cmd in sent.ids:
            self._doubts.setdefault(cmd, []).append(sent)
        while len(self._doubts) > DOUBTS_MAX:
            del self._doubts[next(iter(self._doubts))]
        raise OutcomeUnknown


def settle(answer: Answer, outcome: list[int] | Exception) -> None:
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
