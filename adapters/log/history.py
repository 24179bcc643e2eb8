"""What the log said earlier, for whoever asks for a place in it: read again from the log, and judged by the accept rule from the
nearest head that this process has passed."""

from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from domain.log.block import Void, accept
from domain.log.log import Log
from domain.log.merkle import Head


class History:
    def __init__(self, log: Log, passed: Sequence[Head]) -> None:
        """`passed` are heads of blocks that are in the log, in order, the empty head first; it may grow (`Ledger.passed`)."""
        self._log, self._passed = log, passed

    async def lines(self, after: int, until: int) -> AsyncGenerator[tuple[int, bytes], None]:
        """(position, line) of the events after `after` up to `until`, or to the log's end if that is earlier.
        Raises `Unreachable`, `Broken`, `Diverged`. To be closed."""
        head = self._passed[bisect_right(self._passed, after, key=lambda each: each.size) - 1]
        async with aclosing(self._log.read(head.size)) as records:
            async for record in records:
                if head.size >= until:
                    return
                try:
                    block = accept(head, record)
                except Void:
                    continue
                head = block.after
                for position, line in enumerate(block.lines, block.start):
                    if after < position <= until:
                        yield position, line
