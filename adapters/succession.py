"""How a process comes to lead the log, and when it must not.

Who has no lease folds the log meanwhile, so that he can lead at once. Who has it folds up to the log's end, and puts an election there:
once that is read back, every block that anybody had on its way is in or out for good.

It refuses to lead from a log that ends before what others have read of it, and with a clock that cannot be right.
"""

import asyncio
import gc
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Protocol

from domain.log.block import Void, judge
from domain.log.ledger import Ledger, Moved
from domain.log.log import Log, Lost, OutcomeUnknown, Unreachable, holds
from domain.log.merkle import Head, Mark

RETRY_S = 0.05
CLOCK_US_MAX = 5_000_000
TURN_S_MAX = 0.005
"""Of folding, before others have their turn."""

logger = logging.getLogger(__name__)


class Deposed(Exception):
    """Another leader was elected after us."""


class Copied(Exception):
    """This log is a copy of one that lives elsewhere: it may be read, and not led."""


class Behind(Exception):
    """The log ends before a position that was in it: it lost its end, or was restored from a backup. Leading from here would fork it."""


class ClockOff(Exception):
    """This machine's clock is too far from the database's, or behind the last block's: it must not stamp events."""


def wall_us() -> int:
    return time.time_ns() // 1000


def steady_us() -> int:
    return time.monotonic_ns() // 1000


class Clock:
    """Wall time when it is set, monotonic after: a step of the wall clock moves no deadline. Microseconds since 1970."""

    def __init__(self, wall: Callable[[], int] = wall_us, steady: Callable[[], int] = steady_us) -> None:
        self._wall, self._steady = wall, steady
        self.set()

    def set(self) -> None:
        self._ahead_us = self._wall() - self._steady()

    def now_us(self) -> int:
        return self._steady() + self._ahead_us


class Lease(Protocol):
    """The turn to lead, of one process at a time (adapters/log/election.py)."""

    @property
    def held(self) -> bool:
        """Nobody else can have it now."""
        ...

    async def acquire(self) -> None:
        """Returns when it is ours."""

    async def lost(self) -> None:
        """Returns when somebody else has it."""

    async def release(self) -> None:
        """Whoever waits for it may have it, if it is ours."""


class Alone:
    """The lease of a process that has no rival."""

    held = True

    async def acquire(self) -> None:
        return

    async def lost(self) -> None:
        await asyncio.Event().wait()

    async def release(self) -> None:
        return


Known = Callable[[], Awaitable[Sequence[Mark]]]


async def nothing_known() -> Sequence[Mark]:
    return ()


