"""The shell around the ledger: a queue in, a log out, one clock. One block is on its way at a time; commands gather meanwhile. Nobody
is answered before the log has the block.

Whatever goes wrong, there is one way on: drop the state, read the log, and put an election at its end. Once that is read back, every
block that was on its way is in or out for good.
"""

import asyncio
import gc
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from adapters.log.history import History
from domain.errors import Refused
from domain.house import house
from domain.log.block import Void
from domain.log.ledger import Ledger
from domain.log.log import Busy, Log, Lost, OutcomeUnknown, Unreachable
from domain.log.receipts import Ask, Receipt

COMMANDS_PER_BLOCK_MAX, DECIDE_S_MAX = 500, 0.005
QUEUE_MAX, QUEUE_BYTES_MAX = 10_000, 32 * 1024 * 1024
RETRY_S, IDLE_S = 0.05, 0.05
CLOCK_US_MAX = 5_000_000

Answer = asyncio.Future[Receipt]
Outcome = Receipt | Exception
logger = logging.getLogger(__name__)


class Deposed(Exception):
    """Another leader was elected after us."""


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
        self._ahead_us = 0

    def set(self) -> None:
        self._ahead_us = self._wall() - self._steady()

    def now_us(self) -> int:
        return self._steady() + self._ahead_us


