"""The anchorer: puts the head of the log into the contract from time to time, so that nobody can show another log later.

The chain itself tells what was anchored, so nothing has to be remembered: an anchor that the ledger has not heard of is reported once
it is final, and only then the next one is made. The contract takes rising sizes only; to send one twice costs gas and changes nothing.
"""

from contextlib import aclosing
from typing import Protocol

import structlog
from msgspec import Struct

from domain.accounts import Asset
from domain.treasury import anchor, chain
from domain.world import World
from worker_runtime.daemons import loop
from worker_runtime.daemons.fees import BUMP_US, Terms, raised, usual

EVERY_S = 0.5
BLOCKS_MAX = 5_000
"""Looked through at once on the way back to the newest anchor."""
ROUTINE = {anchor.Anchored, anchor.Reconciled}
"""Events that are no reason for the next anchor."""
log = structlog.get_logger(__name__)


class Signer(Protocol):
    """The anchorer's own key, with a little ether."""

    address: str

    def sign_anchor(
        self, treasury: str, nonce: int, root: str, size: int, *, chain_id: int, fee_wei_max: int, tip_wei: int
    ) -> tuple[str, str]:
        """(raw transaction, its hash); fees are per unit of gas."""
        ...


class Sent(Struct):
    """On its way."""

    size: int
    root: str
    nonce: int
    raw: str
    tx: str
    terms: Terms
    signed_us: int


class Anchorer:
    def __init__(
        self,
        desk: loop.Desk,
        node: chain.Chain,
        signer: Signer,
        asset: Asset,
        *,
        since: int = 0,
        bump_us: int = BUMP_US,
    ) -> None:
        """`node` is the chain with the treasury of `asset`, which is not there before block `since`."""
        self._desk, self._node, self._signer, self._asset = desk, node, signer, asset
        self._bump_us = bump_us
        self._floor = since
        """There is no anchor below this block that we do not know of."""
        self._sent: Sent | None = None
        self._quiet = 0
        """Nothing but routine up to this position since the last anchor."""
        self._open, self._not_before_us = True, 0

    async def run(self) -> None:
        await loop.run(self._desk, self.step, EVERY_S)

    async def step(self) -> None:
        """Reports, sends or makes an anchor, if there is one to. Raises what the chain and the ledger raise."""
        if not self._open and not (self._is_due() and await self._happened()):
            return
        head = await self._node.head()
        newest, world = await self._newest(head), self._desk.world
        self._open = True
        if newest and newest.size > world.anchored_size:
            await self._report(newest, head)
        elif self._sent:
            await self._push(self._sent)
        elif self._is_due() and await self._happened():
            await self._sign(head, None)
        else:
            self._open = False

    def _is_due(self) -> bool:
        world, now_us = self._desk.world, self._desk.now_us()
        return now_us >= max(world.anchored_us + world.policy.anchor_us, self._not_before_us)

    async def _happened(self) -> bool:
        """Whether there is anything new to anchor since the last one."""
        reader, upto = self._desk.reader, self._desk.reader.head.size
        self._quiet = max(self._quiet, self._desk.world.anchored_size)
        if self._quiet >= upto:
            return False
        async with aclosing(reader.events(self._quiet)) as events:
            async for recorded, _ in events:
                if type(recorded.event) not in ROUTINE:
                    return True
                self._quiet = recorded.pos
                if recorded.pos >= upto:
                    break
        return False

    async def _newest(self, head: chain.Block) -> chain.AnchorLog | None:
        """The last anchor on the chain, from what may not be known yet."""
        final, last = head.number - self._desk.world.policy.finality_blocks, head.number
        while last >= self._floor:
            first = max(self._floor, last - BLOCKS_MAX + 1)
            if found := await self._node.anchors(first, last):
                self._floor = max(self._floor, min(found[-1].block, final))
                return found[-1]
            last = first - 1
        self._floor = max(self._floor, final)
        return None

    async def _report(self, newest: chain.AnchorLog, head: chain.Block) -> None:
        if newest.size > self._desk.reader.head.size:
            raise loop.Waits(f"the chain holds an anchor of size {newest.size}, beyond the log")
        if head.number - newest.block >= self._desk.world.policy.finality_blocks:
            facts = anchor.Anchor(size=newest.size, root=newest.root, tx=newest.tx, block=newest.block)
            await self._desk.ask(f"anchor/{newest.size}", facts)
            self._sent = None

    async def _sign(self, head: chain.Block, last: Sent | None) -> None:
        """Sign the head of the log, or what is stuck again with a higher fee, and send it."""
        asset, now = self._desk.world.assets[self._asset], usual(await self._node.fees())
        terms = raised(last.terms, now) if last else now
        if terms is None:
            return
        if last:
            size, root, nonce = last.size, last.root, last.nonce
        else:
            mark = self._desk.reader.head.mark
            size, root, nonce = mark.size, mark.root, await self._node.nonce(self._signer.address, head.number)
        fees = {"chain_id": asset.chain_id, "fee_wei_max": terms.fee_wei_max, "tip_wei": terms.tip_wei}
        raw, tx = self._signer.sign_anchor(asset.treasury, nonce, root, size, **fees)
        self._sent = Sent(size, root, nonce, raw, tx, terms, self._desk.now_us())
        await self._push(self._sent)

    async def _push(self, sent: Sent) -> None:
        """Send it until it is in a block."""
        if receipt := await self._node.receipt(sent.tx):
            if not receipt.ok:
                log.error("the contract refused the anchor", agent="anchorer", size=sent.size, tx=sent.tx)
                self._give_up(self._desk.world)
            return
        try:
            await self._node.send(sent.raw)
        except chain.NonceUsed:
            self._sent = None  # by an anchor of ours from before a restart, which is found then
            return
        except chain.Underpriced:
            if self._desk.now_us() - sent.signed_us < self._bump_us:
                raise
        if self._desk.now_us() - sent.signed_us >= self._bump_us:
            await self._sign(await self._node.head(), sent)

    def _give_up(self, world: World) -> None:
        self._sent, self._not_before_us = None, self._desk.now_us() + world.policy.anchor_us
