"""What a chain says that concerns a ledger: blocks, the treasury's logs, balances. Plain values, from a node or from a bundle."""

from typing import Literal

from domain.value import Value

Kind = Literal["Deposited", "Paid", "Failed", "Anchored"]


class Block(Value):
    number: int
    hash: str
    timestamp_s: int


class ChainLog(Value):
    """One log of a treasury contract. `Deposited`: `subject` is the account, `who` the sender; `Paid` and `Failed`: the payout and its
    recipient; `Anchored`: the root, and `amount` the size."""

    kind: Kind
    treasury: str
    block: int
    block_hash: str
    tx: str
    log_index: int
    subject: str
    who: str
    amount: str
    """Decimal."""


class Balance(Value):
    """What a treasury held after a block."""

    treasury: str
    block: int
    amount: str


class Gas(Value):
    """What a transaction cost, in wei."""

    tx: str
    block: int
    wei: str


class Facts(Value):
    chain_id: int
    head: int
    """Number of the newest block that was looked at."""
    blocks: tuple[Block, ...]
    """Every block that a beacon names, and the one before it."""
    logs: tuple[ChainLog, ...]
    balances: tuple[Balance, ...]
    gas: tuple[Gas, ...]
