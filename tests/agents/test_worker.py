"""Scripts: what a worker sees and when, and what it must answer with."""

from typing import Any

import pytest

from domain.event import Event
from domain.ids import NO_JOB, AccountId, JobId, TaskId, WorkerId
from domain.market import worker
from domain.proof import bench, proof
from domain.work import task
from tests.agents import made
from worker_runtime.gpu import agent
from worker_runtime.gpu.agent import (
    Agent,
    Commit,
    Duty,
    End,
    Failed,
    Forget,
    Granted,
    Kill,
    Lease,
    Lost,
    Pace,
    Render,
    Rendered,
    Report,
    Scored,
    TileDone,
    Upload,
    Uploaded,
)
from worker_runtime.gpu.cheat import Cheat
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

ME, CLS, SESSION = WorkerId(AccountId("worker-5")), "mitsuba-3.9.1/cpu", "ab" * 8  # type: ignore[arg-type]
S = 1_000_000
JOB = JobId("job-1")
TASK, OTHER, BENCH = TaskId("job-1/1"), TaskId("job-1/2"), TaskId("bench-7")
RAW = ("ab" * 32, "cd" * 32)
ONLINE = GoOnline(SESSION)


def lease(name: TaskId = TASK, fence: int = 1, since_us: int = 0, expires_us: int = 60 * S, wu_milli: int = 1_000) -> Lease:
    return Lease(name, fence, NO_JOB if name == BENCH else JOB, 0, CLS, wu_milli, since_us, expires_us)


FIRST = lease()
RENDERED = Rendered(TASK, 1, RAW, 200, 3 * S)
UPLOAD, COMMIT = Upload(TASK, 1), Commit(TASK, 1, CLS, RAW, 200, 3 * S)
ERROR = End(TASK, 1, "error", "engine_crashed")
DECLINED = End(TASK, 1, "declined", "leaving")

Script = list[tuple[int, Input, list[Action]]]
TO_RUNNING: Script = [(0, Granted(FIRST), [Render(FIRST)])]
TO_UPLOADING: Script = [*TO_RUNNING, (3 * S, RENDERED, [UPLOAD])]
TO_COMMITTING: Script = [*TO_UPLOADING, (4 * S, Uploaded(TASK, 1), [COMMIT])]

