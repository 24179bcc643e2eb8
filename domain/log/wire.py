"""Events as bytes. To import a trade is to list what is in it: a new event needs no entry here.

Reading is strict: a line that we would not write just so, byte for byte, is not understood. That refuses unknown and repeated
fields, numbers for amounts, leading zeros, spaces and whatever else a JSON reader lets pass.
"""

import re
from collections.abc import Iterable
from typing import Any, TypeVar, Union

import msgspec
from msgspec import Struct

from domain.event import Event, Recorded
from domain.house import ledger, override, rules
from domain.log.block import Block, Broken
from domain.market import bid, worker
from domain.proof import audit, beacon, bench, proof, ruling, verdict
from domain.treasury import account, anchor, batch, deposit, earnings, payout, stake
from domain.units import Units
from domain.work import job, task

TRADES = (
    *(job, task, worker, bid),
    *(account, stake, deposit, earnings, payout, batch, anchor),
    *(proof, beacon, bench, audit, verdict, ruling),
    *(rules, override, ledger),
)
"""The modules whose events there are."""

DECIMAL = re.compile("0|-?[1-9][0-9]{0,77}")
S = TypeVar("S", bound=Struct)


def leaves(kind: type[Event], modules: Iterable[str]) -> tuple[type[Event], ...]:
    """The events below `kind` that stand in these modules."""
    below = tuple(leaf for child in kind.__subclasses__() for leaf in leaves(child, modules))
    return below or ((kind,) if kind.__module__ in modules else ())


EVENTS = leaves(Event, [module.__name__ for module in TRADES])
NAMES = frozenset(str(kind.__struct_config__.tag) for kind in EVENTS)
"""Under which events are stored, e.g. `task.leased.v1`."""


def _to_wire(value: object) -> str:
    if isinstance(value, Units):
        return str(int(value))
    raise TypeError(f"{type(value)} has no wire form")


def _from_wire(kind: type, value: Any) -> Any:
    if not (issubclass(kind, Units) and isinstance(value, str) and DECIMAL.fullmatch(value)):
        raise ValueError("expected minor units as a decimal string")
    return kind(value)


_decoder = msgspec.json.Decoder(Recorded[Union[EVENTS]], dec_hook=_from_wire)  # type: ignore[valid-type]  # noqa: UP007 - of a tuple
encode = msgspec.json.Encoder(enc_hook=_to_wire).encode
"""Any of our structs as JSON, amounts as decimal strings."""


def event(line: bytes) -> Recorded[Event]:
    """The event of a line. Raises `Broken` if this code does not know the stored name, or would have written another line."""
    try:
        recorded: Recorded[Event] = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as reason:
        raise Broken(str(reason)) from reason
    if encode(recorded) != line:
        raise Broken(f"position {recorded.pos} is not written as it should be")
    return recorded


def events(block: Block) -> list[Recorded[Event]]:
    """The events of a block that counts. Raises `Broken` if they cannot be read or are not numbered in order."""
    found = [event(line) for line in block.lines]
    if [each.pos for each in found] != list(range(block.start, block.after.size + 1)):
        raise Broken(f"positions are not dense from {block.start}")
    return found


def struct(kind: type[S], data: bytes) -> S:
    """What `encode` wrote. Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(data, type=kind, dec_hook=_from_wire)
