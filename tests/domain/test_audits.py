"""What verdicts come to: the table, further rounds, the second look, and what a conviction takes along."""

from collections.abc import Sequence
from hashlib import sha256
from itertools import product

import pytest

from domain import accounts
from domain.accounts import USDC
from domain.errors import DeadlinePassed, NotAllowed, NotDrawn, Refused, SealBroken, TooEarly, VerdictNotByRule
from domain.event import Event, Recorded
from domain.house import invariants
from domain.ids import AuditId, TaskId, WorkerId
from domain.parts import Audit
from domain.proof import audit, lottery, ruling, verdict
from domain.treasury import stake
from domain.work import task
from tests.network import DUMMY, Network, populated

METRICS = {
    "valid": verdict.MetricIn(region=0, equal=True, psnr_mdb=None, differing_ppm=0),
    "invalid": verdict.MetricIn(region=0, equal=False, psnr_mdb=20_000, differing_ppm=1_000_000),
    "inconclusive": verdict.MetricIn(region=0, equal=False, psnr_mdb=55_000, differing_ppm=5_000),
}


def revealing(it: Network, id: AuditId, checker: WorkerId, says: str) -> verdict.Reveal:
    regions = it.world.audits[id].rounds[verdict.drawn(it.world.audits[id], checker) - 1].regions
    metrics = tuple(METRICS[says].model_copy(update={"region": region}) for region in regions)
    evidence, nonce = ("ab" * 32,) * len(regions), sha256(checker.encode()).hexdigest()[:32]
    comparator = "psnr-1"
    fields = {"audit": id, "checker": checker, "verdict": says, "metrics": metrics, "comparator": comparator}
    return verdict.Reveal.model_validate(fields | {"evidence_sha256": evidence, "nonce": nonce})


def sealing(it: Network, reveal: verdict.Reveal) -> verdict.Commit:
    metrics = tuple(verdict.Metric(m.region, m.equal, m.psnr_mdb, m.differing_ppm) for m in reveal.metrics)
    seal = verdict.seal_of(reveal.audit, reveal.checker, reveal.verdict, metrics, reveal.evidence_sha256, reveal.nonce)
    number = verdict.drawn(it.world.audits[reveal.audit], reveal.checker)
    return verdict.Commit(audit=reveal.audit, checker=reveal.checker, round=number, seal=seal, signature=DUMMY)


def say(it: Network, id: AuditId, *verdicts: str) -> list[Recorded[Event]]:
    """The checkers of the last round seal these verdicts, in order, and reveal them; who has none does nothing."""
    checkers, done = list(it.world.audits[id].rounds[-1].checkers), list[Recorded[Event]]()
    reveals = [revealing(it, id, checker, says) for checker, says in zip(checkers, verdicts, strict=False)]
    for reveal in reveals:
        done += it.do(reveal.checker, sealing(it, reveal), it.world.workers[reveal.checker].owner)
    if len(reveals) < len(checkers):
        it.now_us = max(it.now_us, it.world.audits[id].due_us)
    for reveal in reveals:
        done += it.do(reveal.checker, reveal, it.world.workers[reveal.checker].owner)
    return done


def audited(policy: str = "demo", *, checkers: int = 6, honest: bool = True) -> tuple[Network, AuditId]:
    """One proof of the first worker is audited; so many checkers of different owners are there in all."""
    it, creator, _ = populated(policy, signs=False)
    for _ in range(checkers - 3):
        it.online(it.worker(it.person("checker", funds=10_000_000, locked=5_000_000), "checker"))
    while busy := [one for one, each in it.world.tasks.items() if each.status == "leased"]:
        for bench in busy:
            it.commit(bench)
        it.judge()
    it.open(it.submit(creator))
    lease = next(one for one, each in it.world.tasks.items() if each.status == "leased" and each.job)
    it.commit(lease, honest=honest, after_us=1_500_000)
    while not it.world.tasks[lease].audit:
        it.beacon()
    return it, it.world.tasks[lease].audit


def closed(done: Sequence[Recorded[Event]]) -> audit.Closed:
    (found,) = [each.event for each in done if isinstance(each.event, audit.Closed)]
    return found


