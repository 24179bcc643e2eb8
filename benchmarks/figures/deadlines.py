"""Many deadlines at one moment: G22. Quotes that run out stand for leases: each is one timer, decided by the house, 256 a block."""

import asyncio
import time
from collections.abc import Iterator

from adapters.log.postgres import PostgresLog
from adapters.sequencer import Sequencer
from adapters.succession import Clock
from benchmarks import seeds, site
from benchmarks.figures.transfers import Bench, bench
from benchmarks.rounds import Figure, Goal, Options, Side, alternate
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
    """One client in process, one command after another."""

    def __init__(self, sequencer: Sequencer, owner: AccountId) -> None:
        self._sequencer, self._owner, self._number = sequencer, owner, 0

    async def latencies_us(self, commands: int) -> list[int]:
        taken = list[int]()
        for _ in range(commands):
            self._number += 1
            key, began = seeds.uuid7(self._number, self._sequencer.now_us()), time.perf_counter()
            ask = Ask.keyed(self._owner, key, seeds.submission(seeds.CHEAP), b"%d" % self._number, account=self._owner)
            await self._sequencer.submit(ask)
            taken.append(int((time.perf_counter() - began) * 1e6))
        return taken


async def idle_and_due(uri: str, ledger: Ledger, commands: int, due: int) -> tuple[float, float, int]:
    """p99 before and after the moment, and how many timers were left when the second was taken."""
    leap = Leap()
    async with PostgresLog(uri) as log:
        sequencer = Sequencer(log, lambda: ledger, "leap", clock=Clock(steady=leap.steady_us))
        running = asyncio.create_task(sequencer.run())
        await asyncio.wait([running, asyncio.create_task(sequencer.elected.wait())], return_when=asyncio.FIRST_COMPLETED)
        asking = Asking(sequencer, seeds.owner_of(ledger.world))
        idle = await asking.latencies_us(commands)
        leap.ahead_us += ledger.world.policy.quote_valid_us
        blocks = max(1, due // 256)
        under = await asking.latencies_us(min(commands, blocks))
        left = sum(timer[3].startswith("quote ") for timer in ledger.world.timers) - len(idle) - len(under)
        await sequencer.stop()
        await running
    return site.quantile(idle, 0.99), site.quantile(under, 0.99), max(0, left)


def deadlines(it: Bench, due: int, commands: int) -> Side:
    name = it.name("due")
    here = site.Site(it.folder / name, site.database(it.server, name))
    _, ledger = here.ask(lambda log: seeds.write_hot(log, here.log, due))
    idle_us, due_us, left = asyncio.run(idle_and_due(here.uri, ledger, commands, due))
    site.drop(it.server, name)
    return Side(due_us / idle_us, facts={"idle p99 ms": idle_us / 1000, "due p99 ms": due_us / 1000, "timers left": left})


def g22(options: Options) -> Iterator[Figure]:
    due, commands = (DUE_QUICK, COMMANDS_QUICK) if options.quick else (DUE, COMMANDS)
    with bench(options) as it:
        what = f"{due:,} deadlines (quotes in place of leases) due at one moment: command p99 against idle, in process"
        yield alternate("G22", what, "", Goal(2, 1.5, sense="at most"), options.rounds, lambda _: deadlines(it, due, commands))
