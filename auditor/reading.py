"""Reading a log out of a bundle: which records count, whether they are whole, and where exactly one was changed."""

from collections import Counter
from collections.abc import Iterator, Sequence

from auditor.bundle import Bundle, Record
from auditor.report import Findings, Place
from domain.event import Event, Recorded
from domain.ids import CommandId, LogId
from domain.log import wire
from domain.log.block import Block, Broken, Diverged, Void, accept, judge, read_header
from domain.log.merkle import Head, join, leaf_hash
from domain.value import Value


class Taken(Value):
    """A block that counts, with its events; None where one of its lines, or of an earlier block's, cannot be understood."""

    block: Block
    events: list[Recorded[Event]] | None
    place: Place


class Reader:
    """The log of a bundle. After `blocks` is used up, `head` is the last head that was reached, `whole` whether that was the end."""

    def __init__(self, bundle: Bundle, findings: Findings) -> None:
        self._bundle, self._findings = bundle, findings
        self.head = Head(_log_of(bundle))
        self.void: Counter[str] = Counter()
        self.records = 0
        self.whole = True
        """Every record was read."""
        self.understood = True
        self._at_us = 0
        self._versions: dict[str, int] = {}
        self._keys: set[CommandId] = set()

    def blocks(self) -> Iterator[Taken]:
        for record in self._bundle.records():
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
            self.head = block.after
            events = self._events(block, place) if self.understood else None
            yield Taken(block, events, place)

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

    def _events(self, block: Block, place: Place) -> list[Recorded[Event]] | None:
        found = list[Recorded[Event]]()
        for position, line in enumerate(block.lines, block.start):
            self._findings.seen["lines"] += 1
            try:
                found.append(wire.event(line))
            except Broken as reason:
                self.understood = False
                text = line[:200].decode(errors="replace")
                self._findings.found("lines", f"not an event's line: {reason}", position, actual=text, at=place)
                return None
        self._order(found, block.start)
        self._whole(found)
        return found

    def _order(self, events: Sequence[Recorded[Event]], start: int) -> None:
        self._findings.seen["positions"] += len(events)
        self._findings.seen["times"] += 1
        at_us = events[0].at_us
        if at_us <= self._at_us:
            expected = f"later than {self._at_us}"
            self._findings.found("times", "time does not rise from block to block", start, expected=expected, actual=at_us)
        self._at_us = max(self._at_us, at_us)
        for position, it in enumerate(events, start):
            if it.pos != position:
                self._findings.found("positions", "positions are not dense", position, expected=position, actual=it.pos)
            if it.at_us != at_us:
                self._findings.found("times", "a block has one time", position, expected=at_us, actual=it.at_us)
            version = self._versions.get(it.stream, 0) + 1
            if it.ver != version:
                self._findings.found("positions", f"versions of {it.stream} are not dense", position, expected=version, actual=it.ver)
            self._versions[it.stream] = it.ver
            if it.stream != it.event.stream:
                self._findings.found("positions", "not the event's stream", position, expected=it.event.stream, actual=it.stream)

    def _whole(self, events: Sequence[Recorded[Event]]) -> None:
        which, count, first = 0, 0, events[0]
        for it in events:
            if which == count:
                which, count, first = 0, it.of[1], it
                self._findings.seen["commands"] += 1
                self._once(it)
            which += 1
            if it.of != (which, count) or (it.cmd, it.by) != (first.cmd, first.by) or (it.body and which > 1):
                expected = f"event {which} of {count} of {first.cmd} by {first.by}"
                actual = f"event {it.of[0]} of {it.of[1]} of {it.cmd} by {it.by}"
                self._findings.found("commands", "the command is not whole", it.pos, expected=expected, actual=actual)
                return
        if which != count:
            self._findings.found("commands", "the command is not whole", events[-1].pos, expected=f"{count} events", actual=f"{which}")

    def _once(self, it: Recorded[Event]) -> None:
        if it.body and it.cmd in self._keys:
            self._findings.found("commands", "this key was used before", it.pos, actual=it.cmd)
        if it.body:
            self._keys.add(it.cmd)


def _log_of(bundle: Bundle) -> LogId:
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
