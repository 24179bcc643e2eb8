"""A leader that believes it is alone: the real sequencer over the real log in Kafka, with a lease that everybody gets who asks. Commands
come over a pipe; answers, and what the log said of each block, go back."""

import asyncio
import gc
import logging
import random
from collections.abc import Coroutine
from multiprocessing.connection import Connection
from typing import Any, NamedTuple
from unittest import mock

from adapters.kafka import clients
from adapters.kafka.log import KafkaLog
from adapters.kafka.topic import KafkaTopic
from adapters.sequencer import Sequencer
from domain.errors import Refused
from domain.log.block import Sealed
from domain.log.ledger import Ledger
from domain.log.log import Busy, Lost, OutcomeUnknown, Records, Unreachable
from domain.log.receipts import Ask
from tests.chaos.planted import planted
from tests.log.ledgers import START

IMPATIENT = {"delivery.timeout.ms": 1_000, "request.timeout.ms": 500, "socket.timeout.ms": 600}
"""So short that outcomes are unknown which would be late successes otherwise."""


class Plan(NamedTuple):
    """What a rival is told at its birth."""

    servers: str
    topic: str
    name: str
    turn_s: float
    """How long it waits for the lease at most, which it is given whoever else has it."""
    impatient: bool
    """Whether it waits for a broker for a second only."""
    properties: dict[str, object]
    """Of librdkafka's clients, as an operator may set them."""
    bug: str


class BrokenLease:
    """Anybody's at any time; as it never says that it is held, every answer without a block has to be confirmed by the log."""

    held = False

    def __init__(self, plan: Plan) -> None:
        self._draw, self._turn_s = random.Random(plan.name), plan.turn_s

    async def acquire(self) -> None:
        await asyncio.sleep(self._draw.uniform(0, self._turn_s))

    async def lost(self) -> None:
        await asyncio.Event().wait()

    async def release(self) -> None:
        return


class ToldLog:
    """The log, whose word on each block is told to the judge."""

    def __init__(self, log: KafkaLog, pipe: Connection) -> None:
        self._log, self._pipe = log, pipe

    async def append(self, block: Sealed) -> None:
        self._pipe.send(("block", "begun", block.after.root))
        outcome = "unknown"
        try:
            await self._log.append(block)
            outcome = "in"
        except Lost:
            outcome = "lost"
            raise
        finally:
            self._pipe.send(("block", outcome, block.after.root))

    def read(self, after: int = 0, *, follow: bool = False) -> Records:
        return self._log.read(after, follow=follow)


def live(plan: Plan, pipe: Connection) -> None:
    """The process, until it is killed or the pipe is closed, or it may not go on."""
    logging.disable()
    gc.freeze()
    producer = {**clients.PRODUCER, **(IMPATIENT if plan.impatient else {})}
    answer_s = 1.0 if plan.impatient else clients.ANSWER_S
    with mock.patch.object(clients, "PRODUCER", producer), mock.patch.object(clients, "ANSWER_S", answer_s), planted(plan.bug):
        asyncio.run(_live(plan, pipe))


async def _live(plan: Plan, pipe: Connection) -> None:
    topic = KafkaTopic(plan.servers, plan.topic, plan.properties)
    async with KafkaLog(plan.servers, topic, START.log, properties=plan.properties) as log:
        sequencer = Sequencer(ToldLog(log, pipe), lambda: Ledger(START), plan.name, home=log.home, lease=BrokenLease(plan))
        closed = _answer(sequencer, pipe)
        work = [asyncio.create_task(each) for each in _work(sequencer, log)]
        done, _ = await asyncio.wait([*work, closed], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {closed}:
            if fault := task.exception():
                pipe.send(("ended", type(fault).__name__, str(fault)))
        for task in work:
            task.cancel()
        await asyncio.wait(work)


def _work(sequencer: Sequencer, log: KafkaLog) -> list[Coroutine[Any, Any, Any]]:
    """As `roles/` has it."""
    return [sequencer.run(), log.topic.watch(lambda: log.reached)]


def _answer(sequencer: Sequencer, pipe: Connection) -> asyncio.Future[None]:
    """Takes commands from the pipe; done when it is closed."""
    loop, asked = asyncio.get_running_loop(), set[asyncio.Task[None]]()
    closed: asyncio.Future[None] = loop.create_future()

    async def answer(number: int, ask: Ask) -> None:
        said: tuple[bytes, ...] | str
        try:
            outcome, said = "done", (await sequencer.submit(ask)).lines
        except Refused as refusal:
            outcome, said = "refused", refusal.code
        except (OutcomeUnknown, Unreachable, Busy) as silence:
            outcome, said = "unknown", type(silence).__name__
        pipe.send(("answer", number, ask.cmd, outcome, said))

    def arrived() -> None:
        try:
            while pipe.poll():
                task = loop.create_task(answer(*pipe.recv()))
                asked.add(task)
                task.add_done_callback(asked.discard)
        except (EOFError, OSError):
            loop.remove_reader(pipe.fileno())
            closed.set_result(None)

    loop.add_reader(pipe.fileno(), arrived)
    return closed
