"""The payer's wallet on a real node: used by somebody else, run dry, shared by two payers; and a treasury that holds too little."""

import asyncio

import pytest
import structlog.testing

from adapters import succession
from adapters.evm import anvil, transaction
from domain.accounts import USDC
from domain.ids import AccountId, PayoutId
from domain.treasury import batch
from tests.daemons.live import Live, live, running
from tests.fix_chain import Rigs
from worker_runtime.daemons.payer import unmined

pytestmark = pytest.mark.system

AMOUNT, PAYOUT = 20_000_000, 1_000_000
Lines = list[structlog.typing.EventDict]


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(succession, "settle_memory", lambda: None)
    monkeypatch.setattr("worker_runtime.daemons.payer.SUSPECT_US", 300_000)


async def funded(it: Live) -> AccountId:
    someone = await it.person()
    await it.deposit(someone, AMOUNT)
    await it.until(lambda: it.available(someone) == AMOUNT)
    return someone


async def signed(it: Live) -> list[batch.Signed]:
    return [each.event for each in await it.events() if isinstance(each.event, batch.Signed)]


async def paid(it: Live) -> list[str]:
    """In the order of the chain."""
    logs = await it.rig.chain.payouts(0, (await it.rig.chain.head()).number)
    return [log.payout for log in logs if log.ok]


def said(lines: Lines, words: str) -> bool:
    return any(words in str(line.get("why")) for line in lines)


async def test_a_nonce_that_somebody_else_used_halts_the_payer_who_says_so_and_signs_nothing_more(rigs: Rigs) -> None:
    async with rigs() as rig, live(rig, block_s=0.2) as it:
        with structlog.testing.capture_logs() as lines:
            async with running(it, "watch", "payer"):
                someone = await funded(it)
                it.mining = False
                await rig.node.call("evm_setAutomine", False)
                await it.request(someone, PAYOUT)
                await it.until(lambda: bool(unmined(it.world, USDC)))
                foreign = rig.payer.sign_call(transaction.Call(rig.creator.address, b"", 21_000), terms(0, 10**12))
                await rig.chain.send(foreign.raw)
                await rig.mine()
                assert await rig.chain.receipt(foreign.tx)
                await it.request(someone, PAYOUT)
                it.mining = True
                await it.until(
                    lambda: said(lines, f"nonce 0 of the wallet {rig.payer.address} was used by a transaction that is not in the log")
                )
            async with running(it, "watch", "payer"):
                await it.until(lambda: [line["event"] for line in lines].count("halted") == 2)
        assert (len(await signed(it)), await it.received(someone)) == (1, 0)


async def test_a_nonce_that_was_used_before_the_first_batch_is_skipped_once_that_is_final(rigs: Rigs) -> None:
    async with rigs() as rig, live(rig, block_s=0.2) as it, running(it, "watch", "payer"):
        foreign = rig.payer.sign_call(transaction.Call(rig.creator.address, b"", 21_000), terms(0, 10**12))
        await rig.sent(foreign.raw)
        someone = await funded(it)
        await it.request(someone, PAYOUT)
        await it.until(lambda: not it.world.payouts)
        assert ([each.nonce for each in await signed(it)], await it.received(someone)) == ([1], PAYOUT)


async def test_without_ether_payouts_wait_in_order_an_alarm_is_logged_and_they_are_paid_when_there_is_some(rigs: Rigs) -> None:
    async with rigs() as rig, live(rig, block_s=0.2) as it:
        with structlog.testing.capture_logs() as lines:
            async with running(it, "watch", "payer"):
                people = [await funded(it) for _ in range(3)]
                await rig.node.fund(rig.payer.address, 0)
                for someone in people:
                    await it.request(someone, PAYOUT)
                asked = list(it.world.payouts)
                await it.until(lambda: said(lines, f"the wallet {rig.payer.address} is short of ether"))
                assert await paid(it) == []
                await rig.node.fund(rig.payer.address)
                await it.until(lambda: not it.world.payouts)
        assert (await paid(it), [await it.received(someone) for someone in people]) == (asked, [PAYOUT] * 3)


async def test_nobody_overtakes_a_payout_that_the_treasury_cannot_pay_and_an_alarm_is_logged(rigs: Rigs) -> None:
    async with rigs() as rig, live(rig, block_s=0.2) as it:
        with structlog.testing.capture_logs() as lines:
            async with running(it, "watch", "payer"):
                someone = await funded(it)
                await taken(it, AMOUNT - 3 * PAYOUT)
                for units in (2, 5, 1):
                    await it.request(someone, units * PAYOUT)
                first, large, small = asked = list(it.world.payouts)
                await it.until(lambda: list(it.world.payouts) == [large, small])
                await it.until(lambda: said(lines, f"the treasury holds {PAYOUT}, less than {large} needs"))
                assert await paid(it) == [first]
                await rig.creator.run(transaction.mint(rig.token, rig.treasury, AMOUNT - 3 * PAYOUT))
                await it.until(lambda: not it.world.payouts)
        assert (await paid(it), await it.treasury()) == (asked, (AMOUNT - 8 * PAYOUT,) * 2)


async def test_two_payers_and_two_watches_over_one_wallet_pay_everybody_once(rigs: Rigs) -> None:
    async with rigs() as rig, live(rig, block_s=0.2) as it, running(it, "watch", "payer"), running(it, "watch", "payer"):
        someone, asked = await funded(it), list[PayoutId]()
        it.bump_us = 300_000
        for n in range(15):
            await it.request(someone, PAYOUT)
            asked = [*asked, *(id for id in it.world.payouts if id not in asked)]
            if n % 5 == 4:
                await rig.node.call("anvil_setNextBlockBaseFeePerGas", hex(10**11))
                await it.pause()
            await asyncio.sleep(0.1)
        await it.until(lambda: not it.world.payouts)
        assert sorted(await paid(it)) == sorted(asked)
        assert (await it.received(someone), await it.treasury()) == (15 * PAYOUT, (AMOUNT - 15 * PAYOUT,) * 2)
        assert len({each.nonce for each in await signed(it)}) == len({each.batch for each in await signed(it)})


def terms(nonce: int, fee_wei_max: int) -> transaction.Terms:
    return transaction.Terms(anvil.CHAIN_ID, nonce, fee_wei_max, 10**11)


async def taken(it: Live, amount: int) -> None:
    """Money leaves the treasury as it never can: the node lets anybody act for anybody."""
    rig = it.rig
    await rig.node.fund(rig.treasury)
    await rig.node.call("anvil_impersonateAccount", rig.treasury)
    data = transaction.encode("transfer(address,uint256)", rig.creator.address, amount)
    await rig.node.call("eth_sendTransaction", {"from": rig.treasury, "to": rig.token, "data": f"0x{data.hex()}"})
