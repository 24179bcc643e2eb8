"""The payer against a chain that does what a script says: every payout is paid once at most, and in the end once."""

import pytest

from adapters import signer
from domain import accounts
from domain.accounts import USDC
from domain.ids import PayoutId
from domain.log.log import OutcomeUnknown
from domain.treasury import batch, chain
from domain.treasury.chain import ChainSilent
from tests.daemons.rig import BUMP_US, Killed, Rig
from worker_runtime.daemons import fees, loop, payer

AMOUNT = 1_000_000


async def requested(rig: Rig, count: int = 1) -> list[PayoutId]:
    someone = await rig.funded()
    return [rig.net.request(someone, "customer", AMOUNT) for _ in range(count)]


def signed(rig: Rig) -> list[batch.Signed]:
    return [it.event for it in rig.net.events if isinstance(it.event, batch.Signed)]


def received(rig: Rig) -> int:
    return sum(rig.chain.state().got.values())


def settled(rig: Rig, paid: int) -> None:
    """All is final, chain and ledger agree, and so much was paid out."""
    assert (rig.world.batches, rig.world.payouts, received(rig)) == ({}, {}, paid)
    assert rig.treasury() == rig.chain.state().held
    assert accounts.outbound(USDC) not in rig.world.balances


async def test_payouts_are_signed_then_sent_then_mined_then_final() -> None:
    rig = Rig()
    await requested(rig, 3)
    await rig.pass_s(4)
    assert rig.types()[-4:] == ["batch.signed", "batch.mined", "batch.finalised", "chain.reconciled"]
    assert len(signed(rig)) == 1
    settled(rig, 3 * AMOUNT)


async def test_payouts_wait_for_company_as_long_as_the_policy_says() -> None:
    rig = Rig("standard")
    ids = await requested(rig, 1)
    await rig.pass_s(300)
    ids.append(rig.net.request(rig.world.payouts[ids[0]].account, "customer", AMOUNT))
    await rig.pass_s(290)
    assert signed(rig) == []
    await rig.pass_s(15)
    assert [list(it.payouts) for it in signed(rig)] == [ids]


async def test_a_batch_takes_a_hundred_and_the_rest_waits_for_the_next() -> None:
    rig = Rig()
    someone = await rig.funded(200_000_000)
    ids = [rig.net.request(someone, "customer", AMOUNT) for _ in range(103)]
    await rig.pass_s(8)
    assert [list(it.payouts) for it in signed(rig)] == [ids[:100], ids[100:]]
    settled(rig, 103 * AMOUNT)


async def test_large_payouts_wait_for_their_approval_alone() -> None:
    rig = Rig()
    someone = await rig.funded(20_000_000_000)
    large, small = rig.net.request(someone, "customer", 10_000_000_000), rig.net.request(someone, "customer", AMOUNT)
    await rig.pass_s(4)
    assert [it.payouts for it in signed(rig)] == [(small,)]
    assert rig.world.payouts[large].status == "requested"


@pytest.mark.parametrize("dies_at", ["!Sign", "Sign", "!Mine", "Mine", "!Finalise", "Finalise"])
async def test_every_payout_is_paid_once_wherever_the_processes_were_killed(dies_at: str) -> None:
    rig = Rig()
    await requested(rig, 2)
    rig.dies_at = dies_at
    with pytest.raises(Killed):
        await rig.pass_s(5)
    rig.dies_at, rig.watch, rig.payer = "", rig.start_watch(), rig.start_payer()
    await rig.pass_s(5)
    settled(rig, 2 * AMOUNT)
    assert len(signed(rig)) == 1


async def test_after_a_crash_between_sign_and_send_the_same_bytes_are_sent() -> None:
    rig = Rig()
    await requested(rig)
    rig.dies_at = "Sign"
    with pytest.raises(Killed):
        await rig.pass_s(2)
    assert rig.chain.sent == []
    rig.dies_at, rig.payer = "", rig.start_payer()
    await rig.pass_s(3)
    assert {*rig.chain.sent} == {signed(rig)[0].raw_tx}
    settled(rig, AMOUNT)


async def test_when_the_answer_to_a_send_is_lost_the_same_bytes_are_sent_again() -> None:
    rig = Rig()
    await requested(rig)
    rig.chain.loses_answers = True
    with pytest.raises(ChainSilent):
        await rig.pass_s(2)
    rig.chain.loses_answers = False
    await rig.pass_s(4)
    assert {*rig.chain.sent} == {signed(rig)[0].raw_tx}
    settled(rig, AMOUNT)


async def test_when_the_outcome_of_the_signing_is_unknown_nothing_else_is_signed() -> None:
    rig = Rig()
    await requested(rig)
    rig.net.wait(1_000_000)
    rig.loses_answers = True
    with pytest.raises(OutcomeUnknown):
        await rig.payer.step()
    assert rig.chain.sent == []
    rig.loses_answers = False
    await rig.pass_s(4)
    assert len(signed(rig)) == 1
    settled(rig, AMOUNT)


