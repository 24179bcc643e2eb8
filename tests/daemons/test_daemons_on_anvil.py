"""Watch, payer and anchorer as they run, on a real node with our contracts."""

import contextlib
from pathlib import Path

import pytest

from adapters import signer, succession
from domain.treasury import anchor, batch
from tests.daemons.live import live, running
from tests.fix_chain import Rigs, mood

pytestmark = pytest.mark.system

AMOUNT, REVERTS = 20_000_000, 1
CONTRACTS = Path(__file__).parents[1] / "chain"


@pytest.fixture(autouse=True)
def _keep_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(succession, "settle_memory", lambda: None)


async def test_what_is_deposited_is_credited_paid_out_and_equal_to_the_treasurys_balance(rigs: Rigs) -> None:
    async with rigs() as rig, live(rig) as it, running(it):
        people = [await it.person() for _ in range(2)]
        for someone in people:
            await it.deposit(someone, AMOUNT)
        await it.until(lambda: all(it.available(someone) == AMOUNT for someone in people))
        for n, someone in enumerate(people, 1):
            await it.request(someone, n * 1_000_000)
        await it.until(lambda: not it.world.payouts and it.world.anchored_size > 0)
        assert [await it.received(someone) for someone in people] == [1_000_000, 2_000_000]
        assert await it.treasury() == (2 * AMOUNT - 3_000_000,) * 2
        await it.until(lambda: it.world.versions.get("chain", 0) >= 2)
        events = [each.event for each in await it.events()]
        assert {event.breaks for event in events if isinstance(event, anchor.Reconciled)} == {0}
        anchors = await rig.chain.anchors(0, (await rig.chain.head()).number)
        told = [(event.size, event.root) for event in events if isinstance(event, anchor.Anchored)]
        assert told == [(log.size, log.root) for log in anchors][: len(told)]


async def test_daemons_that_are_killed_again_and_again_pay_once(rigs: Rigs) -> None:
    async with rigs() as rig, live(rig) as it:
        someone = await it.person()
        await it.deposit(someone, AMOUNT)
        while it.available(someone) < AMOUNT:
            with contextlib.suppress(TimeoutError):
                async with running(it):
                    await it.follower.reached(it.follower.head.size + 1, 1)
        await it.request(someone, 1_000_000)
        while it.world.payouts:
            with contextlib.suppress(TimeoutError):
                async with running(it):
                    await it.follower.reached(it.follower.head.size + 1, 1)
        assert (await it.received(someone), it.available(someone)) == (1_000_000, AMOUNT - 1_000_000)
        assert await it.treasury() == (AMOUNT - 1_000_000,) * 2


async def test_a_recipient_that_refuses_gets_its_money_back_and_later_by_another_payout(rigs: Rigs) -> None:
    async with rigs("MoodyToken", CONTRACTS) as rig, live(rig) as it, running(it):
        someone = await it.person()
        await it.deposit(someone, AMOUNT)
        await mood(rig, it.keys[someone].address, REVERTS)
        await it.until(lambda: it.available(someone) == AMOUNT)
        await it.request(someone, 1_000_000)
        await it.until(lambda: not it.world.payouts)
        assert (await it.received(someone), it.available(someone)) == (0, AMOUNT)
        await mood(rig, it.keys[someone].address, 0)
        await it.request(someone, 1_000_000)
        await it.until(lambda: not it.world.payouts)
        assert (await it.received(someone), it.available(someone)) == (1_000_000, AMOUNT - 1_000_000)


async def test_a_batch_that_was_dropped_and_priced_out_is_paid_once_by_a_higher_fee(rigs: Rigs) -> None:
    async with rigs() as rig, live(rig) as it, running(it):
        someone = await it.person()
        await it.deposit(someone, AMOUNT)
        await it.until(lambda: it.available(someone) == AMOUNT)
        await rig.node.call("evm_setAutomine", False)
        await it.request(someone, 1_000_000)
        await it.until(lambda: any(each.status == "signed" for each in it.world.batches.values()))
        [first] = it.world.batches.values()
        await rig.node.call("anvil_dropAllTransactions")
        await rig.node.call("anvil_setNextBlockBaseFeePerGas", hex(4 * signer.decode_batch(first.raw_tx).fee_wei_max))
        await rig.mine()
        await it.until(lambda: not it.world.payouts)
        assert await it.received(someone) == 1_000_000
        assert await it.treasury() == (AMOUNT - 1_000_000,) * 2
        signed = [signer.decode_batch(each.event.raw_tx) for each in await it.events() if isinstance(each.event, batch.Signed)]
        assert [(each.nonce, each.items) for each in signed] == [(signed[0].nonce, signed[0].items)] * 2


async def test_a_batch_in_a_block_that_is_replaced_is_paid_once(rigs: Rigs) -> None:
    async with rigs() as rig, live(rig) as it, running(it):
        someone = await it.person()
        await it.deposit(someone, AMOUNT)
        await it.until(lambda: it.available(someone) == AMOUNT)
        await rig.node.call("evm_setAutomine", False)
        it.mining = False
        await it.request(someone, 1_000_000)
        await it.until(lambda: any(each.status == "signed" for each in it.world.batches.values()))
        [signed] = it.world.batches.values()
        while not await rig.chain.receipt(signed.tx_hash):
            await rig.mine()
        await it.until(lambda: any(each.status == "mined" for each in it.world.batches.values()))
        await rig.node.call("anvil_reorg", 1, [])
        await it.until(lambda: any(each.status == "signed" for each in it.world.batches.values()))
        it.mining = True
        await it.until(lambda: not it.world.payouts)
        assert await it.received(someone) == 1_000_000
        assert await it.treasury() == (AMOUNT - 1_000_000,) * 2
        kinds = [type(each.event) for each in await it.events()]
        assert [kinds.count(kind) for kind in (batch.Signed, batch.Unmined, batch.Mined, batch.Finalised)] == [1, 1, 2, 1]
