"""The audit trail: the head, what of it stands on the chain, the trial balance, and what nobody can prove."""

from collections.abc import Sequence
from typing import ClassVar

from domain.value import Value
from explorer.look import Look
from explorer.model import Model
from projections.explorer.house import Beacon, Checkpoint, Election, Reconciliation
from projections.finance.balances import TrialLine

FEW, BEACONS = 20, 8


class Sum(Value):
    asset: str
    debits: int
    credits: int
    amount: int
    """Zero, or the ledger is wrong."""


class Trail(Model):
    template: ClassVar[str] = "trail.html"
    section: ClassVar[str] = "Trail"
    log: str
    size: int
    root: str
    """Empty in the past: then the proofs have it."""
    rows: Sequence[Checkpoint]
    reconciliations: Sequence[Reconciliation]
    beacons: Sequence[Beacon]
    elections: Sequence[Election]
    trial: Sequence[TrialLine]
    sums: list[Sum]

    @property
    def title(self) -> str:
        return "Audit trail"

    @property
    def records(self) -> Sequence[Checkpoint]:
        return self.rows


async def model(look: Look) -> Trail:
    trial = (await look.page(TrialLine, limit=200, newest=False)).rows
    return Trail(
        look.head.log,
        look.position if look.as_of is not None else look.head.size,
        look.head.root if look.as_of is None else "",
        (await look.page(Checkpoint, limit=FEW)).rows,
        (await look.page(Reconciliation, limit=FEW)).rows,
        (await look.page(Beacon, limit=BEACONS)).rows,
        (await look.page(Election, limit=BEACONS)).rows,
        trial,
        [summed(asset, [line for line in trial if line.asset == asset]) for asset in sorted({line.asset for line in trial})],
    )


def summed(asset: str, lines: Sequence[TrialLine]) -> Sum:
    return Sum(asset, *(sum(int(getattr(line, name)) for line in lines) for name in ("debits", "credits", "amount")))
