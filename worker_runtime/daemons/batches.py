"""What became of payout batches: what the log says of one, what the chain says, and what the ledger is to be told."""

from contextlib import aclosing

from domain.event import Event
from domain.ids import BatchId, PayoutId, position
from domain.parts import Batch
from domain.treasury import batch, chain
from domain.units import Units
from domain.value import Value
from worker_runtime.daemons.loop import Deed, Reader


class Told(Value):
    """What the log says of a batch."""

    txs: tuple[str, ...] = ()
    """Hashes of all transactions that were signed for it, the newest last. At most one of them is ever mined: they share a nonce."""
    paid: tuple[PayoutId, ...] = ()
    failed: tuple[PayoutId, ...] = ()
    """Of the block that it was last reported to be in; the same of `paid`."""
    events: int = 0

    def and_then(self, event: Event) -> "Told":
        match event:
            case batch.Signed(tx_hash=tx):
                return Told((*self.txs, tx), self.paid, self.failed, self.events + 1)
            case batch.Mined(paid=paid, failed=failed):
                return Told(self.txs, tuple(item.payout for item in paid), tuple(item.payout for item in failed), self.events + 1)
            case _:
                return Told(self.txs, self.paid, self.failed, self.events + 1)


class Found(Value):
    """Where the chain has it, and what it did there."""

    tx: str
    block: int
    gas_wei: int
    paid: tuple[PayoutId, ...]
    failed: tuple[PayoutId, ...]


class Stories:
    """What the log says of each batch that is on its way, each event read once."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known = dict[BatchId, tuple[int, Told]]()

    async def of(self, id: BatchId) -> Told:
        """From the batch's own stream: the world keeps the newest transaction only, and a bumped one may still be mined."""
        versions = self._reader.world.versions
        known = {each: it for each, it in self._known.items() if each in versions}
        after, story = known.get(id, (position(id) - 1, Told()))
        if (left := versions.get(id, 0) - story.events) > 0:
            async with aclosing(self._reader.events(after, streams=(id,))) as events:
                async for recorded, _ in events:
                    after, story, left = recorded.pos, story.and_then(recorded.event), left - 1
                    if not left:
                        break
            known[id] = after, story
        self._known = known
        return story


async def found(node: chain.Chain, it: Batch, story: Told, head: int) -> Found | None:
    """The one transaction of the batch that is in a block, None if none is. Raises `ChainSilent` where receipts, logs and blocks of a
    chain with this head do not say the same, be it that it changed while we looked."""
    for tx in reversed(story.txs):
        if not (receipt := await node.receipt(tx)):
            continue
        logs = [log for log in await node.payouts(receipt.block, receipt.block) if log.tx == tx]
        block, told_of = await node.block(receipt.block), {log.payout for log in logs}
        hashes = {receipt.block_hash, block.hash if block else "", *(log.block_hash for log in logs)}
        if len(hashes) > 1 or told_of != (set(it.payouts) if receipt.ok else set()):
            raise chain.ChainSilent(f"receipt, logs and block of {tx} do not agree about {it.id}")
        good = {log.payout for log in logs if log.ok}
        paid = tuple(payout for payout in it.payouts if payout in good)
        return Found(tx, receipt.block, receipt.gas_wei, paid, tuple(payout for payout in it.payouts if payout not in good))
    if it.status == "mined" and it.block <= head and any(log.tx in story.txs for log in await node.payouts(it.block, it.block)):
        raise chain.ChainSilent(f"block {it.block} has {it.id} by its logs, and not by its receipt")
    return None


def deeds(it: Batch, story: Told, where: Found | None, head: int, final: int) -> list[Deed]:
    """What the ledger is to be told of one batch; blocks up to `final` stay, `head` is the newest."""
    if it.status == "signed":
        return _mine(it, where)
    if where and (where.tx, where.block, where.paid, where.failed) == (it.tx_hash, it.block, story.paid, story.failed):
        return _finalise(it, where) if it.block <= final else []
    if where is None and head < it.block:
        return []  # the node is behind, or rebuilds its chain: it cannot say yet
    gone = batch.Unmine(batch=it.id, paid=story.paid, failed=story.failed)
    return [(f"unmine/{it.id}/{it.block}", gone), *_mine(it, where)]


def _mine(it: Batch, where: Found | None) -> list[Deed]:
    if where is None:
        return []
    facts = {"batch": it.id, "tx_hash": where.tx, "block": where.block, "paid": where.paid, "failed": where.failed}
    return [(f"mine/{it.id}/{where.block}/{where.tx}", batch.Mine.model_validate(facts))]


def _finalise(it: Batch, where: Found) -> list[Deed]:
    facts = {"batch": it.id, "tx_hash": where.tx, "block": where.block, "paid": where.paid, "failed": where.failed}
    return [(f"finalise/{it.id}", batch.Finalise.model_validate({**facts, "gas": Units(where.gas_wei)}))]
