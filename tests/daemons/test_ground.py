"""What was final and is not on the chain any more: noticed while running and after a start, money frozen, and a way on for people."""

import pytest

from domain.errors import NotAllowed
from domain.house import override
from domain.ids import AccountId
from domain.treasury import batch, chain, deposit
from tests.daemons.rig import Rig
from tests.network import DUMMY
from worker_runtime.daemons import ground, loop

AMOUNT, PAYOUT, FINALITY = 20_000_000, 1_000_000, 12


async def paid_out(rig: Rig) -> AccountId:
    """A deposit and a batch, both final."""
    someone = await rig.funded(AMOUNT)
    rig.net.request(someone, "customer", PAYOUT)
    rig.net.wait(rig.world.policy.batch_wait_us)
    await rig.pass_s(FINALITY + 3)
    assert rig.types()[-2:] == ["batch.finalised", "chain.reconciled"]
    return someone


def release(rig: Rig) -> None:
    """Two admins looked at it and go on."""
    one, two = (person.id for person in rig.world.people.values() if "admin" in person.roles)
    command = override.Override(action="release", reason="checked", number=rig.world.overrides + 1, approver=two, approval=DUMMY)
    claim = command.countersigned()
    assert claim is not None
    rig.net.do(one, command.model_copy(update={"approval": rig.net.sign(claim, two)}), keyed=True)


def lost(rig: Rig, *txs: str) -> None:
    """All blocks are replaced, and these transactions are in none of the new ones."""
    depth = len(rig.chain.blocks) - 1
    rig.chain.reorg(depth, without=txs)
    rig.chain.mine(depth)


def credited(rig: Rig) -> deposit.Finalised:
    [fact] = [it.event for it in rig.net.events if isinstance(it.event, deposit.Finalised)]
    return fact


def paid(rig: Rig) -> batch.Finalised:
    [fact] = [it.event for it in rig.net.events if isinstance(it.event, batch.Finalised)]
    return fact


async def halts(rig: Rig, words: str) -> None:
    with pytest.raises(loop.Halted, match=words):
        await rig.watch.step()
    assert (rig.world.frozen, rig.net.events[-1].event.verb()) == (True, "override.applied")
    assert isinstance(rig.net.events[-1].event, override.Applied)
    assert rig.net.events[-1].event.reason == "chain_reorganised"


@pytest.mark.parametrize("depth", range(1, FINALITY + 1))
async def test_a_reorg_that_leaves_every_final_block_halts_nobody(depth: int) -> None:
    rig = Rig("standard")
    await paid_out(rig)
    for _ in range(2):
        rig.chain.reorg(depth)
        rig.chain.mine(depth)
        await rig.watch.step()
    assert not rig.world.frozen


async def test_a_batch_that_was_final_and_is_gone_is_named_and_stops_the_money() -> None:
    rig = Rig("standard")
    await paid_out(rig)
    fact = paid(rig)
    lost(rig, fact.tx_hash)
    words = f"block .* was final as 0x.* and is 0x.* now; {fact.batch}, final in block {fact.block}, is not on the chain any more"
    await halts(rig, f"{words}.*two admins")
    sent = len(rig.chain.sent)
    with pytest.raises(loop.Waits, match="frozen"):
        await rig.payer.step()
    assert len(rig.chain.sent) == sent


async def test_a_deposit_that_was_credited_and_is_gone_is_named_and_stops_the_money() -> None:
    rig = Rig("standard")
    await rig.funded(AMOUNT)
    fact = credited(rig)
    lost(rig, fact.tx)
    await halts(rig, f"{fact.deposit}, final in block {fact.block}, is not on the chain any more")


async def test_a_watch_that_was_away_finds_what_the_chain_lost_meanwhile() -> None:
    rig = Rig("standard")
    await paid_out(rig)
    lost(rig, paid(rig).tx_hash)
    rig.watch = rig.start_watch()
    await halts(rig, "is not on the chain any more")


async def test_a_fact_that_came_to_another_block_is_not_where_it_was_final() -> None:
    rig = Rig("standard")
    await paid_out(rig)
    rig.chain.reorg(FINALITY + 4)
    rig.chain.mine(FINALITY + 6)
    rig.watch = rig.start_watch()
    await halts(rig, "batch-.*, final in block .*, is in block .* now")


