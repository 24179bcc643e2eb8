"""Faulty twins of everything outside: the network between processes, the log, the lease, the objects, the views, the clocks.

Each keeps its port's contract, and is as bad as the contract allows. What the twins hold is durable: no crash takes it away.
"""

import asyncio
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from hashlib import sha256
from random import Random
from typing import Any, TypeVar

from domain.log.block import Sealed, Void, judge
from domain.log.log import Lost, OutcomeUnknown, Records, Unreachable
from domain.log.merkle import Head
from domain.work.objects import ObjectMissing
from projections.memory import MemoryViews
from projections.row import Projection
from projections.views import Move, Unavailable
from tests.simulator.loop import LIFE, Life, Loop
from tests.simulator.script import Script

T = TypeVar("T")
EPOCH_US = 1_800_000_000_000_000
PATIENCE_S = 1.5
"""How long a caller waits for an answer; a slow message takes longer."""
POLL_S = 0.5
LEASE_S = 3.0


class Silent(Exception):
    """No answer came."""


class Net:
    """Messages between processes and twins: each may be lost, come twice, be overtaken, or come when nobody waits for it any more."""

    def __init__(self, loop: Loop, script: Script) -> None:
        self.loop, self.script, self.random = loop, script, Random(script.number)
        self.calm = False
        self.cuts = set[tuple[str, str]]()
        """(from, to) where nothing comes through."""
        self.fired = Counter[str]()
        self.delivered = 0
        self._last = dict[tuple[str, str], float]()

    def fate(self, frm: str, to: str) -> float | None:
        """How long a message takes, or that it is lost."""
        dice, script = self.random.randrange(1_000), self.script
        delay = self.random.randrange(1, 20) / 1_000
        if (frm, to) in self.cuts:
            self.fired["cut"] += 1
            return None
        if not self.calm and dice < script.lost:
            self.fired["lost"] += 1
            return None
        if not self.calm and dice < script.lost + script.slow:
            self.fired["slow"] += 1
            delay += self.random.randrange(100, 3_000) / 1_000
        due = self.loop.time() + delay
        if due < self._last.get((frm, to), 0.0):
            self.fired["reordered"] += 1
        self._last[frm, to] = due
        return delay

    def _send(self, frm: str, to: str, arrive: Callable[[], None]) -> None:
        delay = self.fate(frm, to)
        if delay is None:
            self.loop.step(None, f"lost {frm} {to}".encode())
            return
        self.loop.call_later(delay, self._deliver, f"{frm} {to}".encode(), arrive, context=OUTSIDE)

    def at(self, when_s: float, way: str, arrive: Callable[[], None]) -> None:
        """Something arrives at a time that was drawn by `fate`."""
        self.loop.call_at(when_s, self._deliver, way.encode(), arrive, context=OUTSIDE)

    def _deliver(self, way: bytes, arrive: Callable[[], None]) -> None:
        self.delivered += 1
        arrive()
        self.loop.step(None, way)

    async def call(self, to: str, work: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
        """Has a twin do something at once when the message arrives. Raises what `work` raises, and `Silent`; then it may be done, or
        be done later."""

        def arrive() -> None:
            try:
                result, fault = work(), None
            except Exception as reason:
                result, fault = None, reason
            self._send(to, frm, lambda: self._answer(waits, result, fault))

        waits, frm = self.loop.create_future(), name_of(LIFE.get())
        self._ask(frm, to, arrive)
        return await self._wait(waits, patience_s)

    async def ask(self, to: Life | None, name: str, work: Callable[[], Awaitable[T]], patience_s: float = PATIENCE_S) -> T:
        """The same of a process, which takes its time; one that is dead never answers."""

        async def serve(life: Life) -> None:
            try:
                result, fault = await work(), None
            except Exception as reason:
                result, fault = None, reason
            self._send(name, frm, lambda: self._answer(waits, result, fault))

        def arrive() -> None:
            if to is not None and not to.dead:
                OUTSIDE.copy().run(spawn, self.loop, to, serve)

        waits, frm = self.loop.create_future(), name_of(LIFE.get())
        self._ask(frm, name, arrive)
        return await self._wait(waits, patience_s)

    def _ask(self, frm: str, to: str, arrive: Callable[[], None]) -> None:
        self._send(frm, to, arrive)
        if not self.calm and self.random.randrange(1_000) < self.script.twice:
            self.fired["twice"] += 1
            self._send(frm, to, arrive)

    async def _wait(self, waits: asyncio.Future[T], patience_s: float) -> T:
        timer = self.loop.call_later(patience_s, self._give_up, waits)
        try:
            return await waits
        finally:
            timer.cancel()

    def _give_up(self, waits: asyncio.Future[Any]) -> None:
        if not waits.done():
            waits.set_exception(Silent())

    def _answer(self, waits: asyncio.Future[Any], result: Any, fault: Exception | None) -> None:
        if waits.done():
            self.fired["late"] += 1
        elif fault is not None:
            waits.set_exception(fault)
        else:
            waits.set_result(result)


def name_of(life: Life | None) -> str:
    return life.name if life else "outside"


def _outside() -> Any:
    from contextvars import copy_context

    context = copy_context()
    context.run(LIFE.set, None)
    return context


OUTSIDE = _outside()


def spawn(loop: Loop, life: Life, serve: Callable[[Life], Any]) -> None:
    LIFE.set(life)
    loop.create_task(serve(life))


class LogTwin:
    """What the log holds: records that count and records that do not."""

    def __init__(self, net: Net, start: Head) -> None:
        self.net, self.head = net, start
        self.records, self.sizes = list[bytes](), list[int]()
        """The size of the log after each record."""
        self.full = self.unreadable = False
        self.took: Callable[[bytes, str], None] = lambda record, writer: None
        """Told of each record that counts, and whose it is."""
        self._waiting = list[asyncio.Future[None]]()

    def take(self, block: Sealed, writer: str) -> None:
        """Append at the end. Raises `Lost`."""
        if self.full:
            raise Lost("no space left")
        try:
            judge(self.head.mark, block.record)
        except Void:
            self.litter(block.record)
            raise Lost("somebody was faster") from None
        self.head = block.after
        self._keep(block.record)
        self.took(block.record, writer)

    def litter(self, record: bytes) -> None:
        """A record that does not count."""
        self.net.fired["void"] += 1
        self._keep(record)

    def tear(self) -> None:
        """Of a record that was being written when the power went, a part is left: less than a header, so it does not count."""
        if self.records:
            self.litter(self.records[-1][: 20 + self.net.random.randrange(60)])

    def _keep(self, record: bytes) -> None:
        self.records.append(record)
        self.sizes.append(self.head.size)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            self.net.loop.call_later(self.net.random.randrange(1, 30) / 1_000, wake, each, context=OUTSIDE)

    def some(self, index: int) -> list[bytes]:
        if self.unreadable:
            raise Unreachable
        return self.records[index : index + 100]

    def grown(self, index: int) -> asyncio.Future[None]:
        waits: asyncio.Future[None] = self.net.loop.create_future()
        if index < len(self.records):
            waits.set_result(None)
        else:
            self._waiting.append(waits)
        return waits


def wake(waits: asyncio.Future[None]) -> None:
    if not waits.done():
        waits.set_result(None)


class LogPort:
    """The log as one process sees it."""

    def __init__(self, twin: LogTwin) -> None:
        self._twin, self._net, self._writer = twin, twin.net, str(LIFE.get())

    async def append(self, block: Sealed) -> None:
        try:
            await self._net.call("log", lambda: self._twin.take(block, self._writer))
        except Silent:
            raise OutcomeUnknown from None

    async def read(self, after: int = 0, *, follow: bool = False) -> Records:
        index = bisect_right(self._twin.sizes, after)
        while True:
            try:
                # Bound now: the loop's variable moves on.
                some = await self._net.call("log", lambda index=index: self._twin.some(index))  # type: ignore[misc]
            except (Silent, Unreachable):
                if not follow:
                    raise Unreachable from None
                await asyncio.sleep(POLL_S)
                continue
            for record in some:
                yield record
            index += len(some)
            if not some and not follow:
                return
            if not some:
                timer = self._net.loop.call_later(POLL_S, wake, waits := self._twin.grown(index))
                await waits
                timer.cancel()


class LeaseTwin:
    """Whose turn it is to lead, by the database's clock."""

    def __init__(self, net: Net) -> None:
        self.net, self.holder, self.until_s = net, "", 0.0

    def take(self, name: str) -> bool:
        now_s = self.net.loop.time()
        if self.holder != name and now_s < self.until_s:
            return False
        self.holder, self.until_s = name, now_s + LEASE_S
        return True

    def free(self, name: str) -> None:
        if self.holder == name:
            self.until_s = 0.0


class LeasePort:
    """The lease as one process sees it: asked for again and again, and held as long as the last answer says."""

    def __init__(self, twin: LeaseTwin, name: str) -> None:
        self._twin, self._net, self._name = twin, twin.net, name
        self._until_s = 0.0

    @property
    def held(self) -> bool:
        return self._net.loop.time() < self._until_s

    async def acquire(self) -> None:
        while not await self._renew():  # noqa: ASYNC110 - nor does a lease
            await asyncio.sleep(POLL_S)

    async def lost(self) -> None:
        while True:
            await asyncio.sleep(LEASE_S / 3)
            if await self._renew() is False:
                return

    async def release(self) -> None:
        self._until_s = 0.0
        try:
            await self._net.call("lease", lambda: self._twin.free(self._name))
        except Silent:
            return

    async def _renew(self) -> bool | None:
        """None: nobody knows."""
        asked_s = self._net.loop.time()
        try:
            mine = await self._net.call("lease", lambda: self._twin.take(self._name))
        except Silent:
            return None
        self._until_s = asked_s + LEASE_S if mine else 0.0
        return mine


class Objects:
    """`objects.Store`, as far as the gate and the agents need it."""

    def __init__(self) -> None:
        self.kept = dict[str, bytes]()
        self.full = False

    def keep(self, content: bytes) -> str:
        """Raises `Silent`: the disk is full, and the upload comes to nothing."""
        if self.full:
            raise Silent
        name = sha256(content).hexdigest()
        self.kept[name] = content
        return name

    async def size(self, sha256: str) -> int:
        return len(self._found(sha256))

    async def open(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        content = self._found(sha256)

        async def chunks() -> AsyncIterator[bytes]:
            yield content[start:end]

        return chunks()

    def _found(self, name: str) -> bytes:
        if name not in self.kept:
            raise ObjectMissing
        return self.kept[name]


class ViewsTwin:
    """`views.Store` over tables in memory: cannot be reached for a while, and may write although it says that it did not."""

    def __init__(self, net: Net, projections: Sequence[Projection]) -> None:
        self.net, self.views, self.down = net, MemoryViews(*projections), False

    async def head(self, projection: Projection) -> Head | None:
        self._reach()
        return await self.views.head(projection)

    async def write(self, *moves: Move) -> None:
        if self.down and self.net.random.randrange(2):
            await self.views.write(*moves)
        self._reach()
        await asyncio.sleep(self.net.random.randrange(1, 40) / 1_000)
        await self.views.write(*moves)

    def _reach(self) -> None:
        if self.down:
            self.net.fired["views down"] += 1
            raise Unavailable
