"""Watch and payer through any weather: whatever chain, ledger and processes do, in the end everybody has what is his, once."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import accounts
from domain.accounts import USDC
from domain.ids import AccountId
from domain.log.log import OutcomeUnknown
from domain.treasury import anchor, chain
from tests.daemons.rig import Killed, Rig
from worker_runtime.daemons import loop

DEPOSIT, PAYOUT = 20_000_000, 1_000_000
FAULTS: dict[str, Callable[[Rig], None]] = {
    "silence": lambda rig: setattr(rig.chain, "silent", True),
    "noise": lambda rig: setattr(rig.chain, "silent", False),
    "answers are lost": lambda rig: setattr(rig.chain, "loses_answers", True),
    "answers arrive": lambda rig: setattr(rig.chain, "loses_answers", False),
    "receipts are lost": lambda rig: setattr(rig, "loses_answers", True),
    "receipts arrive": lambda rig: setattr(rig, "loses_answers", False),
    "the pool is emptied": lambda rig: rig.chain.drop(),
    "gas is dear": lambda rig: setattr(rig.chain, "base_wei", 3 * rig.chain.base_wei),
    "gas is cheap": lambda rig: setattr(rig.chain, "base_wei", 10**9),
    "no ether": lambda rig: setattr(rig.chain, "penniless", True),
    "ether": lambda rig: setattr(rig.chain, "penniless", False),
    "stutter": lambda rig: setattr(rig.chain, "tells", 2),
    "kill at sign": lambda rig: setattr(rig, "dies_at", "Sign"),
    "kill before mine": lambda rig: setattr(rig, "dies_at", "!Mine"),
    "kill at finalise": lambda rig: setattr(rig, "dies_at", "Finalise"),
    "kill before see": lambda rig: setattr(rig, "dies_at", "!See"),
}
WORK = ("deposit", "request", "second", "second", "minutes", "shallow reorg", "deep reorg", "late watch")


class Weather:
    def __init__(self) -> None:
        self.rig, self.deposited, self.requested = Rig("standard"), 0, 0
        self.who: AccountId = self.rig.net.person("creator")
        self.rig.net.wait(self.rig.world.policy.address_delay_us)

    async def happens(self, what: str) -> None:
        rig = self.rig
        match what:
            case "deposit":
                self.deposited += 1
                # What a reorg or an emptied pool takes from the depositor, he still has: only what is mined for good counts.
                rig.chain.deposit(self.who, DEPOSIT)
            case "request" if rig.available(self.who) >= PAYOUT:
                self.requested += 1
                rig.net.request(self.who, "customer", PAYOUT)
            case "second":
                await self.second()
            case "minutes":
                rig.net.wait(rig.world.policy.batch_wait_us)
            case "shallow reorg" | "deep reorg":
                depth = min(1 if what == "shallow reorg" else 12, len(rig.chain.blocks) - 1)
                rig.chain.reorg(depth)
                rig.chain.mine(depth)
            case "late watch":
                await self.second(watch=False)
            case _ if what in FAULTS:
                FAULTS[what](rig)
            case _:
                pass

    async def second(self, *, watch: bool = True) -> None:
        rig = self.rig
        rig.net.wait(1_000_000)
        rig.chain.mine()
        steps: list[Callable[[], Awaitable[None]]] = [*([rig.watch.step] if watch else []), rig.payer.step]
        for step in steps:
            try:
                with suppress(chain.ChainSilent, chain.ChainRefused, loop.Waits, OutcomeUnknown):
                    await step()
            except Killed:
                rig.dies_at, rig.watch, rig.payer = "", rig.start_watch(), rig.start_payer()

    async def clears(self) -> None:
        rig = self.rig
        rig.chain.silent = rig.chain.loses_answers = rig.loses_answers = rig.chain.penniless = False
        rig.chain.base_wei, rig.dies_at = 10**9, ""
        for _ in range(2):
            rig.net.wait(rig.world.policy.batch_wait_us)
            for _ in range(16):
                await self.second()


async def through(weather: list[str]) -> None:
    it = Weather()
    for what in weather:
        await it.happens(what)
    await it.clears()
    rig, state = it.rig, it.rig.chain.state()
    assert (rig.world.deposits, rig.world.batches, rig.world.payouts) == ({}, {}, {})
    assert rig.treasury() == state.held
    assert rig.available(it.who) == len(state.deposits) * DEPOSIT - it.requested * PAYOUT
    assert sum(state.got.values()) == it.requested * PAYOUT
    assert [accounts.inbound(USDC) in rig.world.balances, accounts.outbound(USDC) in rig.world.balances] == [False, False]
    assert {each.event.breaks for each in rig.net.events if isinstance(each.event, anchor.Reconciled)} <= {0}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from((*WORK, *FAULTS)), min_size=20, max_size=80))
@pytest.mark.system
def test_everybody_gets_what_is_his_once_through_any_weather(weather: list[str]) -> None:
    asyncio.run(through(["deposit", "second", *["second"] * 13, *weather]))


@pytest.mark.parametrize("depth", range(1, 13))
async def test_a_batch_is_paid_once_through_a_reorg_of_any_depth_that_is_not_final(depth: int) -> None:
    it = Weather()
    for what in ["deposit", *["second"] * 14, "request", "minutes", *["second"] * (depth + 1)]:
        await it.happens(what)
    it.rig.chain.reorg(depth)
    it.rig.chain.drop()
    it.rig.chain.mine(depth)
    await it.clears()
    assert it.rig.chain.state().got == {it.rig.world.people[it.who].payout_address: PAYOUT}