TABLE = {
    (): None,
    ("valid",): "valid",
    ("invalid",): None,
    ("inconclusive",): None,
    ("valid", "invalid"): None,
    ("valid", "inconclusive"): "valid",
    ("invalid", "invalid"): "invalid",
    ("inconclusive", "inconclusive"): None,
    ("valid", "invalid", "invalid"): "invalid",
    ("valid", "valid", "invalid"): "valid",
    ("invalid", "inconclusive", "inconclusive"): None,
    ("valid", "valid", "invalid", "invalid"): None,
    ("valid", "valid", "invalid", "invalid", "invalid"): "invalid",
    ("valid", "valid", "valid", "invalid", "invalid"): "valid",
}


@pytest.mark.parametrize(("votes", "expected"), TABLE.items())
def test_verdicts_come_to(votes: tuple[str, ...], expected: str | None) -> None:
    it, id = audited()
    it.world.audits[id].verdicts = {WorkerId(f"worker-{n}"): vote for n, vote in enumerate(votes)}  # type: ignore[arg-type]

    assert audit.result(it.world.audits[id]) == expected


def test_one_checker_clears_and_never_convicts() -> None:
    it, id = audited()
    of: Audit = it.world.audits[id]
    for votes in product(METRICS, repeat=4):
        for count in range(5):
            of.verdicts = {WorkerId(f"worker-{n}"): vote for n, vote in enumerate(votes[:count])}  # type: ignore[arg-type]
            result = audit.result(of)
            assert result != "invalid" or votes[:count].count("invalid") >= 2


def test_one_valid_verdict_accepts_the_work() -> None:
    it, id = audited()
    of = it.world.tasks[it.world.audits[id].task]
    done = say(it, id, "valid")

    assert (closed(done).result, of.status) == ("valid", "accepted")
    assert it.world.workers[of.worker].classes[of.cls].clean == 1
    invariants.check_sealed(it.world, it.ledger.at_us)


def test_a_first_invalid_adds_two_checkers_of_other_owners_and_other_regions() -> None:
    it, id = audited()
    first = list(it.world.audits[id].rounds[0].checkers)
    (widened,) = [each.event for each in say(it, id, "invalid") if isinstance(each.event, audit.Widened)]
    owners = [it.world.workers[checker].owner for checker in (*first, *widened.checkers)]

    assert (widened.round, len(widened.checkers)) == (2, 2)
    assert len(set(owners)) == 3
    assert not set(widened.regions) & set(it.world.audits[id].rounds[0].regions)


def test_two_invalid_convict_the_work_is_unpaid_done_again_and_its_worker_slashed() -> None:
    it, id = audited(honest=False)
    of = it.world.tasks[it.world.audits[id].task]
    cheat, price, staked = it.world.workers[of.worker], of.price, it.world.stake(USDC, of.owner)
    say(it, id, "invalid")
    done = say(it, id, "invalid", "invalid")
    verbs = [each.event.verb() for each in done if each.event.verb() not in {"verdict.committed", "verdict.revealed"}]

    assert verbs[:4] == ["audit.closed", "task.rejected", "stake.slashed", "worker.quarantined"]
    assert it.world.stake(USDC, cheat.owner) == staked - price
    assert it.world.credit(accounts.safety(USDC)) == price
    assert of.barred == [cheat.id]
    assert of.status == "ready" or of.worker != cheat.id
    invariants.check_sealed(it.world, it.ledger.at_us)


def test_three_rounds_that_decide_nothing_are_inconclusive_unpaid_and_cost_nobody() -> None:
    it, id = audited()
    of = it.world.tasks[it.world.audits[id].task]
    worker = it.world.workers[of.worker]
    say(it, id, "inconclusive")
    say(it, id, "invalid", "valid")
    done = say(it, id, "inconclusive", "inconclusive")
    (ended,) = [each.event for each in done if isinstance(each.event, task.Ended)]

    assert closed(done).result == ended.outcome == "inconclusive"
    assert (closed(done).valid, closed(done).invalid, closed(done).inconclusive) == (1, 1, 3)
    assert (ended.fee, of.errors, of.failed, of.barred) == (0, 0, [], [])
    assert not worker.quarantined_us
    assert not [each for each in it.events if isinstance(each.event, stake.Slashed)]


