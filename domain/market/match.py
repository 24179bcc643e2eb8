"""Who gets which task: a pure function of the world (DOMAIN.md §1 *Match*). Only its result is an event; who lost is recomputed."""

from bisect import bisect_right
from collections.abc import Iterator
from heapq import merge
from itertools import islice
from math import inf

from domain.ids import TaskId, WorkerId, job_id, task_id, worker_id
from domain.parts import Job, Seat, Task, Worker
from domain.units import Units, price
from domain.value import Value
from domain.world import World


class Match(Value):
    task: TaskId
    worker: WorkerId
    cls: str
    price: Units
    candidates: int
    runner_up_price: Units | None


def best(world: World, at_us: int) -> Match | None:
    """The next lease: ready tasks in order of job and number; for each the eligible free worker by (bid, reliability falling, score
    falling, idle since, id). None if no ready task finds one."""
    lowest = {cls: row[0][0] for cls, row in world.free.items() if row}
    if not lowest:
        return None
    for pos in world.hungry:
        job = world.jobs[job_id(pos)]
        if not any(lowest.get(cls, inf) <= job.limit_price for cls in world.builds[job.build].classes):
            continue
        if next(candidates(world, job, at_us), None) is None:
            continue
        for number in job.ready:
            if match := best_for(world, job, world.tasks[task_id(job.id, number)], at_us):
                return match
    return None


def best_for(world: World, job: Job, task: Task, at_us: int) -> Match | None:
    """Whoever failed this task is asked only if nobody else could do it, now or when he has time."""
    chosen = first_two(world, job, {*task.barred, *task.failed}, at_us)
    if not chosen and task.failed and not is_wanted_by_others(world, job, task, at_us):
        chosen = first_two(world, job, {*task.barred}, at_us)
    if not chosen:
        return None
    (cls, worker, bid), *others = chosen
    runner_up = price(others[0][2], task.wu_milli) if others else None
    classes = world.builds[job.build].classes
    within = sum(bisect_right(world.free.get(each, ()), (int(job.limit_price), inf)) for each in classes)
    return Match(task.id, worker.id, cls, price(bid, task.wu_milli), within, runner_up)


def first_two(world: World, job: Job, without: set[WorkerId], at_us: int) -> list[tuple[str, Worker, Units]]:
    """Who gets the task, and who would have got it else."""
    return list(islice((each for each in candidates(world, job, at_us) if each[1].id not in without), 2))


def candidates(world: World, job: Job, at_us: int) -> Iterator[tuple[str, Worker, Units]]:
    """The free workers that may have tasks of the job, in the order in which they are asked, with class and bid."""
    rows: list[Iterator[tuple[Seat, str]]] = [seats(world, cls) for cls in world.builds[job.build].classes]
    for seat, cls in merge(*rows):
        if seat[0] > job.limit_price:
            return
        worker = world.workers[worker_id(seat[4])]
        if obstacle(world, job, worker, cls, at_us) is None:
            yield cls, worker, Units(seat[0])


def is_wanted_by_others(world: World, job: Job, task: Task, at_us: int) -> bool:
    """Whether anybody is eligible, free or busy, who has not failed this task. It is asked only of tasks that somebody failed."""
    others = (pair for pair in offers(world, job) if pair[1].id not in (*task.failed, *task.barred))
    return any(obstacle(world, job, worker, cls, at_us) is None for cls, worker in others)


def offers(world: World, job: Job) -> Iterator[tuple[str, Worker]]:
    """Who is there with a score and a bid within the limit, free or busy, by class."""
    for worker in world.workers.values():
        for cls in world.builds[job.build].classes:
            standing = worker.classes.get(cls)
            if standing and worker.is_there and worker.kind != "checker" and standing.score and 0 < standing.price <= job.limit_price:
                yield cls, worker


def seats(world: World, cls: str) -> Iterator[tuple[Seat, str]]:
    return ((seat, cls) for seat in world.free.get(cls, ()))


def obstacle(world: World, job: Job, worker: Worker, cls: str, at_us: int) -> str | None:
    """Why a free worker within the limit may have no task of the job; None if it may."""
    standing = worker.classes[cls]
    if 0 < standing.bid_expires_us <= at_us:
        return "bid_expired"
    if at_us >= standing.scored_us + world.policy.score_age_us:
        return "score_too_old"
    if worker.owner == job.creator:
        return "own_job"
    if worker.vram_mib < job.vram_mib:
        return "memory"
    if job.countries and worker.country not in job.countries:
        return "country"
    if job.models and not any(model in job.models for model in worker.models):
        return "model"
    if job.failures.get(worker.id, 0) >= world.policy.job_failures_max:
        return "failed_job"
    return None
