"""The watch: brings the chain's facts into the ledger. Deposits, what became of batches, beacons, and the treasury's balance.

It resumes at the last block of which a fact is final in the ledger, and tells what it sees from there on again: the ledger knows
what it was told before. Nothing that is not final decides about money for good, so a chain that changes its mind costs nothing. One
that changes what was final makes it freeze the money, and halt.
"""

from typing import NoReturn

import structlog

from domain import accounts
from domain.accounts import Asset
from domain.house import override
from domain.parts import Batch
from domain.proof import beacon
from domain.treasury import anchor, chain, deposit
from domain.world import World
from worker_runtime.daemons import batches, deposits, loop
from worker_runtime.daemons.ground import REASON, REMEDY, Ground

EVERY_S = 0.2
BLOCKS_MAX = 2_000
"""Looked through in one step; a watch that was away for long catches up in several."""
log = structlog.get_logger(__name__)


class Watch:
    def __init__(self, desk: loop.Desk, node: chain.Chain, asset: Asset, *, since: int = 0) -> None:
        """`node` is the chain with the treasury of `asset`; nothing of ours is on it before block `since`."""
        self._desk, self._node, self._asset = desk, node, asset
        self._ground, self._stories = Ground(desk, node, asset), batches.Stories(desk.reader)
        self._done = since - 1
        """The deposits up to this block are in the ledger, and final."""
        self._reconciled = -1

    async def run(self) -> None:
        await loop.run(self._desk, self.step, EVERY_S)

    async def step(self) -> None:
        """One look at the chain, and all that follows from it. Raises `Halted`, and what the chain and the ledger raise; to be repeated
        then."""
        head = await self._node.head()
        if fault := await self._ground.fault(head):
            await self._freeze(fault)
        await self._bring_facts(head)
        await self._bring_beacons(head)
        await self._reconcile()

    async def _freeze(self, fault: str) -> NoReturn:
        world = self._desk.world
        if not world.frozen:
            number = world.overrides + 1
            await self._desk.ask(f"freeze/{number}", override.Override(action="freeze", reason=REASON, number=number))
        raise loop.Halted(f"{fault}: {REMEDY}")

    async def _bring_facts(self, head: chain.Block) -> None:
        world = self._desk.world
        self._done = max(self._done, world.final_block)
        pending = [it.block for it in world.deposits.values() if it.asset == self._asset]
        first, last = min([self._done + 1, *pending]), min(head.number, self._done + BLOCKS_MAX)
        final = min(head.number - world.policy.finality_blocks, last)
        logs = await self._deposits(first, last)
        stories = [(it, await self._stories.of(it.id)) for it in self._batches(world)]
        places = [await batches.found(self._node, it, story, head.number) for it, story in stories]
        changes = deposits.changes(world, self._asset, logs, last, final)
        if await self._node.block(head.number) != head:
            return  # it changed while we looked: what we saw may be of two chains
        await deposits.confirm(self._node, changes)
        deeds = deposits.deeds(self._asset, changes)
        for (it, story), where in zip(stories, places, strict=True):
            deeds += batches.deeds(it, story, where, head.number, final)
        for entry in logs:
            if self._done < entry.block <= final and not deposits.is_usable(entry):
                log.error("deposit beyond every bound", agent="watch", tx=entry.tx, amount=str(entry.amount))
        for subject, command in deeds:
            await self._desk.ask(subject, command)
        # Where something was left to tell, the next look shows whether the ledger took it.
        self._done = self._done if deeds else max(self._done, final)

    async def _deposits(self, first: int, last: int) -> list[chain.DepositLog]:
        logs = await self._node.deposits(first, last) if first <= last else []
        return [log for log in logs if deposit.reference(log.tx, log.log_index) not in self._ground.credited]

    def _batches(self, world: World) -> list[Batch]:
        return sorted((it for it in world.batches.values() if it.asset == self._asset), key=lambda it: it.nonce)

    async def _bring_beacons(self, head: chain.Block) -> None:
        """The lawful block of each wanted grid time, in order, once it is final."""
        while (grid_us := wanted_us(self._desk.world, self._desk.now_us())) is not None:
            policy = self._desk.world.policy
            block = await self._node.first_block_since(-(-(grid_us + policy.delay_us) // 1_000_000))
            if block is None or head.number - block.number < policy.finality_blocks:
                return
            chain_id = self._desk.world.assets[self._asset].chain_id
            facts = beacon.Bring(grid_us=grid_us, chain_id=chain_id, block_number=block.number, block_hash=block.hash)
            await self._desk.ask(f"beacon/{grid_us}", facts)

    async def _reconcile(self) -> None:
        """After a fact became final, and once after each start: what the treasury holds, on chain and in the ledger."""
        world = self._desk.world
        block = world.final_block
        if block in {0, self._reconciled} or not is_settled(world, self._asset, block):
            return
        try:
            balance = await self._node.held(block)
        except chain.ChainRefused:
            if block > world.reconciled_block:
                raise
            self._reconciled = block  # it was looked at before, and many nodes do not keep what they held so long ago
            return
        ledger = world.balances.get(accounts.treasury(self._asset), 0)
        await self._desk.ask(f"reconcile/{block}", anchor.Reconcile(asset=self._asset, block=block, balance=str(balance)))
        self._reconciled = block
        if balance != ledger:
            log.error("treasury differs", agent="watch", block=block, chain=str(balance), ledger=str(ledger))


def is_settled(world: World, asset: Asset, block: int) -> bool:
    """Whether no fact of a block up to this one waits in the ledger to become final."""
    waiting = [it.block for it in world.deposits.values() if it.asset == asset]
    waiting += [it.block for it in world.batches.values() if it.asset == asset and it.status == "mined"]
    return all(each > block for each in waiting)


def wanted_us(world: World, now_us: int) -> int | None:
    """The grid time of the beacon that is wanted next, if the time of its block has come."""
    grid_us = world.next_grid_us()
    return grid_us if grid_us is not None and now_us >= grid_us + world.policy.delay_us else None
