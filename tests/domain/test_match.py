"""Who gets which task: the order in which workers are asked, and every reason why one is not."""

from collections.abc import Callable
from random import Random

import pytest

from domain.event import Origin
from domain.house import invariants
from domain.ids import AccountId, TaskId, WorkerId, command_id, position
from domain.market import match, worker
from domain.parts import Job, Standing, Worker
from domain.units import Units, price
from domain.work import job, task
from tests.network import CLASS, Network, populated

MILLION = 10**6


class Market:
    """Workers with a standing of one's choice, and jobs of four tasks; `ready` opens them without leasing anything."""

    def __init__(self) -> None:
        self.net = Network("demo", signs=False)
        self.creator = self.net.person("creator", "provider", funds=50_000_000)
        self.owner = self.net.person("provider", "checker")

    def worker(
        self, price: int = 100, *, score: int = 1000, good: int = 0, idle_us: int = 0, owner: AccountId | None = None, kind: str = "cpu"
    ) -> WorkerId:
        id = self.net.worker(owner or self.owner, kind)
        it = self.net.world.workers[id]
        it.presence, it.record, it.idle_us, it.vram_mib = "online", [1] * good, idle_us, 8_000
        it.classes[CLASS] = Standing(Units(price * MILLION), score=score, scored_us=self.net.now_us)
        self.net.world.seat(it)
        return id

    def ready(self, *limits: int) -> list[Job]:
        """The tasks of jobs with these limits wait, and the house has not had its turn yet."""
        world = self.net.world
        jobs = [world.jobs[self.net.submit(self.creator, limit=limit * MILLION)] for limit in limits or (200,)]
        for each in jobs:
            origin = Origin(command_id(self.creator, "open"), self.creator, self.net.now_us, 10**9, self.creator)
            for event in job.Open(job=each.id).decide(world, origin):
                event.apply(world)
        return jobs

    def best(self) -> match.Match | None:
        return match.best(self.net.world, self.net.now_us)

    def it(self, id: WorkerId) -> Worker:
        return self.net.world.workers[id]


def test_the_lowest_bid_gets_the_first_task_at_its_own_price() -> None:
    market = Market()
    market.worker(120)
    cheap = market.worker(100)
    (open_job,) = market.ready()
    found = market.best()

    assert found is not None
    assert (found.worker, found.task, found.cls) == (cheap, f"{open_job.id}/1", CLASS)
    assert found.price == price(Units(100 * MILLION), open_job.wu_milli)
    assert found.runner_up_price == price(Units(120 * MILLION), open_job.wu_milli)
    assert found.candidates == 2


def test_equal_bids_are_ordered_by_reliability_then_score_then_idle_time_then_number() -> None:
    market = Market()
    late = market.worker(idle_us=9)
    early = market.worker(idle_us=5)
    twin = market.worker(idle_us=5)
    fast = market.worker(score=1001, idle_us=99)
    reliable = market.worker(score=1, good=1, idle_us=99)
    expected = [reliable, fast, early, twin, late]
    (open_job,) = market.ready()

    assert [each.id for _, each, _ in match.candidates(market.net.world, open_job, market.net.now_us)] == expected


def test_ids_are_ordered_by_number_not_by_text() -> None:
    market = Market()
    ids = [market.worker() for _ in range(90)]
    (open_job,) = market.ready()
    found = [each.id for _, each, _ in match.candidates(market.net.world, open_job, market.net.now_us)]

    assert found == ids == sorted(ids, key=position)
    assert found != sorted(ids)


