"""The shell around the ledger: a queue in, a log out, one clock. One block is on its way at a time; commands gather meanwhile. Nobody
is answered before the log has the block.

Whatever goes wrong, there is one way on: drop the state, read the log, and put an election at its end. Once that is read back, every
block that was on its way is in or out for good.

Where several processes may lead, a lease says whose turn it is. It only spares them each other's company: what keeps the log whole is
its accept rule. Who has no lease folds the log meanwhile, so that he can lead at once.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from adapters.log.history import History
from adapters.succession import Clock, Deposed, Known, Lease, Succession, nothing_known
from domain.errors import Refused
from domain.house import house
from domain.log.ledger import Ledger
from domain.log.log import Busy, Log, Lost, OutcomeUnknown
from domain.log.receipts import Ask, Receipt

COMMANDS_PER_BLOCK_MAX, DECIDE_S_MAX = 500, 0.005
QUEUE_MAX, QUEUE_BYTES_MAX = 10_000, 32 * 1024 * 1024
IDLE_S = 0.05
RECOVER_S_MAX = 1.0
"""How long commands wait for a recovery, before they are sent away until it has come about."""

Answer = asyncio.Future[Receipt]
Outcome = Receipt | Exception
logger = logging.getLogger(__name__)


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
        home: Callable[[], Awaitable[str]] | None = None,
        lease: Lease | None = None,
        known: Known = nothing_known,
    ) -> None:
        """`start` makes a ledger of this log, empty or from a snapshot; `name` is of this process and no other; `reference_us` is another
        clock, e.g. the database's, which ours must agree with; `home` says where the log lives; `known` are heads of the log that others
        have seen."""
        self._log, self._clock = log, clock or Clock()
        self._succession = Succession(log, start, name, self._clock, reference_us, home, lease, known)
        self._queue: deque[tuple[Ask, Answer]] = deque()
        self._queue_bytes = 0
        self._away = False
        self._wake = asyncio.Event()
        self._stopping, self._ended = asyncio.Event(), asyncio.Event()
        self._history: History | None = None
        self.elected, self.idle = asyncio.Event(), asyncio.Event()
        """Set while this process leads, and while it does not."""
        self.idle.set()
        self.begun = 0
        """The position at which this process came to lead: whatever anybody was told before is there."""

    @property
    def leading(self) -> bool:
        """Whether commands are decided now."""
        return self._history is not None and not self._ended.is_set()

    @property
    def waiting(self) -> int:
        """Commands in the queue."""
        return len(self._queue)

    def now_us(self) -> int:
        """The time on this process's ledger, which it stamps events with when it leads."""
        return self._clock.now_us()

    async def submit(self, ask: Ask) -> Receipt:
        """What the command came to, once it is in the log. Raises `Refused` if it was refused, `Busy` if it was not even considered,
        `OutcomeUnknown` if nobody knows, `Unreachable` if an older receipt could not be read."""
        full = len(self._queue) >= QUEUE_MAX or self._queue_bytes + ask.size > QUEUE_BYTES_MAX
        standing_by = self._succession.rivals and not self.elected.is_set()
        if self._stopping.is_set() or self._ended.is_set() or standing_by or self._away or full:
            raise Busy
        answer: Answer = asyncio.get_running_loop().create_future()
        self._queue.append((ask, answer))
        self._queue_bytes += ask.size
        self._wake.set()
        receipt = await answer
        return await self._with_lines(receipt) if receipt.count and not receipt.lines else receipt

    async def run(self) -> None:
        """Lead until `stop`, each time that the lease is ours. Raises `Deposed` when there is no lease to wait for and another leader was
        elected, `NotOpened` for an empty log, `ClockOff`, and what nobody may go on after: `Behind`, `Broken`, `Diverged`, a failure of
        the house's own commands."""
        try:
            while ledger := await self._succession.stand_by(self._stopping):
                try:
                    await self._reign(ledger)
                    return
                except Deposed as other:
                    if not self._succession.rivals:
                        raise
                    logger.warning("another leader was elected, standing by: %s", other)
                self._step_down()
                await self._succession.lease.release()
        finally:
            self._ended.set()
            self._step_down()
            await self._succession.lease.release()

    async def begin(self) -> Ledger:
        """A ledger as this process would begin with: from a snapshot, if there is one. Raises `Behind`."""
        return await self._succession.begin()

    async def stop(self) -> None:
        """Take no more commands, decide those that wait, land the last block."""
        self._stopping.set()
        self._wake.set()
        await self._ended.wait()

    def _step_down(self) -> None:
        self._history = None
        self.elected.clear()
        self.idle.set()
        self._clear_queue()

    def _turn_away(self) -> None:
        """Whoever waits, or comes, while a recovery takes so long: nothing was done for him."""
        self._away = True
        self._clear_queue()

    def _clear_queue(self) -> None:
        while self._queue:
            settle(self._take()[1], Busy())

    async def _reign(self, ledger: Ledger) -> None:
        """Be elected, and lead until `stop`. Raises `Deposed`."""
        warden = asyncio.create_task(self._succession.watch_lease(self._wake))
        try:
            self._clock.set()
            ledger = await self._succession.take_over(ledger, again=False)
            while True:
                self._history = History(self._log, ledger.passed)
                self.begun = ledger.head.size
                self.idle.clear()
                self.elected.set()
                try:
                    await self._lead(ledger)
                    return
                except (Lost, OutcomeUnknown) as fault:
                    logger.warning("a block was not confirmed, recovering: %s", type(fault).__name__)
                self._history = None
                late = asyncio.get_running_loop().call_later(RECOVER_S_MAX, self._turn_away)
                try:
                    ledger = await self._succession.take_over(await self._succession.begin(), again=True)
                finally:
                    late.cancel()
                    self._away = False
        finally:
            warden.cancel()
            await asyncio.gather(warden, return_exceptions=True)

    async def _lead(self, ledger: Ledger) -> None:
        sealed = True
        while not self._stopping.is_set() or self._queue:
            await self._work(ledger, pause=not sealed)
            self._succession.require_lease()
            answers, outcomes = self._decide(ledger)
            try:
                if ledger.spoiled:
                    raise OutcomeUnknown
                if block := ledger.seal(self.now_us()):
                    await self._log.append(block)
                    self._succession.stood = block.after
                    if self._history:
                        self._history.keep(block)
                elif answers and not self._succession.lease.held:
                    await self._succession.confirm(ledger)
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
        while not (self._queue or self._stopping.is_set() or self._succession.deposed):
            now_us = self.now_us()
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
        now_us, stop = self.now_us(), time.monotonic() + DECIDE_S_MAX
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
        first, last = receipt.position, receipt.position + receipt.count - 1
        if recent := history.recent(first - 1, last):
            return Receipt(first, receipt.count, recent)
        async with aclosing(history.lines(first - 1, last)) as found:
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
