"""What the ledger is to be told about deposits, from the logs of the treasury contract."""

from domain.accounts import Asset
from domain.treasury import chain, deposit
from domain.units import AMOUNT_MAX, Units
from domain.world import World
from worker_runtime.daemons.loop import Deed


def deeds(world: World, asset: Asset, logs: list[chain.DepositLog], last: int, final: int) -> list[Deed]:
    """First what vanished, then what is new, then what is final.

    `logs` are all deposits from the oldest block of interest up to block `last`; blocks up to `final` stay. The order is what makes
    the ledger's block cursor safe: every deposit of a block is seen before any fact of that block is final.
    """
    mined = {deposit.reference(entry.tx, entry.log_index): entry for entry in logs if is_usable(entry)}
    gone = {
        ref: it
        for ref, it in world.deposits.items()
        if it.asset == asset and it.block <= last and (ref not in mined or mined[ref].block != it.block)
    }
    fresh = [entry for ref, entry in mined.items() if entry.block > world.final_block and (ref not in world.deposits or ref in gone)]
    settled = [
        entry
        for ref, entry in mined.items()
        if entry.block <= final and (entry.block > world.final_block or (ref in world.deposits and ref not in gone))
    ]
    return [
        *((f"orphan/{ref}/{it.block}", deposit.Orphan(tx=it.tx, log_index=it.log_index)) for ref, it in gone.items()),
        *((_subject("see", entry), _see(asset, entry)) for entry in fresh),
        *((_subject("finalise", entry), _finalise(entry)) for entry in settled),
    ]


def is_usable(entry: chain.DepositLog) -> bool:
    """Whether the ledger can take the amount: nobody's real money is beyond its bound, but anybody may write anything to a chain."""
    return 0 < entry.amount <= AMOUNT_MAX


def _subject(verb: str, entry: chain.DepositLog) -> str:
    return f"{verb}/{deposit.reference(entry.tx, entry.log_index)}/{entry.block}"


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
