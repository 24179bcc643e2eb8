"""What a real chain takes back, and gives again: batches and deposits in blocks that are replaced, within finality and beyond it."""

import contextlib
from collections.abc import AsyncIterator

import msgspec
import pytest
import structlog.testing

from adapters import signer, succession
from adapters.evm import anvil, transaction
from domain.errors import MoneyFrozen
from domain.ids import AccountId
from domain.parts import Batch
from domain.policy import DEMO
from domain.treasury import batch, deposit
from tests.daemons.live import Live, live, running
from tests.fix_chain import Rig, Rigs

pytestmark = pytest.mark.system

AMOUNT, PAYOUT, FINALITY = 20_000_000, 1_000_000, 12
POLICY = msgspec.structs.replace(DEMO, finality_blocks=FINALITY, batch_wait_us=0)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(succession, "settle_memory", lambda: None)
    for daemon in ("watch", "payer"):
        monkeypatch.setattr(f"worker_runtime.daemons.{daemon}.EVERY_S", 0.02)


@contextlib.asynccontextmanager
async def deep(rigs: Rigs) -> AsyncIterator[Live]:
    """A ledger to which a block is final under twelve others; blocks come only when told."""
    async with rigs() as rig, live(rig, policy=POLICY) as it:
        it.mining = False
        await rig.mine(2)
        yield it


async def funded(it: Live) -> AccountId:
    someone = await it.person()
    await it.deposit(someone, AMOUNT)
    await it.rig.mine(FINALITY)
    await it.until(lambda: it.available(someone) == AMOUNT)
    await it.rig.node.call("evm_setAutomine", False)
    return someone


async def mined(it: Live, owner: AccountId, nonce: int) -> Batch:
    """A payout of the owner's, in a block."""
    await it.request(owner, PAYOUT)
    await it.until(lambda: any((each.status, each.nonce) == ("signed", nonce) for each in it.world.batches.values()))
    [it_] = [each for each in it.world.batches.values() if each.nonce == nonce]
    while not await it.rig.chain.receipt(it_.tx_hash):
        await it.rig.mine()
    await it.until(lambda: it_.status == "mined")
    return it_


async def settled(it: Live, someone: AccountId, payouts: int) -> None:
    """So many payouts are final, each paid once; ledger and chain agree."""
    while it.world.payouts:
        await it.rig.mine()
        await it.pause()
    logs = await it.rig.chain.payouts(0, (await it.rig.chain.head()).number)
    assert len({log.payout for log in logs if log.ok}) == len(logs) == payouts
    assert (await it.received(someone), it.available(someone)) == (payouts * PAYOUT, AMOUNT - payouts * PAYOUT)
    assert await it.treasury() == (AMOUNT - payouts * PAYOUT,) * 2
    assert not it.world.frozen


async def test_a_batch_is_paid_once_through_a_reorg_of_any_depth_within_finality(rigs: Rigs) -> None:
    async with deep(rigs) as it, running(it, "watch", "payer"):
        someone = await funded(it)
        for nonce, depth in enumerate(range(1, FINALITY + 1)):
            its = await mined(it, someone, nonce)
            await it.rig.mine(depth - 1)
            assert (await it.rig.chain.head()).number - its.block == depth - 1
            await it.rig.node.call("anvil_reorg", depth, [])
            await it.until(lambda its=its: its.status == "signed")  # type: ignore[misc]
            while not await it.rig.chain.receipt(its.tx_hash):
                await it.rig.mine()
                await it.pause()
            while its.id in it.world.batches:
                await it.rig.mine()
                await it.pause()
        await settled(it, someone, FINALITY)
        kinds = [type(each.event) for each in await it.events()]
        counts = [kinds.count(kind) for kind in (batch.Signed, batch.Unmined, batch.Mined, batch.Finalised)]
        assert counts == [FINALITY, FINALITY, 2 * FINALITY, FINALITY]


async def test_a_batch_that_comes_back_in_another_block_by_itself_is_paid_once(rigs: Rigs) -> None:
    async with deep(rigs) as it, running(it, "watch", "payer"):
        someone = await funded(it)
        its = await mined(it, someone, 0)
        was = its.block
        await it.rig.mine(5)
        await it.rig.node.call("anvil_reorg", 6, [[its.raw_tx, 3]])
        await it.until(lambda: (its.status, its.block) == ("mined", was + 3))
        await settled(it, someone, 1)


