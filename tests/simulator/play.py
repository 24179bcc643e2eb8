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

import adapters.log.follower
import adapters.sequencer
import adapters.succession
import worker_runtime.checker.checker
import worker_runtime.daemons.gate
import worker_runtime.daemons.loop
import worker_runtime.daemons.payer
import worker_runtime.daemons.watch
import worker_runtime.loop
import worker_runtime.worker
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
from tests.simulator.judges.judges import Judges
from tests.simulator.judges.reference import Breach
from tests.simulator.loop import LIFE, Life, Loop, Stuck
from tests.simulator.people import People
from tests.simulator.script import DEEDS, Entry, Script
from tests.simulator.server import FOLD, Server
from tests.simulator.twins import EPOCH_US, OUTSIDE, LeaseTwin, LogTwin, Net, Objects, ViewsTwin

SETTLE_S, LOOK_S, GIVE_UP_S = 150, 1.0, 60
"""After everything healed: how long it may take to settle, how often that is looked at, and when people give up jobs that nobody does."""
FUNDS_FROM_S = 10
FEES_MS_MIN = 12_000


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


class Play:
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
            self.loop.go_on(life)

    # Faults.

    def _for(self, entry: Entry, on: Callable[[], object], off: Callable[[], object]) -> None:
        on()
        self.later(entry.for_ms / 1_000, off)

    def _pick(self, entry: Entry, kind: str = "") -> Machine:
        able = [each for each in self.machines if not kind or each.kind == kind]
        return able[entry.pick % len(able)]

    def _cut(self, entry: Entry) -> None:
        """One way only."""
        names = ["log", "chain", "lease", "people", *(each.name for each in self.machines)]
        server, other = self.servers[entry.pick % 2].name, names[entry.pick // 2 % len(names)]
        way = (server, other) if entry.pick // 64 % 2 else (other, server)
        self._for(entry, lambda: self.net.cuts.add(way), lambda: self.net.cuts.discard(way))

    def _crash_server(self, entry: Entry) -> None:
        leading = [each for each in self.servers if each.name + "-" in self.lease.holder]
        (leading[0] if leading and entry.pick % 4 else self.servers[entry.pick % 2]).kill()

    def _crash_worker(self, entry: Entry) -> None:
        self._pick(entry, "worker").kill()

    def _crash_checker(self, entry: Entry) -> None:
        self._pick(entry, "checker").kill()

    def _pause(self, life: Life | None, entry: Entry) -> None:
        if life:
            self._for(entry, lambda: self.loop.pause(life), lambda: self.loop.go_on(life))

    def _pause_server(self, entry: Entry) -> None:
        self._pause(self.servers[entry.pick % 2].life, entry)

    def _pause_agent(self, entry: Entry) -> None:
        self._pause(self._pick(entry).life, entry)

    def _clock_step(self, entry: Entry) -> None:
        server, off_us = self.servers[entry.pick % 2], (entry.pick % 17 - 8) * 1_000_000
        self._for(entry, lambda: setattr(server, "off_us", off_us), lambda: setattr(server, "off_us", 0))

    def _agent_clock(self, entry: Entry) -> None:
        machine, off_us = self._pick(entry), (entry.pick % 21 - 10) * 1_000_000
        self._for(entry, lambda: setattr(machine, "off_us", off_us), lambda: setattr(machine, "off_us", 0))

    def _slow_worker(self, entry: Entry) -> None:
        """It takes longer than its lease, its clock says that it does not, and it may not hear what the house says."""
        machine = self._pick(entry, "worker")
        if entry.pick % 2:
            leases = self.judges.ledger.world.workers[machine.id].leases
            self._when(lambda: leases, lambda: self.later(1.0, lambda: self._deafen(machine)))
        machine.speed, machine.off_us = 1_400 + entry.pick, -12_000_000
        self.later(25.0, lambda: setattr(machine, "speed", machine.usual))
        self.later(25.0, lambda: setattr(machine, "off_us", 0))

    def _deafen(self, machine: Machine) -> None:
        self.deaf.add(machine.name)
        self.later(20.0, lambda: self.deaf.discard(machine.name))

    def _rival(self, entry: Entry) -> None:
        """Somebody takes the lease away, as an operator may."""
        self.lease.holder, self.lease.until_s = "", 0.0

    def _reorg(self, entry: Entry) -> None:
        """Now, or soon after a batch or a deposit was mined."""
        if entry.pick % 3 == 1:
            self.chain.deposit(self.people.ids[entry.pick % len(self.people.ids)], 12_000_000)
        self._replace_blocks(entry.pick, 25 if entry.pick % 3 else 0)

    def _replace_blocks(self, pick: int, patience: int) -> None:
        depth = 1 + pick // 3 % self.script.finality
        recent = [tx for mined in self.chain.blocks[-depth:] for tx in mined.txs if (tx.items if pick % 3 == 2 else tx.deposit)]
        if patience and not recent:
            self.later(1.0, lambda: self._replace_blocks(pick, patience - 1))
            return
        gone = [tx.hash for tx in recent if tx.deposit]
        self.chain.reorg(depth, without=tuple(gone[: pick % 2]))
        self.judges.mined()

    def _chain_silent(self, entry: Entry) -> None:
        self._for(entry, lambda: setattr(self.chain, "silent", True), lambda: setattr(self.chain, "silent", False))

    def _chain_lag(self, entry: Entry) -> None:
        node = self.servers[entry.pick % 2].node
        self._for(entry, lambda: setattr(node, "lag", 1 + entry.pick % 5), lambda: setattr(node, "lag", 0))

    def _when(self, happens: Callable[[], object], then: Callable[[], object], patience: int = 150) -> None:
        """As soon as something is so, or after a while."""
        if happens() or not patience:
            then()
        else:
            self.later(0.2, lambda: self._when(happens, then, patience - 1))

    def _batch_waits(self) -> bool:
        return any(tx.items for tx in self.chain.waiting)

    def _chain_drops(self, entry: Entry) -> None:
        """What waits to be mined is forgotten, if it can be a batch; a depositor sends again."""

        def drop() -> None:
            back = [tx for tx in self.chain.waiting if tx.deposit]
            self.chain.drop()
            self.later(2.0, lambda: self.chain.waiting.extend(back))

        self._when(self._batch_waits, drop)

    def _fees_rise(self, entry: Entry) -> None:
        """When a batch is on its way, so that it is stuck."""
        long = msgspec.structs.replace(entry, for_ms=max(entry.for_ms, FEES_MS_MIN))
        fees = partial(setattr, self.chain, "base_wei")
        self._when(self._batch_waits, lambda: self._for(long, lambda: fees(4 * 10**9), lambda: fees(10**9)))

    def _refuses(self, entry: Entry) -> None:
        to = self.founding.world.people[self.people.ids[entry.pick % len(self.people.ids)]].payout_address
        self._for(entry, lambda: self.chain.refusing.add(to), lambda: self.chain.refusing.discard(to))

    def _log_full(self, entry: Entry) -> None:
        self._for(entry, lambda: setattr(self.log, "full", True), lambda: setattr(self.log, "full", False))

    def _log_unreadable(self, entry: Entry) -> None:
        self._for(entry, lambda: setattr(self.log, "unreadable", True), lambda: setattr(self.log, "unreadable", False))

    def _log_torn(self, entry: Entry) -> None:
        self.log.tear()
        self.servers[entry.pick % 2].kill()

    def _store_full(self, entry: Entry) -> None:
        self._for(entry, lambda: setattr(self.objects, "full", True), lambda: setattr(self.objects, "full", False))

    def _views_down(self, entry: Entry) -> None:
        self._for(entry, lambda: setattr(self.views, "down", True), lambda: setattr(self.views, "down", False))


MUTED = (
    *((module, "logger") for module in (worker_runtime.loop, worker_runtime.worker, worker_runtime.checker.checker)),
    *((module, "log") for module in (*(getattr(worker_runtime.daemons, name) for name in ("loop", "watch", "payer", "gate")),)),
)
TIMED = (adapters.sequencer, adapters.succession, adapters.log.follower)


@contextlib.contextmanager
def virtual(play: Play) -> Iterator[None]:
    """Time, chance and loggers of the product are the simulation's; the collector waits."""
    time, mute = VirtualTime(play.loop), Mute()
    stands: list[tuple[Any, str, Any]] = [(module, "time", time) for module in TIMED]
    stands += [(module, name, mute) for module, name in MUTED]
    stands += [(adapters.succession, "settle_memory", lambda: None), (worker_runtime.checker.checker, "secrets", Nonces(play.net))]
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
