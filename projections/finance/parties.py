"""Parties: what each one put in, earned, spent and took out, so that on every row

    deposited + earned + fee - spent - slashed - paid = held

where a creator's money in the escrow of an open job counts as spent until the job closes and returns the rest."""

from collections.abc import Iterator
from typing import ClassVar

from msgspec import UNSET

from domain.event import Event, Recorded
from domain.proof import ruling
from domain.treasury import batch, deposit, earnings, stake
from domain.units import ZERO, Units
from domain.work import job, task
from projections.row import Change, Key, Last, Projection, Row, Sum

PLATFORM, SAFETY, POOL = "platform", "safety", "pool"


class Party(Row):
    """One account, or one of the house's purses: `platform`, `safety` (the safety fund) and `pool` (the checkers')."""

    table: ClassVar[str] = "party"
    account: Key[str]
    asset: Key[str]
    position: Last[int] = UNSET
    deposited: Sum[Units] = ZERO
    earned: Sum[Units] = ZERO
    """Of accepted work and reveals, mature or not; of the pool: what is left in it."""
    fee: Sum[Units] = ZERO
    spent: Sum[Units] = ZERO
    slashed: Sum[Units] = ZERO
    """Of the safety fund: negative, what it got."""
    paid: Sum[Units] = ZERO
    """On chain, final."""
    payouts: Sum[int] = 0
    tx: Last[str] = UNSET
    """Of the last payout."""


class Parties(Projection):
    name = "parties"
    rows = (Party,)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        match e.event:
            case deposit.Finalised(credited=True) as it:
                yield Party(it.account, it.asset, e.pos, deposited=it.amount)
            case job.Opened() as it:
                yield Party(it.creator, it.asset, e.pos, spent=it.hold)
            case job.Closed() as it:
                yield Party(it.creator, it.asset, e.pos, spent=-it.refund)
            case task.Ended(fee=fee) as it if fee:
                yield Party(it.owner, it.asset, e.pos, earned=fee)
            case ruling.Accepted(shares=shares) as it:
                yield Party(it.owner, it.asset, e.pos, earned=shares.worker)
                yield Party(POOL, it.asset, e.pos, earned=shares.checkers)
                yield Party(PLATFORM, it.asset, e.pos, fee=shares.fee)
            case stake.Slashed() as it:
                taken = it.from_stake + it.from_accrued
                yield Party(it.account, it.asset, e.pos, slashed=taken)
                yield Party(SAFETY, it.asset, e.pos, slashed=-taken)
            case earnings.Distributed() as it:
                for line in it.lines:
                    yield Party(line.account, it.asset, e.pos, earned=line.amount)
                    yield Party(POOL, it.asset, e.pos, earned=-line.amount)
            case batch.Finalised() as it:
                for item in it.paid:
                    yield Party(item.account, it.asset, e.pos, paid=item.amount, payouts=1, tx=it.tx_hash)
