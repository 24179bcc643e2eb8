"""Transactions of type 2 (EIP-1559): what they call, their bytes, and what given bytes say.

Function arguments follow the contracts in `contracts/`. Signing is deterministic (RFC 6979): the same content gives the same bytes.
"""

from collections.abc import Sequence

import coincurve
import rlp
from eth_abi import abi, exceptions

from adapters.evm import typed
from domain.treasury import chain
from domain.value import Value

TYPE = b"\x02"
BATCH_ITEMS_MAX = 100
_FIELDS, _SIGNED_FIELDS = 9, 12


class Call(Value):
    """What a transaction does. `to` is empty for the making of a contract."""

    to: str
    data: bytes
    gas: int
    value_wei: int = 0


class Terms(Value):
    """What a sender decides beside the call. `fee_wei_max` and `tip_wei` are per unit of gas."""

    chain_id: int
    nonce: int
    fee_wei_max: int
    tip_wei: int


class Signed(Value):
    raw: str
    tx: str


class Decoded(Value):
    call: Call
    terms: Terms
    sender: str
    tx: str


def selector(signature: str) -> bytes:
    """The first four bytes of a call, from e.g. `mint(address,uint256)`."""
    return typed.keccak(signature.encode())[:4]


def encode(signature: str, *arguments: object) -> bytes:
    """The data of a call. Raises `eth_abi.exceptions.EncodingError` where an argument does not fit."""
    inner = signature.partition("(")[2].removesuffix(")")
    return selector(signature) + abi.encode(inner.split(",") if inner else [], arguments)


def mint(token: str, to: str, amount: int) -> Call:
    return Call(token, encode("mint(address,uint256)", to, amount), 100_000)


def approve(token: str, spender: str, amount: int) -> Call:
    return Call(token, encode("approve(address,uint256)", spender, amount), 80_000)


def deposit(treasury: str, account: str, amount: int) -> Call:
    return Call(treasury, encode("deposit(bytes32,uint256)", chain.to_bytes32(account), amount), 150_000)


def anchor(treasury: str, root: str, size: int) -> Call:
    """`root` is 64 hex digits."""
    return Call(treasury, encode("anchor(bytes32,uint256)", bytes.fromhex(root), size), 120_000)


def pay(treasury: str, items: Sequence[chain.BatchItem], gas: int) -> Call:
    return Call(treasury, _pay_data(items), gas)


def batch_gas(items: int) -> int:
    """Gas that a batch of so many payouts may use at most: each transfer is capped by the contract, and it keeps a reserve."""
    return 200_000 + 140_000 * items


def create(bytecode: str, kinds: Sequence[str], arguments: Sequence[object]) -> Call:
    """Makes a contract of 0x-prefixed hex; `kinds` are the types of its constructor's arguments."""
    return Call("0x", bytes.fromhex(bytecode[2:]) + abi.encode(kinds, arguments), 3_000_000)


def contract_address(creator: str, nonce: int) -> str:
    """Where the contract will be that `creator` makes with this nonce (Yellow Paper, §7)."""
    return "0x" + typed.keccak(rlp.encode([bytes.fromhex(creator[2:]), nonce]))[-20:].hex()


def sign(call: Call, terms: Terms, key: coincurve.PrivateKey) -> Signed:
    to = bytes.fromhex(call.to[2:])
    numbers = (terms.chain_id, terms.nonce, terms.tip_wei, terms.fee_wei_max, call.gas)
    fields: list[object] = [*map(_number, numbers), to, _number(call.value_wei), call.data, []]
    signature = key.sign_recoverable(typed.keccak(TYPE + rlp.encode(fields)), hasher=None)
    parts = (signature[64], int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"))
    raw = TYPE + rlp.encode([*fields, *map(_number, parts)])
    return Signed("0x" + raw.hex(), tx_hash(raw))


def tx_hash(raw: bytes) -> str:
    return "0x" + typed.keccak(raw).hex()


def decode(raw_tx: str) -> Decoded:
    """What signed bytes say, the sender recovered from the signature. Raises `ValueError` unless they are whole and canonical."""
    raw = _bytes(raw_tx)
    try:
        fields = rlp.decode(raw[1:])
    except rlp.exceptions.DecodingError as error:
        raise ValueError("not the bytes of a transaction") from error
    if raw[:1] != TYPE or not isinstance(fields, list) or len(fields) != _SIGNED_FIELDS or fields[8] != []:
        raise ValueError("not a transaction of type 2 without an access list")
    if any(isinstance(field, list) for n, field in enumerate(fields) if n != 8):
        raise ValueError("a list where a transaction has none")
    chain_id, nonce, tip_wei, fee_wei_max, gas = map(_integer, fields[:5])
    parity, r, s = map(_integer, fields[_FIELDS:])
    if parity not in {0, 1} or max(r, s) >= 1 << 256 or len(fields[5]) not in {0, 20}:
        raise ValueError("not the fields of a transaction")
    payload = typed.keccak(TYPE + rlp.encode(fields[:_FIELDS]))
    return Decoded(
        Call("0x" + fields[5].hex(), fields[7], gas, _integer(fields[6])),
        Terms(chain_id, nonce, fee_wei_max, tip_wei),
        typed.recover_raw(payload, r.to_bytes(32, "big") + s.to_bytes(32, "big"), parity),
        tx_hash(raw),
    )


def decode_batch(raw_tx: str) -> chain.SignedBatch:
    """The batch that signed bytes pay. Raises `ValueError` if they are anything else or say it in any other than the one way."""
    decoded = decode(raw_tx)
    call, terms = decoded.call, decoded.terms
    try:
        columns = abi.decode(["bytes32[]", "address[]", "uint256[]"], call.data[4:])
        items = tuple(chain.BatchItem(chain.from_bytes32(word), to.lower(), amount) for word, to, amount in zip(*columns, strict=True))
        canonical = _pay_data(items)
    except exceptions.DecodingError as error:
        raise ValueError("not a batch of payouts") from error
    if call.data != canonical or call.value_wei != 0:
        raise ValueError("not a batch of payouts")
    limits = (terms.nonce, terms.fee_wei_max, terms.tip_wei, call.gas)
    return chain.SignedBatch(decoded.tx, terms.chain_id, call.to, decoded.sender, *limits, items)


def _pay_data(items: Sequence[chain.BatchItem]) -> bytes:
    if not 1 <= len(items) <= BATCH_ITEMS_MAX:
        raise ValueError(f"a batch has 1 to {BATCH_ITEMS_MAX} payouts, not {len(items)}")
    ids = [chain.to_bytes32(item.payout) for item in items]
    return encode("pay(bytes32[],address[],uint256[])", ids, [item.to for item in items], [item.amount for item in items])


def _bytes(raw_tx: str) -> bytes:
    if not raw_tx.startswith("0x"):
        raise ValueError("a transaction is 0x-prefixed hex")
    return bytes.fromhex(raw_tx[2:])


def _number(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _integer(field: bytes) -> int:
    if field[:1] == b"\0":
        raise ValueError("a number with leading zeros")
    return int.from_bytes(field, "big")
