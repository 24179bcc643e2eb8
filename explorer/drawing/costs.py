"""What a job costs over time: spent, and locked on top of it, below what is held for it."""

from collections.abc import Sequence

from msgspec import UNSET

from domain.value import Value
from explorer.drawing import charts
from projections.explorer.jobs import Job
from projections.explorer.tasks import Attempt


class Curve(Value):
    span: charts.Span
    spent: str
    """A path in a frame of 100 by 40; likewise what is locked, on top of it."""
    bound: str
    cap_y: float
    """Where the hold is, in percent from the top."""
    whole: bool
    """From the opening on; else over the attempts that are here."""


def curve(job: Job, attempts: Sequence[Attempt], now_us: int, *, whole: bool) -> Curve | None:
    """Of the job's newest attempts, or all of them. None: nothing is held for it, or nothing was leased."""
    if job.hold is UNSET or not attempts or not job.hold:
        return None
    spent = [(each.ended_us or 0, amount) for each in attempts if (amount := cost(each))]
    locked = [(each.leased_us or 0, int(each.price or 0)) for each in attempts]
    locked += [(each.ended_us, -int(each.price or 0)) for each in attempts if each.ended_us]
    first_us = (job.opened_us or 0) if whole else min(at_us for at_us, _ in locked)
    over = charts.span([first_us, *(at_us for at_us, _ in [*spent, *locked]), job.closed_us or now_us])
    before, below = (int(now) - sum(change for _, change in each) for now, each in ((job.spent, spent), (job.locked, locked)))
    return Curve(
        over,
        charts.steps(sorted(spent), over, before, int(job.hold)),
        charts.steps(sorted([*spent, *locked]), over, before + below, int(job.hold)),
        round(100 * (charts.HEIGHT - charts.TOP) / charts.HEIGHT, 2),
        whole,
    )


def cost(attempt: Attempt) -> int:
    """What left the escrow for it: the price of accepted work, the fee of cancelled work."""
    return int(attempt.price or 0) if attempt.status in {"accepted", "matured"} else int(attempt.earned)
