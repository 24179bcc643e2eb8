"""What somebody computes who has docs/log-format.md and nothing of ours: trees, draws, shares, names, digests. Beside tests/stranger.py,
which follows a log, this is for the rest of that page."""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any


def hashed(data: bytes) -> bytes:
    return sha256(data).digest()


def tree(lines: Sequence[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it is written there."""
    if not lines:
        return hashed(b"")
    if len(lines) == 1:
        return hashed(b"\x00" + lines[0])
    left = 1
    while 2 * left < len(lines):
        left *= 2
    return hashed(b"\x01" + tree(lines[:left]) + tree(lines[left:]))


def perfect(lines: Sequence[bytes]) -> list[bytes]:
    """The roots of the perfect subtrees, the largest first."""
    found, start = list[bytes](), 0
    for bit in reversed(range(len(lines).bit_length())):
        if len(lines) >> bit & 1:
            found.append(tree(lines[start : start + (1 << bit)]))
            start += 1 << bit
    return found


def inclusion_root(path: Sequence[bytes], index: int, size: int, leaf: bytes) -> bytes:
    """The root to which a path leads, from the top of RFC 6962's definition of PATH downwards."""
    if size == 1:
        return leaf if not path else b""
    left = 1
    while 2 * left < size:
        left *= 2
    *rest, sibling = path or [b""]
    if index < left:
        return hashed(b"\x01" + inclusion_root(rest, index, left, leaf) + sibling)
    return hashed(b"\x01" + sibling + inclusion_root(rest, index - left, size - left, leaf))


def consistency_roots(proof: Sequence[bytes], size: int, later: int, known: bytes | None) -> tuple[bytes, bytes]:
    """(earlier root, later root) to which a proof leads, from the top of RFC 6962's SUBPROOF downwards; `known` is the earlier root where
    the proof leaves it out."""
    if size == later:
        if known is not None:
            return (known, known) if not proof else (b"", b"")
        return (proof[0], proof[0]) if len(proof) == 1 else (b"", b"")
    left = 1
    while 2 * left < later:
        left *= 2
    *rest, node = proof or [b""]
    if size <= left:
        early, late = consistency_roots(rest, size, left, known)
        return early, hashed(b"\x01" + late + node)
    early, late = consistency_roots(rest, size - left, later - left, None)
    return hashed(b"\x01" + node + early), hashed(b"\x01" + node + late)


def u64(tag: str, value: str, position: int, index: int) -> int:
    data = tag.encode() + bytes.fromhex(value[2:]) + position.to_bytes(8, "big") + index.to_bytes(4, "big")
    return int.from_bytes(hashed(data)[:8], "big")


def regions(value: str, position: int, index: int, tiles: int, before: Sequence[int]) -> tuple[list[int], int]:
    picks = list[int]()
    for _ in range(max(1, min(3, tiles // 4))):
        rest = [each for each in range(tiles) if each not in picks]
        fresh = [each for each in rest if each not in before] or rest
        picks.append(fresh[u64("gl/region/1", value, position, index) * len(fresh) // 2**64])
        index += 1
    return sorted(picks), index


def checkers(value: str, position: int, index: int, count: int, able: Sequence[tuple[str, str, int]]) -> tuple[list[str], int]:
    picks, left = list[str](), list(able)
    for _ in range(count):
        if not left:
            break
        ticket = u64("gl/checker/1", value, position, index) * sum(stake for _, _, stake in left) // 2**64
        index += 1
        drawn = next(row for n, row in enumerate(left) if ticket < sum(stake for _, _, stake in left[: n + 1]))
        picks.append(drawn[0])
        left = [row for row in left if row[1] != drawn[1]]
    return picks, index


def shared(amount: int, weights: Sequence[int]) -> list[int]:
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    parts = [amount * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda n: (-(amount * weights[n] % whole), n))
    for n in order[: amount - sum(parts)]:
        parts[n] += 1
    return parts


def command(actor: str, key: str) -> str:
    return hashed(actor.encode() + b"\0" + key.encode())[:16].hex()


def key_us(key: str) -> int:
    return int(key.replace("-", "")[:12], 16) * 1000


def seal(of: dict[str, Any]) -> str:
    rows = [
        f"{m['region']} {int(m['equal'])} {'-' if m['psnr_mdb'] is None else m['psnr_mdb']} {m['differing_ppm']}" for m in of["metrics"]
    ]
    words = ["gl/verdict/1", of["audit"], of["checker"], of["verdict"], *rows, *of["evidence"], of["nonce"]]
    return hashed("\n".join(words).encode()).hex()


def spec(of: dict[str, Any]) -> str:
    return hashed(json.dumps({name: value for name, value in of.items() if name != "sha256"}, separators=(",", ":")).encode()).hex()


def region(pixels: bytes, height: int, width: int, specification: bytes) -> str:
    shape = b"".join(number.to_bytes(4, "little") for number in (height, width, 3))
    return hashed(pixels + shape + specification).hex()
