"""What the ledger is to be told about deposits, from the logs of the treasury contract."""

from domain.accounts import Asset
from domain.ids import NO_ACCOUNT
from domain.parts import Deposit
from domain.treasury import chain, deposit
from domain.units import AMOUNT_MAX, Units
from domain.value import Value
from domain.world import World
from worker_runtime.daemons.loop import Deed


class Changes(Value):
    """What the chain says that the ledger does not know yet."""

    gone: tuple[Deposit, ...]
    """Not where they were seen."""
    fresh: tuple[chain.DepositLog, ...]
    settled: tuple[chain.DepositLog, ...]
    """In a block that stays."""


def changes(world: World, asset: Asset, logs: list[chain.DepositLog], last: int, final: int) -> Changes:
    """`logs` are all deposits from the oldest block of interest up to block `last`; blocks up to `final` stay."""
    mined = {deposit.reference(entry.tx, entry.log_index): entry for entry in logs if is_usable(entry)}
    gone = {
        ref: it
        for ref, it in world.deposits.items()
        if it.asset == asset and it.block <= last and (ref not in mined or not _is_same(it, mined[ref]))
    }
    fresh = [entry for ref, entry in mined.items() if entry.block > world.final_block and (ref not in world.deposits or ref in gone)]
    settled = [
        entry
        for ref, entry in mined.items()
        if entry.block <= final and (entry.block > world.final_block or (ref in world.deposits and ref not in gone))
    ]
    return Changes(tuple(gone.values()), tuple(fresh), tuple(settled))


async def confirm(node: chain.Chain, found: Changes) -> None:
    """Logs alone credit nothing and take nothing back: blocks and receipts say the same. Raises `ChainSilent` where they do not."""
    for number, block_hash in sorted({(entry.block, entry.block_hash) for entry in found.settled}):
        block = await node.block(number)
        if block is None or block.hash != block_hash:
            raise chain.ChainSilent(
                f"block {number} is {block_hash} by a deposit's log, and by itself {block.hash if block else 'not there'}"
            )
    others = {deposit.reference(entry.tx, entry.log_index) for entry in found.fresh}
    for it in found.gone:
        receipt = await node.receipt(it.tx)
        # A block that took another's place may hold the same transaction behind others: its logs are counted anew then.
        is_there = receipt and receipt.ok and receipt.block == it.block and it.log_index in receipt.deposits
        if is_there and deposit.reference(it.tx, it.log_index) not in others:
            raise chain.ChainSilent(f"block {it.block} has {it.id} by its receipt, and not by its logs")


def deeds(asset: Asset, found: Changes) -> list[Deed]:
    """First what vanished, then what is new, then what is final. The order is what makes the ledger's block cursor safe: every deposit
    of a block is seen before any fact of that block is final."""
    return [
        *((f"orphan/{deposit.reference(it.tx, it.log_index)}/{it.block}", _orphan(it)) for it in found.gone),
        *((_subject("see", entry), _see(asset, entry)) for entry in found.fresh),
        *((_subject("finalise", entry), _finalise(entry)) for entry in found.settled),
    ]


def _is_same(it: Deposit, entry: chain.DepositLog) -> bool:
    """Whether it is still what was seen: logs of one transaction trade places when those of others before them come or go."""
    return (entry.block, entry.amount) == (it.block, it.amount) and it.account in {NO_ACCOUNT, entry.account}


def is_usable(entry: chain.DepositLog) -> bool:
    """Whether the ledger can take the amount: nobody's real money is beyond its bound, but anybody may write anything to a chain."""
    return 0 < entry.amount <= AMOUNT_MAX


def _subject(verb: str, entry: chain.DepositLog) -> str:
    return f"{verb}/{deposit.reference(entry.tx, entry.log_index)}/{entry.block}"


def _orphan(it: Deposit) -> deposit.Orphan:
    return deposit.Orphan(tx=it.tx, log_index=it.log_index)


def _see(asset: Asset, entry: chain.DepositLog) -> deposit.See:
    return deposit.See(
        account=entry.account,
        asset=asset,
        tx=entry.tx,
        log_index=entry.log_index,
        block=entry.block,
        amount=Units(entry.amount),
    )


def _finalise(entry: chain.DepositLog) -> deposit.Finalise:
    return deposit.Finalise(tx=entry.tx, log_index=entry.log_index, block=entry.block)