async def test_a_beacon_of_another_block_is_found_after_a_start_and_one_that_stands_covers_all_before_it() -> None:
    rig = Rig("standard")
    await paid_out(rig)
    rig.net.online(rig.net.worker(rig.net.person("provider")))
    rig.chain.mine(timestamp_s=rig.net.now_us // 1_000_000)
    while "beacon.drawn" not in [it.event.verb() for it in rig.net.events]:
        await rig.pass_s(1, payer=False)
    asked, receipt = list[str](), rig.chain.receipt

    async def counted(tx: str) -> chain.Receipt | None:
        asked.append(tx)
        return await receipt(tx)

    rig.chain.receipt = counted  # type: ignore[method-assign]
    rig.watch = rig.start_watch()
    await rig.watch.step()
    assert asked == []
    rig.chain.reorg(FINALITY + 1)
    rig.chain.mine(FINALITY + 1)
    rig.watch = rig.start_watch()
    await halts(rig, "beacon-.* was drawn from another block")


async def test_the_newest_final_fact_is_found_however_much_happened_since(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker_runtime.daemons.ground.STRIDE", 2)
    rig = Rig("standard")
    await paid_out(rig)
    for _ in range(30):
        rig.net.person()
    names = [fact.name.partition("-")[0] for fact in await ground.newest(rig, 0)]
    assert names[0] == "batch"


async def test_payouts_wait_when_the_payer_sees_it_before_the_watch_does() -> None:
    rig = Rig("standard")
    someone = await paid_out(rig)
    rig.net.request(someone, "customer", PAYOUT)
    lost(rig, paid(rig).tx_hash)
    rig.net.wait(rig.world.policy.batch_wait_us)
    rig.payer = rig.start_payer()
    with pytest.raises(loop.Waits, match="is not on the chain any more"):
        await rig.payer.step()
    assert rig.types().count("batch.signed") == 1


async def test_after_two_admins_released_it_the_watch_goes_on_and_what_comes_back_is_not_credited_twice() -> None:
    rig = Rig("standard")
    someone = await paid_out(rig)
    had, depth = rig.available(someone), len(rig.chain.blocks) - 1
    rig.chain.reorg(depth)
    waiting, rig.chain.waiting = rig.chain.waiting, []
    rig.chain.mine(depth)
    with pytest.raises(loop.Halted):
        await rig.watch.step()
    rig.watch = rig.start_watch()
    with pytest.raises(loop.Halted):
        await rig.watch.step()
    release(rig)
    rig.chain.waiting = waiting
    rig.watch, rig.payer = rig.start_watch(), rig.start_payer()
    await rig.pass_s(FINALITY + 3)
    assert await rig.chain.receipt(credited(rig).tx)
    assert (rig.available(someone), rig.types().count("deposit.finalised")) == (had, 1)
    assert rig.treasury() == rig.chain.state().held
    other = await rig.funded(AMOUNT)
    assert (rig.available(other), rig.treasury()) == (AMOUNT, rig.chain.state().held)


async def test_a_node_that_is_behind_or_rebuilds_its_chain_is_waited_for() -> None:
    rig = Rig("standard")
    await paid_out(rig)
    rig.chain.reorg(20)
    for watch in (rig.watch, rig.start_watch()):
        with pytest.raises(loop.Waits, match="the node is behind"):
            await watch.step()
    assert not rig.world.frozen


async def test_a_second_watch_that_is_late_takes_nothing_back_twice() -> None:
    rig = Rig("standard")
    someone = await rig.funded()
    for who in (someone, other := await rig.funded()):
        rig.net.request(who, "customer", PAYOUT)
    rig.net.wait(rig.world.policy.batch_wait_us)
    rig.chain.refusing.add(rig.world.people[other].payout_address)
    await rig.pass_s(2)
    [mined] = [it.event for it in rig.net.events if isinstance(it.event, batch.Mined)]
    late = batch.Unmine(batch=mined.batch, paid=tuple(it.payout for it in mined.paid), failed=tuple(it.payout for it in mined.failed))
    rig.chain.reorg(2)
    rig.chain.refusing.clear()
    rig.chain.mine(3)
    await rig.pass_s(1)
    with pytest.raises(NotAllowed, match="another result"):
        rig.net.do(rig.net.daemon("watch"), late)
    await rig.pass_s(FINALITY + 3)
    assert (rig.world.batches, rig.treasury()) == ({}, rig.chain.state().held)
    assert sum(rig.chain.state().got.values()) == 2 * PAYOUT
