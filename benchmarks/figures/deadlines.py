"""Many deadlines at one moment: G22. Quotes that run out stand for leases: each is one timer, and the house decides so many a block."""

import asyncio
import time
from collections.abc import Iterator
from typing import NamedTuple

from adapters.log.postgres import PostgresLog
from adapters.sequencer import Sequencer
from adapters.succession import Clock
from benchmarks import checks, seeds, site
from benchmarks.figures.transfers import Bench, bench
from benchmarks.rounds import Figure, Goal, Options, Side, alternate
from domain.house import house
from domain.ids import AccountId
from domain.log.ledger import Ledger
from domain.log.receipts import Ask

DUE, DUE_QUICK = 50_000, 2_000
COMMANDS, COMMANDS_QUICK = 400, 60


class Leap:
    """A clock that may be put forward while it runs."""

    def __init__(self) -> None:
        self.ahead_us = 0

    def steady_us(self) -> int:
        return time.monotonic_ns() // 1000 + self.ahead_us


class Asking:
    """One client in process, one command after another, and the receipts that it holds."""

    def __init__(self, sequencer: Sequencer, owner: AccountId) -> None:
        self._sequencer, self._owner, self._number = sequencer, owner, 0
        self.acknowledged = list[bytes]()

    async def latencies_us(self, commands: int) -> list[int]:
        taken = list[int]()
        for _ in range(commands):
            self._number += 1
            key, began = seeds.uuid7(self._number, self._sequencer.now_us()), time.perf_counter()
            ask = Ask.keyed(self._owner, key, seeds.submission(seeds.CHEAP), b"%d" % self._number, account=self._owner)
            receipt = await self._sequencer.submit(ask)
            taken.append(int((time.perf_counter() - began) * 1e6))
            self.acknowledged.append(checks.body(receipt))
        return taken


class Measured(NamedTuple):
    idle_us: float
    """p99 before the moment, and after it."""
    due_us: float
    left: int
    """Timers when the second was taken."""
    acknowledged: list[bytes]
    size: int


async def idle_and_due(uri: str, ledger: Ledger, commands: int, due: int) -> Measured:
    leap = Leap()
    async with PostgresLog(uri) as log:
        sequencer = Sequencer(log, lambda: ledger, "leap", clock=Clock(steady=leap.steady_us))
        running = asyncio.create_task(sequencer.run())
        await asyncio.wait([running, asyncio.create_task(sequencer.elected.wait())], return_when=asyncio.FIRST_COMPLETED)
        asking = Asking(sequencer, seeds.owner_of(ledger.world))
        idle = await asking.latencies_us(commands)
        leap.ahead_us += ledger.world.policy.quote_valid_us
        blocks = max(1, due // house.TIMERS_MAX)
        under = await asking.latencies_us(min(commands, blocks))
        left = sum(timer[3].startswith("quote ") for timer in ledger.world.timers) - len(idle) - len(under)
        await sequencer.stop()
        await running
        size = await log.size()
    return Measured(site.quantile(idle, 0.99), site.quantile(under, 0.99), max(0, left), asking.acknowledged, size)


def deadlines(it: Bench, due: int, commands: int) -> Side:
    name = it.name("due")
    here = site.Site(it.folder / name, site.database(it.server, name))
    _, ledger = here.ask(lambda log: seeds.write_hot(log, here.log, due))
    before, tail = checks.frozen(ledger), checks.Tail(here.folder, here.uri, ledger.head.size)
    saw = asyncio.run(idle_and_due(here.uri, ledger, commands, due))
    found = {checks.DENSE: tail.end(saw.size)}
    site.crash(it.folder, here.uri)
    found |= here.ask(lambda log: checks.after_kill(log, before, saw.acknowledged))
    site.drop(it.server, name)
    facts = {"idle p99 ms": saw.idle_us / 1000, "due p99 ms": saw.due_us / 1000, "timers left": saw.left}
    return Side(saw.due_us / saw.idle_us, found, facts)


def g22(options: Options) -> Iterator[Figure]:
    due, commands = (DUE_QUICK, COMMANDS_QUICK) if options.quick else (DUE, COMMANDS)
    with bench(options) as it:
        what = f"{due:,} deadlines (quotes in place of leases) due at one moment: command p99 against idle, in process"
        yield alternate("G22", what, "", Goal(2, 1.5, sense="at most"), options.rounds, lambda _: deadlines(it, due, commands))
