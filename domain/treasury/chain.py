"""What an EVM chain tells us and takes from us: the port that the daemons see, and its words.

A chain has no present, only heads that may change: whoever needs a fact for good asks about a block deep enough not to be replaced,
and compares that block's hash with the one that came with the fact. Addresses are lower-case hex with `0x`, as are hashes; amounts
are in the token's minor units, fees and gas prices in wei.
"""

from typing import Protocol

from domain.value import Value

WORD_BYTES = 32


class Block(Value):
    number: int
    hash: str
    timestamp_s: int


class DepositLog(Value):
    """Somebody paid into the treasury."""

    tx: str
    log_index: int
    block: int
    block_hash: str
    account: str
    """The text that the sender gave, or the whole word in hex where that is no text: anybody may write anything there."""
    sender: str
    amount: int


class PaidLog(Value):
    """One payout of a batch that was mined."""

    tx: str
    log_index: int
    block: int
    block_hash: str
    payout: str
    to: str
    amount: int
    ok: bool
    """False if the transfer failed: nothing was moved, and the same payout may be paid by another batch."""


class AnchorLog(Value):
    """A head of our log that the chain keeps."""

    tx: str
    log_index: int
    block: int
    block_hash: str
    size: int
    root: str
    """64 hex digits, as heads are written elsewhere: without `0x`."""


class Receipt(Value):
    """A transaction that is in a block."""

    tx: str
    block: int
    block_hash: str
    ok: bool
    """False if it reverted whole; gas is paid all the same."""
    gas_wei: int
    """Gas used × the price per gas that was charged."""
    deposits: tuple[int, ...] = ()
    """Log indexes of the deposits that it made. They count from the block's first log, so in another block they are others."""


class Fees(Value):
    """Per unit of gas: what the newest block charged everybody, and what is usual on top for the block's maker."""

    base_wei: int
    tip_wei: int


class BatchItem(Value):
    """One payout as a batch pays it."""

    payout: str
    to: str
    amount: int


class SignedBatch(Value):
    """What the signed bytes of a payout batch say; nothing of it is taken from elsewhere."""

    tx: str
    chain_id: int
    treasury: str
    payer: str
    nonce: int
    fee_wei_max: int
    tip_wei: int
    gas: int
    items: tuple[BatchItem, ...]


class ChainSilent(Exception):
    """No answer that says what became of the question. What was sent may have arrived: send the same bytes again, nothing else."""


class ChainRefused(Exception):
    """The node understood, and said no: what was sent is not on its way by this call."""


class NonceUsed(ChainRefused):
    """Another transaction of the sender has this nonce in a block."""


class Underpriced(ChainRefused):
    """The fee is below what the block charges, or not enough above that of the transaction that it would replace."""


class Unfunded(ChainRefused):
    """The sender cannot pay for the gas."""


class Chain(Protocol):
    """One treasury contract, its token, and the chain they are on.

    Every method raises `ChainSilent` where the outcome is unknown and `ChainRefused` where the node says no. Block ranges include
    both ends. What is asked about a block that is not there yet is refused, except by `block`.
    """

    async def chain_id(self) -> int: ...

    async def head(self) -> Block:
        """The newest block."""

    async def block(self, number: int) -> Block | None:
        """The block of this height, or none yet."""

    async def first_block_since(self, timestamp_s: int) -> Block | None:
        """The lowest block whose timestamp is at or after `timestamp_s`, or none yet."""

    async def deposits(self, first: int, last: int) -> list[DepositLog]: ...

    async def payouts(self, first: int, last: int) -> list[PaidLog]:
        """Paid and failed ones, in the order of the chain."""

    async def anchors(self, first: int, last: int) -> list[AnchorLog]: ...

    async def held(self, block: int) -> int:
        """Tokens of the treasury after `block`."""

    async def nonce(self, address: str, block: int) -> int:
        """Transactions that `address` has in blocks up to `block`: its next nonce there."""

    async def fees(self) -> Fees: ...

    async def send(self, raw_tx: str) -> str:
        """Hands signed bytes to the node; returns the transaction's hash. Harmless when repeated, also after it was mined."""

    async def receipt(self, tx: str) -> Receipt | None:
        """None while it is in no block, whether it waits, was dropped, or never arrived."""


def to_bytes32(text: str) -> bytes:
    """An id as the contracts hold it: its ASCII bytes, zeros after them. Raises `ValueError` if it is empty, too long or no such text."""
    word = text.encode("ascii")
    if not text or not text.isprintable() or len(word) > WORD_BYTES:
        raise ValueError(f"not the text of a word: {text!r}")
    return word.ljust(WORD_BYTES, b"\0")


def from_bytes32(word: bytes) -> str:
    """The text that `to_bytes32` made this word of, or the word in hex (`0x…`) where it made none such."""
    text = word.rstrip(b"\0").decode("ascii", errors="replace")
    try:
        return text if to_bytes32(text) == word else "0x" + word.hex()
    except ValueError:
        return "0x" + word.hex()
