"""Deadlines: how long a lease is, that nothing of the house's comes early, and what an election moves."""

from hashlib import sha256
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts import USDC
from domain.errors import DeadlinePassed, NotAllowed, QuoteExpired
from domain.house import house, invariants
from domain.ids import HOUSE, JobId, TaskId, command_id
from domain.log.receipts import Ask
from domain.market import worker
from domain.parts import Task
from domain.policy import DAY, MINUTE, SECOND, STANDARD, Policy
from domain.proof import audit
from domain.treasury import deposit
from domain.units import Units
from domain.work import job, task
from domain.world import World
from tests.deeds import Life
from tests.domain import test_audits, test_ends
from tests.network import CLASS, Network, populated, work


def lease_us(wu_milli: int, score: int, fence: int = 1) -> int:
    return house.lease_us(World(policy=STANDARD), Task(TaskId("job-9/1"), JobId("job-9"), wu_milli, 4), fence, score)


@pytest.mark.parametrize(
    ("wu_milli", "score", "base_us"),
    [
        (1, 1000, 20 * SECOND),
        (6_666, 1000, 20 * SECOND),
        (10_000, 1000, 30 * SECOND),
        (10_000, 2000, 20 * SECOND),
        (10_000, 100, 300 * SECOND),
        (300_000, 1000, 15 * MINUTE),
        (10**9, 1, 15 * MINUTE),
    ],
)
def test_a_lease_is_three_times_the_expected_time_within_its_bounds_and_a_little_spread(wu_milli: int, score: int, base_us: int) -> None:
    assert base_us <= lease_us(wu_milli, score) <= base_us + base_us // 20