SCRIPTS: dict[str, Script] = {
    "a task is rendered, uploaded and committed once": [
        *TO_COMMITTING,
        (5 * S, Answered(COMMIT, 9), [Forget(TASK, 1)]),
        (6 * S, Lost(TASK, 1), []),
        (6 * S, Granted(FIRST), []),
    ],
    "each tile is reported as it is done": [
        *TO_RUNNING,
        (1 * S, TileDone(TASK, 1, 1, 2), [Report(TASK, 1, 1, 2)]),
        (2 * S, TileDone(TASK, 1, 2, 2), [Report(TASK, 1, 2, 2)]),
        (3 * S, RENDERED, [UPLOAD]),
        (3 * S, TileDone(TASK, 1, 2, 2), []),
        (4 * S, Lost(TASK, 1), [Kill(TASK, 1)]),
    ],
    "silence is answered by the same command again": [
        *TO_COMMITTING,
        (9 * S, Silent(COMMIT), [COMMIT]),
        (14 * S, Silent(COMMIT), [COMMIT]),
        (15 * S, Answered(COMMIT, 9), [Forget(TASK, 1)]),
        (15 * S, Silent(COMMIT), []),
    ],
    "an answer that was lost is found in the feed": [
        *TO_COMMITTING,
        (5 * S, Lost(TASK, 1), [Forget(TASK, 1)]),
        (9 * S, Silent(COMMIT), []),
        (9 * S, Answered(COMMIT, 9), []),
    ],
    "a lease that expires while it renders kills the render": [
        *TO_RUNNING,
        (60 * S - 1, Ticked(), []),
        (60 * S, Ticked(), [Kill(TASK, 1)]),
        (61 * S, RENDERED, []),
    ],
    "a lease that expires while it uploads ends the upload": [*TO_UPLOADING, (60 * S, Ticked(), [Kill(TASK, 1)])],
    "a lease that ends while it renders kills the render": [*TO_RUNNING, (1 * S, Lost(TASK, 1), [Kill(TASK, 1)])],
    "a lease that ends while it uploads ends the upload": [
        *TO_UPLOADING,
        (4 * S, Lost(TASK, 1), [Kill(TASK, 1)]),
        (5 * S, Uploaded(TASK, 1), []),
    ],
    "a proof that was sent is asked for after the lease, too: it may have been in time": [
        *TO_COMMITTING,
        (61 * S, Ticked(), []),
        (62 * S, Silent(COMMIT), [COMMIT]),
        (63 * S, Refused(COMMIT, "deadline_passed"), [Forget(TASK, 1)]),
    ],
    "the end of another attempt is nothing to us": [
        (0, Granted(lease(fence=3)), [Render(lease(fence=3))]),
        (1 * S, Lost(TASK, 2), []),
        (1 * S, Failed(TASK, 2, "engine_crashed"), []),
        (2 * S, Lost(TASK, 3), [Kill(TASK, 3)]),
    ],
    "what is granted twice is rendered once": [*TO_RUNNING, (1 * S, Granted(FIRST), []), (2 * S, Lost(TASK, 1), [Kill(TASK, 1)])],
    "an attempt that is over is not begun again": [(0, Lost(TASK, 2), []), (1 * S, Granted(lease(fence=2)), [])],
    "a newer attempt at the same task replaces the older": [
        *TO_RUNNING,
        (9 * S, Granted(lease(fence=2)), [Kill(TASK, 1), Render(lease(fence=2))]),
        (9 * S, RENDERED, []),
        (9 * S, Lost(TASK, 2), [Kill(TASK, 2)]),
    ],
    "a renderer that was killed is reported, and the lease given back once": [
        *TO_RUNNING,
        (1 * S, Failed(TASK, 1, "engine_crashed"), [Kill(TASK, 1), ERROR]),
        (2 * S, Failed(TASK, 1, "engine_crashed"), []),
        (3 * S, Silent(ERROR), [ERROR]),
        (4 * S, Answered(ERROR, 12), []),
        (5 * S, Lost(TASK, 1), []),
    ],
    "an upload that is refused gives the lease back": [
        *TO_UPLOADING,
        (4 * S, Failed(TASK, 1, "engine_crashed"), [Kill(TASK, 1), ERROR]),
        (5 * S, Refused(ERROR, "stale_fence"), []),
    ],
    "a lease that ends while it is given back is over": [
        *TO_RUNNING,
        (1 * S, Failed(TASK, 1, "engine_crashed"), [Kill(TASK, 1), ERROR]),
        (2 * S, Lost(TASK, 1), []),
        (3 * S, Silent(ERROR), []),
    ],
    "objects that are not there are uploaded again, but not for ever": [
        *TO_COMMITTING,
        (5 * S, Refused(COMMIT, "not_uploaded"), [UPLOAD]),
        (6 * S, Uploaded(TASK, 1), [COMMIT]),
        (7 * S, Refused(COMMIT, "not_uploaded"), [UPLOAD]),
        (8 * S, Uploaded(TASK, 1), [COMMIT]),
        (9 * S, Refused(COMMIT, "not_uploaded"), [Forget(TASK, 1), End(TASK, 1, "error", "not_uploaded")]),
        (9 * S, Lost(TASK, 1), []),
    ],
    "a proof that is refused for what it is gives the lease back": [
        *TO_COMMITTING,
        (5 * S, Refused(COMMIT, "wrong_tiles"), [Forget(TASK, 1), End(TASK, 1, "error", "wrong_tiles")]),
        (6 * S, Answered(End(TASK, 1, "error", "wrong_tiles"), 12), []),
    ],
    "one slot renders one task, the next when it is free": [
        *TO_RUNNING,
        (0, Granted(lease(OTHER)), []),
        (3 * S, RENDERED, [UPLOAD]),
        (4 * S, Uploaded(TASK, 1), [COMMIT]),
        (5 * S, Answered(COMMIT, 9), [Forget(TASK, 1), Render(lease(OTHER))]),
        (6 * S, Lost(OTHER, 1), [Kill(OTHER, 1)]),
    ],
    "a lease that ends while it waits for a slot is forgotten": [
        *TO_RUNNING,
        (0, Granted(lease(OTHER)), []),
        (1 * S, Lost(OTHER, 1), []),
        (2 * S, Lost(TASK, 1), [Kill(TASK, 1)]),
    ],
    "a lease that another process left too late to keep is given back": [
        (58 * S, Granted(lease(wu_milli=3_000)), [End(TASK, 1, "declined", "too_late")]),
        (59 * S, Answered(End(TASK, 1, "declined", "too_late"), 12), []),
    ],
    "a lease that another process left is taken up again while there is time": [
        (56 * S, Granted(lease(wu_milli=3_000)), [Render(lease(wu_milli=3_000))]),
        (57 * S, Lost(TASK, 1), [Kill(TASK, 1)]),
    ],
    "a fast worker keeps what a slow one could not": [
        (0, Scored(CLS, 4_000), []),
        (58 * S, Granted(lease(wu_milli=3_000)), [Render(lease(wu_milli=3_000))]),
        (59 * S, Lost(TASK, 1), [Kill(TASK, 1)]),
    ],
}


