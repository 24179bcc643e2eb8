"""The server's process: the real sequencer, follower, projections, gate and daemons, over the twins. Two of them share one log and one
chain; whoever leads runs the daemons. Whatever ends one, it is started again a moment later from what is durable.

Instead of the HTTP API there is `command`, which does what api/commands.py does, less the signatures: who signed is known.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from adapters import signer
from adapters.log.follower import Follower
from adapters.sequencer import Sequencer
from adapters.succession import Clock
from api import agents
from domain.accounts import USDC
from domain.errors import Refused
from domain.event import Event, Recorded
from domain.ids import WorkerId
from domain.log import snapshot
from domain.log.ledger import Ledger
from domain.log.log import Busy, Unreachable
from domain.log.merkle import Head
from domain.log.receipts import Ask, Receipt
from domain.proof import proof
from domain.work.tiles import Spec
from projections import catalog, runner
from tests.network import BUILD, ENGINE, LOG, key
from tests.simulator.chain import Node
from tests.simulator.loop import Life
from tests.simulator.twins import EPOCH_US, LeasePort, LogPort
from worker_runtime.daemons import gate, loop, payer, presence, watch

if TYPE_CHECKING:
    from tests.simulator.agents import Connection
    from tests.simulator.play import Play

WALLET = 99
BUMP_US = 6_000_000
RESTART_S = 1.0
FIRST_S_MAX = 600.0
SNAPSHOT_EVERY = 150
FOLD = "simulated"


class GateFailed(Refused):
    """The proof did not pass the gate."""


def bench_spec(seed: int) -> Spec:
    return Spec(ENGINE, BUILD, "b" * 64, 1, (8, 8), (2, 2), 4, 1, seed)


class Server:
    """One machine: what is durable of it, and its process."""

    def __init__(self, play: "Play", name: str) -> None:
        self.play, self.name = play, name
        self.life: Life | None = None
        self.starts = 0
        self.off_us = 0
        """By which its wall clock is wrong."""
        self.node = Node(play.chain, play.net)
        self.snapshots = list[bytes]()
        self.sequencer: Sequencer | None = None
        self.follower: Follower | None = None
        self.ledgers = list[Ledger]()
        """What this process folds or decides."""

    def wall_us(self) -> int:
        return EPOCH_US + self.play.loop.now_us() + self.off_us

    def start(self) -> None:
        if self.life and not self.life.dead:
            return
        self.starts += 1
        self.sequencer = self.follower = None
        self.life = self.play.loop.begin(self.name, self.starts, self._live)

    def kill(self) -> None:
        if self.life and not self.life.dead:
            self.play.loop.kill(self.life)
            self.play.later(RESTART_S, self.start)

    async def _live(self, life: Life) -> None:
        why: BaseException | None = None
        try:
            await self._run()
        except Exception as failure:
            why = failure
        self.play.judges.ended(self.name, why)
        self.kill()

    async def _run(self) -> None:
        play, name = self.play, f"{self.name}-{self.starts}"
        log = LogPort(play.log)
        ledger = self._start()
        self.ledgers = [ledger]
        follower = self.follower = Follower(log, ledger)
        clock = Clock(self.wall_us, play.loop.now_us)
        lease = LeasePort(play.lease, name)
        sequencer = self.sequencer = Sequencer(log, self._begin, name, clock=clock, reference_us=self._reference_us, lease=lease)
        self.presence = presence.Presence(self._desk("presence"))
        store: Any = play.objects
        self.gate = gate.Gate(self._desk("gate"), store, bench_spec)
        self.streams = defaultdict[str, list[Recorded[Event]]](list)
        self.pumps = dict[WorkerId, asyncio.Task[None]]()
        tasks = [
            *(asyncio.create_task(work) for work in (follower.run(), sequencer.run(), self._index(), self._care(), self._snap())),
            *([asyncio.create_task(self._project(log))] if self.name == "a" else ()),
        ]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in tasks:
            if each in done:
                each.result()

    def _start(self) -> Ledger:
        if self.snapshots:
            return snapshot.thaw(self.snapshots[-1], LOG, FOLD)
        return Ledger(Head(LOG))

    def _begin(self) -> Ledger:
        ledger = self._start()
        self.ledgers = [*self.ledgers[:1], ledger]
        return ledger

    async def _reference_us(self) -> int:
        return EPOCH_US + self.play.loop.now_us()

    async def _project(self, log: LogPort) -> None:
        await runner.run(catalog.ALL, log, self.play.views, Head(LOG))

    async def _index(self) -> None:
        assert self.follower
        after = 0
        while True:
            with suppress(Unreachable):
                async with aclosing(self.follower.events(after)) as items:
                    async for recorded, _ in items:
                        after = recorded.pos
                        self.streams[recorded.stream].append(recorded)
            await asyncio.sleep(0.5)

    async def _snap(self) -> None:
        """Now and then the state of a fold of the log, which is not the one in use."""
        assert self.follower
        while True:
            await asyncio.sleep(5)
            last = snapshot.read_header(self.snapshots[-1]).size if self.snapshots else 0
            if self.follower.head.size >= last + SNAPSHOT_EVERY:
                self.snapshots.append(snapshot.freeze(self.folded(), FOLD))
                self.play.judges.snapped(self.snapshots[-1])

    def folded(self) -> Ledger:
        return self.play.fold(self.snapshots)

    async def _care(self) -> None:
        """The daemons, while this process leads; they look for their accounts in what was read."""
        assert self.follower
        assert self.sequencer
        await self.follower.reached(1, FIRST_S_MAX)
        while True:
            await self.sequencer.elected.wait()
            tasks = [asyncio.create_task(work) for work in self._daemons()]
            ended = asyncio.create_task(self.sequencer.idle.wait())
            await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for each in tasks:
                if each.done():
                    each.result()
                    await ended
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _daemons(self) -> list[Any]:
        assert self.follower
        assert self.sequencer
        desk, node = self._desk, self.node
        self.watch = watch.Watch(desk("watch"), node, USDC)
        self.payer = payer.Payer(desk("payer"), node, key(WALLET), signer.decode_batch, USDC, bump_us=BUMP_US)
        return [self.watch.run(), self.payer.run(), self.presence.run()]

    def _desk(self, role: str) -> loop.Desk:
        assert self.follower
        assert self.sequencer
        return loop.Desk(role, self.follower, self.sequencer.submit, self.sequencer.now_us)

    # What callers see.

    async def command(self, ask: Ask) -> Receipt:
        """Raises `Refused`, and what `submit` raises."""
        if self.follower is None or self.sequencer is None or not self.sequencer.leading:
            raise Busy
        if isinstance(ask.command, proof.Commit):
            code = await self.gate(self.follower.world, WorkerId(ask.actor), ask.command)
            if code:
                raise GateFailed
        self.play.judges.begins(ask)
        try:
            receipt = await self.sequencer.submit(ask)
        except Refused as refusal:
            self.play.judges.refused(self, ask, refusal)
            raise
        self.play.judges.answered(self, ask, receipt)
        return receipt

    async def beat(self, agent: WorkerId, session: str) -> None:
        if self.sequencer and self.sequencer.leading:
            self.presence.seen(agent, session)

    async def stream(self, id: str, least_pos: int) -> list[Recorded[Event]]:
        if self.follower is None:
            raise Busy
        await self.follower.reached(least_pos, 1.0)
        return list(self.streams[id])

    async def open_feed(self, me: WorkerId, after: int | None, to: "Connection") -> None:
        """Raises `Busy` while this process does not know the agent yet."""
        if self.follower is None or me not in self.follower.world.workers:
            raise Busy
        if before := self.pumps.pop(me, None):
            before.cancel()
        self.pumps[me] = asyncio.create_task(self._pump(me, after, to))

    async def _pump(self, me: WorkerId, after: int | None, to: "Connection") -> None:
        assert self.follower
        world, head = self.follower.world, self.follower.head.size
        it = world.workers[me]
        checker = it.kind == "checker"
        wants: Callable[[Any], bool] = agents.of_checker(world, me) if checker else agents.everything
        if after is None:
            after = agents.first_open(world, it, head)
            wants = agents.open_until(head, agents.still_open(world, it), wants)
        about, types = ((), agents.CHECKER_TYPES) if checker else ((me,), ())
        with suppress(Exception):
            async with aclosing(self.follower.events(after, types=types, about=about)) as items:
                async for item in items:
                    if to.closed:
                        return
                    if wants(item):
                        to.tell(self.name, item[0])
