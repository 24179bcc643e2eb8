"""The mistakes that are planted (bugs.py): each function says what to put where of the product. (Owner, name, what is there instead.)"""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec

from adapters import sequencer, succession
from domain.errors import Refused
from domain.house import house, override
from domain.house import ledger as house_ledger
from domain.log import block, receipts, snapshot, wire
from domain.log import ledger as ledgers
from domain.log.log import Unreachable
from domain.market import match
from domain.parts import Worker
from domain.proof import audit, beacon, lottery, proof, ruling, verdict
from domain.treasury import batch, earnings, payout, stake
from domain.units import Units
from domain.work import job, task
from domain.world import World
from projections.memory import MemoryViews
from tests.simulator import server
from worker_runtime.checker import agent as checking
from worker_runtime.daemons import batches, deposits, loop, payer, watch
from worker_runtime.daemons.fees import usual

Patch = tuple[Any, str, Any]


# Money.


def unbalanced_entry() -> list[Patch]:
    before = ruling.Accepted.entry

    def entry(self: ruling.Accepted) -> Any:
        *first, (account, amount) = before(self)
        return (*first, (account, amount - 1))

    return [(ruling.Accepted, "entry", entry), (ledgers, "is_balanced", lambda entry: True)]


def rounding_to_the_first() -> list[Patch]:
    def split(amount: Units, weights: Any) -> list[Units]:
        shares = [Units(amount * weight // sum(weights)) for weight in weights]
        return [shares[0] + (amount - sum(shares)), *shares[1:]]

    return [(ruling, "split", split)]


def double_release() -> list[Patch]:
    before = task.Ended.entry

    def entry(self: task.Ended) -> Any:
        return tuple((account, amount * 2) for account, amount in before(self))

    return [(task.Ended, "entry", entry)]


def refund_short() -> list[Patch]:
    before = job.closed

    def closed(*facts: Any) -> job.Closed:
        whole = before(*facts)
        return msgspec.structs.replace(whole, refund=Units(max(0, whole.refund - 1)))

    return [(job, "closed", closed)]


def price_rounded_down() -> list[Patch]:
    return [(match, "price", lambda per_kwu, wu_milli: Units(per_kwu * wu_milli // 1_000_000))]


def matured_twice() -> list[Patch]:
    before = earnings.Matured.entry

    def entry(self: earnings.Matured) -> Any:
        return tuple((account, amount * 2) for account, amount in before(self))

    return [(earnings.Matured, "entry", entry)]


def matured_early() -> list[Patch]:
    before = World.accrue

    def accrue(self: World, share: Any) -> None:
        before(self, share)
        if self.timer("mature", share.task) is not None:
            self.set_timer("mature", share.task, share.accepted_us + 1)

    return [(World, "accrue", accrue)]


def pool_paid_twice() -> list[Patch]:
    before = earnings.Distributed.apply

    def apply(self: earnings.Distributed, world: World) -> None:
        claims = dict(world.claims)
        before(self, world)
        world.claims.update(claims)

    return [(earnings.Distributed, "apply", apply)]


def slashed_by_half() -> list[Patch]:
    before = stake.slash

    def slash(world: World, worker: Any, audit: Any, task: Any, gross: Units, p_ppm: int, asset: Any) -> Any:
        half = before(world, worker, audit, task, Units(gross // 2), p_ppm, asset)
        return msgspec.structs.replace(half, gross=gross)

    return [(stake, "slash", slash)]


def frozen_moves() -> list[Patch]:
    def apply(self: override.Applied, world: World) -> None:
        world.overrides = self.number

    return [(override.Applied, "apply", apply)]


def number_reused() -> list[Patch]:
    before = payout.Requested.apply

    def apply(self: payout.Requested, world: World) -> None:
        before(self, world)
        world.people[self.account].payouts -= 1

    return [(payout.Requested, "apply", apply)]


# The chain.


def early_credit() -> list[Patch]:
    before = deposits.changes
    return [(deposits, "changes", lambda world, asset, logs, last, final: before(world, asset, logs, last, last))]


def reorg_ignored() -> list[Patch]:
    before = batches.deeds

    def deeds(it: Any, story: batches.Told, where: Any, head: int, final: int) -> Any:
        if it.status == "mined" and where is not None:
            gone = batches.Found(it.tx_hash, it.block, where.gas_wei, story.paid, story.failed)
            return batches._finalise(it, gone) if it.block <= final else []
        return before(it, story, where, head, final)

    return [(batches, "deeds", deeds)]


def orphan_kept() -> list[Patch]:
    before = deposits.deeds

    def deeds(*facts: Any) -> Any:
        return [deed for deed in before(*facts) if not deed[0].startswith("orphan/")]

    return [(deposits, "deeds", deeds)]


def nonce_again() -> list[Patch]:
    before, decide = payer.Payer._put, batch.Sign.decide

    async def put(self: Any, payouts: Any, nonce: int, terms: Any, bumped: Any) -> None:
        await before(self, payouts, nonce if bumped else max(0, nonce - 1), terms, bumped)

    def unchecked(self: batch.Sign, world: World, origin: Any) -> Iterator[Any]:
        real, world.nonce = world.nonce, self.nonce - 1
        try:
            first = next(decide(self, world, origin), None)
        finally:
            world.nonce = real
        yield from [first] if first else []

    return [(payer.Payer, "_put", put), (batch.Sign, "decide", unchecked)]


def signed_again() -> list[Patch]:
    async def push(self: Any, it: Any, **more: Any) -> None:
        terms = usual(await self._node.fees())
        world = self._desk.world
        items = [(id, world.payouts[id].to, int(world.payouts[id].amount)) for id in it.payouts]
        treasury, chain_id = world.assets[self._asset].treasury, world.assets[self._asset].chain_id
        fees = {"chain_id": chain_id, "fee_wei_max": terms.fee_wei_max + 1, "tip_wei": terms.tip_wei}
        raw, _ = self._signer.sign_payout_batch(treasury, it.nonce, items, **fees)
        await self._node.send(raw)

    return [(payer.Payer, "_push", push)]


def sent_first() -> list[Patch]:
    before = loop.Desk.ask

    async def put(self: Any, subject: str, command: Any) -> Any:
        if isinstance(command, batch.Sign):
            await self.node.send(command.raw_tx)
        return await before(self, subject, command)

    daemons = server.Server._daemons

    def started(self: Any) -> Any:
        works = daemons(self)
        self.payer._desk.node = self.node
        return works

    return [(loop.Desk, "ask", put), (server.Server, "_daemons", started)]


def bump_pays_others() -> list[Patch]:
    before = payer.Payer._put

    async def put(self: Any, payouts: Any, nonce: int, terms: Any, bumped: Any) -> None:
        await before(self, payouts[:-1] if bumped and len(payouts) > 1 else payouts, nonce, terms, bumped)

    return [(payer.Payer, "_put", put), (batch.Sign, "_bumped", lambda self, world, origin: self.nonce)]


def newest_beacon() -> list[Patch]:
    async def bring(self: Any, head: Any) -> None:
        grid_us = watch.wanted_us(self._desk.world, self._now_us())
        if grid_us is not None:
            facts = {"grid_us": grid_us, "chain_id": 31337, "block_number": head.number, "block_hash": head.hash}
            await self._desk.ask(f"beacon/{grid_us}", beacon.Bring(**facts))

    return [(watch.Watch, "_bring_beacons", bring)]


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
                await self._catch_up(ledger)
                return ledger
            except Unreachable:
                await asyncio.sleep(0.1)

    return [(succession.Succession, "take_over", take_over), (succession.Succession, "require_lease", lambda self: None)]


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


# Work.


def no_fence() -> list[Patch]:
    before = proof.Commit._is_late

    def is_late(self: Any, world: World, it: Any, worker: Any, at_us: int) -> bool:
        return False if it.status == "leased" else before(self, world, it, worker, at_us)

    return [(proof.Commit, "_is_late", is_late)]


def late_counts() -> list[Patch]:
    before = World.lease

    def lease(self: World, it: Any, worker: Any, fence: int, expires_us: int) -> None:
        before(self, it, worker, fence, expires_us + 5_000_000)

    return [(World, "lease", lease)]


def early_expiry() -> list[Patch]:
    before = house.next_timer
    return [(house, "next_timer", lambda world, at_us: before(world, at_us + 3_000_000))]


def stale_timer() -> list[Patch]:
    before = World.drop_timer
    return [
        (
            World,
            "drop_timer",
            lambda self, verb, subject: (
                None
                if verb == "expire" and subject in self.tasks and self.tasks[subject].status == "committed"
                else before(self, verb, subject)
            ),
        )
    ]


def lease_kept() -> list[Patch]:
    before = World.release

    def release(self: World, it: Any) -> None:
        before(self, it)
        if it.fence > 1:
            self.workers[it.worker].leases.append(it.id)

    return [(World, "release", release)]


def no_quarantine() -> list[Patch]:
    return [(Worker, "is_there", property(lambda self: self.presence == "online" and self.mode == "active"))]


def no_probation() -> list[Patch]:
    before = World.seat

    def seat(self: World, worker: Any) -> None:
        clean = {cls: standing.clean for cls, standing in worker.classes.items()}
        for standing in worker.classes.values():
            standing.clean = 1_000
        before(self, worker)
        for cls, standing in worker.classes.items():
            standing.clean = clean[cls]

    return [(World, "seat", seat)]


def own_job() -> list[Patch]:
    before = match.obstacle

    def obstacle(*facts: Any) -> str | None:
        found = before(*facts)
        return None if found == "own_job" else found

    return [(match, "obstacle", obstacle)]


def ends_twice() -> list[Patch]:
    """As it was until the simulator found it."""
    before = job.Closing.apply

    def apply(self: job.Closing, world: World) -> None:
        due = {verb: world.timer(verb, self.job) for verb in ("deadline", "paused")}
        before(self, world)
        for verb, due_us in due.items():
            if due_us is not None:
                world.set_timer(verb, self.job, due_us)

    return [(job.Closing, "apply", apply)]


# Proof.


def no_beacon() -> list[Patch]:
    before = lottery.number
    return [
        (lottery, "number", lambda tag, value, pos, index: before(tag, "0x" + "0" * 64 if tag == lottery.LOTTERY else value, pos, index))
    ]


def first_region() -> list[Patch]:
    return [(lottery, "draw_regions", lambda value, pos, index, tiles, before: lottery.Drawn([0], index + 1))]


def own_checker() -> list[Patch]:
    before = lottery.checker_candidates
    return [(lottery, "checker_candidates", lambda world, cls, asset, parties, others: before(world, cls, asset, (), others))]


def early_reveal() -> list[Patch]:
    before = verdict.Reveal.decide

    def decide(self: verdict.Reveal, world: World, origin: Any) -> Iterator[Any]:
        it = world.audits.get(self.audit)
        if it is None:
            yield from before(self, world, origin)
            return
        real, it.due_us = it.due_us, 0
        deciding = before(self, world, origin)
        try:
            first = next(deciding, None)
        finally:
            it.due_us = real
        if first is not None:
            yield first
            yield from deciding

    return [(verdict.Reveal, "decide", decide), (checking.Agent, "_may_reveal", lambda self, doing, at_us: at_us >= doing.until_us)]


def one_word() -> list[Patch]:
    def result(it: Any) -> str | None:
        votes = list(it.verdicts.values())
        return "invalid" if "invalid" in votes else "valid" if "valid" in votes else None

    return [(audit, "result", result)]
