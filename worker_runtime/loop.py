"""Performs what an agent wants, and tells it what came of it. The only place where agents meet time, tasks and failures."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import structlog

from domain.event import Event, Recorded
from domain.ids import WorkerId
from domain.log.answers import Answer, Problem, Unanswered
from domain.market import worker
from worker_runtime import inputs, ports
from worker_runtime.inputs import Action, Beat, GoOffline, GoOnline, Input

Seen = Callable[[Recorded[Event]], Input | None]
Perform = Callable[[Action], Awaitable[Answer | None]]

GOOD_BYE_S_MAX = 2.0
"""Who leaves does not wait long for a server that may be gone, too."""

logger = structlog.get_logger()


class Failed(Exception):
    """The agent cannot go on: the server does not know it. One line for people."""


def now_us() -> int:
    return time.time_ns() // 1_000


class Loop:
    """One agent. `perform` does what is particular to its kind, and returns the ledger's answer where it asked the ledger."""

    def __init__(self, agent: inputs.Agent, me: WorkerId, server: ports.Server, clock: ports.Clock = now_us) -> None:
        self.agent, self.me, self.server, self.clock = agent, me, server, clock
        self.inbox: asyncio.Queue[Input] = asyncio.Queue()
        self.tasks: set[asyncio.Task[None]] = set()
        self.stopped = ""

    def tell(self, seen: Input) -> None:
        self.inbox.put_nowait(seen)

    async def run(self, seen: Seen, perform: Perform) -> str:
        """Until the agent stops; returns why. Raises `Failed`."""
        with structlog.contextvars.bound_contextvars(agent=self.me):
            try:
                async with asyncio.TaskGroup() as group:
                    await self._live(group, seen, perform)
            except* Problem as problems:
                # What is raised in here would become one more group.
                refusals = problems.exceptions
            else:
                logger.info("stopped", reason=self.stopped)
                return self.stopped
            raise Failed(str(refusals[0]))

    async def _live(self, group: asyncio.TaskGroup, seen: Seen, perform: Perform) -> None:
        self.tasks.add(group.create_task(self._listen(seen)))
        self.tell(inputs.Started())
        while not self.stopped:
            for action in self.agent.handle(await self._next(), self.clock()):
                self._do(group, action, perform)
        for task in self.tasks:
            task.cancel()

    async def _next(self) -> Input:
        """What happens next, or that time has passed."""
        due_us = self.agent.wake_us()
        with suppress(TimeoutError):
            async with asyncio.timeout(None if due_us is None else max(0.0, (due_us - self.clock()) / 1e6)):
                return await self.inbox.get()
        return inputs.Ticked()

    async def _listen(self, seen: Seen) -> None:
        async for recorded in self.server.agent_events(self.me):
            if (told := seen(recorded)) is not None:
                logger.info(recorded.event.verb(), position=recorded.pos, stream=recorded.stream)
                self.tell(told)

    def _do(self, group: asyncio.TaskGroup, action: Action, perform: Perform) -> None:
        if isinstance(action, inputs.Stop):
            self.stopped = action.reason
        else:
            task = group.create_task(self._try(action, perform))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _try(self, action: Action, perform: Perform) -> None:
        try:
            answer = await self._presence(action) if isinstance(action, (GoOnline, GoOffline, Beat)) else await perform(action)
        except Problem as problem:
            if problem.status == 401:
                raise
            logger.warning("refused", command=type(action).__name__, code=problem.code, detail=problem.detail, **about(action))
            self.tell(inputs.Refused(action, problem.code, problem.facts))
        except Unanswered:
            logger.warning("no answer", command=type(action).__name__, **about(action))
            self.tell(inputs.Silent(action))
        else:
            if answer is not None:
                logger.info("done", command=type(action).__name__, position=answer.position, **about(action))
                self.tell(inputs.Answered(action, answer.position))

    async def _presence(self, action: GoOnline | GoOffline | Beat) -> Answer | None:
        match action:
            case GoOnline(session):
                return await self.server.send(self.me, worker.GoOnline(worker=self.me, session=session))
            case GoOffline():
                try:
                    async with asyncio.timeout(GOOD_BYE_S_MAX):
                        return await self.server.send(self.me, worker.GoOffline(worker=self.me))
                except TimeoutError:
                    raise Unanswered("offline") from None
            case Beat(session):
                with suppress(Problem, Unanswered):
                    await self.server.beat(self.me, session)
        return None


def about(action: Action) -> dict[str, Any]:
    """What an action is about, for the log."""
    return {name: value for name in ("task", "fence", "audit", "round") if (value := getattr(action, name, None)) is not None}


def leave_on_signals(loop: Loop) -> None:
    """SIGTERM and SIGINT let the agent finish what it must; once more, and it stops at once."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, loop.tell, inputs.Left())
