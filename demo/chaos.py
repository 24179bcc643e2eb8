"""Chaos: somebody who kills whatever he can while the demo runs, drawn by its seed. Nobody is told; each part is started again by whoever
starts it in earnest: processes by the init system (here `parts.Processes`), PostgreSQL by its keeper."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from adapters import postgres_server
from adapters.client import Client
from demo import parts
from demo.screen import Screen
from domain.event import Event, Recorded
from domain.log.answers import Unanswered
from domain.treasury import batch

PAUSE_S = (2.0, 5.0)
"""Between two deaths, counted from when the server is ready again; as long as that took, if it took longer."""
DEATHS_MAX, PAYERS_MAX = 8, 2


class Nemesis:
    def __init__(self, seed: int, processes: parts.Processes, agents: Sequence[str], database: Path | None, screen: Screen) -> None:
        """`database` is where the data of a PostgreSQL of our own are, if it is one."""
        self._draw = random.Random(f"chaos {seed}")
        self._processes, self._agents, self._database, self._screen = processes, agents, database, screen
        self._payers = 0
        self.deaths: list[dict[str, Any]] = []

    async def run(self, client: Client) -> None:
        """Each kind once, in any order, then whatever chance wills; cancelled when the demo comes to its end."""
        kinds = ["server", "agent"] + (["PostgreSQL"] if self._database else [])
        order = self._draw.sample(kinds, len(kinds))
        while len(self.deaths) < DEATHS_MAX:
            away_s = await ready(client)
            await asyncio.sleep(max(away_s, self._draw.uniform(*PAUSE_S)))
            self._kill(order.pop() if order else self._draw.choice([*kinds, "agent"]))

    def payer(self, recorded: Recorded[Event]) -> None:
        """The payer lives in the server: it dies between having signed and having noted what became of it."""
        if isinstance(recorded.event, batch.Signed) and self._payers < PAYERS_MAX:
            self._payers += 1
            self._die("server", f"the payer, when {recorded.event.batch} was signed")

    def _kill(self, kind: str) -> None:
        match kind:
            case "server":
                self._die("server", "the server")
            case "PostgreSQL":
                assert self._database
                for pid in postgres_server.processes(self._database):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                self._note("PostgreSQL", "PostgreSQL, all its processes")
            case _:
                there = [name for name in self._agents if name in self._processes.running]
                if there:
                    name = self._draw.choice(there)
                    self._die(name, name)

    def _die(self, name: str, what: str) -> None:
        with suppress(ProcessLookupError):
            self._processes.kill(name)
            self._note(name, what)

    def _note(self, name: str, what: str) -> None:
        self.deaths.append({"who": name, "what": what, "at_s": round(self._screen.seconds, 2), "position": self._screen.board.position})
        self._screen.say([f"SIGKILL to {what}"], loud=True)


async def ready(client: Client) -> float:
    """Until commands are decided, however long that takes; returns how long."""
    began = time.monotonic()
    while True:
        with suppress(Unanswered):
            await client.text("/readyz")
            return time.monotonic() - began
