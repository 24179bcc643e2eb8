"""One run of the simulation, from a script: people, agents, two servers and the twins; faults for a while; then everything heals, and has
to settle."""

import asyncio
import contextlib
import gc
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextvars import copy_context
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from adapters import sequencer, succession
from adapters.log import follower
from domain.body import Body
from domain.ids import AccountId, Actor, WorkerId
from domain.log import snapshot
from domain.log.ledger import Ledger
from domain.log.merkle import Head
from domain.log.receipts import Ask
from domain.policy import DEMO, POLICIES, SECOND
from domain.signing import Claim
from projections import catalog
from tests.network import LOG, Network
from tests.simulator.agents import Machine
from tests.simulator.chain import Chain
from tests.simulator.faults import Faults
from tests.simulator.judges.judges import Judges
from tests.simulator.judges.reference import Breach
from tests.simulator.loop import LIFE, Life, Loop, Stuck
from tests.simulator.people import People
from tests.simulator.script import DEEDS, Entry, Script
from tests.simulator.server import FOLD, Server
from tests.simulator.twins import EPOCH_US, OUTSIDE, LeaseTwin, LogTwin, Net, Objects, ViewsTwin
from worker_runtime import loop as agents
from worker_runtime import worker
from worker_runtime.checker import checker
from worker_runtime.daemons import gate, payer, watch
from worker_runtime.daemons import loop as loops

SETTLE_S, LOOK_S, GIVE_UP_S = 150, 1.0, 60
"""After everything healed: how long it may take to settle, how often that is looked at, and when people give up jobs that nobody does."""
FUNDS_FROM_S = 10


class Result(Struct):
    """What became of a run."""

    steps: int = 0
    trace: str = ""
    virtual_s: float = 0.0
    events: int = 0
    blocks: int = 0
    commands: int = 0
    messages: int = 0
    fired: dict[str, int] = {}
    settled: dict[str, int] = {}
    finding: str = ""
    """Which judge found what; empty: nothing."""


class VirtualTime:
    """Stands in for the module `time`."""

    def __init__(self, loop: Loop) -> None:
        self.monotonic = loop.time
        self.monotonic_ns = lambda: loop.now_us() * 1_000
        self.time_ns = lambda: (EPOCH_US + loop.now_us()) * 1_000


class Nonces:
    """Stands in for the module `secrets`."""

    def __init__(self, net: Net) -> None:
        self.token_hex = lambda count: net.random.randbytes(count).hex()


class Mute:
    """Stands in for a logger: thousands of runs have nobody to read them."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *words, **facts: None


def policy_of(script: Script) -> Any:
    """The demo's policy, with what the script changes, and nothing that takes days."""
    facts = {"finality_blocks": script.finality, "second_look_ppm": script.second_look_ppm, "warm_up": script.warm_up}
    times = {"quarantine_us": 20, "quote_valid_us": 25, "paused_max_us": 15, "payday_us": 15, "epoch_us": 5, "maturity_us": 2}
    lasts = {name: seconds * SECOND for name, seconds in times.items()}
    return msgspec.structs.replace(DEMO, name="simulated", later_audits=script.later_audits, audited_us=8 * SECOND, **facts, **lasts)


