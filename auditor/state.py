"""What an audit knows at a position of the log: the world that the events make, and what the checks remember beside it.

All of it is of what is still open, so it stays as small as the work in progress, however long the log is. As bytes it is where another
process goes on; equal bytes say that two came to the same.
"""

from bisect import bisect_right
from hashlib import sha256
from typing import Self

import msgspec
from msgspec import Struct

from auditor.checks.evidence import Regions
from auditor.reading import Taken
from domain.accounts import NO_MONEY
from domain.event import Event, Recorded
from domain.ids import BatchId
from domain.log import wire
from domain.log.merkle import Head
from domain.log.receipts import Done, Receipts
from domain.proof import beacon
from domain.treasury import batch
from domain.world import World


class Seals(Struct):
    """The heads after the blocks since the last beacon: one of them is what the next one seals."""

    heads: list[tuple[int, int, str]] = []
    """(time, size, root)."""

    def at(self, grid_us: int) -> tuple[int, str]:
        """Size and root after the last block with a time up to then."""
        found = bisect_right(self.heads, grid_us, key=lambda row: row[0])
        return self.heads[found - 1][1:] if found else (0, "")

    def drawn(self, grid_us: int) -> None:
        """The next beacon is for a later time."""
        del self.heads[: max(0, bisect_right(self.heads, grid_us, key=lambda row: row[0]) - 1)]

    def end(self, at_us: int, size: int, root: str, since_us: int | None) -> None:
        """After a block; `since_us` is when the oldest began to wait for a beacon: it seals nothing from before."""
        if since_us is None or since_us > at_us:
            self.heads.clear()
        self.heads.append((at_us, size, root))


class State(Struct):
    head: Head
    world: World = msgspec.field(default_factory=World)
    receipts: Receipts = msgspec.field(default_factory=Receipts)
    at_us: int = 0
    """Of the last block."""
    regions: Regions = msgspec.field(default_factory=Regions)
    seals: Seals = msgspec.field(default_factory=Seals)
    signed: dict[BatchId, list[str]] = {}
    """The transactions that were signed for a batch, until it is final."""
    approved: dict[str, int] = {}
    """Where a second person's signature stood that carries no number: what two admins do is rare."""

    def freeze(self) -> bytes:
        return wire.encode(self)

    @classmethod
    def thaw(cls, frozen: bytes) -> Self:
        return wire.struct(cls, frozen)

    def fold(self, taken: Taken) -> None:
        """A block, as it stands and without a question. Raises whatever it may where no world can follow."""
        for it in taken.events or ():
            self.remember(it)
            self.follow(it)
            for _ in self.regions.take(it):
                pass
        self.end(taken)

    def remember(self, it: Recorded[Event]) -> None:
        """That the event's command had a key."""
        self.at_us = max(self.at_us, it.at_us)
        if it.body:
            self.receipts.take(it.cmd, Done(it.pos, it.of[1], it.body), it.at_us)

    def follow(self, it: Recorded[Event]) -> None:
        """The world after the event, as the ledger goes on: by the policy of its block from the block's first event on."""
        world, event = self.world, it.event
        if it.at_us != world.at_us:
            world.begin_block(it.at_us)
        world.begin_event(it.pos, it.at_us)
        world.versions[it.stream] = it.ver
        world.post(it.entry or NO_MONEY)
        event.apply(world)
        match event:
            case beacon.Drawn():
                self.seals.drawn(event.grid_us)
            case batch.Signed():
                self.signed.setdefault(event.batch, []).append(event.tx_hash)
            case batch.Finalised():
                self.signed.pop(event.batch, None)
            case _ if approval := getattr(event, "approval", ""):
                self.approved.setdefault(approval, it.pos)

    def end(self, taken: Taken) -> None:
        assert taken.events
        at_us, after = taken.events[0].at_us, taken.block.after
        self.world.end_block(at_us, after.size, taken.root)
        self.seals.end(at_us, after.size, taken.root, self.world.waits_since_us())
        self.head = after


def digest(frozen: bytes) -> str:
    return sha256(frozen).hexdigest()
