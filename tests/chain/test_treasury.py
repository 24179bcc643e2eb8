"""The contracts on a real node, seen through `EvmChain` only."""

from pathlib import Path

import pytest

from adapters import signer
from adapters.evm import anvil, transaction
from adapters.evm.wallet import Reverted
from domain.log.merkle import Mark
from domain.treasury import chain
from tests.fix_chain import Rigs, mood
from tests.network import LOG

pytestmark = pytest.mark.system

ALICE, BOB, CAROL, DAVE, EVE = ("0x" + digit * 40 for digit in "abcde")
REVERTS, SAYS_NO, BURNS_GAS, SAYS_NOTHING, KEEPS_A_PART = range(1, 6)
HERE = Path(__file__).parent


async def test_deposit_is_seen_with_its_account_and_held_from_its_block_on(rigs: Rigs) -> None:
    async with rigs() as rig:
        receipt = await rig.creator.deposit(rig.treasury, rig.token, "account-10", 20_000_000, mint=True)
        [seen] = await rig.chain.deposits(0, receipt.block)
        expected = chain.DepositLog(receipt.tx, 1, receipt.block, receipt.block_hash, "account-10", rig.creator.address, 20_000_000)
        assert seen == expected
        assert [await rig.chain.held(number) for number in (receipt.block - 1, receipt.block)] == [0, 20_000_000]


async def test_deposit_of_nothing_or_for_nobody_or_without_approval_is_refused(rigs: Rigs) -> None:
    async with rigs() as rig:
        await rig.creator.run(transaction.mint(rig.token, rig.creator.address, 100))
        nobody = transaction.Call(rig.treasury, transaction.encode("deposit(bytes32,uint256)", bytes(32), 1), 150_000)
        for call in (nobody, transaction.deposit(rig.treasury, "account-10", 0), transaction.deposit(rig.treasury, "account-10", 1)):
            with pytest.raises(Reverted):
                await rig.creator.run(call)
        assert await rig.chain.deposits(0, (await rig.chain.head()).number) == []


async def test_deposit_by_a_token_that_keeps_a_part_is_refused(rigs: Rigs) -> None:
    async with rigs("MoodyToken", HERE) as rig:
        await mood(rig, rig.creator.address, KEEPS_A_PART)
        with pytest.raises(Reverted):
            await rig.creator.deposit(rig.treasury, rig.token, "account-10", 100, mint=True)
        assert await rig.chain.held((await rig.chain.head()).number) == 0


async def test_batch_pays_everybody_and_says_so_in_order(rigs: Rigs) -> None:
    async with rigs() as rig:
        await rig.creator.deposit(rig.treasury, rig.token, "account-10", 1_000, mint=True)
        receipt = await rig.pay(("payout-307", ALICE, 100), ("payout-308", BOB, 250))
        place = (receipt.tx, 1, receipt.block, receipt.block_hash)
        assert await rig.chain.payouts(0, receipt.block) == [
            chain.PaidLog(*place, "payout-307", ALICE, 100, ok=True),
            chain.PaidLog(receipt.tx, 3, *place[2:], "payout-308", BOB, 250, ok=True),
        ]
        balances = [await rig.chain.balance(rig.token, who, receipt.block) for who in (ALICE, BOB, rig.treasury)]
        assert balances == [100, 250, 650]


async def test_payout_id_is_never_paid_twice_not_even_within_one_batch(rigs: Rigs) -> None:
    async with rigs() as rig:
        await rig.creator.deposit(rig.treasury, rig.token, "account-10", 1_000, mint=True)
        assert (await rig.pay(("payout-307", ALICE, 100))).ok
        again = await rig.pay(("payout-308", BOB, 100), ("payout-307", ALICE, 100))
        twice = await rig.pay(("payout-309", BOB, 100), ("payout-309", BOB, 100))
        assert [again.ok, twice.ok] == [False, False]
        assert await rig.chain.balance(rig.token, BOB, twice.block) == 0
        assert [await rig.chain.paid(f"payout-{n}", twice.block) for n in (307, 308, 309)] == [True, False, False]


async def test_failing_recipients_fail_alone_and_may_be_paid_by_another_batch(rigs: Rigs) -> None:
    async with rigs("MoodyToken", HERE) as rig:
        await rig.creator.deposit(rig.treasury, rig.token, "account-10", 1_000, mint=True)
        for who, bad in ((BOB, REVERTS), (CAROL, SAYS_NO), (DAVE, BURNS_GAS), (EVE, SAYS_NOTHING)):
            await mood(rig, who, bad)
        everybody = [ALICE, BOB, CAROL, DAVE, EVE, rig.treasury]
        receipt = await rig.pay(*((f"payout-{n}", who, 10) for n, who in enumerate(everybody)))
        assert [(log.payout, log.ok) for log in await rig.chain.payouts(0, receipt.block)] == [
            ("payout-0", True),
            ("payout-1", False),
            ("payout-2", False),
            ("payout-3", False),
            ("payout-4", True),
            ("payout-5", False),
        ]
        assert await rig.chain.held(receipt.block) == 980
        await mood(rig, BOB, 0)
        later = await rig.pay(("payout-1", BOB, 10))
        assert [(log.payout, log.ok) for log in await rig.chain.payouts(later.block, later.block)] == [("payout-1", True)]


