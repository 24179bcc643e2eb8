"""Scripts: what a checker sees and when, and what it must answer with."""

from typing import Any

import pytest

from domain.event import Event
from domain.ids import AccountId, AuditId, TaskId, WorkerId
from domain.market import worker
from domain.proof import audit, verdict
from domain.proof.verdict import Metric
from tests.agents import made
from worker_runtime.checker import agent
from worker_runtime.checker.agent import (
    Agent,
    Check,
    Closed,
    Compare,
    Compared,
    Failed,
    File,
    Filed,
    Forget,
    Found,
    Keep,
    Kept,
    Kill,
    Remembered,
    Render,
    Rendered,
    Reveal,
    RoundBegan,
    Seal,
    SealSeen,
)
from worker_runtime.inputs import (
    Action,
    Answered,
    Beat,
    GoOffline,
    GoOnline,
    Input,
    Left,
    Refused,
    Silent,
    Started,
    Stop,
    Ticked,
    WentOffline,
)


def checker(number: int) -> WorkerId:
    return WorkerId(AccountId(f"worker-{number}"))  # type: ignore[arg-type]


ME, SECOND, THIRD = checker(5), checker(6), checker(7)
S, SESSION, NONCE = 1_000_000, "ab" * 8, "12" * 16
AUDIT, TASK, OWN = AuditId("audit-90"), TaskId("job-1/1"), ("ab" * 32, "cd" * 32)


def check(round: int = 1, checkers: tuple[WorkerId, ...] = (ME,), due_us: int = 15 * S, audit: AuditId = AUDIT) -> Check:
    return Check(audit, TASK, 2, round, (0, 3), checkers, due_us)


EQUAL = (Metric(0, True, None, 0), Metric(3, True, None, 0))
CHEATED = (Metric(0, True, None, 0), Metric(3, False, 27_000, 700_000))
NEARLY = (Metric(0, False, 55_000, 100), Metric(3, True, None, 0))
VALID, INVALID = Found(1, "valid", EQUAL, OWN, NONCE), Found(1, "invalid", CHEATED, OWN, NONCE)
UNSURE = Found(1, "inconclusive", NEARLY, OWN, NONCE)


def seal(found: Found) -> Seal:
    return Seal(AUDIT, found.round, found.seal(AUDIT, ME))


Script = list[tuple[int, Input, list[Action]]]


def sealed(found: Found, drawn: Check) -> Script:
    """From the draw to the seal."""
    return [
        (0, RoundBegan(drawn), [Render(drawn)]),
        (1 * S, Rendered(AUDIT), [File(drawn)]),
        (2 * S, Filed(AUDIT, OWN), [Compare(drawn)]),
        (3 * S, Compared(AUDIT, found.metrics, NONCE), [Keep(AUDIT, found)]),
        (4 * S, Kept(AUDIT), [seal(found)]),
    ]


ALONE = sealed(VALID, check())
THREE = (ME, SECOND, THIRD)
TOGETHER = sealed(INVALID, check(checkers=THREE))
SECOND_ROUND = RoundBegan(check(2, (SECOND, THIRD), 30 * S))

