"""The audit trail: the head, what of it stands on the chain, the trial balance, and what nobody can prove."""

from collections.abc import Sequence
from typing import ClassVar

from domain.value import Value
from explorer.look import Look, encode
from explorer.model import Model, Table
from explorer.words import count
from projections.explorer.house import Beacon, Checkpoint, Election, Override, Reconciliation
from projections.finance.balances import TrialLine

FEW, BEACONS = 20, 8


class Sum(Value):
    asset: str
    debits: int
    credits: int
    amount: int
    """Zero, or the ledger is wrong."""


class Check(Value):
    """Something that can be wrong, and whether it is."""

    name: str
    state: str
    """`accepted`, `rejected`, or `waiting`: nobody can tell yet."""
    said: str
    position: int
    """The event that says so; zero: all of them."""


class Trail(Model):
    template: ClassVar[str] = "trail.html"
    section: ClassVar[str] = "Trail"
    log: str
    size: int
    root: str
    """Empty in the past: then the proofs have it."""
    checks: list[Check]
    rows: Sequence[Checkpoint]
    next: str | None
    reconciliations: Sequence[Reconciliation]
    beacons: Sequence[Beacon]
    elections: Sequence[Election]
    trial: Sequence[TrialLine]
    sums: list[Sum]

    @property
    def title(self) -> str:
        return "Audit trail"

    @property
    def records(self) -> Table:
        return Table(Checkpoint, self.rows)


async def model(look: Look) -> Trail:
    trial = (await look.page(TrialLine, limit=200, newest=False)).rows
    sums = [summed(asset, [line for line in trial if line.asset == asset]) for asset in sorted({line.asset for line in trial})]
    found = await look.list(Checkpoint, (), limit=FEW)
    newest = (await look.page(Checkpoint, limit=1)).rows
    reconciliations = (await look.page(Reconciliation, limit=FEW)).rows
    overrides = (await look.page(Override, limit=1)).rows
    size = look.position if look.as_of is not None else look.head.size
    return Trail(
        look.head.log,
        size,
        look.head.root if look.as_of is None else "",
        [balanced(sums), reconciled(reconciliations), anchored(newest, size), running(overrides)],
        found.rows,
        encode(found.next) if found.next else None,
        reconciliations,
        (await look.page(Beacon, limit=BEACONS)).rows,
        (await look.page(Election, limit=BEACONS)).rows,
        trial,
        sums,
    )


def balanced(sums: Sequence[Sum]) -> Check:
    wrong = [each.asset.upper() for each in sums if each.amount or each.debits != each.credits]
    if not sums:
        return Check("Trial balance", "waiting", "no money has moved yet", 0)
    said = f"{', '.join(wrong)} does not come to zero" if wrong else f"all entries together come to zero, in {count(len(sums), 'asset')}"
    return Check("Trial balance", "rejected" if wrong else "accepted", said, 0)


def reconciled(rows: Sequence[Reconciliation]) -> Check:
    if not rows:
        return Check("Treasury", "waiting", "not compared with the chain yet", 0)
    last = rows[0]
    same = f"the contract held what the ledger says, at block {last.block}"
    return Check(
        "Treasury",
        "rejected" if last.breaks else "accepted",
        "the contract and the ledger are apart" if last.breaks else same,
        last.position,
    )


def anchored(rows: Sequence[Checkpoint], size: int) -> Check:
    if not rows:
        return Check("On the chain", "waiting", "no head stands there yet: compare one that you read earlier", 0)
    last = rows[0]
    since = size - int(last.size or 0)
    return Check("On the chain", "accepted", f"{count(int(last.size or 0), 'event')} under a root there; {since} came since", last.position)


def running(overrides: Sequence[Override]) -> Check:
    if overrides and overrides[0].action == "freeze":
        return Check("Guard", "rejected", f"money is stopped: {overrides[0].reason}", overrides[0].position)
    said = "nothing it looks at is wrong: invariants, views, treasury; money runs"
    return Check("Guard", "accepted", said, overrides[0].position if overrides else 0)


def summed(asset: str, lines: Sequence[TrialLine]) -> Sum:
    return Sum(asset, *(sum(int(getattr(line, name)) for line in lines) for name in ("debits", "credits", "amount")))
