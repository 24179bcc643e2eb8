"""The watch against a chain that does what a script says: each fact once, whatever the chain and the process do."""

import pytest

from domain.accounts import USDC
from domain.treasury import anchor, batch, deposit
from domain.treasury.chain import ChainRefused, ChainSilent, DepositLog
from tests.daemons.rig import Killed, Rig

AMOUNT = 20_000_000


async def test_a_deposit_is_seen_when_it_is_mined_and_credited_when_it_is_final() -> None:
    rig = Rig("standard")
    someone = rig.net.person("creator")
    rig.chain.deposit(someone, AMOUNT)
    await rig.pass_s(1)
    assert (rig.types(), rig.available(someone)) == (["deposit.seen"], 0)
    await rig.pass_s(11)
    assert rig.available(someone) == 0
    await rig.pass_s(1)
    assert (rig.types(), rig.available(someone)) == (["deposit.seen", "deposit.finalised", "chain.reconciled"], AMOUNT)


@pytest.mark.parametrize("dies_at", ["!See", "See", "!Finalise", "Finalise", "!Reconcile", "Reconcile"])
async def test_a_deposit_is_credited_once_wherever_the_watch_was_killed(dies_at: str) -> None:
    rig = Rig()
    someone = rig.net.person("creator")
    for _ in range(2):
        rig.chain.deposit(someone, AMOUNT)
    rig.dies_at = dies_at
    with pytest.raises(Killed):
        await rig.pass_s(3)
    rig.dies_at, rig.watch = "", rig.start_watch()
    await rig.pass_s(3)
    assert rig.available(someone) == rig.treasury() == 2 * AMOUNT
    assert [rig.types().count(what) for what in ("deposit.seen", "deposit.finalised", "deposit.orphaned")] == [2, 2, 0]


async def test_a_deposit_is_credited_once_by_a_watch_that_is_restarted_at_every_step() -> None:
    rig = Rig()
    people = [rig.net.person("creator") for _ in range(3)]
    for someone in people:
        rig.chain.deposit(someone, AMOUNT)
        for _ in range(4):
            rig.watch = rig.start_watch()
            await rig.pass_s(1)
    assert [rig.available(someone) for someone in people] == [AMOUNT] * 3
    assert rig.types().count("deposit.finalised") == 3


async def test_nothing_is_asked_for_again_once_it_is_final() -> None:
    rig = Rig()
    await rig.funded()
    asked = len(rig.asks)
    await rig.pass_s(5)
    assert len(rig.asks) == asked


async def test_a_deposit_that_left_the_chain_is_orphaned_and_never_credited() -> None:
    rig = Rig("standard")
    someone = rig.net.person("creator")
    tx = rig.chain.deposit(someone, AMOUNT)
    await rig.pass_s(3)
    rig.chain.reorg(3, without=(tx,))
    rig.chain.mine(3)
    await rig.pass_s(20)
    assert (rig.types(), rig.available(someone), rig.world.deposits) == (["deposit.seen", "deposit.orphaned"], 0, {})


async def test_a_deposit_that_moved_to_another_block_is_credited_once() -> None:
    rig = Rig("standard")
    someone = rig.net.person("creator")
    rig.chain.deposit(someone, AMOUNT)
    await rig.pass_s(3)
    rig.chain.reorg(3)
    waiting, rig.chain.waiting = rig.chain.waiting, []
    rig.chain.mine(2)
    rig.chain.waiting = waiting
    await rig.pass_s(20)
    assert rig.types() == ["deposit.seen", "deposit.orphaned", "deposit.seen", "deposit.finalised", "chain.reconciled"]
    assert rig.available(someone) == rig.treasury() == AMOUNT


async def test_a_deposit_whose_log_is_counted_anew_in_the_same_block_is_credited_once() -> None:
    rig = Rig("standard")
    people = [rig.net.person("creator") for _ in range(2)]
    for someone in people:
        rig.chain.deposit(someone, AMOUNT)
    await rig.pass_s(1)
    before = {it.tx: (it.block, it.log_index) for it in rig.world.deposits.values()}
    rig.chain.reorg(1)
    rig.chain.waiting.reverse()
    rig.chain.mine()
    await rig.pass_s(1)
    after = {it.tx: (it.block, it.log_index) for it in rig.world.deposits.values()}
    await rig.pass_s(20)

    assert after == {tx: (block, 1 - index) for tx, (block, index) in before.items()}
    assert [rig.available(someone) for someone in people] == [AMOUNT] * 2
    assert rig.treasury() == 2 * AMOUNT


