"""What else things are called: hashes of scenes, specifications, heads and blocks, transactions and addresses, each with what it names.

A reader has one of them in hand, from a chain's explorer or a file, and asks what it is. Tiles' hashes are in their proofs, and not here:
there are many times as many.
"""

from collections.abc import Iterator
from typing import ClassVar

from msgspec import UNSET

from domain.event import Event, Recorded
from domain.house import rules
from domain.proof import beacon
from domain.treasury import account, anchor, batch
from domain.work import job
from projections.row import Change, First, Key, Projection, Row


class Name(Row):
    table: ClassVar[str] = "name"
    name: Key[str]
    """In lower case, `0x` included where the log has it."""
    thing: Key[str]
    """An id, or the position of the event that says it."""
    position: First[int] = UNSET
    what: First[str] = UNSET
    """E.g. `payout address`."""


class Names(Projection):
    name = "names"
    rows = (Name,)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        for name, thing, what in named(e):
            if name:
                yield Name(name.lower(), thing, e.pos, what)


def named(e: Recorded[Event]) -> Iterator[tuple[str, str, str]]:
    match e.event:
        case job.Submitted() as it:
            yield it.manifest_sha256, it.job, "scene"
            yield it.spec_sha256, it.job, "specification"
        case account.Changed() as it:
            yield it.payout_address, it.account, "payout address"
        case batch.Signed() as it:
            yield it.tx_hash, it.batch, "transaction of payouts"
        case anchor.Anchored() as it:
            yield it.tx, str(e.pos), "transaction that put a head on the chain"
            yield it.root, str(e.pos), "head on the chain"
        case beacon.Drawn() as it:
            yield it.block_hash, str(e.pos), "block that a draw comes from"
            yield it.sealed_root, str(e.pos), "head that a beacon seals"
        case rules.AssetListed() as it:
            yield it.contract, str(e.pos), "token"
            yield it.treasury, str(e.pos), "treasury"


def spellings(text: str) -> tuple[str, str]:
    """As asked, and with or without `0x`."""
    return text, text.removeprefix("0x") if text.startswith("0x") else f"0x{text}"
