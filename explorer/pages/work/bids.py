"""Who bids for the pieces of a job: who did some of it and who is asked next, and what keeps each from it by the ledger's word."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from domain import units
from domain.ids import Actor, JobId, WorkerId, worker_id
from domain.units import ZERO, Units
from domain.value import Value
from domain.world import World
from explorer import idle
from projections.explorer.jobs import Job
from projections.explorer.tasks import Attempt
from projections.explorer.workers import Standing

ASKED = 8
"""Free workers shown of each class, the first to be asked first."""
KEPT = {
    "eligible": "free",
    "price": "asks more than the limit",
    "no_bid": "has no bid",
    "no_score": "has no score yet",
    "no_class": "is of another class",
    "bid_expired": "its bid has expired",
    "score_too_old": "its score is too old",
    "own_job": "belongs to the creator",
    "memory": "has too little memory",
    "country": "stands in another country",
    "model": "has other devices",
    "failed_job": "failed here too often",
}


class Bid(Value):
    worker: str
    cls: str
    per_kwu: Units
    price: Units
    """Of a piece."""
    x: float
    """Where it is between the lowest bid and the dearest, in percent."""
    reliability_ppm: int | None
    """None: nobody can tell, in the past or of somebody who has gone."""
    state: str
    said: str
    accepted: int
    rejected: int
    """Of its attempts here."""


class Bids(Value):
    rows: list[Bid]
    """The cheapest first."""
    limit_x: float
    live: bool
    """Whether anybody can tell how they stand: not in the past."""


Standings = Mapping[tuple[str, str], Standing]


def bids(job: Job, attempts: Sequence[Attempt], standings: Standings, world: World | None, now_us: int) -> Bids | None:
    """None: nobody bids."""
    asked = {(who, cls): standing.price_per_kwu or ZERO for (who, cls), standing in standings.items() if standing.price_per_kwu}
    if world and JobId(job.job) in world.jobs:
        asked |= dict(first_asked(world, job))
    if not asked:
        return None
    limit = int(job.limit_price or 0)
    low, high = min([*map(int, asked.values()), limit]), max([*map(int, asked.values()), limit])
    air = max((high - low) // 8, 1)

    def x(price: int) -> float:
        return round(100 * (price - low + air) / (high - low + 2 * air), 2)

    piece = (job.wu_milli or 0) // max(job.tasks, 1)
    rows = []
    for (who, cls), per_kwu in sorted(asked.items(), key=lambda each: (each[1], each[0])):
        its = [each for each in attempts if each.worker == who and each.cls == cls]
        state, said = standing_of(job, who, cls, its, world, now_us)
        counts = [sum(each.status in names for each in its) for names in ({"accepted", "matured"}, {"rejected"})]
        worker = world.workers.get(WorkerId(Actor(who))) if world else None
        reliability_ppm = worker.reliability_ppm if worker else None
        rows.append(Bid(who, cls, per_kwu, units.price(per_kwu, piece), x(int(per_kwu)), reliability_ppm, state, said, *counts))
    return Bids(rows, x(limit), world is not None)


def first_asked(world: World, job: Job) -> Iterator[tuple[tuple[str, str], Units]]:
    for cls in world.builds[str(job.build)].classes:
        for seat in islice(world.free.get(cls, ()), ASKED):
            yield (worker_id(seat[4]), cls), Units(seat[0])


def standing_of(job: Job, who: str, cls: str, its: Sequence[Attempt], world: World | None, now_us: int) -> tuple[str, str]:
    """How it stands with the job now: a state and words."""
    holds = next((each for each in its if each.status in {"leased", "committed", "auditing"}), None)
    if holds and holds.status == "leased":
        return "leased", f"busy with piece {holds.task.partition('/')[2]}"
    worker = world.workers.get(WorkerId(Actor(who))) if world else None
    here = world.jobs.get(JobId(job.job)) if world else None
    if world is None or worker is None or here is None:
        return "waiting", ""
    if worker.quarantined_us > now_us:
        return "rejected", "quarantined"
    if not worker.is_there:
        return "waiting", worker.presence if worker.presence != "online" else worker.mode
    why = idle.in_class(world, here, worker, cls, now_us) if cls in worker.classes else "no_class"
    free = worker.classes[cls].seat is not None if cls in worker.classes else False
    return ("accepted" if why == "eligible" and free else "waiting"), (KEPT[why] if free or why != "eligible" else "busy elsewhere")