class Succession:
    """One process's way to lead: `stand_by`, `take_over`, and `take_over` again after whatever went wrong."""

    def __init__(
        self,
        log: Log,
        start: Callable[[], Ledger],
        name: str,
        clock: Clock,
        reference_us: Callable[[], Awaitable[int]] | None,
        home: Callable[[], Awaitable[str]] | None,
        lease: Lease | None,
        known: Known,
    ) -> None:
        """As for the sequencer (adapters/sequencer.py)."""
        self._log, self._start, self._name = log, start, name
        self._clock, self._reference_us, self._home = clock, reference_us, home
        self.rivals, self.lease, self._known = lease is not None, lease or Alone(), known
        self.deposed = False
        """Somebody else has the lease."""
        self.stood: Head | None = None
        """The last head that this process has led to, and knows to be in the log."""

    async def watch_lease(self, wake: asyncio.Event) -> None:
        """Until cancelled; `wake` is set when the lease is lost."""
        await self.lease.lost()
        self.deposed = True
        wake.set()

    def require_lease(self) -> None:
        """Raises `Deposed` when somebody else has it."""
        if self.deposed:
            raise Deposed("somebody else has the lease")

    async def stand_by(self, stopping: asyncio.Event) -> Ledger | None:
        """A ledger that stands close to the log's end, when the lease is ours; None when it is not wanted any more."""
        if stopping.is_set():
            return None
        ledger = await self.begin()
        turn, stop = asyncio.create_task(self.lease.acquire()), asyncio.create_task(stopping.wait())
        following = asyncio.create_task(self._follow(ledger)) if self.rivals else turn
        tasks = {turn, stop, following}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks - {turn} if turn.done() else tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in (following, turn):
            if task.done() and not task.cancelled():
                task.result()
        self.deposed = False
        return None if stopping.is_set() or turn.cancelled() else ledger

    async def begin(self) -> Ledger:
        """From a snapshot or from nothing. What a snapshot stands on has to be in the log."""
        ledger = self._start()
        while True:
            try:
                if await holds(self._log, ledger.head):
                    return ledger
            except Unreachable:
                await asyncio.sleep(RETRY_S)
                continue
            raise Behind(f"a snapshot stands at position {ledger.head.size}, which the log does not have")

    async def _follow(self, ledger: Ledger) -> None:
        """Fold what the leader writes, until cancelled."""
        turned = time.monotonic()
        async with aclosing(self._log.read(ledger.head.size, follow=True)) as records:
            async for record in records:
                fold(ledger, record)
                if time.monotonic() - turned > TURN_S_MAX:
                    await asyncio.sleep(0)
                    turned = time.monotonic()

    async def take_over(self, ledger: Ledger, *, again: bool) -> Ledger:
        """The ledger, when its last block is an election of ours."""
        await self._compare_clocks(patient=not again)
        election = None
        while True:
            self.require_lease()
            try:
                seen = await self._seen(patient=not again) if election is None else ()
                await catch_up(self._log, ledger)
                if election is None:
                    await self._see_whole(ledger, seen)
            except Unreachable:
                await asyncio.sleep(RETRY_S)
                continue
            if election and ledger.head == election.after:
                break
            if again and ledger.world.leader != self._name:
                raise Deposed(ledger.world.leader)
            if (behind_us := ledger.at_us - self._clock.now_us()) > CLOCK_US_MAX:
                raise ClockOff(f"this machine's clock is {behind_us} us behind the last block")
            if election is None or election.before != ledger.head:
                election = ledger.election(self._name, self._clock.now_us())
            try:
                await self._log.append(election)
            except (Lost, OutcomeUnknown):
                await asyncio.sleep(RETRY_S)
        self.stood = ledger.head
        settle_memory()
        logger.warning("leading from position %d", ledger.head.size)  # libraries are heard from warnings on
        return ledger

    async def _seen(self, *, patient: bool) -> Sequence[Mark]:
        """What others have seen of the log, and we. Who leads already goes by what he led to while nobody can be asked; else raises
        `Unreachable`."""
        mine = [self.stood.mark] if self.stood else []
        try:
            return [*await self._known(), *mine]
        except Unreachable:
            if patient:
                raise
            return mine

    async def _compare_clocks(self, *, patient: bool) -> None:
        """Who leads already goes on while there is nothing to compare with."""
        while self._reference_us is not None:
            try:
                off_us = self._clock.now_us() - await self._reference_us()
            except Unreachable:
                if not patient:
                    return
                await asyncio.sleep(RETRY_S)
                continue
            if abs(off_us) > CLOCK_US_MAX:
                raise ClockOff(f"this machine's clock is {off_us} us off the database's")
            return

    async def _see_whole(self, ledger: Ledger, seen: Sequence[Mark]) -> None:
        """A log that ends before what others had seen of it before we read it to its end is not led, nor one that is a copy."""
        head = ledger.head
        if head.sealed:
            raise Moved(f"the log was sealed at size {head.size}, root {head.root}, to go on at {ledger.world.heir}")
        if self._home and head.size and ledger.world.home != (here := await self._home()):
            raise Copied(f"the ledger lives in {ledger.world.home}, and this is {here}")
        require_whole(head, seen)

    async def confirm(self, ledger: Ledger) -> None:
        """Answers without a block rest on our head being the log's. With the lease it is; without, somebody may have led meanwhile."""
        try:
            async with aclosing(self._log.read(ledger.head.size)) as records:
                async for record in records:
                    with suppress(Void):
                        judge(ledger.head.mark, record)
                        raise Lost
        except Unreachable as silence:
            raise OutcomeUnknown from silence


def require_whole(head: Head, seen: Sequence[Mark]) -> None:
    """Raises `Behind` where somebody has read more of the log, or something else."""
    for mark in seen:
        if mark.size > head.size or (mark.size == head.size and mark.root != head.root):
            raise Behind(f"the log ends at size {head.size} root {head.root}, and somebody has read size {mark.size} root {mark.root}")


async def catch_up(log: Log, ledger: Ledger) -> None:
    """Fold up to the log's end. Raises `Unreachable`, `Broken`, `Diverged`."""
    async with aclosing(log.read(ledger.head.size)) as records:
        async for record in records:
            fold(ledger, record)


def fold(ledger: Ledger, record: bytes) -> None:
    """Take a record of the log, if it counts."""
    try:
        ledger.fold(record)
    except Void as void:
        if void.why == "alien":
            logger.error("a record of the log does not belong to this ledger")


def settle_memory() -> None:
    """What was just built lives long: the collector need not look at it again (LOG.md §5: +17 % commands)."""
    gc.collect()
    gc.freeze()
