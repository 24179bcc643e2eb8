"""What became of payout batches: what the log says of one, what the chain says, and what the ledger is to be told."""

from contextlib import aclosing

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


class Found(Value):
    """Where the chain has it, and what it did there."""

    tx: str
    block: int
    gas_wei: int
    paid: tuple[PayoutId, ...]
    failed: tuple[PayoutId, ...]


async def told(reader: Reader, id: BatchId) -> Told:
    """Read from the batch's own stream: the world keeps the newest transaction only, and a bumped one may still be mined."""
    story, left = Told(), reader.world.versions.get(id, 0)
    if not left:
        return story
    async with aclosing(reader.events(position(id) - 1, streams=(id,))) as events:
        async for recorded, _ in events:
            match recorded.event:
                case batch.Signed(tx_hash=tx):
                    story = Told((*story.txs, tx), story.paid, story.failed)
                case batch.Mined(paid=paid, failed=failed):
                    story = Told(story.txs, tuple(item.payout for item in paid), tuple(item.payout for item in failed))
                case _:
                    pass
            left -= 1
            if not left:
                break
    return story


async def found(node: chain.Chain, it: Batch, story: Told) -> Found | None:
    """The one transaction of the batch that is in a block. None if none is, or if the chain changed while we looked."""
    for tx in reversed(story.txs):
        if not (receipt := await node.receipt(tx)):
            continue
        if not receipt.ok:
            return Found(tx, receipt.block, receipt.gas_wei, (), tuple(it.payouts))
        logs = [log for log in await node.payouts(receipt.block, receipt.block) if log.tx == tx]
        if any(log.block_hash != receipt.block_hash for log in logs) or {log.payout for log in logs} != set(it.payouts):
            return None
        good = {log.payout for log in logs if log.ok}
        paid = tuple(payout for payout in it.payouts if payout in good)
        return Found(tx, receipt.block, receipt.gas_wei, paid, tuple(payout for payout in it.payouts if payout not in good))
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
