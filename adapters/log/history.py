"""What the log said earlier, for whoever asks for a place in it: from memory if it was a moment ago, else read again from the log, and
judged by the accept rule from the nearest head that this process has passed."""

from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from domain.log.block import Sealed, Void, accept
from domain.log.log import Log
from domain.log.merkle import Head

RECENT_BYTES_MAX = 16_000_000
"""Of the newest blocks, which most of those who ask again ask for."""


class History:
    def __init__(self, log: Log, passed: Sequence[Head]) -> None:
        """`passed` are heads of blocks that are in the log, in order, the empty head first; it may grow (`Ledger.passed`)."""
        self._log, self._passed = log, passed
        self._recent, self._recent_bytes = list[Sealed](), 0

    def keep(self, block: Sealed) -> None:
        """A block that is in the log now, and follows the one that was kept before."""
        self._recent.append(block)
        self._recent_bytes += len(block.record)
        if self._recent_bytes > RECENT_BYTES_MAX:
            del self._recent[: (len(self._recent) + 1) // 2]
            self._recent_bytes = sum(len(each.record) for each in self._recent)

    def recent(self, after: int, until: int) -> tuple[bytes, ...]:
        """The lines of the events after `after` up to `until`; none unless one of the newest blocks holds them all."""
        index = bisect_right(self._recent, after, key=lambda each: each.before.size) - 1
        if index < 0 or until > (block := self._recent[index]).after.size:
            return ()
        lines = block.record.split(b"\n")[1:-1]
        return tuple(lines[after - block.before.size : until - block.before.size])

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
