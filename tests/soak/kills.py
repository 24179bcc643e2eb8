"""kill -9 of writers and of PostgreSQL under load, by the hundred: `python -m tests.soak.kills --writers 60 --databases 5 --seed 1 --json`.

Each lane asks for one thing after the other: an account, a deposit to it, its finality, and now and then something that was done before,
under the same key. After each round the history of all lanes is compared with the log. Exit 1 with the findings.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg import conninfo

from adapters import migrate, postgres_server
from adapters.log.postgres import PostgresLog
from domain.ids import account_id
from domain.log.ledger import Ledger
from domain.log.receipts import Ask
from tests.faults.history import History, replayed
from tests.faults.killing import kill_database
from tests.log.ledgers import LOG, START, final, init, opening, seen
from tests.soak import writer

LANES = 8
AGAIN = 0.25
"""How often a lane asks for something that was done before."""
ROUND_KILLS = 100
"""Writers that die on one ledger: each of them reads all of it."""
ALIVE_S = (0.0, 0.03)
UNBORN = 0.15
"""How many die before anybody was answered."""
SILENCE_S_MAX = 60.0
PRELOADED = [writer.__name__, replayed.__module__, seen.__module__, migrate.__name__, postgres_server.__name__]
"""What each writer would import for itself."""


class Silent(Exception):
    """Nobody answers any more: what was killed did not come back."""


class Step(NamedTuple):
    """What a lane asked for last, and what it was."""

    kind: str
    ask: Ask
    again: bool


class Lane:
    """One client, who asks for one thing at a time."""

    def __init__(self, number: int, history: History, draw: random.Random, now_us: int) -> None:
        self._history, self._draw, self._now_us = history, draw, now_us
        self._numbers = iter(range(number, 1 << 30, LANES))
        self._steps = self._go_on()
        self._done: list[Ask] = []
        self.account = account_id(0)
        self.step = next(self._steps)

    def _go_on(self) -> Iterator[Step]:
        for number in self._numbers:
            yield Step("open", opening(number, self._now_us), again=False)
            yield Step("see", seen(number, self.account), again=False)
            yield Step("final", final(number), again=False)
            if self._done and self._draw.random() < AGAIN:
                yield Step("again", self._draw.choice(self._done[-50:]), again=True)

    def hear(self, outcome: str, said: tuple[bytes, ...] | str) -> None:
        deed = self._history.of(self.step.ask.cmd)
        if outcome == "unknown":
            deed.unknown.append(str(said))
            return
        if outcome == "refused":
            deed.refusals.append(str(said))
        elif isinstance(said, tuple):
            deed.receipts.append(said)
            self._note(said)
        self.step = next(self._steps)

    def _note(self, lines: tuple[bytes, ...]) -> None:
        if self.step.kind == "open" and lines:
            self.account = account_id(json.loads(lines[0])["pos"])
            self._done.append(self.step.ask)


class Load:
    """All lanes on one ledger, and whoever writes it now."""

    def __init__(self, uri: str, draw: random.Random, bug: str = "") -> None:
        self.uri, self._draw, self._bug = uri, draw, bug
        self.history = History()
        now_us = time.time_ns() // 1000
        self._lanes = [Lane(number, self.history, draw, now_us) for number in range(LANES)]
        self._lives = 0
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        self.process: ForkServerProcess | None = None
        self.pipe: Connection

    def born(self) -> None:
        """A new writer, who is asked for everything that is not settled."""
        self._lives += 1
        self.pipe, theirs = self._context.Pipe()
        self.process = self._context.Process(target=writer.live, args=(self.uri, LOG, f"writer-{self._lives}", theirs, self._bug))
        self.process.start()
        theirs.close()
        self._asked: dict[str, list[Lane]] = {}
        for lane in self._lanes:
            self._ask(lane)

    def _ask(self, lane: Lane) -> None:
        # Two lanes never ask for the same thing at once.
        self._asked.setdefault(lane.step.ask.cmd, []).append(lane)
        with suppress(BrokenPipeError):
            self.pipe.send(lane.step.ask)

    def serve(self, seconds: float) -> int:
        """Hears answers and goes on asking for so long; returns how many were of things that were done."""
        done, end = 0, time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self.pipe.poll(left):
            try:
                done += self._hear(goes_on=True)
            except (EOFError, ConnectionResetError):
                break
        return done

    def _hear(self, *, goes_on: bool) -> int:
        cmd, outcome, said = self.pipe.recv()
        lane = self._asked[cmd].pop(0)
        lane.hear(outcome, said)
        if outcome == "unknown":
            time.sleep(0.005)
        if goes_on:
            self._ask(lane)
        return int(outcome == "done")

    def until_answered(self, within_s: float = SILENCE_S_MAX) -> float:
        """Until something is done; returns how long that took."""
        began = time.monotonic()
        while not self.serve(0.05):
            if self.process and not self.process.is_alive():
                raise Silent(f"a writer ended by itself with {self.process.exitcode}")
            if time.monotonic() - began > within_s:
                raise Silent(f"nothing was done within {within_s:.0f} s")
        return time.monotonic() - began

    def dies(self) -> None:
        """kill -9; what it had said before still counts, all else is unknown."""
        assert self.process
        self.process.kill()
        self.process.join()
        with suppress(EOFError, ConnectionResetError):
            while self.pipe.poll(0):
                self._hear(goes_on=False)
        self.pipe.close()
        self.process.close()
        for lane in (lane for lanes in self._asked.values() for lane in lanes):
            lane.hear("unknown", "killed")

    def kill_writers(self, kills: int) -> None:
        for _ in range(kills):
            self.born()
            if self._draw.random() >= UNBORN:
                self.until_answered()
            self.serve(self._draw.uniform(*ALIVE_S))
            self.dies()

    def kill_databases(self, kills: int, data: Path) -> list[float]:
        """Returns how long it took each time until a command was done again."""
        self.born()
        self.until_answered()
        waits_s = []
        for _ in range(kills):
            self.serve(self._draw.uniform(0.05, 0.3))
            kill_database(data)
            self.serve(0.1)  # what was said before
            waits_s.append(self.until_answered())
        self.dies()
        return waits_s

    async def findings(self) -> list[str]:
        """A last writer settles everything; then the log is asked."""
        self.born()
        self.until_answered()
        self.serve(0.2)
        self.dies()
        async with PostgresLog(self.uri) as log, aclosing(log.read()) as found:
            records = [record async for record in found]
        _, lines, breaches = replayed(LOG, records)
        return self.history.findings(lines, alone=True) + breaches


def prepared(server: str, name: str) -> str:
    """A new database with the first block of a ledger in it."""
    with psycopg.connect(server, autocommit=True) as session:
        session.execute(f"CREATE DATABASE {name}".encode())
    uri = conninfo.make_conninfo(server, dbname=name)
    migrate.apply(uri)

    async def first() -> None:
        async with PostgresLog(uri) as log:
            await log.append(Ledger(START).genesis(init(), time.time_ns() // 1000))

    asyncio.run(first())
    return uri


def run(writers: int, databases: int, seed: int, *, bug: str = "", seconds: float = 1e9) -> dict[str, object]:
    """So many deaths, or until the time is over."""
    draw, counts, waits_s = random.Random(f"kills {seed}"), Counter[str](), list[float]()
    findings, end = list[str](), time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="gridledger-kills-") as folder:
        # Whom PostgreSQL runs as must be able to reach its data, if we are root.
        os.chmod(folder, 0o711)  # noqa: PTH101
        data = Path(folder, "data")
        with postgres_server.running(data, keep=False) as server:
            rounds = [(min(ROUND_KILLS, writers - at), 0) for at in range(0, writers, ROUND_KILLS)]
            rounds += [(0, min(ROUND_KILLS, databases - at)) for at in range(0, databases, ROUND_KILLS)]
            for number, (of_writers, of_databases) in enumerate(rounds):
                if time.monotonic() > end or findings:
                    break
                load = Load(prepared(server, f"round_{number}"), draw, bug)
                try:
                    load.kill_writers(of_writers)
                    waits_s += load.kill_databases(of_databases, data) if of_databases else []
                    findings += asyncio.run(load.findings())
                except Silent as silence:
                    findings.append(str(silence))
                    load.dies()
                counts["writer kills"] += of_writers
                counts["PostgreSQL kills"] += of_databases
                counts.update(load.history.counts)
    return {"seed": seed, **counts, "waits_s": summary(waits_s), "findings": findings}


def summary(waits_s: list[float]) -> dict[str, float]:
    """Median and worst."""
    return {"median": round(sorted(waits_s)[len(waits_s) // 2], 3), "most": round(max(waits_s), 3)} if waits_s else {}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--writers", type=int, default=60)
    parser.add_argument("--databases", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--bug", choices=writer.BUGS, default="")
    parser.add_argument("--json", action="store_true")
    own = parser.parse_args()
    facts = run(own.writers, own.databases, own.seed, bug=own.bug, seconds=own.seconds)
    print(json.dumps(facts) if own.json else "\n".join(f"{name:<24} {value}" for name, value in facts.items()))
    return int(bool(facts["findings"]))


if __name__ == "__main__":
    sys.exit(main())