async def test_a_transaction_that_everybody_forgot_is_sent_again() -> None:
    rig = Rig()
    await requested(rig)
    rig.net.wait(1_000_000)
    await rig.payer.step()
    rig.chain.drop()
    await rig.pass_s(4)
    assert {*rig.chain.sent} == {signed(rig)[0].raw_tx}
    settled(rig, AMOUNT)


async def test_nothing_is_signed_while_a_batch_is_in_no_block() -> None:
    rig = Rig()
    ids = await requested(rig)
    rig.chain.base_wei = 10**12
    rig.net.wait(1_000_000)
    await rig.payer.step()
    rig.chain.base_wei = 10**13
    rig.net.request(rig.world.payouts[ids[0]].account, "customer", AMOUNT)
    await rig.pass_s(5)
    assert len(signed(rig)) == 1


async def test_nothing_is_signed_before_the_ledger_knows_that_the_last_batch_is_in_a_block() -> None:
    rig = Rig()
    [id] = await requested(rig)
    await rig.pass_s(2, watch=False)
    rig.net.request(rig.world.payouts[id].account, "customer", AMOUNT)
    await rig.pass_s(3, watch=False)
    assert len(signed(rig)) == 1
    await rig.pass_s(4)
    settled(rig, 2 * AMOUNT)


