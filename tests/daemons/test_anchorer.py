"""Anchors: the head of the log on the chain, in order, also across crashes."""

import pytest

from domain.accounts import USDC
from domain.log.merkle import Head
from domain.treasury import anchor
from domain.treasury.chain import ChainSilent
from tests.daemons.rig import BUMP_US, Killed, Rig
from worker_runtime.daemons.anchorer import Anchorer


async def pass_s(rig: Rig, anchorer: Anchorer, seconds: int) -> None:
    for _ in range(seconds):
        rig.net.wait(1_000_000)
        rig.chain.mine()
        for _ in range(2):
            await anchorer.step()


def anchored(rig: Rig) -> list[tuple[int, str]]:
    return [(it.event.size, it.event.root) for it in rig.net.events if isinstance(it.event, anchor.Anchored)]


def on_chain(rig: Rig) -> list[tuple[int, str]]:
    return [(log.size, log.root) for log in rig.chain.state().anchors]


def root(rig: Rig, size: int) -> str:
    head = Head(rig.net.ledger.head.log)
    lines = [line for record in rig.net.records for line in record.split(b"\n")[1:-1]]
    return head.extend(lines[:size]).root


async def test_the_head_of_the_log_is_anchored_and_reported_when_it_is_final() -> None:
    rig = Rig("standard")
    anchorer = rig.start_anchorer()
    before = rig.head
    await pass_s(rig, anchorer, 2)
    assert (on_chain(rig), anchored(rig)) == ([(before.size, before.root)], [])
    await pass_s(rig, anchorer, 13)
    assert anchored(rig) == on_chain(rig)


async def test_nothing_is_anchored_while_nothing_but_anchors_happens() -> None:
    rig = Rig()
    anchorer = rig.start_anchorer()
    await pass_s(rig, anchorer, 8)
    rig.net.do(rig.net.daemon("watch"), anchor.Reconcile(asset=USDC, block=1, balance="0"))
    await pass_s(rig, anchorer, 20)
    assert len(anchored(rig)) == len(on_chain(rig)) == 1


async def test_the_next_anchor_comes_after_the_policys_time_if_something_happened() -> None:
    rig = Rig()
    anchorer = rig.start_anchorer()
    await pass_s(rig, anchorer, 3)
    rig.net.person("creator")
    await pass_s(rig, anchorer, 2)
    assert len(on_chain(rig)) == 1
    await pass_s(rig, anchorer, 6)
    assert anchored(rig) == on_chain(rig) == [(size, root(rig, size)) for size, _ in on_chain(rig)]
    assert len(anchored(rig)) == 2


@pytest.mark.parametrize("seconds", range(4))
async def test_an_anchorer_that_is_restarted_anchors_each_head_once(seconds: int) -> None:
    rig = Rig()
    await pass_s(rig, rig.start_anchorer(), seconds)
    await pass_s(rig, rig.start_anchorer(), 5)
    assert len(anchored(rig)) == len(on_chain(rig)) == 1


async def test_an_anchorer_that_starts_at_every_step_anchors_and_reports() -> None:
    rig = Rig()
    for _ in range(4):
        rig.net.person("creator")
        for _ in range(8):
            await pass_s(rig, rig.start_anchorer(), 1)
    assert anchored(rig) == on_chain(rig)
    assert len(anchored(rig)) == 4


@pytest.mark.parametrize("dies_at", ["!Anchor", "Anchor"])
async def test_a_crash_around_the_report_loses_and_doubles_nothing(dies_at: str) -> None:
    rig = Rig()
    rig.dies_at = dies_at
    with pytest.raises(Killed):
        await pass_s(rig, rig.start_anchorer(), 5)
    rig.dies_at = ""
    await pass_s(rig, rig.start_anchorer(), 5)
    assert anchored(rig) == on_chain(rig)
    assert len(anchored(rig)) == 1


async def test_an_anchor_whose_answer_was_lost_or_that_was_dropped_is_sent_again() -> None:
    rig = Rig()
    anchorer = rig.start_anchorer()
    rig.chain.loses_answers = True
    with pytest.raises(ChainSilent):
        await anchorer.step()
    rig.chain.loses_answers = False
    rig.chain.drop()
    await pass_s(rig, anchorer, 5)
    assert len(anchored(rig)) == len(on_chain(rig)) == 1


async def test_an_anchor_that_left_the_chain_is_sent_again_and_reported_where_it_stayed() -> None:
    rig = Rig("standard")
    anchorer = rig.start_anchorer()
    await pass_s(rig, anchorer, 5)
    rig.chain.reorg(5)
    rig.chain.drop()
    rig.chain.mine(5)
    await pass_s(rig, anchorer, 20)
    [log] = rig.chain.state().anchors
    [event] = [it.event for it in rig.net.events if isinstance(it.event, anchor.Anchored)]
    assert (event.block, event.tx) == (log.block, log.tx)


async def test_a_stuck_anchor_gets_a_higher_fee() -> None:
    rig = Rig()
    anchorer = rig.start_anchorer()
    await anchorer.step()
    rig.chain.base_wei *= 4
    await pass_s(rig, anchorer, BUMP_US // 1_000_000 + 5)
    assert len(anchored(rig)) == len(on_chain(rig)) == 1


async def test_an_anchor_that_the_contract_refuses_is_not_sent_over_and_over() -> None:
    rig = Rig()
    anchorer = rig.start_anchorer()
    await anchorer.step()
    rig.chain.waiting[0].anchor = (0, "")
    await pass_s(rig, anchorer, 4)
    assert (on_chain(rig), rig.chain.waiting, len(rig.chain.state().receipts)) == ([], [], 1)
    await pass_s(rig, anchorer, 6)
    assert len(on_chain(rig)) == 1
