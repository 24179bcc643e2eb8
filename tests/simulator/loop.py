"""Virtual time: an asyncio loop without threads, sockets or sleep, whose clock jumps to the next timer; and lives, the processes that
run on it, which can be killed at any await and held up like a process under SIGSTOP.

**A step** is one thing that happens in the simulation: a callback of the loop that runs in a life (an await resumed, a timer, a task
begun), a message that is delivered to a twin or lost, a fault that is injected, a block of the chain. After each step the judges look.

A killed life is not unwound: no `finally` of it runs while the simulation goes on, as none does after kill -9.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from hashlib import sha256
from heapq import heapify, heappop
from typing import Any

STILL_MAX = 100_000
"""Steps without any time passing, after which it is a busy loop."""
BURIAL_TURNS_MAX = 20_000


class Stuck(Exception):
    """Nothing will ever happen any more, or too much happens at once."""


class Life:
    """One run of a process, from its start to its end."""

    def __init__(self, name: str, number: int) -> None:
        self.name, self.number = name, number
        self.dead = self.paused = False
        self.backlog = list[asyncio.Handle]()
        """What it will do when it is let go on."""
        self.fuse, self.burnt = 0, self.nothing
        """After how many more of its steps something happens, and what; 0: nothing."""
        self.tasks = list[asyncio.Task[Any]]()

    def __str__(self) -> str:
        return f"{self.name}.{self.number}"

    def nothing(self) -> None:
        return

    def burn(self) -> None:
        """It made one more step."""
        if self.fuse:
            self.fuse -= 1
            if not self.fuse:
                self.burnt()


LIFE: ContextVar[Life | None] = ContextVar("LIFE", default=None)
"""In which life a callback runs; none: in the world outside, which is never killed."""


class Task(asyncio.Task[Any]):
    """Hashed by its number, so that sets of tasks have one order in every run."""

    made = 0

    def __init__(self, coro: Coroutine[Any, Any, Any], **more: Any) -> None:
        Task.made += 1
        self._number = Task.made
        super().__init__(coro, **more)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class Loop(asyncio.BaseEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self._now, self._still = 0.0, 0
        self.steps = 0
        self.trace = sha256()
        self.judge: Callable[[Life | None], None] = lambda life: None
        self.lives = list[Life]()
        self._dropped = list[Any]()
        """What a killed life would have done."""
        self._burying = False
        Task.made = 0
        self.set_task_factory(self._make)  # type: ignore[arg-type]
        self.set_exception_handler(lambda loop, context: None)

    # What asyncio asks for.

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]
        while scheduled and scheduled[0]._cancelled:
            heappop(scheduled)._scheduled = False
        if not ready:
            if not scheduled:
                raise Stuck("nobody waits for anything that will come")
            if scheduled[0]._when > self._now:
                self._now, self._still = scheduled[0]._when, 0
        while scheduled and scheduled[0]._when <= self._now:
            handle = heappop(scheduled)
            handle._scheduled = False
            ready.append(handle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                self._run(handle)

    def _run(self, handle: Any) -> None:
        life = handle._context.get(LIFE)
        if life is None or self._burying:
            handle._run()
        elif life.paused:
            life.backlog.append(handle)
        elif life.dead:
            self._dropped.append(handle)
        else:
            handle._run()
            life.burn()
            self.step(life)

    def _write_to_self(self) -> None:
        """No other thread ever calls."""

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        """Who forgets a generator does not end it: a killed process ends nothing."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        """At once: there are no threads."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as fault:
            done.set_exception(fault)
        return done

    def _make(self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **more: Any) -> Task:
        task = Task(coro, loop=loop, **more)
        context: Context | None = more.get("context")
        life = context.get(LIFE) if context is not None else LIFE.get()
        if life is not None:
            if len(life.tasks) > 100:
                life.tasks = [each for each in life.tasks if not each.done()]
            life.tasks.append(task)
        return task

    # What the simulation asks for.

    def now_us(self) -> int:
        return round(self._now * 1e6)

    def step(self, life: Life | None, outcome: bytes = b"") -> None:
        self.steps += 1
        self._still += 1
        if self._still > STILL_MAX:
            raise Stuck(f"{life} is busy and no time passes")
        self.trace.update(b"%d %b %b\n" % (self.now_us(), str(life).encode() if life else b"", outcome))
        self.judge(life)

    def begin(self, name: str, number: int, main: Callable[[Life], Coroutine[Any, Any, None]]) -> Life:
        """A process begins."""
        life, context = Life(name, number), copy_context()
        self.lives.append(life)
        context.run(LIFE.set, life)
        context.run(self.create_task, main(life))
        return life

    def kill(self, life: Life) -> None:
        life.dead, life.paused = True, False
        self._dropped += life.backlog
        life.backlog.clear()

    def pause(self, life: Life) -> None:
        life.paused = not life.dead

    def go_on(self, life: Life) -> None:
        """What came due meanwhile happens at once, in order."""
        life.paused = False
        for handle in life.backlog:
            if not handle.cancelled():
                self._ready.append(handle)  # type: ignore[attr-defined]
        life.backlog.clear()

    def bury(self) -> None:
        """The simulation is over: unwind everything, so that nothing is left for the collector to complain of."""
        self._burying = True
        left = [task for life in self.lives for task in life.tasks if not task.done()]
        scheduled: list[Any] = self._scheduled  # type: ignore[attr-defined]
        scheduled[:] = [handle for handle in scheduled if handle._context.get(LIFE) is not None]
        heapify(scheduled)
        self._ready.extend(self._dropped)  # type: ignore[attr-defined]
        for life in self.lives:
            self._ready.extend(life.backlog)  # type: ignore[attr-defined]
        for _ in range(3):
            for task in left:
                task.cancel()
            for _ in range(BURIAL_TURNS_MAX):
                if not (self._ready or self._scheduled) or all(task.done() for task in left):  # type: ignore[attr-defined]
                    break
                self._run_once()
        for task in left:
            if task.done() and not task.cancelled():
                task.exception()
        self._ready.clear()  # type: ignore[attr-defined]
        self._scheduled.clear()  # type: ignore[attr-defined]
        self.close()