async def test_a_transaction_that_deposits_something_else_in_the_same_place_is_credited_by_what_stands_there() -> None:
    rig = Rig("standard")
    someone, other = (rig.net.person("creator") for _ in range(2))
    rig.chain.deposit(someone, AMOUNT)
    await rig.pass_s(1)
    rig.chain.reorg(1)
    rig.chain.waiting[0].deposit = (other, 2 * AMOUNT)
    rig.chain.mine()
    await rig.pass_s(20)

    assert rig.types().count("deposit.orphaned") == 1
    assert (rig.available(someone), rig.available(other)) == (0, 2 * AMOUNT)


async def test_logs_without_a_deposit_that_its_receipt_has_take_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(first: int, last: int) -> list[DepositLog]:
        return []

    rig = Rig("standard")
    rig.chain.deposit(rig.net.person("creator"), AMOUNT)
    await rig.pass_s(1)
    monkeypatch.setattr(rig.chain, "deposits", nothing)
    with pytest.raises(ChainSilent, match="by its receipt"):
        await rig.watch.step()
    assert "deposit.orphaned" not in rig.types()


async def test_a_deposit_that_moved_while_the_watch_was_away_is_credited_once() -> None:
    rig = Rig()
    someone = rig.net.person("creator")
    rig.chain.deposit(someone, AMOUNT)
    await rig.pass_s(1)
    rig.chain.reorg(1)
    waiting, rig.chain.waiting = rig.chain.waiting, []
    rig.chain.mine(2)
    rig.chain.waiting = waiting
    rig.chain.mine(9)
    await rig.pass_s(3)
    assert (rig.available(someone), rig.types().count("deposit.finalised")) == (AMOUNT, 1)


async def test_a_node_that_is_behind_orphans_nothing() -> None:
    rig = Rig("standard")
    someone = await rig.funded()
    rig.net.request(someone, "customer", 1_000_000)
    rig.chain.deposit(someone, AMOUNT)
    while "batch.mined" not in rig.types():
        await rig.pass_s(1)
    rig.chain.deposit(someone, AMOUNT)
    await rig.pass_s(1)
    rig.chain.reorg(2)
    for _ in range(3):
        await rig.watch.step()
    *others, last = rig.chain.waiting
    rig.chain.waiting = others
    rig.chain.mine()
    await rig.watch.step()
    rig.chain.waiting = [last]
    await rig.pass_s(20)
    assert (rig.world.deposits, rig.world.batches) == ({}, {})
    assert [what for what in rig.types() if what.endswith(("orphaned", "unmined"))] == []
    assert rig.treasury() == rig.chain.state().held


async def test_a_restarted_watch_goes_on_after_the_last_final_fact() -> None:
    rig = Rig()
    await rig.funded()
    await rig.pass_s(5)
    rig.chain.looked.clear()
    rig.watch = rig.start_watch()
    await rig.watch.step()
    assert rig.chain.looked == [(rig.world.final_block + 1, len(rig.chain.blocks) - 1)]


async def test_a_batch_and_a_deposit_that_were_final_before_the_watch_came_back_reconcile() -> None:
    rig = Rig()
    someone = await rig.funded()
    rig.net.request(someone, "customer", 1_000_000)
    await rig.pass_s(1, watch=False)
    rig.chain.mine()
    rig.chain.deposit(someone, AMOUNT)
    rig.chain.mine(5)
    await rig.pass_s(3)
    assert [it.event.breaks for it in rig.net.events if isinstance(it.event, anchor.Reconciled)] == [0, 0]
    assert rig.treasury() == 2 * AMOUNT - 1_000_000


async def test_a_deposit_of_a_block_is_not_lost_when_another_of_that_block_becomes_final_first() -> None:
    rig = Rig()
    one, two = rig.net.person("creator"), rig.net.person("creator")
    rig.chain.deposit(one, AMOUNT)
    rig.chain.deposit(two, AMOUNT)
    rig.net.wait(1_000_000)
    rig.chain.mine(5)
    rig.dies_at = "Finalise"
    with pytest.raises(Killed):
        await rig.watch.step()
    rig.dies_at, rig.watch = "", rig.start_watch()
    await rig.watch.step()
    assert (rig.available(one), rig.available(two)) == (AMOUNT, AMOUNT)


async def test_what_was_read_while_the_chain_changed_is_not_believed() -> None:
    rig = Rig("standard")
    tx = rig.chain.deposit(rig.net.person("creator"), AMOUNT)
    rig.chain.mine(3)

    def changes() -> None:
        rig.chain.reorg(3, without=(tx,))
        rig.chain.mine(3)

    rig.chain.meanwhile = changes
    for _ in range(3):
        await rig.watch.step()
    assert rig.types() == []


