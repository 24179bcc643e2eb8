"""The faults that come at a time (script.py): each is a method of the play, named after it."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from tests.network import Network
from tests.simulator.chain import Chain
from tests.simulator.loop import Life, Loop
from tests.simulator.script import Entry, Script
from tests.simulator.twins import LeaseTwin, LogTwin, Net, Objects, ViewsTwin

if TYPE_CHECKING:
    from tests.simulator.agents import Machine
    from tests.simulator.judges.judges import Judges
    from tests.simulator.people import People
    from tests.simulator.server import Server

FEES_MS_MIN = 12_000


class Faults:
    """What they are done to."""

    script: Script
    loop: Loop
    net: Net
    founding: Network
    chain: Chain
    objects: Objects
    lease: LeaseTwin
    log: LogTwin
    views: ViewsTwin
    judges: "Judges"
    people: "People"
    machines: "list[Machine]"
    servers: "list[Server]"
    deaf: set[str]

    def later(self, delay_s: float, what: Callable[[], object]) -> None:
        raise NotImplementedError

    def _for(self, entry: Entry, on: Callable[[], object], off: Callable[[], object]) -> None:
        on()
        self.later(entry.for_ms / 1_000, off)

    def _pick(self, entry: Entry, kind: str = "") -> "Machine":
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
        self._crash(leading[0] if leading and entry.pick % 4 else self.servers[entry.pick % 2], entry)

    def _crash(self, process: "Server | Machine", entry: Entry) -> None:
        """At one of its next awaits."""
        if process.life:
            process.life.fuse, process.life.burnt = 1 + entry.pick % 97, process.kill

    def _crash_worker(self, entry: Entry) -> None:
        self._crash(self._pick(entry, "worker"), entry)

    def _crash_checker(self, entry: Entry) -> None:
        self._crash(self._pick(entry, "checker"), entry)

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

    def _deafen(self, machine: "Machine") -> None:
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