async def test_more_than_the_treasury_has_fails_alone(rigs: Rigs) -> None:
    async with rigs() as rig:
        await rig.creator.deposit(rig.treasury, rig.token, "account-10", 100, mint=True)
        receipt = await rig.pay(("payout-1", ALICE, 101), ("payout-2", BOB, 100))
        assert [(log.payout, log.ok) for log in await rig.chain.payouts(0, receipt.block)] == [("payout-1", False), ("payout-2", True)]


async def test_batch_with_too_little_gas_reverts_whole(rigs: Rigs) -> None:
    async with rigs() as rig:
        await rig.creator.deposit(rig.treasury, rig.token, "account-10", 1_000, mint=True)
        terms = transaction.Terms(anvil.CHAIN_ID, 0, 10**11, 10**9)
        items = [chain.BatchItem(f"payout-{n}", ALICE, 1) for n in range(3)]
        receipt = await rig.sent(rig.payer.sign_call(transaction.pay(rig.treasury, items, 200_000), terms).raw)
        assert not receipt.ok
        assert await rig.chain.payouts(0, receipt.block) == []


async def test_full_batch_fits_the_gas_that_is_asked_for(rigs: Rigs) -> None:
    async with rigs() as rig:
        await rig.creator.deposit(rig.treasury, rig.token, "account-10", 10_000, mint=True)
        receipt = await rig.pay(*((f"payout-{n}", f"0x{n:040x}", 10) for n in range(1, 101)))
        assert len([log for log in await rig.chain.payouts(0, receipt.block) if log.ok]) == 100


async def test_only_the_payer_pays_and_only_the_anchorer_anchors(rigs: Rigs) -> None:
    async with rigs() as rig:
        await rig.creator.deposit(rig.treasury, rig.token, "account-10", 1_000, mint=True)
        thief = signer.generate()
        await rig.node.fund(thief.address)
        fees = {"chain_id": anvil.CHAIN_ID, "fee_wei_max": 10**11, "tip_wei": 10**9}
        stolen, _ = thief.sign_payout_batch(rig.treasury, 0, [("payout-1", thief.address, 1_000)], **fees)
        forged, _ = thief.sign_anchor(rig.treasury, 1, "ab" * 32, 7, **fees)
        assert [(await rig.sent(raw)).ok for raw in (stolen, forged)] == [False, False]


async def test_anchored_sizes_only_rise(rigs: Rigs) -> None:
    async with rigs() as rig:
        fees = {"chain_id": anvil.CHAIN_ID, "fee_wei_max": 10**11, "tip_wei": 10**9}
        assert await rig.chain.anchored(LOG) == []
        receipts = []
        for nonce, (size, digits) in enumerate([(10, "aa"), (10, "bb"), (9, "cc"), (11, "dd")]):
            raw, _ = rig.anchorer.sign_anchor(rig.treasury, nonce, digits * 32, size, **fees)
            receipts.append(await rig.sent(raw))
        assert [receipt.ok for receipt in receipts] == [True, False, False, True]
        anchors = await rig.chain.anchors(0, receipts[-1].block)
        assert [(log.size, log.root) for log in anchors] == [(10, "aa" * 32), (11, "dd" * 32)]
        assert await rig.chain.anchored(LOG) == [Mark(LOG, 11, "dd" * 32, sealed=False)], "what a leader may not be behind"


async def test_owner_takes_a_role_away_and_nobody_else_does(rigs: Rigs) -> None:
    async with rigs() as rig:
        await rig.creator.deposit(rig.treasury, rig.token, "account-10", 1_000, mint=True)
        nobody = "0x" + "0" * 40
        stopped = transaction.encode("appoint(address,address,address)", rig.creator.address, nobody, rig.anchorer.address)
        call = transaction.Call(rig.treasury, stopped, 100_000)
        assert not (await rig.sent(rig.payer.sign_call(call, transaction.Terms(anvil.CHAIN_ID, 0, 10**11, 10**9)).raw)).ok
        await rig.creator.run(call)
        raw, _ = await rig.batch(("payout-1", ALICE, 100), nonce=1)
        assert not (await rig.sent(raw)).ok
