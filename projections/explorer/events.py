"""The events themselves, by position, stream, stored name and actor, each with its line: byte for byte a leaf of the log's tree."""

from collections.abc import Iterator
from typing import ClassVar

from msgspec import UNSET

from domain.event import Event, Recorded
from domain.log import wire
from projections.row import Change, First, Index, Key, Projection, Row


class Line(Row):
    table: ClassVar[str] = "line"
    indexes: ClassVar[tuple[Index, ...]] = (
        Index(("stream",)),
        Index(("type",)),
        Index(("by",)),
        Index(("cmd",)),
        Index(("stream", "type")),
    )
    position: Key[int]
    at_us: First[int] = UNSET
    type: First[str] = UNSET
    """The stored name, e.g. `task.leased.v1`."""
    stream: First[str] = UNSET
    ver: First[int] = UNSET
    cmd: First[str] = UNSET
    by: First[str] = UNSET
    line: First[str] = UNSET


class Events(Projection):
    name = "events"
    rows = (Line,)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        stored = str(type(e.event).__struct_config__.tag)
        yield Line(e.pos, e.at_us, stored, e.stream, e.ver, e.cmd, e.by, wire.encode(e).decode())
