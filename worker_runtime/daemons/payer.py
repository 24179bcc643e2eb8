"""The payer: signs payouts into batches, and sends the signed bytes until they are in a block.

Bytes and nonce are an event before they are sent. Whatever goes wrong then, the same bytes are sent again; if they are stuck, the same
payouts under the same nonce with a higher fee, an event as well. One transaction of a nonce can be mined and the contract pays each
payout id once, so no payout is ever paid twice. If somebody else uses the wallet's nonce, the payer halts: it cannot know why.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from domain.accounts import Asset
from domain.ids import position
from domain.parts import Batch, Payout
from domain.treasury import batch, chain
from domain.world import World
from worker_runtime.daemons import batches, loop
from worker_runtime.daemons.fees import BUMP_US, Terms, raised, usual
from worker_runtime.daemons.ground import Ground

EVERY_S = 0.2
SUSPECT_US = 3_000_000
"""How long a nonce that others seem to have used is looked at before the payer halts."""
REMEDY = (
    "somebody else has its key; appoint another payer in the contract, or nobody (the zero address), before anything else. Nothing more is "
    "signed with this wallet, and what was asked for stays owed"
)
log = structlog.get_logger(__name__)


class Signer(Protocol):
    """The wallet's key."""

    address: str

    def sign_payout_batch(
        self, treasury: str, nonce: int, items: Sequence[tuple[str, str, int]], *, chain_id: int, fee_wei_max: int, tip_wei: int
    ) -> tuple[str, str]:
        """(raw transaction, its hash) that pays the items (payout, address, amount); fees are per unit of gas."""
        ...


