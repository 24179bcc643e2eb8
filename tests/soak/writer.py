"""A writer that is quick to start and to kill: the real sequencer over the real log, commands over a pipe instead of HTTP.

It may be given one of `BUGS`, planted to see that the checker finds it.
"""

import asyncio
import gc
import logging
from collections.abc import Callable
from multiprocessing.connection import Connection

from adapters.log.postgres import PostgresLog
from adapters.sequencer import Sequencer
from domain.errors import Refused
from domain.ids import LogId
from domain.log.block import Sealed
from domain.log.ledger import Ledger
from domain.log.log import Busy, OutcomeUnknown, Unreachable
from domain.log.merkle import Head
from domain.log.receipts import Ask, Receipt, Receipts

Said = tuple[str, str, tuple[bytes, ...] | str]
"""Command id; done, refused or unknown; the receipt's lines, or why."""
LATE_S = 0.02
ELECTION = b'"type":"ledger.leader_elected.v1"'


def answer_early() -> None:
    """Who asks is answered when his block is on its way, not when the log has it."""
    real, under_way = PostgresLog.append, list[asyncio.Task[None]]()

    async def append(self: PostgresLog, block: Sealed) -> None:
        if ELECTION in block.record:
            return await real(self, block)

        async def later() -> None:
            await asyncio.sleep(LATE_S)
            await real(self, block)

        await asyncio.gather(*under_way)
        under_way[:] = [asyncio.create_task(later())]
        return None

    PostgresLog.append = append  # type: ignore[method-assign]


def forget_receipts() -> None:
    """Nobody remembers what was done under a key."""
    Receipts.get = lambda self, ask: None  # type: ignore[method-assign]


def swallow_silence() -> None:
    """A log that did not answer is taken for one that took the block."""
    real = PostgresLog.append

    async def append(self: PostgresLog, block: Sealed) -> None:
        try:
            await real(self, block)
        except OutcomeUnknown:
            return

    PostgresLog.append = append  # type: ignore[method-assign]


BUGS: dict[str, Callable[[], None]] = {
    "answer early": answer_early,
    "forget receipts": forget_receipts,
    "swallow silence": swallow_silence,
}


def live(uri: str, log: LogId, name: str, pipe: Connection, bug: str) -> None:
    """The process, until it is killed or the pipe is closed."""
    logging.disable()
    if bug:
        BUGS[bug]()
    gc.freeze()
    asyncio.run(_live(uri, log, name, pipe))


async def _live(uri: str, id: LogId, name: str, pipe: Connection) -> None:
    async with PostgresLog(uri) as log:
        sequencer, loop, closed = Sequencer(log, lambda: Ledger(Head(id)), name), asyncio.get_running_loop(), asyncio.Event()
        asked = set[asyncio.Task[None]]()

        async def answer(ask: Ask) -> None:
            try:
                receipt: Receipt = await sequencer.submit(ask)
                said: Said = (ask.cmd, "done", receipt.lines)
            except Refused as refusal:
                said = (ask.cmd, "refused", refusal.code)
            except (OutcomeUnknown, Unreachable, Busy) as silence:
                said = (ask.cmd, "unknown", type(silence).__name__)
            pipe.send(said)

        def arrived() -> None:
            try:
                while pipe.poll():
                    task = loop.create_task(answer(pipe.recv()))
                    asked.add(task)
                    task.add_done_callback(asked.discard)
            except EOFError:
                loop.remove_reader(pipe.fileno())
                closed.set()

        loop.add_reader(pipe.fileno(), arrived)
        running = loop.create_task(sequencer.run())
        await asyncio.wait([running, loop.create_task(closed.wait())], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        running.cancel()  # whoever asked is gone; the log may be, too
        await asyncio.wait([running])