SCRIPTS: dict[str, Script] = {
    "equal tiles are valid, sealed before they are revealed": [
        *ALONE,
        (5 * S, Answered(seal(VALID), 91), [Reveal(AUDIT, VALID)]),
        (6 * S, Answered(Reveal(AUDIT, VALID), 92), [Forget(AUDIT)]),
        (6 * S, Closed(AUDIT), []),
    ],
    "an unequal tile is invalid": [
        *sealed(INVALID, check()),
        (5 * S, Answered(seal(INVALID), 91), [Reveal(AUDIT, INVALID)]),
        (6 * S, Closed(AUDIT), [Forget(AUDIT)]),
    ],
    "what is between is inconclusive": [*sealed(UNSURE, check()), (5 * S, Closed(AUDIT), [Forget(AUDIT)])],
    "it reveals when all of its round have sealed": [
        *TOGETHER,
        (5 * S, SealSeen(AUDIT, SECOND), []),
        (6 * S, Answered(seal(INVALID), 91), []),
        (7 * S, SealSeen(AUDIT, ME), []),
        (8 * S, SealSeen(AUDIT, THIRD), [Reveal(AUDIT, INVALID)]),
        (9 * S, Answered(Reveal(AUDIT, INVALID), 95), [Forget(AUDIT)]),
    ],
    "it reveals when the time of those who have not sealed is over": [
        *TOGETHER,
        (6 * S, Answered(seal(INVALID), 91), []),
        (15 * S - 1, Ticked(), []),
        (15 * S, Ticked(), [Reveal(AUDIT, INVALID)]),
        (15 * S, Refused(Reveal(AUDIT, INVALID), "too_early", {"due_us": 16 * S}), []),
        (16 * S - 1, Ticked(), []),
        (16 * S, Ticked(), [Reveal(AUDIT, INVALID)]),
        (17 * S, Answered(Reveal(AUDIT, INVALID), 95), [Forget(AUDIT)]),
    ],
    "silence is answered by the same command again": [
        *ALONE,
        (9 * S, Silent(seal(VALID)), [seal(VALID)]),
        (10 * S, Answered(seal(VALID), 91), [Reveal(AUDIT, VALID)]),
        (12 * S, Silent(Reveal(AUDIT, VALID)), [Reveal(AUDIT, VALID)]),
        (13 * S, Refused(Reveal(AUDIT, VALID), "not_live"), [Forget(AUDIT)]),
    ],
    "a seal that came too late is no more use": [*ALONE, (16 * S, Refused(seal(VALID), "deadline_passed"), [Forget(AUDIT)])],
    "who is drawn twice by the feed renders once": [
        (0, RoundBegan(check()), [Render(check())]),
        (0, RoundBegan(check()), []),
        (1 * S, Closed(AUDIT), [Kill(AUDIT), Forget(AUDIT)]),
        (1 * S, Rendered(AUDIT), []),
    ],
    "an audit for which others are drawn is nothing to it": [
        (0, RoundBegan(check(1, (SECOND,))), []),
        (1 * S, SealSeen(AUDIT, SECOND), []),
    ],
    "the second round of an audit may be its first": [
        (0, RoundBegan(check(1, (SECOND,))), []),
        (5 * S, RoundBegan(check(2, (ME, THIRD))), [Render(check(2, (ME, THIRD)))]),
        (6 * S, Closed(AUDIT), [Kill(AUDIT), Forget(AUDIT)]),
    ],
    "an audit that was widened before it sealed is over for it": [
        *ALONE[:2],
        (5 * S, SECOND_ROUND, [Kill(AUDIT), Forget(AUDIT)]),
        (6 * S, Filed(AUDIT, OWN), []),
    ],
    "a sealed verdict is revealed with those of the next round": [
        *TOGETHER,
        (6 * S, Answered(seal(INVALID), 91), []),
        (15 * S, SECOND_ROUND, []),
        (16 * S, SealSeen(AUDIT, SECOND), []),
        (17 * S, SealSeen(AUDIT, THIRD), [Reveal(AUDIT, INVALID)]),
        (18 * S, Answered(Reveal(AUDIT, INVALID), 95), [Forget(AUDIT)]),
    ],
    "after a second look that drew nobody it reveals at once": [
        *ALONE,
        (5 * S, Answered(seal(VALID), 91), [Reveal(AUDIT, VALID)]),
        (5 * S, Refused(Reveal(AUDIT, VALID), "too_early", {"due_us": 14 * S}), []),
        (9 * S, RoundBegan(check(1, ())), [Reveal(AUDIT, VALID)]),
        (10 * S, Answered(Reveal(AUDIT, VALID), 95), [Forget(AUDIT)]),
    ],
    "it waits for the seal of whoever looks second, or for the end of its time": [
        *ALONE,
        (5 * S, Answered(seal(VALID), 91), [Reveal(AUDIT, VALID)]),
        (5 * S, Refused(Reveal(AUDIT, VALID), "too_early", {"due_us": 8 * S}), []),
        (6 * S, RoundBegan(check(1, (SECOND,), 30 * S)), []),
        (16 * S, Ticked(), []),
        (17 * S, SealSeen(AUDIT, SECOND), [Reveal(AUDIT, VALID)]),
        (18 * S, Answered(Reveal(AUDIT, VALID), 95), [Forget(AUDIT)]),
    ],
    "a renderer that fails is tried again, but not for ever": [
        (0, RoundBegan(check()), [Render(check())]),
        (1 * S, Failed(AUDIT, "engine_crashed"), [Kill(AUDIT), Render(check())]),
        (2 * S, Failed(AUDIT, "engine_crashed"), [Kill(AUDIT), Render(check())]),
        (3 * S, Failed(AUDIT, "engine_crashed"), [Kill(AUDIT), Forget(AUDIT)]),
    ],
    "what cannot be done in time is ended": [
        (0, RoundBegan(check()), [Render(check())]),
        (15 * S - 1, Ticked(), []),
        (15 * S, Ticked(), [Kill(AUDIT), Forget(AUDIT)]),
    ],
    "what is too late already is not begun": [(15 * S, RoundBegan(check()), [])],
    "what an earlier process sealed is sealed again as it was, and revealed": [
        (0, Remembered(AUDIT, VALID), []),
        (1 * S, RoundBegan(check()), [seal(VALID)]),
        (2 * S, Answered(seal(VALID), 91), [Reveal(AUDIT, VALID)]),
        (3 * S, Answered(Reveal(AUDIT, VALID), 95), [Forget(AUDIT)]),
    ],
    "what an earlier process left of an audit that is over is forgotten": [
        (0, Remembered(AUDIT, VALID), []),
        (1 * S, Closed(AUDIT), [Forget(AUDIT)]),
    ],
    "leaving, it keeps what it sealed": [
        *ALONE,
        (5 * S, Left(), [GoOffline()]),
        (6 * S, Answered(GoOffline(), 99), [Stop("left")]),
    ],
    "leaving, it ends what it renders": [
        (0, RoundBegan(check()), [Render(check())]),
        (1 * S, Left(), [Kill(AUDIT), GoOffline()]),
        (2 * S, Answered(GoOffline(), 99), [Stop("left")]),
    ],
    "it goes online, gives signs of life, and comes back": [
        (0, Started(), [GoOnline(SESSION)]),
        (1 * S, Answered(GoOnline(SESSION), 3), []),
        (3 * S, Ticked(), [Beat(SESSION)]),
        (4 * S, WentOffline(), [GoOnline(SESSION)]),
    ],
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_checker_keeps_to_the_script(script: Script) -> None:
    machine = Agent(ME, SESSION)
    for at_us, seen, expected in script:
        assert expected == list(machine.handle(seen, at_us)), (at_us, seen)
    assert machine.presence.over or (machine.doing, machine.seals, machine.kept) == ({}, {}, {})


def test_what_is_due_first_is_rendered_first() -> None:
    machine = Agent(ME, SESSION)
    audits = {
        AuditId(f"audit-{number}"): check(due_us=due * S, audit=AuditId(f"audit-{number}")) for number, due in ((1, 9), (2, 12), (3, 10))
    }
    begun = [action for drawn in audits.values() for action in machine.handle(RoundBegan(drawn), 0)]
    assert begun == [Render(audits[AuditId("audit-1")])]
    assert list(machine.handle(Closed(AuditId("audit-1")), 1))[-1] == Render(audits[AuditId("audit-3")])


def test_it_sleeps_until_something_is_due() -> None:
    machine = Agent(ME, SESSION)
    assert machine.wake_us() is None
    machine.handle(RoundBegan(check()), 0)
    assert machine.wake_us() == 15 * S


def test_the_seal_is_the_one_that_the_ledger_checks() -> None:
    expected = verdict.seal_of(AUDIT, ME, "invalid", CHEATED, OWN, NONCE)
    assert INVALID.seal(AUDIT, ME) == expected


def test_the_feed_tells_of_audits_and_verdicts() -> None:
    def told(kind: type[Event], **fields: Any) -> Input | None:
        return agent.seen(made.recorded(made.event(kind, audit=AUDIT, task=TASK, **fields)), ME)

    drawn = {"fence": 2, "round": 1, "regions": (0, 3), "checkers": (ME,), "due_us": 15 * S}
    assert told(audit.Opened, **drawn) == told(audit.Widened, **drawn) == RoundBegan(check())
    assert told(verdict.Committed, checker=SECOND) == SealSeen(AUDIT, SECOND)
    assert told(verdict.Revealed, checker=ME) == told(audit.Closed) == Closed(AUDIT)
    assert told(verdict.Revealed, checker=SECOND) is None
    assert agent.seen(made.recorded(made.event(worker.Offline, worker=ME)), ME) == WentOffline()
    assert agent.seen(made.recorded(made.event(worker.Offline, worker=SECOND)), ME) is None
