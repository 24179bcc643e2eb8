"""Money on its way in and out: deposits, payouts, and the batches that carry payouts onto the chain."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from msgspec import UNSET

from domain.event import Event, Recorded
from domain.lifecycle import DepositStatus, PayoutStatus
from domain.treasury import batch, deposit, payout
from domain.units import ZERO, Units
from projections.row import Change, First, Id, Index, Last, Projection, Row, Sum

PayoutKind = payout.Kind


class Payout(Row):
    table: ClassVar[str] = "payout"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("account",)), Index(("status",)), Index(("batch",)))
    payout: Id
    position: Last[int] = UNSET
    account: First[str] = UNSET
    asset: First[str] = UNSET
    kind: First[PayoutKind] = UNSET
    to: First[str] = UNSET
    amount: First[Units] = UNSET
    number: First[int] = UNSET
    status: Last[PayoutStatus] = UNSET
    outcome: Last[str] = UNSET
    """Of a mined or final one: `paid`, or `failed`, and then it is payable again."""
    requested_us: First[int] = UNSET
    approvals: Sum[int] = 0
    approved_us: Last[int] = UNSET
    batch: Last[str] = UNSET
    signed_us: First[int] = UNSET
    tx_hash: Last[str] = UNSET
    block: Last[int] = UNSET
    mined_us: Last[int] = UNSET
    final_us: Last[int] = UNSET
    cancelled_us: Last[int] = UNSET


class Batch(Row):
    table: ClassVar[str] = "batch"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("status",)), Index(("tx_hash",)))
    batch: Id
    position: Last[int] = UNSET
    asset: First[str] = UNSET
    status: Last[Literal["signed", "mined", "final"]] = UNSET
    nonce: First[int] = UNSET
    payouts: First[int] = UNSET
    signatures: Sum[int] = 0
    """Transactions that were signed for it, the last one with the highest fee."""
    tx_hash: Last[str] = UNSET
    signed_us: First[int] = UNSET
    block: Last[int] = UNSET
    mined_us: Last[int] = UNSET
    final_us: Last[int] = UNSET
    paid: Sum[int] = 0
    failed: Sum[int] = 0
    amount: Sum[Units] = ZERO
    """Of those that were paid."""
    gas: Last[Units] = UNSET
    """In wei."""


class Payouts(Projection):
    name = "payouts"
    rows = (Payout, Batch)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        match e.event:
            case payout.Requested() as it:
                facts = it.account, it.asset, it.kind, it.to, it.amount, it.number
                yield Payout(it.payout, e.pos, *facts, "requested", requested_us=e.at_us)
            case payout.Approved() as it:
                yield Payout(it.payout, e.pos, status=it.next, approvals=1, approved_us=e.at_us)
            case payout.Cancelled() as it:
                yield Payout(it.payout, e.pos, status="cancelled", cancelled_us=e.at_us)
            case batch.Signed() as it:
                yield Batch(it.batch, e.pos, it.asset, "signed", it.nonce, len(it.payouts), 1, it.tx_hash, e.at_us)
                for id in it.payouts:
                    yield Payout(id, e.pos, status="signed", batch=it.batch, signed_us=e.at_us, tx_hash=it.tx_hash)
            case batch.MinedEvent() as its:
                yield from landed(its, e)


def landed(event: batch.MinedEvent, e: Recorded[Event]) -> Iterator[Row]:
    amount = Units(sum(item.amount for item in event.paid))
    match event:
        case batch.Mined() as it:
            yield Batch(it.batch, e.pos, status="mined", tx_hash=it.tx_hash, block=it.block, mined_us=e.at_us)
        case batch.Unmined() as it:
            yield Batch(it.batch, e.pos, status="signed", block=0, mined_us=0)
        case batch.Finalised() as it:
            counts = Batch(it.batch, e.pos, status="final", tx_hash=it.tx_hash, block=it.block, final_us=e.at_us)
            counts.paid, counts.failed, counts.amount, counts.gas = len(it.paid), len(it.failed), amount, it.gas
            yield counts
    for outcome, items in (("paid", event.paid), ("failed", event.failed)):
        for item in items:
            row = Payout(item.payout, e.pos, outcome=outcome, block=event.block, tx_hash=event.tx_hash)
            match event:
                case batch.Mined():
                    row.status, row.mined_us = "mined", e.at_us
                case batch.Unmined():
                    row.status, row.outcome, row.block, row.mined_us = "signed", "", 0, 0
                case batch.Finalised():
                    row.status, row.final_us = "final", e.at_us
            yield row


class Deposit(Row):
    table: ClassVar[str] = "deposit"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("account",)), Index(("status",)), Index(("tx",)))
    deposit: Id
    position: Last[int] = UNSET
    account: First[str] = UNSET
    """Empty if the chain named none of ours."""
    asset: First[str] = UNSET
    tx: First[str] = UNSET
    log_index: First[int] = UNSET
    block: First[int] = UNSET
    amount: First[Units] = UNSET
    status: Last[DepositStatus] = UNSET
    credited: Last[bool] = UNSET
    seen_us: First[int] = UNSET
    final_us: First[int] = UNSET
    orphaned_us: First[int] = UNSET


class Deposits(Projection):
    name = "deposits"
    rows = (Deposit,)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        match e.event:
            case deposit.Seen() as it:
                where = it.tx, it.log_index, it.block
                yield Deposit(it.deposit, e.pos, it.account, it.asset, *where, it.amount, "seen", credited=False, seen_us=e.at_us)
            case deposit.Finalised() as it:
                yield Deposit(it.deposit, e.pos, status="final", credited=it.credited, final_us=e.at_us)
            case deposit.Orphaned() as it:
                yield Deposit(it.deposit, e.pos, status="orphaned", orphaned_us=e.at_us)
