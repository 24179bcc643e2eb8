"""The state of a library's ledger, folded from its blocks, and how the next block is decided. Pure.

Of each sequence it knows which versions there are; a batch is refused if one of its own is among them, and else taken whole. All that
is read comes from here: events are kept in memory, in the order of the log.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from sys import intern

from msgspec import Struct, field

from adapters.library import line
from adapters.library.line import Batch, Purpose, Snapshot, Stored, Tracked
from domain.event import Recorded
from domain.ids import Actor
from domain.log.block import BLOCK_BYTES_MAX, LINE_BYTES_MAX, Block, Broken, Sealed, accept, seal
from domain.log.merkle import Head
from domain.value import Value

HEADER_BYTES_MAX = 300
BATCHES_PER_BLOCK_MAX = 500


class Clash(Exception):
    """Another event has this version already, or a later notification was tracked: the batch is refused."""


class TooLarge(Exception):
    """An event does not fit into a line, or a batch not into a block. Nothing was recorded."""


class Full(Exception):
    """The batch does not fit into this block any more: it goes into the next one."""


class Item(Value):
    """An event as it is kept."""

    stream: str
    ver: int
    topic: str
    state: bytes
    text: bool


class Versions(Struct):
    """The events of one originator, by version."""

    known: list[int] = []
    places: list[int] = []
    """In the shelf, from 0."""

    def has(self, version: int) -> bool:
        place = bisect_left(self.known, version)
        return place < len(self.known) and self.known[place] == version

    def put(self, version: int, place: int) -> None:
        at = bisect_left(self.known, version)
        self.known.insert(at, version)
        self.places.insert(at, place)

    def between(self, after: int | None, until: int | None) -> list[int]:
        """Places of versions greater than `after` up to `until`."""
        first = 0 if after is None else bisect_right(self.known, after)
        return self.places[first : None if until is None else bisect_right(self.known, until)]


class Shelf(Struct):
    """All events of one purpose, in the order of the log. The number of one is its place plus one: that is its notification id."""

    items: list[Item] = []
    streams: dict[str, Versions] = {}
    topics: dict[str, list[int]] = {}

    def has(self, stream: str, version: int) -> bool:
        return stream in self.streams and self.streams[stream].has(version)

    def put(self, stream: str, version: int, event: Stored | Snapshot) -> None:
        topic, place = intern(event.topic), len(self.items)
        if (versions := self.streams.get(stream)) is None:
            versions = self.streams[intern(stream)] = Versions()
        self.items.append(Item(intern(stream), version, topic, event.state, event.text))
        self.topics.setdefault(topic, []).append(place)
        versions.put(version, place)

    def of(self, stream: str, after: int | None, until: int | None) -> list[Item]:
        versions = self.streams.get(stream)
        return [self.items[place] for place in versions.between(after, until)] if versions else []

    def numbered(self, first: int, last: int | None, limit: int, topics: Sequence[str]) -> Iterator[tuple[int, Item]]:
        """(number, event) from one number to another, of some topics or of all."""
        start, stop = max(first, 1) - 1, len(self.items) if last is None else min(last, len(self.items))
        places: Sequence[int] = range(start, stop)
        if topics:
            found = [known[bisect_left(known, start) :][:limit] for topic in dict.fromkeys(topics) if (known := self.topics.get(topic))]
            places = sorted(place for each in found for place in each if place < stop)
        for place in places[:limit]:
            yield place + 1, self.items[place]


class Machine(Struct):
    head: Head
    at_us: int = 0
    shelves: dict[Purpose, Shelf] = field(default_factory=lambda: {"events": Shelf(), "snapshots": Shelf()})
    tracked: dict[str, int] = {}
    """Upstream application -> the last notification of it that was processed."""
    changes: list[bytes] = []
    """What those changed in a view that is kept here, in order."""

    def read(self, record: bytes) -> tuple[Block, list[Recorded[line.Event]]]:
        """A record of the log, judged; nothing changes. Raises `Void`, `Broken`, `Diverged`."""
        block = accept(self.head, record)
        return block, line.events(block)

    def fold(self, block: Block, events: Sequence[Recorded[line.Event]]) -> None:
        """Takes a block that counts, with its events. Raises `Broken` if no writer of ours would have written it."""
        if events[0].at_us <= self.at_us or any(each.at_us != events[0].at_us for each in events):
            raise Broken(f"times from position {block.start} on are not one time per block, and later than the last")
        for recorded in events:
            self._take(recorded)
        self.head, self.at_us = block.after, events[0].at_us

    def _take(self, recorded: Recorded[line.Event]) -> None:
        event, stream, version = recorded.event, recorded.stream, recorded.ver
        if isinstance(event, Tracked):
            if version <= self.tracked.get(stream, version - 1):
                raise Broken(f"position {recorded.pos} tracks what was tracked already")
            self.tracked[stream] = version
            if event.change:
                self.changes.append(event.change)
            return
        shelf = self.shelves["events" if isinstance(event, Stored) else "snapshots"]
        if shelf.has(stream, version):
            raise Broken(f"position {recorded.pos} has a version that there is already")
        shelf.put(stream, version, event)


class NextBlock:
    """A block that is being decided, on the head of a machine, which it does not change."""

    def __init__(self, machine: Machine, by: str, now_us: int) -> None:
        self._machine, self._by, self._at_us = machine, Actor(by), max(now_us, machine.at_us + 1)
        self._lines: list[bytes] = []
        self._bytes = HEADER_BYTES_MAX
        self._taken = set[tuple[type, str, int]]()
        self._tracked = dict[str, int]()
        self._stored = len(machine.shelves["events"].items)
        self._batches = 0

    def add(self, batch: Batch) -> list[int]:
        """The notification ids of its events. Raises `Clash`, `TooLarge`, `Full`; then nothing of it is in the block."""
        taken, tracked = set[tuple[type, str, int]](), dict[str, int]()
        for draft in batch.drafts:
            event = draft.event
            if isinstance(event, Tracked):
                if draft.ver <= self._last(draft.stream):
                    raise Clash(f"notification {draft.ver} of {draft.stream} is not after {self._last(draft.stream)}, which was tracked")
                tracked[draft.stream] = draft.ver
            elif (key := (type(event), draft.stream, draft.ver)) in self._taken or key in taken or self._has(event, draft):
                raise Clash(f"version {draft.ver} of {draft.stream} is recorded already")
            else:
                taken.add(key)
        lines = self._lines_of(batch)
        size = sum(map(len, lines)) + len(lines)
        if HEADER_BYTES_MAX + size > BLOCK_BYTES_MAX or max(map(len, lines)) > LINE_BYTES_MAX:
            raise TooLarge(f"{size} bytes, {max(map(len, lines))} in one event: {LINE_BYTES_MAX} an event, {BLOCK_BYTES_MAX} together")
        if self._bytes + size > BLOCK_BYTES_MAX or self._batches == BATCHES_PER_BLOCK_MAX:
            raise Full
        count = sum(isinstance(draft.event, Stored) for draft in batch.drafts)
        ids = list(range(self._stored + 1, self._stored + count + 1))
        self._lines += lines
        self._bytes += size
        self._batches += 1
        self._taken |= taken
        self._tracked |= tracked
        self._stored += count
        return ids

    def seal(self) -> Sealed | None:
        """None if nothing is in it."""
        return seal(self._machine.head, self._lines) if self._lines else None

    def _last(self, application: str) -> int:
        last = self._tracked.get(application)
        return self._machine.tracked.get(application, -1) if last is None else last

    def _has(self, event: Stored | Snapshot, draft: line.Draft) -> bool:
        return self._machine.shelves["events" if isinstance(event, Stored) else "snapshots"].has(draft.stream, draft.ver)

    def _lines_of(self, batch: Batch) -> list[bytes]:
        count, first = len(batch.drafts), self._machine.head.size + len(self._lines) + 1
        return [
            line.encode(Recorded(first + n, each.stream, each.ver, self._at_us, batch.cmd, (n + 1, count), self._by, each.event))
            for n, each in enumerate(batch.drafts)
        ]
