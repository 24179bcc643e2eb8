"""The log: where blocks go, in order, for ever. A port of two methods, and its twin in memory.

`append` either returns (the block is in, durably), or raises `Lost` (it is not, and never will be), or `OutcomeUnknown`. After
either error the writer's state is worth nothing: drop it and recover by reading. Blocks are appended by one task at a time.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from domain.log.block import BLOCK_BYTES_MAX, Sealed, read_header
from domain.log.merkle import EMPTY, Head, Mark

Records = AsyncGenerator[bytes, None]


class Lost(Exception):
    """The log did not take this block, and never will."""


class OutcomeUnknown(Exception):
    """The log did not answer: the block may be in, or come in later. Asking again under the same key is safe."""


class Unreachable(Exception):
    """The log cannot be read now."""


class Busy(Exception):
    """Nobody writes to the log now, or too many wait for it: nothing was done, come back later."""

    def __str__(self) -> str:
        return "nobody writes to the log now, or too many wait for it"


class Log(Protocol):
    async def append(self, block: Sealed) -> None: ...

    def read(self, after: int = 0, *, follow: bool = False) -> Records:
        """Records from the first that may hold position `after + 1`, void ones included, up to the end; with `follow` it then waits
        for more. Raises `Unreachable`, but with `follow` waits for the log instead. To be closed (`contextlib.aclosing`)."""
        ...


async def origin(log: Log) -> Head | None:
    """The empty head on which this log's history builds, named by its first block; None if there is none yet."""
    async with aclosing(log.read()) as records:
        async for record in records:
            if (header := read_header(record)) and header.size == 0:
                return Head(header.log)
    return None


async def holds(log: Log, head: Head | Mark) -> bool:
    """Whether the log has a block that ends at this head, as far as headers tell. Raises `Unreachable`."""
    if head.size == 0:
        return True
    async with aclosing(log.read(head.size - 1)) as records:
        async for record in records:
            header = read_header(record)
            if header and (header.log, header.next_size, header.next_root) == (head.log, head.size, head.root):
                return True
            if header and header.size >= head.size:
                return False
    return False


class MemoryLog:
    """Keeps to the same contract as the others (tests/contracts/log.py); lives as long as the process."""

    def __init__(self) -> None:
        self._records: list[tuple[int, bytes]] = []
        self._size, self._root = 0, EMPTY.hex()
        self._grown = asyncio.Condition()

    async def append(self, block: Sealed) -> None:
        before, after = block.before, block.after
        if (self._size, self._root) != (before.size, before.root) or len(block.record) > BLOCK_BYTES_MAX:
            raise Lost
        self._size, self._root = after.size, after.root
        self._records.append((after.size, block.record))
        async with self._grown:
            self._grown.notify_all()

    async def read(self, after: int = 0, *, follow: bool = False) -> Records:
        seen = 0
        while True:
            for size, record in self._records[seen:]:
                seen += 1
                if size > after:
                    yield record
            if not follow:
                return
            async with self._grown:
                while len(self._records) == seen:
                    await self._grown.wait()
