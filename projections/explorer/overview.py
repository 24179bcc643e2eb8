"""The network at a glance: one row of counts, and one row of sums for each asset."""

from collections.abc import Iterator
from typing import ClassVar

from msgspec import UNSET

from domain.event import Event, Recorded
from domain.market import worker
from domain.proof import audit, beacon, bench, proof, ruling
from domain.treasury import account, batch, deposit, payout, stake
from domain.units import ZERO, Units
from domain.work import job, task
from projections.row import Change, First, Key, Last, Projection, Row, Sum

NETWORK = "network"


class Overview(Row):
    """What there is, and what there was in all."""

    table: ClassVar[str] = "overview"
    name: Key[str]
    """Always `network`."""
    position: Last[int] = UNSET
    first_us: First[int] = UNSET
    last_us: Last[int] = UNSET
    events: Sum[int] = 0
    accounts: Sum[int] = 0
    workers: Sum[int] = 0
    """Without checkers."""
    checkers: Sum[int] = 0
    online: Sum[int] = 0
    """Now, checkers included."""
    convictions: Sum[int] = 0
    jobs: Sum[int] = 0
    jobs_open: Sum[int] = 0
    """Opened and not closed."""
    jobs_closed: Sum[int] = 0
    tasks: Sum[int] = 0
    """Of opened jobs; the next five as in a job."""
    tasks_leased: Sum[int] = 0
    tasks_accepted: Sum[int] = 0
    tasks_rejected: Sum[int] = 0
    tasks_failed: Sum[int] = 0
    wu_milli: Sum[int] = 0
    """Work that was leased, in all."""
    benches: Sum[int] = 0
    audits: Sum[int] = 0
    """Of tasks; the next four by state and result."""
    audits_open: Sum[int] = 0
    audits_valid: Sum[int] = 0
    audits_invalid: Sum[int] = 0
    audits_inconclusive: Sum[int] = 0
    beacons: Sum[int] = 0
    payouts: Sum[int] = 0
    batches: Sum[int] = 0


class Volume(Row):
    """Money of one asset."""

    table: ClassVar[str] = "volume"
    asset: Key[str]
    position: Last[int] = UNSET
    deposited: Sum[Units] = ZERO
    held: Sum[Units] = ZERO
    """In the escrow of jobs, now."""
    spent: Sum[Units] = ZERO
    earned: Sum[Units] = ZERO
    """By workers."""
    checkers: Sum[Units] = ZERO
    fee: Sum[Units] = ZERO
    staked: Sum[Units] = ZERO
    """Now."""
    slashed: Sum[Units] = ZERO
    paid: Sum[Units] = ZERO


class Overviews(Projection):
    name = "overview"
    rows = (Overview, Volume)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        yield Overview(NETWORK, e.pos, e.at_us, e.at_us, 1, **counts(e.event))
        yield from volumes(e)


def counts(event: Event) -> dict[str, int]:
    match event:
        case account.Opened():
            return {"accounts": 1}
        case worker.Registered(kind=kind):
            return {"checkers" if kind == "checker" else "workers": 1}
        case worker.Online(again=again):
            return {"online": 1 - again}
        case worker.Offline():
            return {"online": -1}
        case bench.Opened():
            return {"benches": 1}
        case audit.Opened(job=id) if id:
            return {"audits": 1, "audits_open": 1}
        case audit.Closed(job=id) as it if id:
            return {"audits_open": -1, f"audits_{it.result}": 1}
        case beacon.Drawn():
            return {"beacons": 1}
        case payout.Requested():
            return {"payouts": 1}
        case batch.Finalised():
            return {"batches": 1}
    return of_work(event)


def of_work(event: Event) -> dict[str, int]:
    match event:
        case job.Submitted():
            return {"jobs": 1}
        case job.Opened() as it:
            return {"jobs_open": 1, "tasks": sum(run.range[1] - run.range[0] + 1 for run in it.plan)}
        case job.Closed() as it:
            return {"jobs_closed": 1, "jobs_open": -it.opened}
        case task.Leased() as it:
            return {"tasks_leased": 1, "wu_milli": it.wu_milli}
        case proof.Committed(job=id, late=False) if id:
            return {"tasks_leased": -1}
        case task.Ended(job=id) as it if id:
            return {"tasks_leased": -(it.outcome != "inconclusive"), "tasks_failed": int(it.outcome in task.FAILURES)}
        case ruling.Accepted():
            return {"tasks_accepted": 1}
        case ruling.Rejected():
            return {"tasks_rejected": 1, "convictions": 1}
    return {}


def volumes(e: Recorded[Event]) -> Iterator[Volume]:
    match e.event:
        case deposit.Finalised(credited=True) as it:
            yield Volume(it.asset, e.pos, deposited=it.amount)
        case job.Opened() as it:
            yield Volume(it.asset, e.pos, held=it.hold)
        case job.Closed() as it:
            yield Volume(it.asset, e.pos, held=-it.refund)
        case task.Ended(fee=fee) as it if fee:
            yield Volume(it.asset, e.pos, held=-fee, spent=fee, earned=fee)
        case ruling.Accepted(shares=shares) as it:
            yield Volume(it.asset, e.pos, ZERO, -it.price, it.price, shares.worker, shares.checkers, shares.fee)
        case stake.Locked() as it:
            yield Volume(it.asset, e.pos, staked=it.amount)
        case stake.Released() as it:
            yield Volume(it.asset, e.pos, staked=-it.amount)
        case stake.Slashed() as it:
            yield Volume(it.asset, e.pos, staked=-it.from_stake, slashed=it.from_stake + it.from_accrued)
        case batch.Finalised() as it:
            yield Volume(it.asset, e.pos, paid=Units(sum(item.amount for item in it.paid)))
