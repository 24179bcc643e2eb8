"""The money ledger as the `eventsourcing` library sees it: its log folded into an index of its lines. Pure."""

from bisect import bisect_left
from collections.abc import Sequence

from msgspec import Struct

from domain.event import Event, Recorded
from domain.log import wire
from domain.log.block import Block, accept
from domain.log.merkle import Head


class Placed(Recorded[Event]):
    """An event as the log has it; with `originator_id` and `originator_version` it is an event to the library, too."""

    line: bytes = b""
    """Byte for byte a leaf of the log's tree."""
    ends: bool = False
    """It is the last of its block."""
    seals: bool = False
    """That block seals the log."""

    @property
    def recorded(self) -> Recorded[Event]:
        """As a fold of ours takes it: its JSON is the line."""
        return Recorded(**{name: getattr(self, name) for name in Recorded.__struct_fields__})


class Lines(Struct):
    """Every line, by position and by stream. A stream's versions count from 1 without gaps."""

    head: Head
    lines: list[bytes] = []
    streams: dict[str, list[int]] = {}
    """Stream -> positions, by version."""
    types: dict[str, list[int]] = {}
    """Stored name -> positions."""
    ends: list[int] = []
    """Positions at which blocks end; likewise the next, of those that seal the log."""
    seals: list[int] = []

    def read(self, record: bytes) -> tuple[Block, list[Recorded[Event]]]:
        """Raises `Void`, `Broken`, `Diverged`."""
        block = accept(self.head, record)
        return block, wire.events(block)

    def fold(self, block: Block, events: Sequence[Recorded[Event]]) -> None:
        for recorded, line in zip(events, block.lines, strict=True):
            self.lines.append(line)
            self.streams.setdefault(recorded.stream, []).append(recorded.pos)
            self.types.setdefault(stored_name(recorded), []).append(recorded.pos)
        self.head = block.after
        self.ends.append(block.after.size)
        if block.after.sealed:
            self.seals.append(block.after.size)

    def of(self, stream: str, after: int | None, until: int | None) -> list[Placed]:
        """Versions greater than `after` up to `until`."""
        first = max(after or 0, 0)
        return [self.at(position) for position in self.streams.get(stream, ())[first : None if until is None else max(until, 0)]]

    def numbered(self, first: int, last: int | None, limit: int, types: Sequence[str]) -> list[Placed]:
        """From one position to another, of some stored names or of all."""
        start, stop = max(first, 1), len(self.lines) if last is None else min(last, len(self.lines))
        places: Sequence[int] = range(start, stop + 1)
        if types:
            found = [known[bisect_left(known, start) :][:limit] for name in dict.fromkeys(types) if (known := self.types.get(name))]
            places = sorted(place for each in found for place in each if place <= stop)
        return [self.at(position) for position in places[:limit]]

    def at(self, position: int) -> Placed:
        """The event there. Raises IndexError if there is none."""
        end = bisect_left(self.ends, position)
        ends = end < len(self.ends) and self.ends[end] == position
        return placed(self.lines[position - 1], ends=ends, seals=position in self.seals)


def placed(line: bytes, *, ends: bool = False, seals: bool = False) -> Placed:
    found = wire.event(line)
    return Placed(**{name: getattr(found, name) for name in found.__struct_fields__}, line=line, ends=ends, seals=seals)


def stored_name(recorded: Recorded[Event]) -> str:
    return str(type(recorded.event).__struct_config__.tag)
