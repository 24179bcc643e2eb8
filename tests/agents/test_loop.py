"""The loop: what an agent wants is performed, and what came of it is told."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
import structlog.testing

from domain import body
from domain.event import Event, Recorded
from domain.ids import AccountId, TaskId, WorkerId
from domain.log.answers import Answer, Problem, Unanswered
from domain.market import worker
from tests.agents import made
from tests.agents.office import Office
from tests.network import Network
from worker_runtime import inputs, loop
from worker_runtime.gpu.agent import Upload
from worker_runtime.inputs import Action, Answered, GoOffline, GoOnline, Input, Refused, Silent, Started, Stop, Ticked, WentOffline
from worker_runtime.loop import Loop

ME = WorkerId(AccountId("worker-5"))  # type: ignore[arg-type]
ACTION = Upload(TaskId("job-1/1"), 1)
END = Stop("the end")


class Puppet:
    """An agent that does what a test says, and remembers what it was told."""

    def __init__(self, answers: Callable[[Input], Sequence[Action]], wake_us: int | None = None) -> None:
        self.answers, self.wake, self.told = answers, wake_us, list[Input]()

    def handle(self, seen: Input, at_us: int) -> Sequence[Action]:
        self.told.append(seen)
        return self.answers(seen)

    def wake_us(self) -> int | None:
        return self.wake


class Server(Office):
    """One that says what a test says."""

    def __init__(self, *said: Answer | Exception, events: Sequence[Recorded[Event] | Exception] = ()) -> None:
        super().__init__(Network(signs=False), 1)
        self.said, self.events = list(said), events

    async def send(self, agent: WorkerId, command: body.Body) -> Answer:
        match self.said.pop(0):
            case Answer() as answer:
                return answer
            case problem:
                raise problem

    async def agent_events(self, agent: WorkerId) -> AsyncIterator[Recorded[Event]]:
        for event in self.events:
            if isinstance(event, Exception):
                raise event
            yield event
        await asyncio.sleep(60)


async def nothing(action: Action) -> None:
    return None


def first(action: Action) -> Callable[[Input], Sequence[Action]]:
    """Begins with this, and ends when it is told what came of it."""
    return lambda seen: [action] if isinstance(seen, Started) else [END]


async def run(puppet: Puppet, server: Server, perform: loop.Perform = nothing) -> str:
    return await Loop(puppet, ME, server, lambda: 0).run(lambda recorded: WentOffline(), perform)


OUTCOMES: dict[str, tuple[Answer | Exception, Input]] = {
    "an answer": (Answer(9), Answered(ACTION, 9)),
    "a refusal with its facts": (Problem(409, "too_early", {"due_us": 7}), Refused(ACTION, "too_early", {"due_us": 7})),
    "silence": (Unanswered("POST"), Silent(ACTION)),
}


@pytest.mark.parametrize(("came", "told"), OUTCOMES.values(), ids=OUTCOMES)
async def test_an_agent_is_told_what_came_of_what_it_wanted(came: Answer | Exception, told: Input) -> None:
    puppet, server = Puppet(first(ACTION)), Server(came)
    perform: Any = lambda action: server.send(ME, worker.GoOffline(worker=ME))  # noqa: E731
    assert await run(puppet, server, perform) == "the end"
    assert puppet.told == [Started(), told]


async def test_going_online_is_the_loop_s_own_errand() -> None:
    puppet = Puppet(first(GoOnline("ab" * 8)))
    await run(puppet, Server(Answer(4)))
    assert puppet.told[-1] == Answered(GoOnline("ab" * 8), 4)


async def test_events_of_the_feed_reach_the_agent() -> None:
    puppet = Puppet(lambda seen: [END] if isinstance(seen, WentOffline) else [])
    await run(puppet, Server(events=[made.recorded(made.event(worker.Offline, worker=ME))]))
    assert puppet.told == [Started(), WentOffline()]


async def test_an_agent_that_waits_for_a_time_is_woken() -> None:
    puppet = Puppet(lambda seen: [END] if isinstance(seen, Ticked) else [], wake_us=1_000)
    await run(puppet, Server())
    assert puppet.told == [Started(), Ticked()]


REFUSALS = {
    "an unknown key": (Server(Problem(401, "api_key_unknown")), "api_key_unknown"),
    "a feed that is not its own": (Server(events=[Problem(404, "not_yours")]), "not_yours"),
}


@pytest.mark.parametrize(("server", "code"), REFUSALS.values(), ids=REFUSALS)
async def test_an_agent_that_the_server_does_not_know_ends_with_one_line(server: Server, code: str) -> None:
    puppet = Puppet(lambda seen: [GoOnline("ab" * 8)] if isinstance(seen, Started) and server.said else [])
    with pytest.raises(loop.Failed, match=code):
        await run(puppet, server)


async def test_a_fault_of_ours_ends_the_agent_and_is_not_hidden() -> None:
    async def perform(action: Action) -> None:
        raise KeyError("a bug")

    with pytest.raises(ExceptionGroup, match="unhandled"):
        await run(Puppet(first(ACTION)), Server(), perform)


async def test_what_is_under_way_when_the_agent_stops_is_ended() -> None:
    ended = []

    async def perform(action: Action) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(action)

    puppet = Puppet(lambda seen: [ACTION] if isinstance(seen, Started) else [END], wake_us=1_000)
    await run(puppet, Server(), perform)
    assert ended == [ACTION]


async def test_a_good_bye_does_not_wait_for_a_server_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(Server):
        async def send(self, agent: WorkerId, command: body.Body) -> Answer:
            await asyncio.sleep(60)
            raise AssertionError

    monkeypatch.setattr(loop, "GOOD_BYE_S_MAX", 0.01)
    puppet = Puppet(first(GoOffline()))
    await run(puppet, Gone())
    assert puppet.told[-1] == Silent(GoOffline())


async def test_a_line_names_command_position_task_and_agent() -> None:
    server = Server(Answer(9))
    perform: Any = lambda action: server.send(ME, worker.GoOffline(worker=ME))  # noqa: E731
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        await run(Puppet(first(ACTION)), server, perform)
    assert {"command": "Upload", "position": 9, "task": "job-1/1", "fence": 1, "agent": ME, "event": "done", "log_level": "info"} in lines


def test_a_signal_to_leave_is_told_to_the_agent() -> None:
    async def leave() -> list[Input]:
        puppet = Puppet(lambda seen: [END] if isinstance(seen, inputs.Left) else [])
        one = Loop(puppet, ME, Server())
        loop.leave_on_signals(one)
        asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGTERM)
        await one.run(lambda recorded: None, nothing)
        return puppet.told

    assert asyncio.run(leave()) == [Started(), inputs.Left()]