def test_the_spread_follows_from_task_and_fence_alone() -> None:
    spread = int.from_bytes(sha256(b"job-9/1 2").digest()[:4], "big") % (20 * SECOND // 20 + 1)

    assert lease_us(1, 1000, 2) == 20 * SECOND + spread
    assert len({lease_us(1, 1000, fence) for fence in range(1, 20)}) > 15


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_a_lease_is_never_outside_its_bounds(wu_milli: int, score: int) -> None:
    assert STANDARD.lease_min_us <= lease_us(wu_milli, score) <= STANDARD.lease_max_us * 21 // 20


@pytest.mark.parametrize(
    ("wu_milli", "expected_us"), [(1, 10 * MINUTE), (120_000, 10 * MINUTE), (120_001, 600_005_000), (600_000, 50 * MINUTE)]
)
def test_a_verdict_is_due_after_ten_minutes_or_five_times_the_work(wu_milli: int, expected_us: int) -> None:
    checked = Task(TaskId("job-9/1"), JobId("job-9"), wu_milli, 4)

    assert audit.due_us(World(policy=STANDARD), checked, 7) == 7 + expected_us


class Timers:
    """Every timer that a world ever set, by the command of the house that answers it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.due_us, self.verb = dict[str, int](), dict[str, str]()
        set_timer = World.set_timer

        def noted(world: World, verb: str, subject: str, due_us: int) -> None:
            set_timer(world, verb, subject, due_us)
            cmd = command_id(HOUSE, house.key(verb, subject, due_us))
            self.due_us[cmd], self.verb[cmd] = due_us, verb

        patch.setattr(World, "set_timer", noted)


def lived(seed: int, policy: str, steps: int) -> Network:
    doing = Life(Random(seed), policy)
    for _ in range(steps):
        doing.step()
    return doing.network


def test_nothing_that_the_house_does_in_time_comes_before_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    timers, fired = Timers(monkeypatch), set[str]()
    lives = [lived(seed, "standard" if seed > 3 else "demo", 500) for seed in range(6)]
    for network in (*lives, test_ends.cancelled_late()[0], test_ends.released_cheat()[0]):
        for recorded in network.events:
            if recorded.by == HOUSE and recorded.cmd in timers.due_us:
                fired.add(timers.verb[recorded.cmd])
                assert recorded.at_us >= timers.due_us[recorded.cmd], f"{timers.verb[recorded.cmd]} came early: {recorded}"

    assert fired >= {"expire", "cancel", "tally", "unlock", "archive", "mature", "pool", "release"}


def test_what_is_due_is_done_in_the_block_of_its_time() -> None:
    doing = Life(Random(7))
    for _ in range(300):
        doing.step()
        assert not doing.network.world.timers or doing.network.world.timers[0][0] > doing.network.ledger.at_us


# Jobs in time.


def quoted(deadline_s: int = 0, limit: int = 1) -> tuple[Network, JobId]:
    it, creator, _ = populated(signs=False)
    submit = job.Submit(
        engine="mitsuba",
        manifest_sha256="ab" * 32,
        frames=1,
        size=(64, 64),
        samples=64,
        limit_price=Units(limit),
        deadline_us=it.now_us + deadline_s * SECOND if deadline_s else 0,
    )
    submitted = it.do(creator, submit, keyed=True)[0].event
    assert isinstance(submitted, job.Submitted)
    return it, submitted.job


def test_a_quote_is_valid_for_a_day_and_its_job_ends_then() -> None:
    it, id = quoted()
    valid_us = it.world.jobs[id].valid_us
    it.now_us = valid_us - 10_000
    it.seal()
    assert it.world.jobs[id].status == "quoted"
    it.now_us = valid_us
    with pytest.raises(QuoteExpired):
        it.open(id)
    it.seal()

    assert (it.world.jobs[id].status, it.world.jobs[id].reason) == ("closed", "quote")


def test_a_job_whose_deadline_is_over_is_not_opened_any_more() -> None:
    it, id = quoted(deadline_s=30)
    it.now_us += 30 * SECOND
    with pytest.raises(DeadlinePassed):
        it.open(id)


def test_a_job_that_is_closing_is_not_ended_once_more_by_its_deadline_or_by_its_pause() -> None:
    it, id = quoted(deadline_s=30, limit=200_000_000)
    it.open(id)
    for leased in [TaskId(each.id) for each in it.world.tasks.values() if each.status == "leased" and each.job]:
        it.commit(leased)
    for kind in (job.Pause, job.Cancel):
        it.do(it.world.jobs[id].creator, kind(job=id), keyed=True)
    assert it.world.jobs[id].status == "closing"
    it.wait(30 * SECOND)
    it.wait(it.policy.paused_max_us)
    it.judge()

    assert (it.world.jobs[id].status, it.world.jobs[id].outcome) == ("closed", "cancelled")


def test_a_job_ends_at_its_deadline_with_its_money_back() -> None:
    it, id = quoted(deadline_s=30)
    it.open(id)
    assert it.wait(29 * SECOND) == []
    (closed,) = [each.event for each in it.wait(SECOND) if isinstance(each.event, job.Closed)]

    assert (closed.outcome, closed.reason, closed.counts.cancelled) == ("failed", "deadline", 4)
    assert closed.refund > 0
    invariants.check_sealed(it.world, it.ledger.at_us)


def test_a_job_that_is_paused_for_seven_days_ends() -> None:
    it, id = quoted()
    it.open(id)
    it.do(it.world.jobs[id].creator, job.Pause(job=id), keyed=True)
    it.wait(7 * DAY - 10_000)
    assert it.world.jobs[id].status == "paused"
    it.wait(10_000)

    assert (it.world.jobs[id].status, it.world.jobs[id].reason) == ("closed", "paused")


def test_a_quote_under_a_policy_that_is_over_opens_nothing() -> None:
    it, id = quoted()
    it.world.coming = [(it.now_us + 5_000, STANDARD)]
    it.wait(10_000)
    it.do(next(iter(it.world.workers)), worker.GoOffline(worker=next(iter(it.world.workers))), next(iter(it.world.workers.values())).owner)
    with pytest.raises(NotAllowed, match="quoted under policy demo"):
        it.open(id)


def test_a_new_policy_changes_who_is_free_from_its_first_block_on() -> None:
    it, creator, workers = populated(signs=False)
    fast = it.world.workers[workers["fast"]]
    fast.slots, fast.classes[CLASS].held = 9, it.policy.probation
    it.world.seat(fast)
    assert fast.classes[CLASS].seat is None
    it.world.coming = [(it.now_us + 1, Policy(name="lenient", probation=5))]
    it.now_us += 10
    it.submit(creator)

    assert it.policy.name == "lenient"
    assert fast.classes[CLASS].seat is not None


def test_more_than_a_tenth_of_dead_tasks_pauses_a_job() -> None:
    it, creator, workers = populated(signs=False)
    id = it.submit(creator, frames=5)
    it.open(id)
    of = it.world.jobs[id]
    of.dead = 2
    while of.status == "open" and of.dead < 3:
        for lease in [one for one, each in it.world.tasks.items() if each.status == "leased"]:
            leased = it.world.tasks[lease]
            leased.errors = it.policy.errors_max - 1
            it.do(it.daemon("gate"), task.Stop(task=TaskId(lease), fence=leased.fence, code="constant"))
            break
        else:
            work(it, workers)

    assert (of.tasks, of.dead, of.status, of.reason) == (20, 3, "paused", "errors")


def test_what_comes_in_the_block_in_which_its_time_is_over_comes_too_late() -> None:
    it, creator, workers = populated(signs=False)
    it.open(it.submit(creator))
    fast = it.world.workers[workers["fast"]]
    (lease,) = fast.leases
    it.now_us = (it.world.timer("expire", lease) or 0) - 1_000
    with pytest.raises(DeadlinePassed):
        it.do(fast.id, task.End(task=lease, fence=1, outcome="declined", code="busy"), fast.owner)
    with pytest.raises(DeadlinePassed):
        it.commit(lease, after_us=0)


def test_a_reveal_after_its_time_is_not_heard() -> None:
    it, id = test_audits.audited()
    (checker,) = it.world.audits[id].rounds[0].checkers
    reveal = test_audits.revealing(it, id, checker, "valid")
    owner = it.world.workers[checker].owner
    it.do(checker, test_audits.sealing(it, reveal), owner)
    it.now_us = (it.world.timer("tally", id) or 0) - 1_000
    with pytest.raises(DeadlinePassed):
        it.do(checker, reveal, owner)
    it.wait(0)

    assert it.world.audits[id].rounds[0].checkers == [checker]
    assert it.world.audits[id].verdicts == {}


def test_a_quote_tells_the_time_with_all_who_would_take_the_job() -> None:
    it, creator, workers = populated(signs=False)
    first = it.submit(creator, frames=2)
    it.open(first)
    second = it.submit(creator, frames=2, limit=165_000_000)
    quotes = {each.event.job: each.event for each in it.events if isinstance(each.event, job.Quoted)}
    speeds = {name: it.world.workers[workers[name]].classes[CLASS].score for name in ("cheat", "killed", "slow", "fast")}
    work_milli = it.world.jobs[first].wu_milli * 8

    assert quotes[first].eta_s == -(-work_milli // sum(speeds.values()))
    assert quotes[second].eta_s == -(-work_milli // (speeds["cheat"] + speeds["killed"])), "they are busy, and will have time"


def test_a_block_does_no_more_of_what_is_due_than_its_share_and_the_next_ones_do_the_rest_in_order() -> None:
    it = Network("demo", signs=False)
    creator = it.person("creator")
    jobs = [it.submit(creator) for _ in range(house.TIMERS_MAX + 3)]

    blocks = [it.wait(it.policy.quote_valid_us), it.wait(1), it.wait(1)]

    ended = [[each.event.job for each in block if isinstance(each.event, job.Closed)] for block in blocks]
    assert [len(each) for each in ended] == [house.TIMERS_MAX, 3, 0]
    assert [id for each in ended for id in each] == jobs


@pytest.mark.parametrize(("asked", "done"), [(1, house.TIMERS_MIN), (house.TIMERS_MIN + 5, house.TIMERS_MIN + 5), (90, house.TIMERS_MAX)])
def test_who_asks_does_not_wait_for_more_timers_than_he_has_company(asked: int, done: int) -> None:
    it = Network("demo", signs=False)
    creator = it.person("creator")
    for _ in range(house.TIMERS_MAX + 3):
        it.submit(creator)
    it.now_us += it.policy.quote_valid_us
    seen = deposit.See(account=creator, asset=USDC, tx="0x" + "1" * 64, log_index=0, block=1, amount=Units(1))
    for number in range(asked):
        command = seen.model_copy(update={"log_index": number})
        it.ledger.decide(Ask.about(it.daemon("watch"), f"see/{number}", command, account=it.daemon("watch")), it.now_us)

    block = it.seal()

    assert sum(isinstance(each.event, job.Closed) for each in block) == done
