"""Watch and payer killed at every single moment at which they wait for somebody: before the question arrives, and before its answer does.

The story has everything in it: deposits, one of which moves to another block, a batch whose fee is raised, whose block is replaced and
one of whose recipients refuses, and another batch after it.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import structlog.testing

from domain.accounts import USDC
from domain.house import invariants
from domain.treasury import anchor, batch, chain, deposit
from tests.daemons.rig import BUMP_US, Killed, Rig
from worker_runtime.daemons import loop, payer

pytestmark = pytest.mark.system

AMOUNT, PAYOUT = 20_000_000, 1_000_000
PORT = ("chain_id", "head", "block", "deposits", "payouts", "held", "nonce", "fees", "send", "receipt", "first_block_since")


class Mortal:
    """A rig whose daemons end at these moments, counted from one."""

    def __init__(self, *dies_at: int) -> None:
        self.rig, self.moments, self.kills = Rig(), 0, 0
        self._dies_at = dies_at
        for name in PORT:
            setattr(self.rig.chain, name, self._mortal(getattr(self.rig.chain, name)))
        for name in ("submit", "reached"):
            setattr(self.rig, name, self._mortal(getattr(self.rig, name)))
        self._start()

    def _start(self) -> None:
        self.rig.watch, self.rig.payer = self.rig.start_watch(), self.rig.start_payer()

    def _mortal(self, waits: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def at_risk(*given: Any) -> Any:
            self._moment()
            answer = await waits(*given)
            self._moment()
            return answer

        return at_risk

    def _moment(self) -> None:
        self.moments += 1
        if self.moments in self._dies_at:
            raise Killed

    async def seconds(self, count: int) -> None:
        """Each with a block, and two steps of each daemon. Who is killed is started again."""
        for _ in range(count):
            self.rig.net.wait(1_000_000)
            self.rig.chain.mine()
            for step in ("watch", "payer", "watch", "payer"):
                with suppress(chain.ChainRefused, loop.Waits):
                    try:
                        await getattr(self.rig, step).step()
                    except Killed:
                        self.kills += 1
                        self._start()

    async def until(self, so: Callable[[], bool]) -> None:
        for _ in range(3 * BUMP_US // 1_000_000):
            if so():
                return
            await self.seconds(1)


async def story(it: Mortal) -> None:
    rig = it.rig
    one, two = rig.net.person("creator"), rig.net.person("creator")
    rig.chain.deposit(one, AMOUNT)
    rig.chain.deposit(two, AMOUNT)
    await it.seconds(1)
    rig.chain.reorg(1)
    waiting, rig.chain.waiting = rig.chain.waiting, []
    rig.chain.mine()
    rig.chain.waiting = waiting
    await it.seconds(4)
    rig.chain.refusing.add(rig.world.people[two].payout_address)
    for who in (one, two):
        rig.net.request(who, "customer", PAYOUT)
    await it.until(lambda: bool(payer.unmined(rig.world, USDC)))
    rig.chain.base_wei *= 10
    await it.until(lambda: any(each.status == "mined" for each in rig.world.batches.values()))
    rig.chain.reorg(1)
    rig.chain.drop()
    rig.chain.mine()
    await it.seconds(5)
    rig.chain.refusing.clear()
    rig.net.request(two, "customer", PAYOUT)
    await it.seconds(6)


def wrong(rig: Rig) -> Iterator[str]:
    """What is not as it has to be in the end."""
    state, events = rig.chain.state(), [each.event for each in rig.net.events]
    if (rig.world.deposits, rig.world.batches, rig.world.payouts) != ({}, {}, {}):
        yield "something is under way"
    if sorted(state.got.values()) != [PAYOUT, PAYOUT]:
        yield f"the recipients got {state.got}"
    if rig.treasury() != state.held or state.held != 2 * AMOUNT - 2 * PAYOUT:
        yield f"the treasury is {rig.treasury()} and holds {state.held}"
    if sum(isinstance(each, deposit.Finalised) for each in events) != 2:
        yield "not two deposits were credited"
    paid = [item.payout for each in events if isinstance(each, batch.Finalised) for item in each.paid]
    if len(paid) != 2 or len(set(paid)) != 2:
        yield f"paid were {paid}"
    if any(each.breaks for each in events if isinstance(each, anchor.Reconciled)):
        yield "a reconciliation differs"
    yield from (str(finding) for finding in invariants.breaches(rig.world) if finding)
    if rig.world.frozen:
        yield "money is frozen"


async def told(*dies_at: int) -> Mortal:
    it = Mortal(*dies_at)
    with structlog.testing.capture_logs():
        await story(it)
    return it


async def moments() -> int:
    it = await told()
    assert list(wrong(it.rig)) == []
    assert [sum(isinstance(each.event, kind) for each in it.rig.net.events) for kind in (batch.Signed, batch.Unmined)] == [3, 1]
    return it.moments


@pytest.mark.parametrize(("then_after", "stride"), [(0, 1), (5, 4)], ids=["once", "and again soon after"])
async def test_everybody_is_paid_once_whenever_the_daemons_are_killed(then_after: int, stride: int) -> None:
    died = 0
    for moment in range(1, await moments() + 1, stride):
        it = await told(moment, moment + then_after)
        assert list(wrong(it.rig)) == [], f"killed at moment {moment}"
        died += it.kills
    assert died >= 800 // stride