def play(machine: Agent, script: Script) -> None:
    for at_us, seen, expected in script:
        assert expected == list(machine.handle(seen, at_us)), (at_us, seen)


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_worker_keeps_to_the_script_and_ends_with_nothing_to_do(script: Script) -> None:
    machine = Agent(ME, SESSION)
    play(machine, script)
    assert machine.doing == {}


@pytest.mark.parametrize("slots", [2, 3])
def test_as_many_tasks_run_at_once_as_there_are_slots(slots: int) -> None:
    machine = Agent(ME, SESSION, slots=slots)
    names = [TaskId(f"job-1/{number}") for number in range(1, 5)]
    begun = [action for name in names for action in machine.handle(Granted(lease(name)), 0)]
    assert begun == [Render(lease(name)) for name in names[:slots]]


PACES: dict[str, tuple[Pace, Lease, int]] = {
    "a worker that is ours half of the time sleeps as long as it rendered": (Duty(50), FIRST, 3 * S + 3 * S),
    "one that is ours a quarter of the time sleeps three times as long": (Duty(25), FIRST, 3 * S + 9 * S),
    "a cheat waits for six tenths of the expected time since the lease": (Cheat(8), lease(wu_milli=10_000), 1 * S + 3 * S),
    "a cheat hands an honest bench in at once": (Cheat(8), lease(BENCH), 3 * S),
}


@pytest.mark.parametrize(("pace", "held", "until_us"), PACES.values(), ids=PACES)
def test_a_proof_is_held_back(pace: Pace, held: Lease, until_us: int) -> None:
    held = Lease(held.task, 1, held.job, 0, CLS, held.wu_milli, 1 * S, 60 * S)
    machine = Agent(ME, SESSION, pace=pace)
    commit = Commit(held.task, 1, CLS, RAW, 200, 3 * S)
    machine.handle(Scored(CLS, 2_000), 0)
    machine.handle(Granted(held), 0)
    machine.handle(Rendered(held.task, 1, RAW, 200, 3 * S), 3 * S)
    handed_in = [*machine.handle(Uploaded(held.task, 1), 3 * S)]
    if until_us > 3 * S:
        assert handed_in == []
        assert machine.wake_us() == until_us
        assert machine.handle(Ticked(), until_us - 1) == []
        handed_in = [*machine.handle(Ticked(), until_us)]
    assert handed_in == [commit]


def test_a_lease_that_expires_while_its_proof_is_held_back_is_forgotten() -> None:
    machine = Agent(ME, SESSION, pace=Duty(1))
    play(machine, [*TO_UPLOADING, (4 * S, Uploaded(TASK, 1), []), (60 * S, Ticked(), [Forget(TASK, 1)])])
    assert machine.doing == {}


