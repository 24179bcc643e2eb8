"""A block: one record of the log, and the atomic commit of one or more commands. NDJSON: a header line, then one line per event.

The accept rule, the same for whoever reads, is `judge` and `accept`: a record counts if its header builds on the reader's own head.
That is compare-and-swap by log order, so late, duplicated and rival appends are harmless. The rule looks at bytes only: readers of
every language and version agree on what counts, even where they cannot agree on what it means (docs/log-format.md).
"""

import re
from collections.abc import Sequence
from typing import Literal, cast

from domain.ids import LogId
from domain.log.merkle import Head, Mark
from domain.value import Value

LINE_BYTES_MAX = 60_000
"""Of an event's line, without its LF."""
BLOCK_BYTES_MAX = 900_000
"""Of a whole record, header included."""

Kind = Literal["block", "seal", "bind"]
HEADER = '{"gridledger":1,"log":"%s","size":%d,"root":"%s","kind":"%s","next_size":%d,"next_root":"%s"}\n'
HEADER_LINE = re.compile(
    rb'\{"gridledger":1,"log":"([0-9a-f]{32})","size":(0|[1-9][0-9]{0,14}),"root":"([0-9a-f]{64})",'
    rb'"kind":"(block|seal|bind)","next_size":([1-9][0-9]{0,14}),"next_root":"([0-9a-f]{64})"\}\n'
)


class Void(Exception):
    """This record does not count: count it, and go on. `alien` ones deserve an alarm."""

    def __init__(self, why: Literal["stale", "alien"]) -> None:
        super().__init__(why)
        self.why = why


class Broken(Exception):
    """This record counts, and what it says is wrong, or too new for this code. Stop; never skip."""


class Diverged(Exception):
    """This record builds on a head of our log that we never saw: the log was lost or forked. Stop."""


class Header(Value):
    log: LogId
    size: int
    root: str
    kind: Kind
    next_size: int
    next_root: str

    @property
    def after(self) -> Mark:
        return Mark(self.log, self.next_size, self.next_root, self.kind == "seal")


class Block(Value):
    """A record that counts."""

    lines: Sequence[bytes]
    """One per event, without their LFs: the leaves."""
    after: Head

    @property
    def start(self) -> int:
        """Position of its first event."""
        return self.after.size - len(self.lines) + 1


class Sealed(Value):
    """A block on its way to the log, which may or may not take it."""

    before: Head
    after: Head
    record: bytes


def seal(head: Head, lines: Sequence[bytes], kind: Kind = "block") -> Sealed:
    after = head.extend(lines, seals=kind == "seal")
    header = HEADER % (head.log, head.size, head.root, kind, after.size, after.root)
    return Sealed(head, after, b"%b%b\n" % (header.encode(), b"\n".join(lines)))


def read_header(record: bytes) -> Header | None:
    if not (line := HEADER_LINE.match(record)):
        return None
    log, size, root, kind, next_size, next_root = (group.decode() for group in line.groups())
    return Header(LogId(log), int(size), root, cast(Kind, kind), int(next_size), next_root)


def judge(mark: Mark, record: bytes) -> Header:
    """Does it count? Told by the header alone. Raises `Void` or `Diverged` if not."""
    header = read_header(record)
    if header is None or header.log != mark.log:
        raise Void("alien")
    if header.size < mark.size:
        raise Void("stale")
    if (header.size, header.root) != (mark.size, mark.root):
        raise Diverged(f"size {header.size} root {header.root} at size {mark.size} root {mark.root}")
    if (header.kind == "bind") != mark.sealed:
        raise Void("alien")
    return header


def accept(head: Head, record: bytes) -> Block:
    """And does it hold what its header promises? Raises `Broken` if not, and what `judge` raises."""
    header = judge(head.mark, record)
    lines = record[record.index(b"\n") + 1 :].split(b"\n")
    within = len(record) <= BLOCK_BYTES_MAX and max(map(len, lines)) <= LINE_BYTES_MAX
    if lines.pop() or not lines or not within:
        raise Broken(f"the record at size {header.size} is not whole lines within the limits")
    after = head.extend(lines, seals=header.kind == "seal")
    if after.mark != header.after:
        raise Broken(f"the lines at size {header.size} do not fold to {header.next_size} {header.next_root}")
    return Block(lines, after)
