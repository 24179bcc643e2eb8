"""Mistakes with money, and with the chain. Each function says what to put where of the product: (owner, name, what is there instead)."""

from collections.abc import Iterator
from typing import Any

import msgspec

from domain.house import override
from domain.log import ledger as ledgers
from domain.market import match
from domain.proof import beacon, ruling
from domain.treasury import batch, earnings, payout, stake
from domain.units import Units
from domain.work import job, task
from domain.world import World
from tests.simulator import server
from tests.simulator.bugs.planted import Patch
from worker_runtime.daemons import batches, deposits, loop, payer, watch
from worker_runtime.daemons.fees import usual

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
        grid_us = watch.wanted_us(self._desk.world, self._desk.now_us())
        if grid_us is not None:
            facts = {"grid_us": grid_us, "chain_id": 31337, "block_number": head.number, "block_hash": head.hash}
            await self._desk.ask(f"beacon/{grid_us}", beacon.Bring(**facts))

    return [(watch.Watch, "_bring_beacons", bring)]