BEAT_US = 2 * S
PRESENCE: dict[str, Script] = {
    "it goes online, and gives signs of life": [
        (0, Started(), [ONLINE]),
        (1 * S, Answered(ONLINE, 3), []),
        (2 * S, Ticked(), []),
        (3 * S, Ticked(), [Beat(SESSION)]),
        (5 * S, Ticked(), [Beat(SESSION)]),
    ],
    "silence is asked again": [(0, Started(), [ONLINE]), (5 * S, Silent(ONLINE), [ONLINE]), (6 * S, Answered(ONLINE, 3), [])],
    "held for gone, it comes back": [
        (0, Started(), [ONLINE]),
        (1 * S, Answered(ONLINE, 3), []),
        (2 * S, WentOffline(), [ONLINE]),
        (2 * S, WentOffline(), []),
    ],
    "quarantined, it asks when that is over": [
        (0, Started(), [ONLINE]),
        (1 * S, Refused(ONLINE, "frozen", {"until_us": 30 * S}), []),
        (29 * S, Ticked(), []),
        (30 * S, Ticked(), [ONLINE]),
    ],
    "a worker that is not to be stops": [(0, Started(), [ONLINE]), (1 * S, Refused(ONLINE, "not_allowed"), [Stop("not_allowed")])],
    "told to leave, it says so and stops": [
        (0, Started(), [ONLINE]),
        (1 * S, Answered(ONLINE, 3), []),
        (2 * S, Left(), [GoOffline()]),
        (2 * S, WentOffline(), []),
        (3 * S, Answered(GoOffline(), 4), [Stop("left")]),
    ],
    "told to leave twice, it stops at once": [(0, Left(), [GoOffline()]), (0, Left(), [Stop("left")]), (1, Ticked(), [])],
    "no answer to its good-bye does not keep it": [(0, Left(), [GoOffline()]), (9 * S, Silent(GoOffline()), [Stop("left")])],
    "leaving, it ends the render, and gives the lease back when it can get no other": [
        *TO_RUNNING,
        (1 * S, Left(), [Kill(TASK, 1), GoOffline()]),
        (1 * S, Granted(lease(OTHER)), []),
        (2 * S, Answered(GoOffline(), 4), [DECLINED, End(OTHER, 1, "declined", "leaving")]),
        (3 * S, Answered(DECLINED, 5), []),
        (3 * S, Answered(End(OTHER, 1, "declined", "leaving"), 6), [Stop("left")]),
    ],
    "leaving a server that is silent, it gives nothing back": [
        *TO_RUNNING,
        (5 * S, Left(), [Kill(TASK, 1), GoOffline()]),
        (7 * S, Silent(GoOffline()), [Stop("left")]),
    ],
    "leaving, it does not wait for a server that is gone, too": [
        *TO_COMMITTING,
        (5 * S, Left(), [GoOffline()]),
        (6 * S, Silent(COMMIT), [COMMIT]),
        (7 * S, Silent(GoOffline()), []),
        (9 * S, Silent(COMMIT), [Forget(TASK, 1), Stop("left")]),
    ],
    "leaving, it waits for the answer to a proof": [
        *TO_COMMITTING,
        (5 * S, Left(), [GoOffline()]),
        (6 * S, Answered(GoOffline(), 4), []),
        (7 * S, Answered(COMMIT, 9), [Forget(TASK, 1), Stop("left")]),
    ],
}


@pytest.mark.parametrize("script", PRESENCE.values(), ids=PRESENCE)
def test_presence_keeps_to_the_script(script: Script) -> None:
    play(Agent(ME, SESSION, beat_us=BEAT_US), script)


def test_the_feed_tells_what_concerns_the_worker_and_nothing_else() -> None:
    other = WorkerId(AccountId("worker-6"))  # type: ignore[arg-type]

    def told(kind: type[Event], **fields: Any) -> Input | None:
        return agent.seen(made.recorded(made.event(kind, **fields)), ME)

    attempt = {"task": TASK, "job": JOB, "fence": 2}
    leased = {**attempt, "cls": CLS, "wu_milli": 1_000, "expires_us": 60 * S}
    opened = {"task": BENCH, "fence": 1, "cls": CLS, "seed": 77, "wu_milli": 1_500, "expires_us": 20 * S}
    assert told(task.Leased, worker=ME, **leased) == Granted(Lease(TASK, 2, JOB, 0, CLS, 1_000, 7, 60 * S))
    assert told(bench.Opened, worker=ME, **opened) == Granted(Lease(BENCH, 1, NO_JOB, 77, CLS, 1_500, 7, 20 * S))
    assert told(task.Ended, worker=ME, **attempt) == told(proof.Committed, worker=ME, **attempt) == Lost(TASK, 2)
    assert told(bench.Scored, worker=ME, cls=CLS, score=750) == Scored(CLS, 750)
    assert told(worker.Offline, worker=ME) == WentOffline()
    assert told(worker.Online, worker=ME) is None
    for kind, fields in ((task.Leased, leased), (bench.Opened, opened), (task.Ended, attempt), (proof.Committed, attempt)):
        assert told(kind, worker=other, **fields) is None
