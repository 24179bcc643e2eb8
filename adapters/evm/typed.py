"""The digest of EIP-712 typed data, and who signed it (https://eips.ethereum.org/EIPS/eip-712).

`eth_account` does the same, but takes 0.8 s to import, which every agent process would pay, and guesses where a value does not fit
its type (any text is a true `bool`, `None` an empty string). Here a message has one reading or none; the tests hold the two equal.
"""

import re
from typing import Any

import coincurve
from Crypto.Hash import keccak as _keccak

SECP256K1_N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

_DOMAIN = {"name": "string", "version": "string", "chainId": "uint256", "verifyingContract": "address", "salt": "bytes32"}
_ARRAY = re.compile(r"(.+)\[(\d*)\]")
_INTEGER = re.compile(r"(u?)int(\d+)")
_BYTES = re.compile(r"bytes(\d+)")
_DECIMAL = re.compile(r"0|-?[1-9]\d{0,77}")
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_SIGNATURE = re.compile(r"0x[0-9a-f]{130}")

Types = dict[str, list[dict[str, str]]]


def keccak(data: bytes) -> bytes:
    """Keccak-256 as Ethereum uses it, which is not SHA3-256."""
    return _keccak.new(digest_bits=256, data=data).digest()


def digest(typed: dict[str, Any]) -> bytes:
    """The 32 bytes to sign for a document as of `eth_signTypedData_v4`. Raises `ValueError` where a value is not of its type."""
    try:
        types, kind, domain, message = (typed[name] for name in ("types", "primaryType", "domain", "message"))
    except KeyError as error:
        raise ValueError(f"typed data without {error}") from None
    if unknown := domain.keys() - _DOMAIN.keys():
        raise ValueError(f"no such field of a domain: {', '.join(sorted(unknown))}")
    expected = [{"name": name, "type": kind} for name, kind in _DOMAIN.items() if name in domain]
    if types.get("EIP712Domain", expected) != expected:
        raise ValueError("EIP712Domain does not list the fields of the domain in their order")
    separator = _struct("EIP712Domain", {"EIP712Domain": expected}, domain)
    return keccak(b"\x19\x01" + separator + _struct(kind, types, message))


def recover(digest32: bytes, signature: str) -> str:
    """The address that signed, lower-case. `signature` is r ‖ s ‖ v in lower-case hex, v 27 or 28.

    Raises `ValueError` unless it is the one canonical form: exactly 65 bytes, s in the lower half (EIP-2), a point on the curve.
    """
    if not _SIGNATURE.fullmatch(signature):
        raise ValueError("a signature is 65 bytes as 0x-prefixed lower-case hex")
    raw = bytes.fromhex(signature[2:])
    if raw[64] not in {27, 28}:
        raise ValueError("the last byte of a signature is 27 or 28")
    return recover_raw(digest32, raw[:64], raw[64] - 27)


def recover_raw(digest32: bytes, r_s: bytes, parity: int) -> str:
    """As `recover`, for a signature in its parts."""
    r, s = int.from_bytes(r_s[:32], "big"), int.from_bytes(r_s[32:], "big")
    if not (0 < r < SECP256K1_N and 0 < s <= SECP256K1_N // 2):
        raise ValueError("the signature is not canonical")
    try:
        key = coincurve.PublicKey.from_signature_and_message(r_s + bytes([parity]), digest32, hasher=None)
    # coincurve raises a bare Exception where r is no point of the curve.
    except Exception as error:
        raise ValueError("the signature is of no key") from error
    return address_of(key)


def address_of(key: coincurve.PublicKey) -> str:
    return "0x" + keccak(key.format(compressed=False)[1:])[-20:].hex()


def _struct(kind: str, types: Types, values: Any) -> bytes:
    if (fields := types.get(kind)) is None or not isinstance(values, dict):
        raise ValueError(f"not a {kind}: {values!r}")
    if values.keys() != {field["name"] for field in fields}:
        raise ValueError(f"the fields of {kind} are {', '.join(field['name'] for field in fields)}")
    words = [_word(field["type"], types, values[field["name"]]) for field in fields]
    return keccak(keccak(_signature_of(kind, types)) + b"".join(words))


def _signature_of(kind: str, types: Types) -> bytes:
    """The struct's own line, then those of the structs that it uses, by name."""
    used, waiting = {kind}, [kind]
    while waiting:
        for field in types[waiting.pop()]:
            inner = field["type"].partition("[")[0]
            if inner in types and inner not in used:
                used.add(inner)
                waiting.append(inner)
    lines = []
    for name in (kind, *sorted(used - {kind})):
        fields = ",".join(f"{field['type']} {field['name']}" for field in types[name])
        lines.append(f"{name}({fields})")
    return "".join(lines).encode()


def _word(kind: str, types: Types, value: Any) -> bytes:
    if kind in types:
        return _struct(kind, types, value)
    if array := _ARRAY.fullmatch(kind):
        if not isinstance(value, list | tuple) or (array[2] and len(value) != int(array[2])):
            raise ValueError(f"not a {kind}: {value!r}")
        return keccak(b"".join(_word(array[1], types, item) for item in value))
    if kind == "string" and isinstance(value, str):
        return keccak(value.encode())
    if kind == "bytes":
        return keccak(_raw(kind, value))
    if kind == "bool" and isinstance(value, bool):
        return bytes(31) + bytes([value])
    if kind == "address" and len(raw := _raw(kind, value)) == 20:
        return bytes(12) + raw
    if (size := _BYTES.fullmatch(kind)) and len(raw := _raw(kind, value)) == int(size[1]) <= 32:
        return raw.ljust(32, b"\0")
    if integer := _INTEGER.fullmatch(kind):
        return _integer(kind, signed=not integer[1], bits=int(integer[2]), value=value)
    raise ValueError(f"not a {kind}: {value!r}")


def _integer(kind: str, *, signed: bool, bits: int, value: Any) -> bytes:
    """Wallets write long integers as decimal text, so that is one, too, in its one canonical form."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or bits not in range(8, 257, 8):
        raise ValueError(f"not a {kind}: {value!r}")
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    if not low <= value < high:
        raise ValueError(f"beyond {kind}: {value}")
    return (value % (1 << 256)).to_bytes(32, "big")


def _raw(kind: str, value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str) and _HEX.fullmatch(value):
        return bytes.fromhex(value[2:])
    raise ValueError(f"not a {kind}: {value!r}")
