"""The rivals of one ledger as the judge sees them: processes that he asks, kills and stops, and what each of them said."""

import asyncio
import multiprocessing
import os
import signal
from collections import Counter, defaultdict
from contextlib import suppress
from typing import Any

from adapters import sequencer, succession
from adapters.kafka import log, topic
from domain.log.receipts import Ask
from tests.chaos import rival
from tests.faults.history import History

ANSWER_S = 1.5
"""How long who asks waits; what comes later is noted all the same."""
PRELOADED = [rival.__name__, sequencer.__name__, succession.__name__, log.__name__, topic.__name__]
Outcome = tuple[str, tuple[bytes, ...] | str]
"""done, refused or unknown; the receipt's lines, or why."""


class Rival:
    """One process, from its birth to its end."""

    def __init__(self, plan: rival.Plan, history: History) -> None:
        self.plan, self._history = plan, history
        self.ended: tuple[str, str] | None = None
        """Why it ended by itself: the kind of failure, and its message."""
        self.blocks = defaultdict[str, list[str]](list)
        """By the root that each would lead to: in, lost or unknown, for each attempt."""
        self._waiting = dict[int, asyncio.Future[Outcome]]()
        self._gone = False
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=rival.live, args=(plan, theirs), daemon=True)
        self.process.start()
        theirs.close()
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._hear)

    @property
    def alive(self) -> bool:
        return not self._gone

    async def ask(self, ask: Ask) -> Outcome:
        number = len(self._waiting)
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._pipe.send((number, ask))
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError:
            return "unknown", "no answer"
        except OSError:
            return "unknown", "gone"

    def kill(self) -> None:
        """SIGKILL; what it had said before still counts."""
        self.process.kill()
        self.process.join()
        self._hear()
        self._leave()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, which: signal.Signals) -> None:
        if self.alive and self.process.pid:
            os.kill(self.process.pid, which)

    def _hear(self) -> None:
        try:
            while not self._gone and self._pipe.poll():
                self._take(*self._pipe.recv())
        except (EOFError, OSError):
            self._leave()

    def _take(self, what: str, *said: Any) -> None:
        if what == "ended":
            self.ended = said[0], said[1]
        elif what == "block":
            self._note(*said)
        else:
            self._settle(*said)

    def _note(self, outcome: str, root: str) -> None:
        """An attempt counts as unknown until the log said otherwise: the process may not live to tell."""
        if outcome == "begun":
            self.blocks[root].append("unknown")
        else:
            self.blocks[root][-1] = outcome

    def _settle(self, number: int, cmd: Any, outcome: str, said: Any) -> None:
        answer = self._waiting[number]
        if not answer.done():
            return answer.set_result((outcome, said))
        deed = self._history.of(cmd)
        if outcome == "done":
            deed.receipts.append(said)
        elif outcome == "refused":
            deed.refusals.append(said)
        return None

    def _leave(self) -> None:
        if self._gone:
            return
        self._gone = True
        asyncio.get_running_loop().remove_reader(self._pipe.fileno())
        self._pipe.close()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_result(("unknown", "gone"))
        with suppress(ValueError):
            self.process.join(5)


def outcomes(rivals: list[Rival]) -> Counter[str]:
    """What became of the attempts to append, as the rivals were told."""
    return Counter(outcome for each in rivals for attempts in each.blocks.values() for outcome in attempts)