class Payer:
    """The one payer of its wallet: a wallet has one sequence of nonces."""

    def __init__(
        self,
        desk: loop.Desk,
        node: chain.Chain,
        signer: Signer,
        decode: Callable[[str], chain.SignedBatch],
        asset: Asset,
        *,
        bump_us: int = BUMP_US,
    ) -> None:
        """`decode` says what signed bytes pay, and at which fee."""
        self._desk, self._node, self._signer, self._decode, self._asset = desk, node, signer, decode, asset
        self._bump_us = bump_us
        self._ground, self._stories = Ground(desk, node, asset), batches.Stories(desk.reader)
        self._suspected: tuple[int, int] | None = None

    async def run(self) -> None:
        await loop.run(self._desk, self.step, EVERY_S)

    async def step(self) -> None:
        """Sends what is signed and not mined, or signs what is due. Raises `Halted`, and what the chain and the ledger raise."""
        if self._desk.world.frozen:
            raise loop.Waits("payouts are frozen: nothing is signed and nothing is sent")
        due = [] if unmined(self._desk.world, self._asset) else gather(self._desk.world, self._asset, self._desk.now_us())
        if not due and not unmined(self._desk.world, self._asset):
            return
        head = await self._node.head()
        if fault := await self._ground.fault(head):
            raise loop.Waits(f"nothing is signed and nothing is sent: {fault}")
        if due:
            await self._sign(due, head)
        for n, it in enumerate(unmined(self._desk.world, self._asset)):
            await self._push(it, is_next=n == 0)

    async def _sign(self, due: list[Payout], head: chain.Block) -> None:
        world, used = self._desk.world, await self._node.nonce(self._signer.address, head.number)
        nonce = world.nonce + 1
        if world.nonce < 0:  # the first one begins where the wallet stands for good
            nonce = await self._node.nonce(self._signer.address, max(0, head.number - world.policy.finality_blocks))
        if used > nonce:
            await self._desk.catch_up()
            if self._desk.world.nonce < nonce:
                await self._suspect(nonce, head)
        if used != nonce:
            raise loop.Waits(f"the wallet has used {used} nonces on the chain, and {nonce} in the log")
        affordable = afford(due, held := await self._node.held(head.number))
        if not affordable:
            raise loop.Waits(f"the treasury holds {held}, less than {due[0].id} needs")
        await self._put(affordable, nonce, usual(await self._node.fees()), None)

    async def _push(self, it: Batch, *, is_next: bool) -> None:
        """Send the bytes again, unless one of the batch's transactions is in a block. Only the next one may be stuck for its fee: the
        others wait for its nonce."""
        if await self._is_mined(it):
            return  # the watch tells the ledger
        try:
            await self._node.send(it.raw_tx)
        except chain.NonceUsed:
            await self._desk.catch_up()  # maybe by a transaction of ours that this process has not read of yet
            if is_unmined(self._desk.world, it) and not await self._is_mined(it):
                await self._suspect(it.nonce, await self._node.head())
            return
        except chain.Unfunded as words:
            raise loop.Waits(f"the wallet {self._signer.address} is short of ether: {it.id} and all behind it wait ({words})") from words
        except chain.Underpriced:
            if not is_next or self._desk.now_us() - it.signed_us < self._bump_us:
                raise
        if is_next and self._desk.now_us() - it.signed_us >= self._bump_us:
            await self._bump(it)

    async def _is_mined(self, it: Batch) -> bool:
        for tx in (await self._stories.of(it.id)).txs:
            if await self._node.receipt(tx):
                return True
        return False

    async def _bump(self, it: Batch) -> None:
        fees, last = await self._node.fees(), self._decode(it.raw_tx)
        terms = raised(Terms(last.fee_wei_max, last.tip_wei), usual(fees))
        if not is_unmined(self._desk.world, it):
            return
        if terms is None:
            raise loop.Waits(f"{it.id} is stuck at the highest fee")
        await self._put([self._desk.world.payouts[id] for id in it.payouts], it.nonce, terms, it)

    async def _put(self, payouts: list[Payout], nonce: int, terms: Terms, bumped: Batch | None) -> None:
        """Sign, and have the bytes in the log; they are sent from there."""
        asset = self._desk.world.assets[self._asset]
        items = [(it.id, it.to, int(it.amount)) for it in payouts]
        fees = {"fee_wei_max": terms.fee_wei_max, "tip_wei": terms.tip_wei}
        raw, tx = self._signer.sign_payout_batch(asset.treasury, nonce, items, chain_id=asset.chain_id, **fees)
        facts = {"asset": self._asset, "payouts": [it.id for it in payouts], "nonce": nonce, "raw_tx": raw, "tx_hash": tx}
        await self._desk.ask(f"sign/{nonce}/{tx}", batch.Sign.model_validate({**facts, "batch": bumped.id if bumped else None}))

    async def _suspect(self, nonce: int, head: chain.Block) -> None:
        """Another transaction has the nonce. Raises `Halted` once that is final; until then it may vanish again. And only after a
        while, in which a log that we read late would have told us that the transaction is ours."""
        if self._suspected is None or self._suspected[0] != nonce:
            self._suspected = nonce, self._desk.now_us()
            log.error("nonce used by another transaction", agent="payer", nonce=nonce, wallet=self._signer.address)
        final = head.number - self._desk.world.policy.finality_blocks
        if final < 0 or await self._node.nonce(self._signer.address, final) <= nonce:
            return
        if self._desk.now_us() - self._suspected[1] >= SUSPECT_US:
            what = f"nonce {nonce} of the wallet {self._signer.address} was used by a transaction that is not in the log"
            raise loop.Halted(f"{what}: {REMEDY}")


def unmined(world: World, asset: Asset) -> list[Batch]:
    """By nonce."""
    return sorted((it for it in world.batches.values() if it.asset == asset and it.status == "signed"), key=lambda it: it.nonce)


def is_unmined(world: World, it: Batch) -> bool:
    """Whether it still is: time passes while we look at the chain."""
    return it.id in world.batches and it.status == "signed"


def gather(world: World, asset: Asset, now_us: int) -> list[Payout]:
    """The oldest payouts that may be signed, as many as a batch takes; none before the oldest has waited for company long enough."""
    policy = world.policy
    ready = [
        it
        for it in world.payouts.values()
        if it.asset == asset and (it.status == "approved" or (it.status == "requested" and it.amount < policy.approval_min))
    ]
    ready.sort(key=lambda it: position(it.id))
    due = bool(ready) and now_us >= min(it.requested_us for it in ready) + policy.batch_wait_us
    return ready[: batch.PAYOUTS_MAX] if due else []


def afford(due: list[Payout], held: int) -> list[Payout]:
    """As many of them, in order, as the treasury can pay: nobody overtakes."""
    affordable, left = list[Payout](), held
    for it in due:
        left -= it.amount
        if left < 0:
            break
        affordable.append(it)
    return affordable