OBSTACLES: dict[str, Callable[[Market, Worker, Job], object]] = {
    "offline": lambda _m, it, _j: setattr(it, "presence", "offline"),
    "paused": lambda _m, it, _j: setattr(it, "mode", "paused"),
    "draining": lambda _m, it, _j: setattr(it, "mode", "draining"),
    "retired": lambda _m, it, _j: setattr(it, "mode", "retired"),
    "quarantined": lambda _m, it, _j: setattr(it, "quarantined_us", 1),
    "busy": lambda _m, it, _j: it.leases.append(TaskId("job-1/1")),
    "without a bid": lambda _m, it, _j: setattr(it.classes[CLASS], "price", Units(0)),
    "without a score": lambda _m, it, _j: setattr(it.classes[CLASS], "score", 0),
    "on probation and full": lambda m, it, _j: setattr(it.classes[CLASS], "held", m.net.policy.probation),
    "above the limit": lambda _m, it, _j: setattr(it.classes[CLASS], "price", Units(200 * MILLION + 1)),
    "bound by a bid that is over": lambda m, it, _j: setattr(it.classes[CLASS], "bid_expires_us", m.net.now_us),
    "scored too long ago": lambda m, it, _j: setattr(it.classes[CLASS], "scored_us", m.net.now_us - m.net.policy.score_age_us),
    "the creator's own": lambda _m, it, j: setattr(it, "owner", j.creator),
    "too small": lambda _m, _it, j: setattr(j, "vram_mib", 8_001),
    "elsewhere": lambda _m, _it, j: setattr(j, "countries", ["DE"]),
    "another model": lambda _m, _it, j: setattr(j, "models", ["H200"]),
    "three times failed in the job": lambda m, it, j: j.failures.update({it.id: m.net.policy.job_failures_max}),
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_no_task_goes_to_a_worker_that_is(obstacle: str) -> None:
    market = Market()
    id = market.worker()
    (open_job,) = market.ready()
    assert market.best() is not None
    OBSTACLES[obstacle](market, market.it(id), open_job)
    market.net.world.seat(market.it(id))

    assert market.best() is None


def test_no_task_goes_to_a_checker() -> None:
    market = Market()
    market.worker(kind="checker")
    market.ready()

    assert market.best() is None


def assign(*rows: tuple[object, str, object]) -> None:
    for whose, name, value in rows:
        setattr(whose, name, value)


FITS: dict[str, Callable[[Market, Worker, Job], object]] = {
    "a bid at the limit": lambda _m, it, _j: setattr(it.classes[CLASS], "price", Units(200 * MILLION)),
    "a bid that is over in a moment": lambda m, it, _j: setattr(it.classes[CLASS], "bid_expires_us", m.net.now_us + 1),
    "a score of the last moment": lambda m, it, _j: setattr(it.classes[CLASS], "scored_us", m.net.now_us - m.net.policy.score_age_us + 1),
    "memory enough": lambda _m, _it, j: setattr(j, "vram_mib", 8_000),
    "the right country": lambda _m, it, j: assign((it, "country", "DE"), (j, "countries", ["CH", "DE"])),
    "one device of the right model": lambda _m, it, j: assign((it, "models", ["H100", "H200"]), (j, "models", ["H200"])),
    "ten clean audits and much to do": lambda m, it, _j: assign((it.classes[CLASS], "clean", 10), (it.classes[CLASS], "held", 99)),
    "two failures in the job": lambda m, it, j: j.failures.update({it.id: m.net.policy.job_failures_max - 1}),
}


@pytest.mark.parametrize("fit", FITS)
def test_a_task_goes_to_a_worker_with(fit: str) -> None:
    market = Market()
    id = market.worker()
    (open_job,) = market.ready()
    FITS[fit](market, market.it(id), open_job)
    market.net.world.seat(market.it(id))
    found = market.best()

    assert found is not None
    assert found.worker == id


def test_whose_work_was_rejected_never_gets_the_task_again_but_the_next_one() -> None:
    market = Market()
    id = market.worker()
    (open_job,) = market.ready()
    market.net.world.tasks[TaskId(f"{open_job.id}/1")].barred.append(id)
    found = market.best()

    assert found is not None
    assert found.task == f"{open_job.id}/2"


def test_who_failed_a_task_gets_it_again_only_if_nobody_else_could_ever_do_it() -> None:
    market = Market()
    one, two = market.worker(100), market.worker(110)
    (open_job,) = market.ready()
    tasks = [market.net.world.tasks[TaskId(f"{open_job.id}/{n}")] for n in range(1, 5)]
    for each in tasks:
        each.failed.append(one)
    assert (found := market.best()) is not None
    assert found.worker == two

    market.it(two).leases.append(TaskId("job-1/1"))
    market.net.world.seat(market.it(two))
    assert market.best() is None, "the other one is busy and will have time"

    market.it(two).presence = "offline"
    market.net.world.seat(market.it(two))
    assert (found := market.best()) is not None
    assert found.worker == one


def test_an_older_job_goes_first_and_one_that_nobody_takes_stops_nobody() -> None:
    market = Market()
    market.worker(100)
    poor, first, second = market.ready(99, 200, 200)
    assert market.net.world.hungry == [position(each.id) for each in (poor, first, second)]
    found = market.best()

    assert found is not None
    assert found.task == f"{first.id}/1"


def naive(market: Market) -> tuple[str, str] | None:
    """The rule as DOMAIN.md §1 says it, by looking at everything."""
    world, now_us = market.net.world, market.net.now_us
    for open_job in sorted((each for each in world.jobs.values() if each.status == "open"), key=lambda each: position(each.id)):
        for number in open_job.ready:
            it = world.tasks[TaskId(f"{open_job.id}/{number}")]
            fit = []
            for each in world.workers.values():
                standing = each.classes[CLASS]
                price = int(standing.price)
                free = each.is_there and each.kind != "checker" and len(each.leases) < each.slots and standing.score
                newcomer = standing.clean < world.policy.warm_up and standing.held >= world.policy.probation
                allowed = 0 < price <= open_job.limit_price and not newcomer and each.id not in (*it.barred, *it.failed)
                if free and allowed and match.obstacle(world, open_job, each, CLASS, now_us) is None:
                    place = price, -each.reliability_ppm, -standing.score, each.idle_us, position(each.id)
                    fit.append((place, each.id))
            if fit:
                return it.id, min(fit)[1]
    return None


@pytest.mark.parametrize("seed", range(20))
def test_the_sorted_lists_find_what_looking_at_everything_finds(seed: int) -> None:
    random, market = Random(seed), Market()
    for _ in range(random.randint(1, 8)):
        owner = random.choice([market.owner, market.creator])
        id = market.worker(random.choice([90, 100, 110]), score=random.choice([900, 1000]), good=random.randint(0, 2), owner=owner)
        market.it(id).mode = random.choice(["active", "active", "paused"])
        market.net.world.seat(market.it(id))
    market.ready(95, 100, 120)
    found = market.best()

    assert (found and (found.task, found.worker)) == naive(market)


def test_a_newcomer_holds_four_tasks_and_no_more() -> None:
    it, creator, workers = populated(signs=False)
    for name in ("cheat", "killed", "slow"):
        it.do(it.world.workers[workers[name]].owner, worker.Change(worker=workers[name], mode="paused"))
    fast = it.world.workers[workers["fast"]]
    it.do(fast.owner, worker.Change(worker=fast.id, slots=9))
    it.open(it.submit(creator, frames=3))

    assert len(fast.leases) == it.policy.probation == 4
    it.commit(fast.leases[0])
    assert (len(fast.leases), fast.classes[CLASS].held) == (3, 4)
    invariants.check_sealed(it.world, it.ledger.at_us)


def test_a_worker_out_of_three_failures_is_out_of_the_job() -> None:
    it, creator, workers = populated(signs=False)
    for name in ("cheat", "killed", "slow"):
        it.do(it.world.workers[workers[name]].owner, worker.Change(worker=workers[name], mode="paused"))
    fast = it.world.workers[workers["fast"]]
    id = it.submit(creator, frames=3)
    it.open(id)
    for _ in range(3):
        (lease,) = fast.leases
        fence = it.world.tasks[lease].fence
        it.do(fast.id, task.End(task=lease, fence=fence, outcome="error", code="crashed"), fast.owner)

    assert fast.leases == []
    assert it.world.jobs[id].failures == {fast.id: 3}
    assert it.world.jobs[id].dead == 1, "nobody else could do it, so it was his three times"
