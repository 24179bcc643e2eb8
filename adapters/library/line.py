"""What a ledger of the `eventsourcing` library holds: its three events, and a batch, which is what one call records at once.

Blocks and lines have the form of the money ledger (docs/log-format.md); these are their stored names (LOG.md §11).
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Literal

import msgspec

from domain.event import Recorded
from domain.ids import CommandId
from domain.log.block import Block, Broken
from domain.value import Value

Purpose = Literal["events", "snapshots"]
"""Which of the two sequences that each originator has: the library names them so."""


class Stored(Value, tag_field="type", tag="es.stored.v1", omit_defaults=True):
    """An event of an aggregate. The line's `stream` is the originator's id, `ver` the originator's version."""

    topic: str
    state: bytes
    """As the library's mapper made it: transcoded, compressed, encrypted."""
    text: bool = False
    """The originator's id is a text, not a UUID."""


class Snapshot(Value, tag_field="type", tag="es.snapshot.v1", omit_defaults=True):
    """A snapshot of an aggregate: not an event of its own, so it has no notification id."""

    topic: str
    state: bytes
    text: bool = False


class Tracked(Value, tag_field="type", tag="es.tracked.v1", omit_defaults=True):
    """How far an upstream application was processed. The line's `stream` is its name, `ver` the notification id."""

    change: bytes = b""
    """Of a view that is kept here: what the notification changed in it (recorders.TrackingRecorder)."""


Event = Stored | Snapshot | Tracked
KINDS: dict[Purpose, type[Stored] | type[Snapshot]] = {"events": Stored, "snapshots": Snapshot}


class Draft(Value):
    """An event that has no place yet."""

    stream: str
    ver: int
    event: Event


class Batch(Value):
    """One command: all of it is recorded, or nothing."""

    drafts: tuple[Draft, ...]
    cmd: CommandId
    """A hash of all of it."""

    @classmethod
    def of(cls, drafts: Sequence[Draft]) -> "Batch":
        return cls(tuple(drafts), CommandId(sha256(encode(tuple(drafts))).hexdigest()[:32]))


_decoder = msgspec.json.Decoder(Recorded[Event])
encode = msgspec.json.Encoder().encode


def events(block: Block) -> list[Recorded[Event]]:
    """The events of a block that counts. Raises `Broken` if a line is not one that we would have written just so, or not the next."""
    found = []
    for position, line in enumerate(block.lines, block.start):
        try:
            recorded: Recorded[Event] = _decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as reason:
            raise Broken(f"position {position}: {reason}") from reason
        if recorded.pos != position or encode(recorded) != line:
            raise Broken(f"position {position} is not written as it should be")
        found.append(recorded)
    return found
