"""Records one after another in a file or an object: where one ends and the next begins (docs/log-format.md §1)."""

import io
from collections.abc import Iterator, Sequence

from domain.log.block import BLOCK_BYTES_MAX, Sealed, read_header
from domain.log.log import Lost
from domain.log.merkle import Head, Mark

HEADER_START = b'{"gridledger":'


class Gathered:
    """Lines on their way to be a record: it reaches from one header line to the next, whatever is between."""

    def __init__(self) -> None:
        self._lines = list[bytes]()
        self.bytes = 0

    def take(self, line: bytes) -> bytes | None:
        """The record that ended before this line, if one did. What is much too long for a record is given out as it is."""
        ended = None
        if self._lines and (line.startswith(HEADER_START) or self.bytes > 2 * BLOCK_BYTES_MAX):
            ended = self.end()
        self._lines.append(line)
        self.bytes += len(line)
        return ended

    def end(self) -> bytes:
        """All that was gathered."""
        record = b"".join(self._lines)
        self._lines, self.bytes = [], 0
        return record

    @property
    def whole(self) -> bool:
        """Whether the record is all there, as its header says: what follows is not there yet, and may never be."""
        if not self._lines or not self._lines[-1].endswith(b"\n"):
            return False
        header = read_header(self._lines[0])
        return header is not None and len(self._lines) > header.next_size - header.size


def split(data: bytes) -> Iterator[bytes]:
    """The records of some bytes that hold nothing else."""
    gathered = Gathered()
    for line in io.BytesIO(data):
        if (record := gathered.take(line)) is not None:
            yield record
    if gathered.bytes:
        yield gathered.end()


def extended(mark: Mark | None, blocks: Sequence[Sealed]) -> Mark | None:
    """The mark of a log behind these blocks; none for an empty one. Raises `Lost` if they do not follow on it, or are too large."""
    for block in blocks:
        before = block.before.mark
        if (mark or Head(before.log).mark) != before:
            raise Lost(f"the log is at size {mark.size if mark else 0}")
        if len(block.record) > BLOCK_BYTES_MAX:
            raise Lost(f"a record of {len(block.record)} bytes")
        mark = block.after.mark
    return mark