def test_when_nobody_is_left_to_check_it_is_inconclusive() -> None:
    it, id = audited(checkers=3)
    say(it, id, "invalid")
    done = say(it, id, "valid", "inconclusive")

    assert len(it.world.audits[id].rounds) == 2
    assert closed(done).result == "inconclusive"


def test_who_does_not_seal_in_time_is_missed_and_gets_nothing_of_the_epoch() -> None:
    it, id = audited()
    (late,) = it.world.audits[id].rounds[0].checkers
    it.now_us = it.world.audits[id].due_us
    with pytest.raises(DeadlinePassed):
        it.do(late, sealing(it, revealing(it, id, late, "valid")), it.world.workers[late].owner)
    it.wait(it.policy.reveal_us)
    done = say(it, id, "valid", "valid")

    assert closed(done).missed == (late,)
    assert it.world.barred == [late]


def test_a_seal_opens_with_what_was_sealed_and_only_after_all_have_sealed() -> None:
    it, id = audited()
    say(it, id, "invalid")
    one, two = it.world.audits[id].rounds[-1].checkers
    owner = it.world.workers[one].owner
    honest = revealing(it, id, one, "valid")
    it.do(one, sealing(it, honest), owner)
    with pytest.raises(TooEarly):
        it.do(one, honest, owner)
    it.do(two, sealing(it, revealing(it, id, two, "valid")), it.world.workers[two].owner)
    for other in (revealing(it, id, one, "invalid"), honest.model_copy(update={"nonce": "0" * 32})):
        with pytest.raises(SealBroken):
            it.do(one, other, owner)
    it.do(one, honest, owner)

    assert it.world.audits[id].verdicts[one] == "valid"


def test_a_verdict_that_does_not_follow_from_its_metrics_is_not_heard() -> None:
    it, id = audited()
    (checker,) = it.world.audits[id].rounds[0].checkers
    owner = it.world.workers[checker].owner
    lie = revealing(it, id, checker, "valid").model_copy(update={"verdict": "invalid"})
    it.do(checker, sealing(it, lie), owner)
    with pytest.raises(VerdictNotByRule):
        it.do(checker, lie, owner)


def test_nobody_judges_who_was_not_drawn_and_nobody_seals_twice() -> None:
    it, id = audited()
    (drawn,) = it.world.audits[id].rounds[0].checkers
    other = next(each for each in it.world.workers.values() if each.kind == "checker" and each.id != drawn)
    seal = sealing(it, revealing(it, id, drawn, "valid"))
    with pytest.raises(NotDrawn):
        it.do(other.id, seal.model_copy(update={"checker": other.id}), other.owner)
    it.do(drawn, seal, it.world.workers[drawn].owner)
    assert it.do(drawn, seal, it.world.workers[drawn].owner) == []
    with pytest.raises(NotAllowed):
        it.do(drawn, seal.model_copy(update={"seal": "cd" * 32}), it.world.workers[drawn].owner)


def test_a_conviction_ends_the_other_leases_as_cancelled_and_audits_what_is_committed() -> None:
    it, creator, workers = populated(signs=False)
    cheat = it.world.workers[workers["cheat"]]
    cheat.slots = 3
    cheat.classes[next(iter(cheat.classes))].clean = 10
    it.world.seat(cheat)
    it.open(it.submit(creator, frames=2))
    wrong, committed, _ = cheat.leases
    standing = cheat.classes[it.world.tasks[wrong].cls]
    standing.clean = 0
    it.commit(wrong, honest=False, after_us=1_500_000)
    it.beacon()
    it.commit(committed, after_us=1_000)
    say(it, it.world.tasks[wrong].audit, "invalid")
    leased = list(cheat.leases)
    done = say(it, it.world.tasks[wrong].audit, "invalid", "invalid")
    it.beacon()
    ended = [each.event for each in done if isinstance(each.event, task.Ended)]

    assert leased
    assert [(each.task, each.outcome, each.code) for each in ended] == [(one, "cancelled", "convicted") for one in leased]
    assert it.world.audits[it.world.tasks[TaskId(committed)].audit].p_ppm == lottery.MILLION


# The second look, by the standard policy.


def looked() -> tuple[Network, AuditId]:
    it, id = audited("standard")
    (checker,) = it.world.audits[id].rounds[0].checkers
    it.do(checker, sealing(it, revealing(it, id, checker, "valid")), it.world.workers[checker].owner)
    return it, id


