"""Mistakes with the log, receipts, elections, snapshots and views."""

import asyncio
from typing import Any

from adapters import sequencer, succession
from domain.errors import Refused
from domain.house import ledger as house_ledger
from domain.log import block, receipts, snapshot, wire
from domain.log import ledger as ledgers
from domain.log.log import Unreachable
from domain.treasury import earnings
from domain.world import World
from projections.memory import MemoryViews
from tests.simulator import server
from tests.simulator.bugs.planted import Patch

# The log.


def no_dedupe() -> list[Patch]:
    return [(receipts.Receipts, "get", lambda self, ask: None)]


def receipts_forgotten() -> list[Patch]:
    def take(self: receipts.Receipts, cmd: Any, done: Any, at_us: int) -> None:
        self.new[cmd] = done
        while len(self.new) > 3:
            del self.new[next(iter(self.new))]

    return [(receipts.Receipts, "take", take)]


def _settling(early: type | tuple[type, ...]) -> list[Patch]:
    before = sequencer.Sequencer._decide

    def decide(self: Any, ledger: Any) -> Any:
        answers, outcomes = before(self, ledger)
        for answer, outcome in zip(answers, outcomes, strict=True):
            if isinstance(outcome, early):
                sequencer.settle(answer, outcome)
        return answers, outcomes

    return [(sequencer.Sequencer, "_decide", decide)]


def refused_early() -> list[Patch]:
    return _settling(Refused)


def answered_early() -> list[Patch]:
    return _settling(receipts.Receipt)


def goes_on() -> list[Patch]:
    before = succession.Succession.take_over

    async def take_over(self: Any, ledger: Any, *, again: bool) -> Any:
        if not again:
            return await before(self, ledger, again=False)
        while True:
            try:
                await succession.catch_up(self._log, ledger)
                return ledger
            except Unreachable:
                await asyncio.sleep(0.1)

    def require_lease(self: Any) -> None:
        self.deposed = False  # what it heard is forgotten: who only passed over it would not wait for work any more

    return [(succession.Succession, "take_over", take_over), (succession.Succession, "require_lease", require_lease)]


def no_grace() -> list[Patch]:
    def apply(self: house_ledger.LeaderElected, world: World) -> None:
        world.leader = self.leader

    return [(house_ledger.LeaderElected, "apply", apply)]


def void_counts() -> list[Patch]:
    def judge(mark: Any, record: bytes) -> Any:
        header = block.read_header(record)
        if header is None:
            raise block.Void("alien")
        return header

    return [(block, "judge", judge)]


def live_snapshot() -> list[Patch]:
    def freeze(ledger: Any, fold: str) -> bytes:
        state, head = wire.encode(ledger), ledger.head
        header = snapshot.Header(snapshot.FORMAT, head.log, head.size, head.root, fold, snapshot.digest(state))
        return b"%b\n%b" % (wire.encode(header), state)

    return [(snapshot, "freeze", freeze), (server.Server, "folded", lambda self: self.ledgers[-1])]


def set_order() -> list[Patch]:
    before = earnings.claim_checks

    def claim(world: World, audit_id: Any, asset: Any) -> None:
        known = len(world.claims.get(asset, []))
        before(world, audit_id, asset)
        if asset in world.claims:
            # As a set of texts, whose order is another in each process.
            fresh = world.claims[asset][known:]
            world.claims[asset][known:] = sorted(fresh, key=lambda each: hash((each.checker, id(world))))

    return [(earnings, "claim_checks", claim)]


def position_first() -> list[Patch]:
    async def write(self: Any, *moves: Any) -> None:
        for move in moves:
            self._heads[move.projection.name] = move.after
        await asyncio.sleep(0.02)
        for move in moves:
            self.take(move, move.after.size)

    return [(MemoryViews, "write", write)]


def house_skips() -> list[Patch]:
    before = ledgers.Ledger.seal
    return [(ledgers.Ledger, "seal", lambda self, now_us: self._seal_pending() if self.pending else before(self, now_us))]
