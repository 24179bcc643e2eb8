"""Private keys in files, and what is signed with them. A key leaves its file only into this process's memory: never into a log, an
event or an argument of a program.

Light on purpose: every agent process signs. What only the treasury signs is imported when it is first signed.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import coincurve

from adapters.evm import typed
from domain.treasury import chain

if TYPE_CHECKING:
    from adapters.evm import transaction

SECRET_BYTES = 32


class Signer:
    """One key."""

    def __init__(self, secret: bytes) -> None:
        """Raises `ValueError` if `secret` is not 32 bytes below the order of the curve, or zero."""
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"a private key is {SECRET_BYTES} bytes")
        self._key = coincurve.PrivateKey(secret)
        self.address = typed.address_of(self._key.public_key)
        """Lower-case hex with `0x`."""

    def __repr__(self) -> str:
        return f"Signer({self.address})"

    def sign_typed(self, document: dict[str, Any]) -> str:
        """r ‖ s ‖ v (27 or 28) over the EIP-712 digest, as 0x-prefixed hex; s is in the lower half.

        Raises `ValueError` where the document has no digest.
        """
        signature = self._key.sign_recoverable(typed.digest(document), hasher=None)
        return f"0x{signature[:64].hex()}{signature[64] + 27:02x}"

    def sign_call(self, call: "transaction.Call", terms: "transaction.Terms") -> "transaction.Signed":
        """The bytes and the hash of a transaction; equal arguments give equal bytes."""
        from adapters.evm import transaction  # noqa: PLC0415 - agents sign no transactions

        return transaction.sign(call, terms, self._key)

    def sign_payout_batch(
        self,
        treasury: str,
        nonce: int,
        items: Sequence[tuple[str, str, int]],
        *,
        chain_id: int,
        fee_wei_max: int,
        tip_wei: int,
        gas: int | None = None,
    ) -> tuple[str, str]:
        """(raw transaction, its hash), both 0x-prefixed hex, that pays the items (payout id, address, amount) in one call.

        Fees are per unit of gas; without `gas` it is what the contract may use at most. Raises `ValueError` unless there are 1 to
        100 items.
        """
        from adapters.evm import transaction  # noqa: PLC0415 - agents sign no transactions

        batch = [chain.BatchItem(*item) for item in items]
        call = transaction.pay(treasury, batch, transaction.batch_gas(len(batch)) if gas is None else gas)
        signed = self.sign_call(call, transaction.Terms(chain_id, nonce, fee_wei_max, tip_wei))
        return signed.raw, signed.tx

    def sign_anchor(
        self, treasury: str, nonce: int, root: str, size: int, *, chain_id: int, fee_wei_max: int, tip_wei: int
    ) -> tuple[str, str]:
        """(raw transaction, its hash) that anchors the head of the log: `root` is 64 hex digits."""
        from adapters.evm import transaction  # noqa: PLC0415 - agents sign no transactions

        call = transaction.anchor(treasury, root, size)
        signed = self.sign_call(call, transaction.Terms(chain_id, nonce, fee_wei_max, tip_wei))
        return signed.raw, signed.tx


def recover_typed(document: dict[str, Any], signature: str) -> str:
    """The address, in lower case, whose key signed the EIP-712 document. A changed document gives some other address.

    Raises `ValueError` unless `signature` is 65 bytes as 0x-prefixed hex in the one canonical form (low s, v 27 or 28).
    """
    return typed.recover(typed.digest(document), signature)


def decode_batch(raw_tx: str) -> chain.SignedBatch:
    """What the signed bytes of a payout batch say, its payer recovered from the signature.

    Raises `ValueError` if they are anything but a batch, in its one canonical form.
    """
    from adapters.evm import transaction  # noqa: PLC0415 - agents sign no transactions

    return transaction.decode_batch(raw_tx)


def generate() -> Signer:
    """A new key that is in no file."""
    return Signer(coincurve.PrivateKey().secret)


def create(path: Path) -> Signer:
    """A new key in a new file that only its owner may read. Raises `FileExistsError`: no key is ever overwritten."""
    secret = coincurve.PrivateKey().secret
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secret.hex() + "\n")
    return Signer(secret)


def load(path: Path) -> Signer:
    """The key in `path`. Raises `PermissionError` if others may read or change the file, `ValueError` if it holds no key."""
    with path.open(encoding="ascii") as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise PermissionError(f"{path} holds a private key and must be for its owner alone: chmod 600 {path}")
        return parse(file.read())


def load_or_create(path: Path) -> Signer:
    """The key in `path`, made at first use."""
    try:
        return create(path)
    except FileExistsError:
        return load(path)


def parse(text: str) -> Signer:
    """The key written as 64 hex digits, `0x` before them or not. Raises `ValueError`, which does not repeat the text."""
    try:
        secret = bytes.fromhex(text.strip().removeprefix("0x"))
    except ValueError:
        raise ValueError("a private key is 64 hex digits") from None
    return Signer(secret)