async def test_a_deposit_that_is_told_of_twice_is_credited_once() -> None:
    rig = Rig()
    rig.chain.tells = 2
    someone = await rig.funded(AMOUNT)
    assert (rig.available(someone), rig.treasury()) == (AMOUNT, AMOUNT)


async def test_deposits_for_nobody_and_tiny_ones_stay_in_suspense() -> None:
    rig = Rig()
    someone = rig.net.person("creator")
    for account, amount in (("0x" + "ff" * 32, AMOUNT), ("account-999999", AMOUNT), (someone, 1)):
        rig.chain.deposit(account, amount)
    await rig.pass_s(3)
    credited = [it.event.credited for it in rig.net.events if isinstance(it.event, deposit.Finalised)]
    assert (credited, rig.available(someone), rig.treasury()) == ([False] * 3, 0, 2 * AMOUNT + 1)


async def test_an_amount_beyond_every_bound_stops_nobody_elses_deposit() -> None:
    rig = Rig()
    someone = rig.net.person("creator")
    rig.chain.deposit(someone, 10**40)
    rig.chain.deposit(someone, AMOUNT)
    await rig.pass_s(3)
    assert rig.available(someone) == AMOUNT


async def test_silence_of_the_chain_delays_and_harms_nothing() -> None:
    rig = Rig()
    someone = rig.net.person("creator")
    rig.chain.deposit(someone, AMOUNT)
    rig.chain.mine()
    rig.chain.silent = True
    with pytest.raises(ChainSilent):
        await rig.pass_s(1)
    assert rig.types() == []
    rig.chain.silent = False
    await rig.pass_s(2)
    assert rig.available(someone) == AMOUNT


async def test_a_watch_that_was_away_catches_up_in_several_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker_runtime.daemons.watch.BLOCKS_MAX", 5)
    rig = Rig()
    someone = rig.net.person("creator")
    for _ in range(4):
        rig.chain.deposit(someone, AMOUNT)
        rig.chain.mine(5)
    await rig.pass_s(5)
    assert (rig.available(someone), rig.treasury()) == (4 * AMOUNT, 4 * AMOUNT)


async def test_reconciliation_says_what_the_treasury_holds_at_the_last_final_fact() -> None:
    rig = Rig("standard")
    someone = rig.net.person("creator")
    for _ in range(3):
        rig.chain.deposit(someone, AMOUNT)
        await rig.pass_s(2)
    await rig.pass_s(20)
    found = [it.event for it in rig.net.events if isinstance(it.event, anchor.Reconciled)]
    assert [(it.balance, it.ledger, it.breaks) for it in found] == [(n * AMOUNT, n * AMOUNT, 0) for n in (1, 2, 3)]


async def test_money_that_nobody_told_us_of_is_a_break() -> None:
    rig = Rig()
    await rig.funded()
    someone = rig.net.person("creator")
    rig.chain.deposit(someone, 10**31)
    rig.chain.deposit(someone, AMOUNT)
    await rig.pass_s(3)
    found = [it.event.breaks for it in rig.net.events if isinstance(it.event, anchor.Reconciled)]
    assert found == [0, 10**31]


async def test_a_balance_that_was_asked_about_before_a_later_fact_became_final_is_no_break() -> None:
    rig = Rig("standard")
    await rig.funded()
    block, balance = rig.world.final_block, str(rig.treasury())
    await rig.funded()
    late = anchor.Reconcile(asset=USDC, block=block + 1, balance=balance)
    assert block + 1 < rig.world.final_block
    rig.net.do(rig.net.daemon("watch"), late)
    assert {it.event.breaks for it in rig.net.events if isinstance(it.event, anchor.Reconciled)} == {0}


@pytest.mark.parametrize("told", [True, False])
async def test_a_node_that_keeps_no_old_balances_is_asked_about_the_newest_fact_only(told: bool) -> None:
    rig = Rig("standard")
    rig.chain.deposit(rig.net.person("creator"), AMOUNT)
    if told:
        await rig.pass_s(20)

    async def pruned(block: int) -> int:
        raise ChainRefused("missing trie node")

    rig.chain.held, rig.watch = pruned, rig.start_watch()  # type: ignore[method-assign]
    rig.net.wait(1_000_000)
    rig.chain.mine(20)
    if told:
        await rig.watch.step()
    else:
        with pytest.raises(ChainRefused):
            await rig.watch.step()


async def test_facts_of_a_batch_carry_the_gas_that_was_paid() -> None:
    rig = Rig()
    someone = await rig.funded()
    rig.net.request(someone, "customer", 1_000_000)
    await rig.pass_s(4)
    [final] = [it.event for it in rig.net.events if isinstance(it.event, batch.Finalised)]
    receipt = await rig.chain.receipt(final.tx_hash)
    assert receipt is not None
    assert final.gas == receipt.gas_wei