class Play(Faults):
    def __init__(self, script: Script, judged: bool = True) -> None:
        self.script, self.loop = script, Loop()
        self.net = Net(self.loop, script)
        self.founding = Network("simulated", signs=False)
        self.chain = Chain(EPOCH_US // 1_000_000 - 20)
        self.chain.mine(20)
        self.objects, self.lease = Objects(), LeaseTwin(self.net)
        self.log = LogTwin(self.net, self.founding.ledger.head)
        self.views = ViewsTwin(self.net, catalog.ALL)
        self.judges = Judges(self)
        self.people = People(self)
        self.machines = list[Machine]()
        self.deaf = set[str]()
        """Agents whose feed says nothing."""
        self._found()
        self.chain.told = self.judges.mined
        self.servers = [Server(self, name) for name in ("a", "b")]
        self.loop.judge = self.judges.look

    def _found(self) -> None:
        """The first blocks: people, their keys and their machines."""
        made, script = self.founding, self.script
        self.people.ids += [made.person("creator") for _ in range(2)]
        for n in range(script.workers):
            owner = made.person("provider", "creator", "checker")
            self.people.ids.append(owner)
            id = made.worker(owner, price=(150 + 10 * n) * 10**6 + 333_337)
            self.machines.append(Machine(self, id, kind="worker", cheats=n < script.cheats))
        for n in range(5):
            # The last one checks for somebody who works, too.
            owner = made.person("checker") if n < 4 else self.people.ids[2]
            self.people.ids += [owner] if n < 4 else []
            self.machines.append(Machine(self, made.worker(owner, "checker"), kind="checker"))
        for record in made.records:
            self.log.head = self.judges.ledger.head
            self.judges.took(record, "founding")
            self.log.records.append(record)
            self.log.sizes.append(self.judges.ledger.head.size)
        self.log.head = self.judges.ledger.head
        self.log.took = self.judges.took

    # What its parts ask for.

    def later(self, delay_s: float, what: Callable[[], object]) -> None:
        """In the world outside, whoever asks."""
        self.loop.call_later(delay_s, what, context=OUTSIDE)

    def inside(self, life: Life, what: Callable[[], object]) -> None:
        """In a life, from the world outside."""
        context = copy_context()
        context.run(LIFE.set, life)
        self.loop.call_soon(what, context=context)

    def task(self, work: Coroutine[Any, Any, Any]) -> None:
        self.loop.create_task(work)

    def ask_of(self, who: Actor, command: Body) -> Ask:
        """A command that is idempotent by what it says, as api/commands.py makes it of agents' and signed ones."""
        worker = self.founding.world.workers.get(WorkerId(AccountId(who)))
        account = worker.owner if worker else AccountId(who)
        subject = f"{type(command).__name__}/{command.model_dump_json()}"
        second = command.countersigned()
        approver = self.founding.signers[second.account].address if second else ""
        return Ask.about(who, subject, command, account=account, signer=self.signer_of(account, command), approver=approver)

    def signer_of(self, account: AccountId, command: Body) -> str:
        """Without real signatures, whose claim it is."""
        claim: Claim | None = command.claim(account)
        if claim is None:
            return ""
        keys = self.founding.signers if claim.purpose == "owner" else self.founding.agents
        return keys[claim.account].address

    def fold(self, snapshots: list[bytes]) -> Ledger:
        """A ledger of its own, from the last snapshot and the log."""
        ledger = snapshot.thaw(snapshots[-1], LOG, FOLD) if snapshots else Ledger(Head(LOG))
        for record in self.judges.counted:
            if self.judges.size_before[record] >= ledger.head.size:
                ledger.fold(record)
        return ledger

    # The run.

    def run(self) -> Result:
        result = Result()
        with virtual(self), contextlib.suppress(asyncio.CancelledError):
            try:
                self.loop.run_until_complete(self.loop.create_task(self._play(), context=OUTSIDE.copy()))
            except (Breach, Stuck) as finding:
                result.finding = str(finding) or repr(finding)
            finally:
                self.loop.judge = lambda life: None
                result.steps, result.trace, result.virtual_s = self.loop.steps, self.loop.trace.hexdigest(), self.loop.time()
                self.loop.bury()
        result.events, result.blocks = self.judges.ledger.head.size, len(self.judges.counted)
        result.commands, result.messages = self.judges.commands, self.net.delivered
        result.fired, result.settled = dict(sorted(self.net.fired.items())), self.judges.book.settled()
        return result

    async def _play(self) -> None:
        self._tick()
        for server in self.servers:
            server.start()
        self.people.start()
        for machine in self.machines:
            machine.start()
        for entry in self.script.entries:
            self.later(FUNDS_FROM_S + entry.at_ms / 1_000, partial(self._happen, entry))
        await asyncio.sleep(FUNDS_FROM_S + self.script.seconds + 0.5)
        self._heal()
        healed_s = self.loop.time()
        self.judges.compare_views()
        while ends := self.judges.open_ends():
            if (late_s := self.loop.time() - healed_s) > SETTLE_S:
                raise Breach("settled", "; ".join(ends[:5]))
            self.people.tidy(late_s > GIVE_UP_S)
            await asyncio.sleep(LOOK_S)
        self.judges.finish()

    def _tick(self) -> None:
        """A block of the chain, each second."""
        self.chain.mine(timestamp_s=max(self.chain.blocks[-1].block.timestamp_s, (EPOCH_US + self.loop.now_us()) // 1_000_000))
        self.judges.mined()
        self.loop.step(None, f"block {len(self.chain.blocks)}".encode())
        self.later(1.0, self._tick)

    def _happen(self, entry: Entry) -> None:
        if entry.what in DEEDS:
            self.people.do(entry)
        else:
            self.net.fired[entry.what] += entry.what not in {"cut", "views down"}
            getattr(self, "_" + entry.what.replace(" ", "_"))(entry)
        self.loop.step(None, f"{entry.what} {entry.pick}".encode())

    def _heal(self) -> None:
        self.net.calm = True
        self.net.cuts.clear()
        self.deaf.clear()
        self.chain.silent, self.chain.base_wei, self.log.full, self.log.unreadable = False, 10**9, False, False
        self.objects.full = self.views.down = False
        self.chain.refusing.clear()
        for machine in self.machines:
            machine.off_us, machine.speed = 0, machine.usual
        for server in self.servers:
            server.off_us = server.node.lag = 0
        for life in self.loop.lives:
            life.fuse = 0
            self.loop.go_on(life)


MUTED = (
    *((module, "logger") for module in (agents, worker, checker)),
    *((module, "log") for module in (loops, watch, payer, gate)),
)
TIMED = (sequencer, succession, follower)


@contextlib.contextmanager
def virtual(play: Play) -> Iterator[None]:
    """Time, chance and loggers of the product are the simulation's; the collector waits."""
    time, mute = VirtualTime(play.loop), Mute()
    stands: list[tuple[Any, str, Any]] = [(module, "time", time) for module in TIMED]
    stands += [(module, name, mute) for module, name in MUTED]
    stands += [(succession, "settle_memory", lambda: None), (checker, "secrets", Nonces(play.net))]
    before = [(module, name, getattr(module, name)) for module, name, _ in stands]
    disabled, collects = logging.root.manager.disable, gc.isenabled()
    logging.disable(logging.CRITICAL)
    gc.disable()
    for module, name, value in stands:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
        logging.disable(disabled)
        if collects:
            gc.enable()


def play(script: Script) -> Result:
    """Run a script. What a judge finds is in the result."""
    POLICIES["simulated"] = policy_of(script)
    try:
        return Play(script).run()
    finally:
        del POLICIES["simulated"]
        gc.collect()
