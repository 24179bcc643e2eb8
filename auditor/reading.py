"""Reading a log out of a bundle: which records count, whether they are whole, and where exactly one was changed."""

from collections import Counter
from collections.abc import Iterator, Sequence

from auditor.bundle import Bundle, Record
from auditor.report import Findings, Place
from domain.event import Event, Recorded
from domain.ids import LogId
from domain.log import wire
from domain.log.block import Block, Broken, Diverged, Void, accept, judge, read_header
from domain.log.merkle import Head, join, leaf_hash
from domain.value import Value


class Taken(Value):
    """A block that counts, with its events; None where one of its lines, or of an earlier block's, cannot be understood."""

    before: Head
    block: Block
    root: str
    """After it."""
    events: list[Recorded[Event]] | None
    place: Place


class Reader:
    """The log of a bundle, or a part of it. After `blocks` is used up, `head` is the last head that was reached, `whole` whether that was
    the end."""

    def __init__(self, bundle: Bundle, findings: Findings, head: Head | None = None, since: Place | None = None, until: int = 0) -> None:
        """`head` is that before the record at `since`; `until` the number of a record that is not read any more, zero: to the end."""
        self._bundle, self._findings, self._since, self._until = bundle, findings, since, until
        self.head = head or Head(log_of(bundle))
        self.void: Counter[str] = Counter()
        self.records = 0
        self.whole = True
        """Every record was read."""
        self.understood = True

    def blocks(self) -> Iterator[Taken]:
        for record in self._bundle.records(self._since):
            if record.number == self._until:
                return
            self.records += 1
            self._findings.seen["records"] += 1
            place = Place(record.file, record.number, record.offset)
            try:
                block = accept(self.head, record.data)
            except Void as void:
                self._void(void.why, record, place)
                continue
            except (Broken, Diverged) as reason:
                self._stop(record, place, str(reason))
                return
            before, self.head = self.head, block.after
            self._findings.begin(place, record.data, block.start)
            yield Taken(before, block, block.after.root, self._events(block) if self.understood else None, place)

    def _void(self, why: str, record: Record, place: Place) -> None:
        self.void[why] += 1
        if why == "stale":
            return
        line = record.data.partition(b"\n")[0][:300].decode(errors="replace")
        expected = f"a header on size {self.head.size} of log {self.head.log}"
        self._findings.found("records", "the record does not count: its header is alien", expected=expected, actual=line, at=place)

    def _stop(self, record: Record, place: Place, reason: str) -> None:
        """Nothing that follows can be relied on. Say where the damage is, as exactly as the leaf hashes tell."""
        self.whole = False
        header = read_header(record.data)
        mark = self.head.mark
        try:
            judge(mark, record.data)
        except Diverged:
            assert header is not None
            facts = {"expected": f"size {mark.size} root {mark.root}", "actual": f"size {header.size} root {header.root}"}
            self._findings.found("records", "the record builds on another head than the log's", mark.size + 1, at=place, **facts)
            return
        assert header is not None
        lines = record.data.split(b"\n")[1:-1]
        promised = header.next_size - header.size
        leaves = self._bundle.leaves(mark.size + 1, promised)
        proven = len(leaves) == promised and _root(self.head.frontier, mark.size, leaves) == header.next_root
        offset = place.offset + record.data.index(b"\n") + 1
        for n, line in enumerate(lines):
            if n >= promised or (proven and leaf_hash(line) != leaves[n]):
                expected = f"leaf {leaves[n].hex()}" if n < promised else "the next record's header"
                actual = f"leaf {leaf_hash(line).hex()}: {line[:200].decode(errors='replace')}"
                where = Place(place.file, place.record, offset)
                self._findings.found("records", "this line was changed", mark.size + 1 + n, expected=expected, actual=actual, at=where)
                return
            offset += len(line) + 1
        if proven and len(lines) < promised:
            expected, actual = f"{promised} lines", f"{len(lines)} whole lines"
        else:
            expected, actual = f"size {header.next_size} root {header.next_root}", reason
        self._findings.found("records", "the record is broken", mark.size + 1, expected=expected, actual=actual, at=place)

    def _events(self, block: Block) -> list[Recorded[Event]] | None:
        found = list[Recorded[Event]]()
        for position, line in enumerate(block.lines, block.start):
            self._findings.seen["lines"] += 1
            try:
                found.append(wire.event(line))
            except Broken as reason:
                self.understood = False
                text = line[:200].decode(errors="replace")
                self._findings.found("lines", f"not an event's line: {reason}", position, actual=text)
                return None
        return found


def log_of(bundle: Bundle) -> LogId:
    """Of the three places that name the log (manifest, first header, first event) what most say: one of them may be damaged."""
    record = next(bundle.records(), None)
    header = read_header(record.data) if record else None
    named = [bundle.manifest.log, *([header.log] if header else [])]
    try:
        opened = wire.event(record.data.split(b"\n")[1]).event if record else None
        named += [log] if (log := getattr(opened, "log", "")) else []
    except (Broken, IndexError):
        pass
    return LogId(Counter(named).most_common(1)[0][0])


def _root(frontier: Sequence[bytes], size: int, hashes: Sequence[bytes]) -> str:
    """Of the tree that has this frontier, after leaves with these hashes."""
    roots = list(frontier)
    for count, leaf in enumerate(hashes, size):
        node, full = leaf, count
        while full & 1:
            node, full = join(roots.pop(), node), full >> 1
        roots.append(node)
    node = roots[-1]
    for left in reversed(roots[:-1]):
        node = join(left, node)
    return node.hex()
