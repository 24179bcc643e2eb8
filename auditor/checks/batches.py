"""The signed bytes of a payout batch: what they pay, by whom and on which chain, read from the bytes alone.

A transaction of type 2 is 0x02 ‖ RLP of twelve fields (EIP-1559); a batch calls `pay(bytes32[],address[],uint256[])` of the treasury.
"""

from collections.abc import Sequence
from typing import NamedTuple

from auditor.checks.signatures import keccak, recover
from auditor.report import Findings
from domain.treasury import batch
from domain.world import World

Rlp = bytes | list["Rlp"]
NUMBERS, SIGNED = (0, 1, 2, 3, 4, 6, 9, 10, 11), 9
"""The fields that are numbers; how many of them are signed."""
PAY = keccak(b"pay(bytes32[],address[],uint256[])")[:4]


class Paid(NamedTuple):
    """One payout of a batch. `payout` is the id's ASCII, or hex where it is none."""

    payout: str
    to: str
    amount: int


class Bytes(NamedTuple):
    """What signed bytes say."""

    tx: str
    sender: str
    chain_id: int
    nonce: int
    to: str
    value: int
    items: tuple[Paid, ...]


def mined(pos: int, event: batch.MinedEvent, signed: Sequence[str], findings: Findings) -> None:
    """Only what was signed for a batch can have been mined: its first bytes, or others with a higher fee."""
    findings.seen["batches"] += 1
    if event.tx_hash not in signed:
        findings.found("batches", "these bytes were not signed for the batch", pos, expected=list(signed), actual=event.tx_hash)


def check(pos: int, event: batch.Signed, world: World, findings: Findings) -> None:
    """Against the payouts as they stand before the event; with a higher fee, against the batch as it was first signed."""
    findings.seen["batches"] += 1
    asset = world.assets[event.asset]
    try:
        said = read(event.raw_tx)
    except (ValueError, TypeError, IndexError) as error:
        findings.found("batches", f"not the bytes of a batch: {error}", pos, actual=event.raw_tx)
        return
    items = tuple(Paid(id, world.payouts[id].to, int(world.payouts[id].amount)) for id in event.payouts if id in world.payouts)
    expected = (event.tx_hash, asset.chain_id, event.nonce, asset.treasury, 0)
    actual = (said.tx, said.chain_id, said.nonce, said.to, said.value)
    for name, mine, theirs in zip(("hash", "chain", "nonce", "treasury", "value"), expected, actual, strict=True):
        if mine != theirs:
            findings.found("batches", f"the {name} of the signed bytes", pos, expected=mine, actual=theirs)
    if items != said.items:
        findings.found("batches", "what the signed bytes pay", pos, expected=items, actual=said.items)
    before = world.batches.get(event.batch)
    if before and (before.nonce, before.payouts) != (event.nonce, list(event.payouts)):
        kept, given = (before.nonce, before.payouts), (event.nonce, event.payouts)
        findings.found("batches", "a batch keeps its nonce and its payouts", pos, expected=kept, actual=given)
    if before is None and 0 <= world.nonce != event.nonce - 1:
        findings.found("batches", "the nonces of batches are dense", pos, expected=world.nonce + 1, actual=event.nonce)
    payers = [key for person in world.people.values() if "payer" in person.roles for key in person.keys]
    if said.sender not in payers:
        findings.found("batches", "signed by nobody who may pay", pos, expected=payers, actual=said.sender)


def read(raw_tx: str) -> Bytes:
    """Raises `ValueError` and the like where the bytes are no batch, in its one form."""
    raw = bytes.fromhex(raw_tx.removeprefix("0x"))
    if raw[:1] != b"\x02":
        raise ValueError("not a transaction of type 2")
    fields, end = rlp(raw, 1)
    if end != len(raw) or not isinstance(fields, list) or len(fields) != 12 or encode(fields) != raw[1:]:
        raise ValueError("not twelve fields and nothing else, in their one form")
    chain_id, nonce, _, _, _, value, parity, r, s = (_number(fields[n]) for n in NUMBERS)
    if fields[8] != []:
        raise ValueError("an access list")
    if parity > 1 or max(r, s) >> 256:
        raise ValueError("no signature")
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([27 + parity])
    sender = recover(keccak(raw[:1] + encode(fields[:SIGNED])), signature.hex())
    items = calls(_bytes(fields[7]))
    return Bytes("0x" + keccak(raw).hex(), sender, chain_id, nonce, "0x" + _bytes(fields[5]).hex(), value, items)


def calls(data: bytes) -> tuple[Paid, ...]:
    """The items of a call of `pay`: three arrays of equal length, in the ABI's one canonical layout."""
    if data[:4] != PAY or len(data) % 32 != 4:
        raise ValueError("not a call of pay")
    words = [data[at : at + 32] for at in range(4, len(data), 32)]
    count = _int(words[3])
    starts = [96, 96 + 32 * (count + 1), 96 + 64 * (count + 1)]
    if len(words) != 3 + 3 * (count + 1) or [_int(word) for word in words[:3]] != starts:
        raise ValueError("not three arrays, one after the other")
    ids, tos, amounts = (words[start // 32 : start // 32 + count + 1] for start in starts)
    if any(_int(column[0]) != count for column in (ids, tos, amounts)) or any(any(word[:12]) for word in tos[1:]):
        raise ValueError("not arrays of equal length")
    rows = zip(ids[1:], tos[1:], amounts[1:], strict=True)
    return tuple(Paid(text(id), "0x" + to[12:].hex(), _int(amount)) for id, to, amount in rows)


def text(word: bytes) -> str:
    """Of an id in a word: ASCII with zeros after it; hex if it is anything else."""
    name = word.rstrip(b"\0")
    return name.decode() if name.isascii() and name.decode("ascii", "ignore").isprintable() and name else "0x" + word.hex()


def rlp(raw: bytes, at: int) -> tuple[Rlp, int]:
    """The item at a place, and where it ends (https://ethereum.org/developers/docs/data-structures-and-encoding/rlp/)."""
    first = raw[at]
    if first < 0x80:
        return raw[at : at + 1], at + 1
    is_list, short = first >= 0xC0, first & 0x3F
    start = at + 1
    if short > 55:
        length_of_length = short - 55
        start += length_of_length
        short = int.from_bytes(raw[at + 1 : start], "big")
    end = start + short
    if end > len(raw):
        raise ValueError("cut off")
    if not is_list:
        return raw[start:end], end
    items = list[Rlp]()
    while start < end:
        item, start = rlp(raw, start)
        items.append(item)
    return items, end


def encode(item: Rlp) -> bytes:
    """The one form of an item: what reads as one may be written in more ways, which no chain takes."""
    body = b"".join(map(encode, item)) if isinstance(item, list) else item
    if body is item and len(body) == 1 and body[0] < 0x80:
        return body
    first, size = 0xC0 if isinstance(item, list) else 0x80, len(body)
    if size <= 55:
        return bytes([first + size]) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([first + 55 + len(length)]) + length + body


def _number(field: Rlp) -> int:
    """Big-endian, with no zeros before it."""
    digits = _bytes(field)
    if digits[:1] == b"\0":
        raise ValueError("a number with zeros before it")
    return _int(digits)


def _bytes(field: Rlp) -> bytes:
    if isinstance(field, list):
        raise TypeError("a list where there is none")
    return field


def _int(field: bytes) -> int:
    return int.from_bytes(field, "big")