class Sequencer:
    """`submit` for everybody, `run` for one task. Whoever cancels that task leaves callers without an answer; `stop` does not."""

    def __init__(
        self,
        log: Log,
        start: Callable[[], Ledger],
        name: str,
        *,
        clock: Clock | None = None,
        reference_us: Callable[[], Awaitable[int]] | None = None,
    ) -> None:
        """`start` makes an empty ledger of this log; `name` is of this process and no other; `reference_us` is another clock, e.g. the
        database's, which ours must agree with."""
        self._log, self._start, self._name = log, start, name
        self._clock, self._reference_us = clock or Clock(), reference_us
        self._queue: deque[tuple[Ask, Answer]] = deque()
        self._queue_bytes = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self._ended = asyncio.Event()
        self._history: History | None = None

    @property
    def leading(self) -> bool:
        """Whether commands are decided now."""
        return self._history is not None and not self._ended.is_set()

    @property
    def waiting(self) -> int:
        """Commands in the queue."""
        return len(self._queue)

    async def submit(self, ask: Ask) -> Receipt:
        """What the command came to, once it is in the log. Raises `Refused` if it was refused, `Busy` if it was not even considered,
        `OutcomeUnknown` if nobody knows, `Unreachable` if an older receipt could not be read."""
        full = len(self._queue) >= QUEUE_MAX or self._queue_bytes + ask.size > QUEUE_BYTES_MAX
        if self._stopping or self._ended.is_set() or full:
            raise Busy
        answer: Answer = asyncio.get_running_loop().create_future()
        self._queue.append((ask, answer))
        self._queue_bytes += ask.size
        self._wake.set()
        receipt = await answer
        return await self._with_lines(receipt) if receipt.count and not receipt.lines else receipt

    async def run(self) -> None:
        """Lead until `stop`. Raises `Deposed` when another leader was elected, `NotOpened` for an empty log, `ClockOff`, and what
        nobody may go on after: `Broken`, `Diverged`, a failure of the house's own commands."""
        try:
            ledger, history = await self._take_over(again=False)
            while True:
                try:
                    await self._lead(ledger, history)
                    return
                except (Lost, OutcomeUnknown) as fault:
                    logger.warning("a block was not confirmed, recovering: %s", type(fault).__name__)
                ledger, history = await self._take_over(again=True)
        finally:
            self._ended.set()
            while self._queue:
                settle(self._take()[1], Busy())

    async def stop(self) -> None:
        """Take no more commands, decide those that wait, land the last block."""
        self._stopping = True
        self._wake.set()
        await self._ended.wait()

    async def _take_over(self, *, again: bool) -> tuple[Ledger, History]:
        """A ledger whose last block is an election of ours."""
        self._history = None
        self._clock.set()
        if not again:
            await self._compare_clocks()
        ledger = self._start()
        history, election = History(self._log, ledger.head), None
        while True:
            try:
                await self._catch_up(ledger, history)
            except Unreachable:
                await asyncio.sleep(RETRY_S)
                continue
            if election and ledger.head == election.after:
                break
            if again and ledger.world.leader != self._name:
                raise Deposed(ledger.world.leader)
            if (behind_us := ledger.at_us - self._clock.now_us()) > CLOCK_US_MAX:
                raise ClockOff(f"{behind_us} us behind the last block")
            if election is None or election.before != ledger.head:
                election = ledger.election(self._name, self._clock.now_us())
            try:
                await self._log.append(election)
            except (Lost, OutcomeUnknown):
                await asyncio.sleep(RETRY_S)
        settle_memory()
        self._history = history
        logger.info("leading from position %d", ledger.head.size)
        return ledger, history

    async def _compare_clocks(self) -> None:
        while self._reference_us is not None:
            try:
                off_us = self._clock.now_us() - await self._reference_us()
            except Unreachable:
                await asyncio.sleep(RETRY_S)
                continue
            if abs(off_us) > CLOCK_US_MAX:
                raise ClockOff(f"{off_us} us off the reference")
            return

    async def _catch_up(self, ledger: Ledger, history: History) -> None:
        async with aclosing(self._log.read(ledger.head.size)) as records:
            async for record in records:
                try:
                    ledger.fold(record)
                except Void as void:
                    if void.why == "alien":
                        logger.error("a record of the log does not belong to this ledger")
                    continue
                history.note(ledger.head)

    async def _lead(self, ledger: Ledger, history: History) -> None:
        sealed = True
        while not self._stopping or self._queue:
            await self._work(ledger, pause=not sealed)
            answers, outcomes = self._decide(ledger)
            try:
                if ledger.spoiled:
                    raise OutcomeUnknown
                if block := ledger.seal(self._clock.now_us()):
                    await self._log.append(block)
                    history.note(block.after)
            except BaseException:
                for answer, outcome in zip(answers, outcomes, strict=True):
                    settle(answer, outcome if is_fault(outcome) else OutcomeUnknown())
                raise
            for answer, outcome in zip(answers, outcomes, strict=True):
                settle(answer, outcome)  # refusals too, only now: they may rest on what another command of this block did
            sealed = block is not None or bool(answers)
            await asyncio.sleep(0)  # who was answered may ask again, and so be in the next block

    async def _work(self, ledger: Ledger, *, pause: bool) -> None:
        """Until there is something to do. `pause`: there was nothing a moment ago, whatever the timers say."""
        while not self._queue and not self._stopping:
            now_us = self._clock.now_us()
            due_us = house.wakes_us(ledger.world, now_us)
            wait_s = None if due_us is None else max((due_us - now_us) / 1e6, IDLE_S if pause else 0.0)
            if wait_s is not None and wait_s <= 0:
                return
            self._wake.clear()
            timer = None if wait_s is None else asyncio.get_running_loop().call_later(wait_s, self._wake.set)
            await self._wake.wait()
            if timer:
                timer.cancel()
            pause = False

    def _decide(self, ledger: Ledger) -> tuple[list[Answer], list[Outcome]]:
        answers, outcomes = list[Answer](), list[Outcome]()
        now_us, stop = self._clock.now_us(), time.monotonic() + DECIDE_S_MAX
        while self._queue and len(answers) < COMMANDS_PER_BLOCK_MAX and not ledger.full and not ledger.spoiled:
            ask, answer = self._take()
            answers.append(answer)
            try:
                outcomes.append(ledger.decide(ask, now_us))
            except Refused as refusal:
                outcomes.append(refusal)
            except Exception as fault:
                logger.exception("command %s of %s failed", ask.cmd, ask.actor)
                outcomes.append(fault)
            if time.monotonic() >= stop:
                break
        return answers, outcomes

    def _take(self) -> tuple[Ask, Answer]:
        ask, answer = self._queue.popleft()
        self._queue_bytes -= ask.size
        return ask, answer

    async def _with_lines(self, receipt: Receipt) -> Receipt:
        """The receipt of a command that was done in an earlier block."""
        if (history := self._history) is None:
            raise OutcomeUnknown
        first = receipt.position
        async with aclosing(history.lines(first - 1, first + receipt.count - 1)) as found:
            return Receipt(first, receipt.count, tuple([line async for _, line in found]))


def is_fault(outcome: Outcome) -> bool:
    """Whether a command failed by a fault of ours; that is so whatever becomes of its block."""
    return isinstance(outcome, Exception) and not isinstance(outcome, Refused)


def settle(answer: Answer, outcome: Outcome) -> None:
    if answer.done():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)


def settle_memory() -> None:
    """What was just built lives long: the collector need not look at it again (LOG.md §5: +17 % commands)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
