"""Heads of the log as signed notes (C2SP signed-note, tlog-checkpoint): a text that any client of a transparency log reads and checks.

The key is the server's own. It says who told a head, nothing more: what a head is worth stands on the chain.
"""

import base64
import os
from contextlib import suppress
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from domain.ids import LogId

ED25519 = b"\x01"
"""The algorithm, as notes number it."""
SEED_BYTES = 32


class Notary:
    """Signs heads of one log, with Ed25519 (RFC 8032)."""

    def __init__(self, log: LogId, seed: bytes) -> None:
        """Raises `ValueError` if the seed is not 32 bytes."""
        if len(seed) != SEED_BYTES:
            raise ValueError(f"the seed of a checkpoint's key is {SEED_BYTES} bytes")
        self._seed, self._last = seed, (0, "", "")
        self.origin = f"gridledger/{log}"
        """What the log is called in its notes; the key has the same name."""

    @property
    def verifier(self) -> str:
        """The public key as clients are given it."""
        return f"{self.origin}+{self._id.hex()}+{base64.b64encode(self._public).decode()}"

    def checkpoint(self, size: int, root: str) -> str:
        """The note of a head: `root` is 64 hex digits. The last one is kept: many ask for the same."""
        if self._last[:2] != (size, root):
            self._last = size, root, self._signed(size, root)
        return self._last[2]

    def _signed(self, size: int, root: str) -> str:
        text = f"{self.origin}\n{size}\n{base64.b64encode(bytes.fromhex(root)).decode()}\n"
        signature = base64.b64encode(self._id + self._signature(text.encode())).decode()
        return f"{text}\n\N{EM DASH} {self.origin} {signature}\n"

    def _signature(self, text: bytes) -> bytes:
        from Crypto.Signature import eddsa  # noqa: PLC0415 - a server starts sooner without

        return eddsa.new(self._key, "rfc8032").sign(text)

    @cached_property
    def _key(self) -> Any:
        from Crypto.PublicKey import ECC  # noqa: PLC0415 - likewise

        seed: Any = self._seed  # bytes for this curve, whatever its type says
        return ECC.construct(curve="Ed25519", seed=seed)

    @cached_property
    def _public(self) -> bytes:
        return ED25519 + bytes(self._key.public_key().export_key(format="raw"))

    @cached_property
    def _id(self) -> bytes:
        """What a signature says of its key."""
        return sha256(f"{self.origin}\n".encode() + self._public).digest()[:4]


def load_or_create(log: LogId, path: Path) -> Notary:
    """The key in `path`, made at first use; only its owner may read it. Of several processes that make one, all take the first. Raises
    `ValueError` for a file that holds none."""
    if not path.exists():
        made = path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(os.urandom(SEED_BYTES).hex() + "\n")
        with suppress(FileExistsError):
            path.hardlink_to(made)
        made.unlink()
    return Notary(log, bytes.fromhex(path.read_text(encoding="ascii").strip()))
