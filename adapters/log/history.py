"""What the log said earlier, for whoever asks for a place in it: read again from the log, and judged by the accept rule from the
nearest head that this process has folded."""

from bisect import bisect_right
from collections.abc import AsyncGenerator
from contextlib import aclosing

from domain.log.block import Void, accept
from domain.log.log import Log
from domain.log.merkle import Head

HEAD_EVERY_EVENTS = 1_000


class History:
    def __init__(self, log: Log, start: Head) -> None:
        """`start` is a head that was folded, or that of the empty log."""
        self._log = log
        self._heads = [start]

    def note(self, head: Head) -> None:
        """Of a block that is in the log; in order."""
        if head.size >= self._heads[-1].size + HEAD_EVERY_EVENTS:
            self._heads.append(head)

    async def lines(self, after: int, until: int) -> AsyncGenerator[tuple[int, bytes], None]:
        """(position, line) of the events after `after` up to `until`, or to the log's end if that is earlier.
        Raises `Unreachable`, `Broken`, `Diverged`. To be closed."""
        head = self._heads[bisect_right(self._heads, after, key=lambda each: each.size) - 1]
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
