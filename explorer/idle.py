"""Why a worker has nothing to do: what waits in the open jobs, sorted by what keeps the worker from it (DOMAIN.md §1 *Eligible*).

It is the ledger's own judgement, asked again of the world as it is; nothing here decides anything.
"""

from collections.abc import Sequence

from domain.ids import WorkerId, job_id
from domain.market import match
from domain.parts import Job, Worker
from domain.value import Value
from domain.world import World
from explorer.words import count

JOBS_MAX = 500

SHORT = {
    "eligible": "it may have them",
    "price": "lost on price",
    "no_class": "another engine or class",
    "no_bid": "no bid",
    "no_score": "no score",
    "bid_expired": "its bid has expired",
    "score_too_old": "its score is too old",
    "own_job": "its owner's own jobs",
    "memory": "memory",
    "country": "country",
    "model": "devices",
    "failed_job": "reliability: it failed in them",
}
CHEAPEST = ("eligible", "no_score", "score_too_old", "bid_expired", "no_bid", "price", "no_class", "model", "memory", "country")
"""What costs its owner nothing, then less of a price, then another machine. Nothing helps against the rest."""

REMEDIES = {
    "eligible": "It may have these: they go to it as soon as no cheaper worker is free.",
    "price": "They pay less than it asks: a lower bid gets them.",
    "no_class": "They run on a class that the worker did not register for.",
    "no_bid": "It has no bid in their class: set one.",
    "no_score": "It has no score in their class yet: a bench comes by itself while it is online.",
    "bid_expired": "Its bid has expired: set it again.",
    "score_too_old": "Its score is too old: a bench comes by itself while it is online.",
    "own_job": "They are its owner's own: somebody else has to render them.",
    "memory": "Their scenes need more memory than its devices have.",
    "country": "Their creators take other countries only.",
    "model": "Their creators take other devices only.",
    "failed_job": "It failed in these jobs too often to be asked again.",
}


class Reason(Value):
    """Some of what waits, and what keeps the worker from it."""

    why: str
    jobs: int
    pieces: int
    best: int
    """The highest limit among them: minor units per thousand work units."""
    remedy: str

    @property
    def short(self) -> str:
        return SHORT[self.why]


def reasons(world: World, id: WorkerId, at_us: int) -> list[Reason]:
    """The most pieces first; nothing if nothing waits, or the worker is not there to be asked. Of the jobs the oldest."""
    worker = world.workers.get(id)
    if worker is None or not worker.is_there or worker.kind == "checker":
        return []
    found: dict[str, list[Job]] = {}
    for pos in list(world.hungry)[:JOBS_MAX]:
        job = world.jobs[job_id(pos)]
        found.setdefault(hindrance(world, job, worker, at_us), []).append(job)
    counted = [
        Reason(why, len(jobs), sum(len(job.ready) for job in jobs), max(int(job.limit_price) for job in jobs), REMEDIES[why])
        for why, jobs in found.items()
    ]
    return sorted(counted, key=lambda each: (-each.pieces, each.why))


def cheapest(found: Sequence[Reason]) -> Reason | None:
    """The one whose remedy costs least; none if nothing that waits can be had."""
    helps = [each for each in found if each.why in CHEAPEST]
    return min(helps, key=lambda each: CHEAPEST.index(each.why), default=None)


def answer(world: World, id: WorkerId, at_us: int, found: Sequence[Reason]) -> str:
    """Why it has nothing to do, in a sentence."""
    worker = world.workers.get(id)
    if worker is None or worker.kind == "checker":
        return ""
    if worker.quarantined_us > at_us:
        return "It is in quarantine: nobody gives it work before that ends."
    if worker.presence != "online":
        return "It is offline: start it, and it is asked."
    if worker.mode != "active":
        return f"It is {worker.mode}: its owner makes it active again."
    if not found:
        return "Nothing waits: work comes as soon as somebody opens a job."
    best = cheapest(found)
    pieces = sum(each.pieces for each in found)
    waits = f"{count(pieces, 'piece')} {'waits' if pieces == 1 else 'wait'} in {count(sum(each.jobs for each in found), 'job')}."
    return f"{waits} {best.remedy}" if best else f"{waits} None of them can be had."


def hindrance(world: World, job: Job, worker: Worker, at_us: int) -> str:
    """What keeps the worker from the job in the class in which it is nearest to it."""
    said = [in_class(world, job, worker, cls, at_us) for cls in world.builds[job.build].classes if cls in worker.classes]
    order = list(REMEDIES)
    return min(said, key=order.index, default="no_class")


def in_class(world: World, job: Job, worker: Worker, cls: str, at_us: int) -> str:
    standing = worker.classes[cls]
    if not standing.price:
        return "no_bid"
    if not standing.score:
        return "no_score"
    return match.obstacle(world, job, worker, cls, at_us) or ("price" if standing.price > job.limit_price else "eligible")