async def test_a_batch_that_was_final_and_is_gone_freezes_the_money_and_the_watch_halts_and_says_so(rigs: Rigs) -> None:
    async with deep(rigs) as it:
        with structlog.testing.capture_logs() as lines:
            async with running(it, "watch", "payer"):
                someone = await funded(it)
                its = await mined(it, someone, 0)
                while its.id in it.world.batches:
                    await it.rig.mine()
                    await it.pause()
                depth = (await it.rig.chain.head()).number - its.block + 1
                assert depth > FINALITY
                await it.rig.node.call("anvil_reorg", depth, [])
                await it.until(lambda: it.world.frozen)
                await it.until(lambda: any(line["event"] == "halted" for line in lines))
                with pytest.raises(MoneyFrozen):
                    await it.request(someone, PAYOUT)
            async with running(it, "watch"):
                await it.until(lambda: len([line for line in lines if line["event"] == "halted"]) == 2)
        first, again = (line["why"] for line in lines if line["event"] == "halted")
        fact = f"{its.id}, final in block {its.block}, is not on the chain any more (transaction {its.tx_hash})"
        assert first.startswith("block ")
        assert again.startswith(fact)
        assert fact in first
        assert first.endswith("release by two admins, then start the server again")
        assert await it.received(someone) == 0


async def test_a_deposit_that_left_the_chain_before_or_after_it_was_seen_is_credited_once_or_never(rigs: Rigs) -> None:
    async with deep(rigs) as it:
        rig, someone = it.rig, await it.person()
        raws = await lodge(rig, someone)
        await rig.mine()
        receipt = await rig.chain.receipt(raws[-1][1])
        assert receipt is not None
        async with running(it, "watch"):
            await it.until(lambda: len(it.world.deposits) == 1)
            await rig.mine(4)
            await rig.node.call("anvil_reorg", 5, [])
            await it.until(lambda: not it.world.deposits)
            await rig.mine(2)
            for raw, _ in raws:
                await rig.chain.send(raw)
            await rig.mine()
            await it.until(lambda: any(each.block != receipt.block for each in it.world.deposits.values()))
        # Nobody looks; it moves once more, and the next look is the first at it.
        await rig.node.call("anvil_reorg", 1, [])
        await rig.mine(3)
        for raw, _ in raws:
            await rig.chain.send(raw)
        await rig.mine(FINALITY + 1)
        async with running(it, "watch"):
            await it.until(lambda: it.available(someone) == AMOUNT)
            unseen = await lodge(rig, someone)
            await rig.mine()
            await rig.node.call("anvil_reorg", 1, [])
            await rig.mine(FINALITY + 2)
            await it.until(lambda: it.world.reconciled_block > 0)
        assert await rig.chain.receipt(unseen[-1][1]) is None
        kinds = [type(each.event) for each in await it.events()]
        assert (kinds.count(deposit.Finalised), kinds.count(deposit.Seen)) == (1, 1 + kinds.count(deposit.Orphaned))
        assert (it.available(someone), await it.treasury()) == (AMOUNT, (AMOUNT, AMOUNT))


async def lodge(rig: Rig, account: AccountId) -> list[tuple[str, str]]:
    """Mint, approve and deposit by somebody new, sent and kept: (bytes, hash)."""
    key = signer.generate()
    await rig.node.call("evm_setAutomine", False)
    await rig.node.fund(key.address)
    await rig.mine()
    calls = (
        transaction.mint(rig.token, key.address, AMOUNT),
        transaction.approve(rig.token, rig.treasury, AMOUNT),
        transaction.deposit(rig.treasury, account, AMOUNT),
    )
    signed = [key.sign_call(call, transaction.Terms(anvil.CHAIN_ID, n, 10**11, 10**9)) for n, call in enumerate(calls)]
    for each in signed:
        await rig.chain.send(each.raw)
    return [(each.raw, each.tx) for each in signed]