def test_a_first_verdict_stays_sealed_until_a_later_beacon_has_decided_on_a_second_look() -> None:
    it, id = looked()
    (checker,) = it.world.audits[id].rounds[0].checkers
    with pytest.raises(TooEarly):
        it.do(checker, revealing(it, id, checker, "valid"), it.world.workers[checker].owner)
    it.wait(it.policy.verdict_us + it.policy.reveal_us)
    assert it.world.audits[id].status == "checking", "without a beacon nothing is decided"
    before_us = it.world.grid_us
    (look,) = [each.event for each in it.beacon() if isinstance(each.event, audit.SecondLook)]
    value = next(each.event.block_hash for each in reversed(it.events) if each.event.verb() == "beacon.drawn")  # type: ignore[attr-defined]
    u = lottery.number(lottery.SECOND, value, it.world.audits[id].proof_pos, 0)

    assert it.world.grid_us > before_us
    assert (look.u, look.p_ppm) == (str(u), 200_000)
    assert bool(look.checkers) == lottery.is_audited(u, 200_000)


def first_look(*, drawn: bool) -> tuple[Network, AuditId, audit.SecondLook]:
    """A second look that was drawn, or one that was not."""
    it, id = looked()
    while True:
        draw = it.world.audits[id]
        grid_us = it.world.next_grid_us()
        assert grid_us is not None
        number = grid_us // 1_000_000
        value = "0x" + sha256(b"block %d" % number).hexdigest()
        if lottery.is_audited(lottery.number(lottery.SECOND, value, draw.proof_pos, 0), 200_000) == drawn:
            (look,) = [each.event for each in it.beacon() if isinstance(each.event, audit.SecondLook)]
            return it, id, look
        draw.proof_pos += 1


def test_without_a_second_look_the_first_verdict_is_opened() -> None:
    it, id, look = first_look(drawn=False)
    (checker,) = it.world.audits[id].rounds[0].checkers
    done = it.do(checker, revealing(it, id, checker, "valid"), it.world.workers[checker].owner)

    assert look.checkers == ()
    assert closed(done).result == "valid"


@pytest.mark.parametrize(("second", "result"), [("valid", "valid"), ("inconclusive", "valid"), ("invalid", None)])
def test_a_second_checker_of_another_owner_looks_at_the_same_regions(second: str, result: str | None) -> None:
    it, id, look = first_look(drawn=True)
    one, two = it.world.audits[id].rounds[0].checkers
    assert look.regions == tuple(it.world.audits[id].rounds[0].regions)
    assert it.world.workers[one].owner != it.world.workers[two].owner
    with pytest.raises(TooEarly):
        it.do(one, revealing(it, id, one, "valid"), it.world.workers[one].owner)
    it.do(two, sealing(it, revealing(it, id, two, second)), it.world.workers[two].owner)
    done = it.do(two, revealing(it, id, two, second), it.world.workers[two].owner)
    done += it.do(one, revealing(it, id, one, "valid"), it.world.workers[one].owner)

    assert [each.event.result for each in done if isinstance(each.event, audit.Closed)] == ([result] if result else [])
    assert len(it.world.audits[id].rounds) == (1 if result else 2)
    invariants.check(it.world)


def test_a_second_checker_that_stays_away_is_missed_and_the_first_verdict_counts() -> None:
    it, id, look = first_look(drawn=True)
    (checker, away) = it.world.audits[id].rounds[0].checkers
    it.now_us = look.due_us
    done = it.do(checker, revealing(it, id, checker, "valid"), it.world.workers[checker].owner)

    assert (closed(done).result, closed(done).missed) == ("valid", (away,))


def test_no_lawful_verdict_is_refused_for_another_reason_than_it_should() -> None:
    it, id = audited()
    say(it, id, "valid")
    (checker,) = it.world.audits[id].rounds[0].checkers
    with pytest.raises(Refused) as caught:
        it.do(checker, sealing(it, revealing(it, id, checker, "invalid")), it.world.workers[checker].owner)

    assert caught.value.code == "not_allowed"
    assert isinstance(it.events[-1].event, ruling.Accepted | audit.Closed | task.Leased)
