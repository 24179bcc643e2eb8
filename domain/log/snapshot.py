"""A ledger as bytes, so that a start need not fold the log from its first event (LOG.md §8).

One header line, then the state as JSON. Whoever thaws it gets the very ledger that was frozen: the same state in the same order, so the
same bytes when it is frozen again. That makes snapshots comparable: two that stand at one position are equal, byte for byte, whoever
folded them, or somebody's fold is wrong. There are no migrations: a snapshot made by another fold is of no use.
"""

from hashlib import sha256

import msgspec

from domain.ids import LogId
from domain.log import wire
from domain.log.ledger import Ledger
from domain.value import Value

FORMAT = 1


class Unusable(Exception):
    """These bytes are no snapshot, or a damaged one, or of another log or fold; the message says which."""


class Header(Value, rename={"format": "gridledger_snapshot"}):
    format: int
    log: LogId
    size: int
    root: str
    fold: str
    """Version of the code that folded it."""
    sha256: str
    """Of the state that follows the header's LF."""


def freeze(ledger: Ledger, fold: str) -> bytes:
    """`fold` names the version of the code that folded the ledger, which has nothing pending."""
    assert not ledger.pending, "what is pending is in no log yet"
    assert not ledger.spoiled, "a spoiled ledger is of no use"
    state, head = wire.encode(ledger), ledger.head
    return b"%b\n%b" % (wire.encode(Header(FORMAT, head.log, head.size, head.root, fold, digest(state))), state)


def read_header(frozen: bytes) -> Header:
    """Of a snapshot, or of the first part of one. Raises `Unusable`."""
    try:
        header = msgspec.json.decode(frozen.partition(b"\n")[0], type=Header)
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise Unusable("this is no snapshot") from fault
    if header.format != FORMAT:
        raise Unusable(f"format {header.format} is not format {FORMAT}")
    return header


def thaw(frozen: bytes, log: LogId, fold: str) -> Ledger:
    """Raises `Unusable`."""
    header, state = read_header(frozen), frozen[frozen.find(b"\n") + 1 :]
    if (header.log, header.fold) != (log, fold):
        raise Unusable(f"it is of log {header.log}, folded by {header.fold}")
    if header.sha256 != digest(state):
        raise Unusable("its bytes were changed, or are not all there")
    try:
        ledger = wire.struct(Ledger, state)
    except msgspec.MsgspecError as fault:
        raise Unusable(f"its state cannot be read: {fault}") from fault
    if (ledger.head.size, ledger.head.root) != (header.size, header.root):
        raise Unusable("its state is not that of its header")
    return ledger


def digest(state: bytes) -> str:
    return sha256(state).hexdigest()