async def test_a_batch_that_is_in_a_block_is_neither_sent_nor_signed_again() -> None:
    rig = Rig()
    await requested(rig)
    await rig.pass_s(2, watch=False)
    sent = len(rig.chain.sent)
    await rig.pass_s(2 * BUMP_US // 1_000_000, watch=False)
    assert (len(signed(rig)), len(rig.chain.sent)) == (1, sent)


async def test_a_batch_that_reverts_whole_pays_nobody_and_gives_everything_back() -> None:
    rig = Rig()
    [id, _] = await requested(rig, 2)
    someone = rig.world.payouts[id].account
    before = rig.available(someone)
    rig.chain.reverting = True
    await rig.pass_s(4)
    assert rig.available(someone) == before + 2 * AMOUNT
    settled(rig, 0)


async def test_a_batch_that_is_stuck_is_signed_again_with_a_higher_fee_and_the_same_nonce_and_payouts() -> None:
    rig = Rig()
    await requested(rig)
    rig.net.wait(1_000_000)
    await rig.payer.step()
    rig.chain.base_wei *= 4
    await rig.pass_s(BUMP_US // 1_000_000 + 4)
    first, second = (signer.decode_batch(it.raw_tx) for it in signed(rig))
    assert (first.nonce, first.items, first.payer) == (second.nonce, second.items, second.payer)
    assert second.fee_wei_max * 8 >= first.fee_wei_max * 9
    settled(rig, AMOUNT)


async def test_when_the_first_of_two_transactions_is_mined_after_all_it_is_the_one_that_counts() -> None:
    rig = Rig()
    await requested(rig)
    rig.net.wait(1_000_000)
    await rig.payer.step()
    [first] = rig.chain.waiting
    rig.chain.base_wei *= 4
    await rig.pass_s(BUMP_US // 1_000_000, watch=False)
    rig.net.wait(1_000_000)
    rig.chain.base_wei, rig.chain.waiting = 10**9, [first]
    rig.watch, rig.payer = rig.start_watch(), rig.start_payer()
    await rig.pass_s(3)
    [final] = [it.event for it in rig.net.events if isinstance(it.event, batch.Finalised)]
    assert (len(signed(rig)), final.tx_hash) == (2, first.hash)
    settled(rig, AMOUNT)


async def test_a_fee_is_not_raised_without_end() -> None:
    rig = Rig()
    await requested(rig)
    rig.net.wait(1_000_000)
    await rig.payer.step()
    told = ""
    while not told:
        rig.chain.drop()
        rig.net.wait(BUMP_US)
        try:
            await rig.payer.step()
        except loop.Waits as waits:
            told = str(waits)
    assert told == "batch-20 is stuck at the highest fee"
    offered = [signer.decode_batch(it.raw_tx).fee_wei_max for it in signed(rig)]
    assert offered == sorted(set(offered))
    assert offered[-1] <= 5 * offered[0]


async def test_a_node_that_says_everybody_tips_a_fortune_is_not_believed() -> None:
    rig = Rig()
    await requested(rig)

    async def dear() -> chain.Fees:
        return chain.Fees(10**9, 10**15)

    rig.chain.fees = dear  # type: ignore[method-assign]
    await rig.pass_s(4)
    [only] = signed(rig)
    assert signer.decode_batch(only.raw_tx).tip_wei == fees.TIP_WEI_MAX
    settled(rig, AMOUNT)


async def test_only_the_next_batch_is_bumped_and_the_ones_behind_it_wait_for_its_nonce() -> None:
    rig = Rig("standard")
    someone = await rig.funded()
    for _ in range(2):
        rig.net.request(someone, "customer", AMOUNT)
        rig.net.wait(rig.world.policy.batch_wait_us)
        await rig.pass_s(3)
    depth = len(rig.chain.blocks) - min(it.block for it in rig.world.batches.values())
    rig.chain.reorg(depth)
    rig.chain.drop()
    rig.chain.base_wei *= 20
    rig.chain.mine(depth)
    await rig.pass_s(1, payer=False)
    assert [it.status for it in rig.world.batches.values()] == ["signed", "signed"]
    await rig.pass_s(BUMP_US // 1_000_000 + 14)
    assert [it.nonce for it in signed(rig)][:3] == [0, 1, 0]
    await rig.pass_s(BUMP_US // 1_000_000 + 14)
    settled(rig, 2 * AMOUNT)


async def test_a_nonce_that_was_used_from_outside_halts_the_wallet_once_that_is_final() -> None:
    rig = Rig()
    await requested(rig)
    rig.net.wait(1_000_000)
    await rig.payer.step()
    rig.chain.use_nonce(rig.key.address, 0)
    with pytest.raises(loop.Halted, match="nonce 0 of the wallet"):
        await rig.pass_s(10)
    rig.payer = rig.start_payer()
    with pytest.raises(loop.Halted):
        await rig.pass_s(10)
    assert (len(signed(rig)), received(rig)) == (1, 0)


async def test_a_nonce_that_was_used_from_outside_between_two_batches_halts_before_anything_is_signed() -> None:
    rig = Rig()
    [id] = await requested(rig)
    someone = rig.world.payouts[id].account
    await rig.pass_s(4)
    rig.chain.use_nonce(rig.key.address, 1)
    rig.chain.mine(3)
    rig.net.request(someone, "customer", AMOUNT)
    with pytest.raises(loop.Halted):
        await rig.pass_s(10)
    assert len(signed(rig)) == 1


async def test_a_foreign_transaction_that_vanishes_again_halts_nobody() -> None:
    rig = Rig("standard")
    await requested(rig)
    for _ in range(700):
        rig.net.wait(1_000_000)
        await rig.payer.step()
        if signed(rig):
            break
    rig.chain.drop()
    rig.chain.use_nonce(rig.key.address, 0)
    [stranger] = rig.chain.waiting
    await rig.pass_s(5)
    rig.chain.reorg(5, without=(stranger.hash,))
    rig.chain.mine(5)
    await rig.pass_s(20)
    settled(rig, AMOUNT)


async def test_a_recipient_that_refuses_fails_alone_and_its_payout_can_be_asked_for_again() -> None:
    rig = Rig()
    someone = await rig.funded()
    other = await rig.funded()
    before = rig.available(other)
    rig.chain.refusing.add(rig.world.people[other].payout_address)
    rig.net.request(someone, "customer", AMOUNT)
    rig.net.request(other, "customer", AMOUNT)
    await rig.pass_s(4)
    assert rig.available(other) == before
    settled(rig, AMOUNT)
    rig.chain.refusing.clear()
    rig.net.request(other, "customer", AMOUNT)
    await rig.pass_s(4)
    settled(rig, 2 * AMOUNT)


async def test_a_batch_that_left_the_chain_is_paid_by_the_same_bytes() -> None:
    rig = Rig("standard")
    await requested(rig, 2)
    while "batch.mined" not in rig.types():
        await rig.pass_s(1)
    rig.chain.reorg(1)
    rig.chain.drop()
    rig.chain.mine(3)
    await rig.pass_s(20)
    assert [what for what in rig.types() if what.startswith("batch")] == [
        "batch.signed",
        "batch.mined",
        "batch.unmined",
        "batch.mined",
        "batch.finalised",
    ]
    settled(rig, 2 * AMOUNT)


async def test_a_batch_that_is_mined_again_with_another_result_is_told_anew() -> None:
    rig = Rig("standard")
    [id] = await requested(rig, 1)
    someone = rig.world.payouts[id].account
    before = rig.available(someone)
    while "batch.mined" not in rig.types():
        await rig.pass_s(1)
    rig.chain.reorg(1)
    rig.chain.refusing.add(rig.world.people[someone].payout_address)
    rig.chain.mine(1)
    rig.watch = rig.start_watch()
    await rig.pass_s(20)
    assert rig.available(someone) == before + AMOUNT
    settled(rig, 0)


async def test_without_ether_for_gas_payouts_wait_in_order_and_are_paid_when_there_is_some() -> None:
    rig = Rig()
    await requested(rig, 2)
    rig.chain.penniless = True
    await rig.pass_s(BUMP_US // 500_000)
    assert (len(signed(rig)), received(rig)) == (1, 0)
    rig.chain.penniless = False
    await rig.pass_s(4)
    settled(rig, 2 * AMOUNT)


async def test_nobody_overtakes_a_payout_that_the_treasury_cannot_pay() -> None:
    rig = Rig()
    someone = await rig.funded()
    for amount in (5, 9, 1):
        rig.net.request(someone, "customer", amount * AMOUNT)
    due = payer.gather(rig.world, USDC, rig.net.now_us + 1_000_000)
    assert [it.amount for it in payer.afford(due, 6 * AMOUNT)] == [5 * AMOUNT]
    assert [it.amount for it in payer.afford(due, 15 * AMOUNT)] == [5 * AMOUNT, 9 * AMOUNT, AMOUNT]
