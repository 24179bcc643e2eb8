"""A log copied to another home, byte for byte: what counts, as the accept rule has it, and nothing else. A copy goes on where the target
stands, and may follow the source for ever. It is the backup, and what a ledger is restored from."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress

from msgspec import Struct

from adapters.log.trouble import Trouble
from domain.house import ledger
from domain.log import log as logs
from domain.log import wire
from domain.log.block import Broken, Sealed, Void, accept, judge
from domain.log.log import Log, Lost, OutcomeUnknown, Records, Unreachable
from domain.log.merkle import Head, Mark

WAITING_MAX, RUN_MAX, RUN_BYTES_MAX = 200, 200, 8 << 20
AGAIN_S = 1.0
HOMES = b'"type":"ledger.bound.v', b'"type":"ledger.sealed.v'
logger = logging.getLogger(__name__)


class Foreign(Exception):
    """The target holds another ledger, or another history of this one."""


class Empty(Exception):
    """There is no ledger in this place."""


class Examined(Struct):
    """A log that was folded whole."""

    head: Head
    blocks: int = 0
    void: Counter[str] = Counter()
    """Records that do not count, by why."""
    home: str = ""
    """Where the log says that it lives."""
    heir: str = ""
    """Where it is to go on, if it is sealed."""


async def beginning(log: Log) -> Head:
    """The empty head of the ledger in a place. Raises `Empty`."""
    if (start := await logs.origin(log)) is None:
        raise Empty("there is no ledger in this place")
    return start


async def mark(log: Log) -> Mark:
    """Where a log ends, as far as headers tell. Raises `Empty`, `Diverged`, `Unreachable`."""
    found = (await beginning(log)).mark
    async with aclosing(log.read()) as records:
        async for record in records:
            with suppress(Void):
                found = judge(found, record).after
    return found


async def examine(log: Log, start: Head) -> Examined:
    """Fold a log from its first record. Raises `Broken`, `Diverged`, `Unreachable`."""
    found = Examined(start, void=Counter())
    await fold(log, found)
    return found


async def fold(log: Log, found: Examined) -> None:
    """Takes down what a log says from where `found` stands, also where it then raises `Broken`, `Diverged`, `Unreachable`."""
    async with aclosing(log.read()) as records:
        async for record in records:
            try:
                block = accept(found.head, record)
            except Void as void:
                found.void[void.why] += 1
                continue
            found.head, found.blocks = block.after, found.blocks + 1
            for line in block.lines:
                if any(kind in line for kind in HOMES):
                    _settle(found, line)
            if not found.blocks % 50:
                await asyncio.sleep(0)


def _settle(found: Examined, line: bytes) -> None:
    """Takes down what a line says of the log's home, if it is understood."""
    with suppress(Broken):
        match wire.event(line).event:
            case ledger.Bound() as event:
                found.home, found.heir = event.home, ""
            case ledger.Sealed() as event:
                found.heir = event.home
            case _:
                pass


async def stand(source: Log, target: Log) -> Head:
    """Where a copy goes on: the target's head, which the source has too. Raises `Empty`, `Foreign`, and what `examine` raises."""
    start = await beginning(source)
    there = await logs.origin(target)
    if there is not None and there != start:
        raise Foreign(f"the target holds the ledger {there.log}, not {start.log}")
    head = (await examine(target, start)).head
    if not await logs.holds(source, head):
        raise Foreign(f"the target stands at size {head.size}, root {head.root}, which the source does not have")
    return head


async def copy(source: Log, target: Log) -> tuple[Head, Head]:
    """All that the target lacks, up to the source's end. Returns the heads before and after. Raises what `stand` raises, `Lost`,
    `OutcomeUnknown`: then ask again."""
    head = start = await stand(source, target)
    async with aclosing(source.read(head.size)) as records, aclosing(runs(records)) as found:
        async for run in found:
            head = await put(target, head, run)
    return start, head


async def follow(source: Log, target: Log, stop: asyncio.Event, tell: Callable[[Head], None] = lambda _: None) -> Head:
    """Copies until `stop`, whatever comes and goes in between: it goes on where the target stands. `tell` hears of each head that the
    target has. Raises what nobody may go on after."""
    head = await stand(source, target)
    tell(head)
    trouble = Trouble(logger, "the copy is interrupted")
    while not stop.is_set():
        try:
            pause_s = getattr(target, "pause_s", 0.0)
            async with aclosing(source.read(head.size, follow=True)) as records, aclosing(runs(records, stop, pause_s)) as found:
                async for run in found:
                    head = await put(target, head, run)
                    trouble.over()
                    tell(head)
        except (Lost, OutcomeUnknown, Unreachable) as fault:
            trouble.met(str(fault) or type(fault).__name__)
            head = await _again(source, target, stop, head)
    return head


async def _again(source: Log, target: Log, stop: asyncio.Event, head: Head) -> Head:
    """Where the target stands, as soon as it says so."""
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), AGAIN_S)
        with suppress(Unreachable):
            return await stand(source, target)
    return head


async def put(target: Log, head: Head, run: Sequence[bytes]) -> Head:
    """What counts of these records, into the target, which stands at `head`. Returns where it stands then."""
    blocks = list[Sealed]()
    for record in run:
        with suppress(Void):
            after = accept(head, record).after
            blocks.append(Sealed(head, after, record))
            head = after
    if blocks and (extend := getattr(target, "extend", None)):
        await extend(blocks)
    elif blocks:
        for block in blocks:
            await target.append(block)
    return head


async def runs(records: Records, stop: asyncio.Event | None = None, pause_s: float = 0.0) -> AsyncGenerator[list[bytes], None]:
    """What is there at a time, read while the one before is written; it ends with the records, or with `stop` and what came before.
    To be closed."""
    waiting, room = asyncio.Queue[bytes | None](), asyncio.Semaphore(WAITING_MAX)

    async def gather() -> None:
        async for record in records:
            await room.acquire()
            waiting.put_nowait(record)

    reading = asyncio.create_task(gather())
    reading.add_done_callback(lambda _: waiting.put_nowait(None))
    stopping = asyncio.create_task((stop or asyncio.Event()).wait())
    stopping.add_done_callback(lambda _: reading.cancel())
    try:
        record = await waiting.get()
        while record is not None:
            if pause_s:
                await asyncio.sleep(pause_s)
            run, size = list[bytes](), 0
            while record is not None:
                run.append(record)
                size += len(record)
                room.release()
                if waiting.empty() or len(run) >= RUN_MAX or size >= RUN_BYTES_MAX:
                    break
                record = waiting.get_nowait()
            yield run
            record = record and await waiting.get()
        if not reading.cancelled():
            reading.result()
    finally:
        reading.cancel()
        stopping.cancel()
        await asyncio.gather(reading, stopping, return_exceptions=True)
