"""Providers that lie, lag, or fall silent when they have done what they were asked for: what one of them says alone moves no money."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
import structlog.testing

from adapters import succession
from adapters.chain import EvmChain
from adapters.evm.quorum import Quorum
from domain.event import Event
from domain.treasury import anchor, batch, chain, deposit
from tests.daemons.live import Live, live, running
from tests.fix_chain import Rig, Rigs
from tests.payouts.lies import LIES, twice_as_much
from tests.payouts.provider import Fault, Provider, always, honest, lying, provider

pytestmark = pytest.mark.system

AMOUNT, PAYOUT = 20_000_000, 1_000_000
TIMEOUT_S = 0.4


@pytest.fixture(autouse=True)
def _keep_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(succession, "settle_memory", lambda: None)


@contextlib.asynccontextmanager
async def seen_by(rig: Rig, *providers: Provider) -> AsyncIterator[Live]:
    """A ledger whose daemons see the chain through these, with quick blocks."""
    async with contextlib.AsyncExitStack() as stack:
        nodes = [EvmChain(each.url, rig.treasury, rig.token, timeout_s=TIMEOUT_S) for each in providers]
        for node in nodes:
            stack.push_async_callback(node.aclose)
        yield await stack.enter_async_context(live(rig, node=Quorum(nodes), block_s=0.2))


async def moved(it: Live) -> tuple[int, int]:
    """One deposit and one payout of somebody's: what he has in the ledger then, and what on the chain."""
    someone = await it.person()
    await it.deposit(someone, AMOUNT)
    await it.until(lambda: it.available(someone) == AMOUNT)
    await it.request(someone, PAYOUT)
    await it.until(lambda: not it.world.payouts)
    return it.available(someone), await it.received(someone)


async def count(it: Live, kind: type[Event]) -> int:
    return sum(type(each.event) is kind for each in await it.events())


WAITS: dict[str, type[Event]] = {
    "blocks have other hashes": deposit.Seen,
    "there are no receipts": batch.Mined,
    "batches reverted": batch.Mined,
    "there are no logs": deposit.Seen,
    "logs are told twice": deposit.Seen,
    "amounts are doubled": deposit.Seen,
    "nonces are used": batch.Signed,
    "the treasury is rich": batch.Signed,
}
"""What does not happen while that lie is told."""


@pytest.mark.parametrize("what", LIES)
async def test_one_of_two_providers_that_lies_is_waited_for_and_money_moves_once_when_it_stops(rigs: Rigs, what: str) -> None:
    async with rigs() as rig, provider(rig.node.url) as good, provider(rig.node.url) as liar, seen_by(rig, good, liar) as it:
        with structlog.testing.capture_logs() as lines:
            async with running(it, "watch", "payer"):
                someone, other = await it.person(), await it.person()
                await it.deposit(other, AMOUNT)
                await it.until(lambda: it.available(other) == AMOUNT)
                liar.fault = lying(**LIES[what])
                before = await count(it, WAITS[what])
                await it.deposit(someone, AMOUNT)
                await it.request(other, PAYOUT)
                await it.until(lambda: liar.done["lie"] > 8)
                assert await count(it, WAITS[what]) == before
                liar.fault = honest
                await it.until(lambda: not it.world.payouts and it.available(someone) == AMOUNT)
        assert (it.available(other), await it.received(other)) == (AMOUNT - PAYOUT, PAYOUT)
        assert await it.treasury() == (2 * AMOUNT - PAYOUT,) * 2
        assert not it.world.frozen
        assert any("the nodes differ about" in line.get("why", "") for line in lines)


async def test_on_the_word_of_a_single_provider_money_is_credited_that_nobody_paid_in(rigs: Rigs) -> None:
    """What the second provider is good for, and what shows the lie afterwards: the treasury does not hold it."""
    async with rigs() as rig, provider(rig.node.url) as liar, seen_by(rig, liar) as it, running(it, "watch"):
        liar.fault = lying(eth_getLogs=twice_as_much)
        someone = await it.person()
        await it.deposit(someone, AMOUNT)
        await it.until(lambda: it.available(someone) == 2 * AMOUNT and it.world.reconciled_block > 0)
        assert {each.event.breaks for each in await it.events() if isinstance(each.event, anchor.Reconciled)} == {-AMOUNT}


@pytest.mark.parametrize("what", ["batches reverted", "there are no receipts", "there are no logs"])
async def test_a_single_provider_that_contradicts_itself_moves_nothing(rigs: Rigs, what: str) -> None:
    async with rigs() as rig, provider(rig.node.url) as liar, seen_by(rig, liar) as it:
        with structlog.testing.capture_logs() as lines:
            async with running(it, "watch", "payer"):
                someone = await it.person()
                await it.deposit(someone, AMOUNT)
                await it.until(lambda: it.available(someone) == AMOUNT)
                it.mining = False
                await it.request(someone, PAYOUT)
                await it.until(lambda: any(each.status == "mined" for each in it.world.batches.values()))
                liar.fault = lying(**LIES[what])
                for _ in range(3):
                    await rig.mine()
                await it.until(lambda: liar.done["lie"] > 10)
                assert [await count(it, kind) for kind in (batch.Unmined, batch.Finalised)] == [0, 0]
                liar.fault = honest
                await it.until(lambda: not it.world.payouts)
        assert (it.available(someone), await it.received(someone)) == (AMOUNT - PAYOUT, PAYOUT)
        assert any(line.get("why", "").startswith("ChainSilent: ") for line in lines)


async def test_gibberish_ends_no_daemon(rigs: Rigs) -> None:
    def gibberish(logs: Any) -> Any:
        return [{**log, "transactionHash": "0xNO", "logIndex": "0x" + "f" * 60} for log in logs]

    async with rigs() as rig, provider(rig.node.url) as one, seen_by(rig, one) as it, running(it, "watch", "payer"):
        one.fault = lying(eth_getLogs=gibberish, eth_getTransactionReceipt=lambda _: [], eth_getTransactionCount=lambda _: "0x-7")
        someone = await it.person()
        await it.deposit(someone, AMOUNT)
        await it.until(lambda: one.done["lie"] > 5)
        one.fault = honest
        assert await moved(it) == (AMOUNT - PAYOUT, PAYOUT)


@pytest.mark.parametrize("kind", ["refused", "lost", "slow"])
async def test_a_provider_that_takes_what_is_sent_and_says_nothing_delays_and_pays_once(rigs: Rigs, kind: str) -> None:
    async with rigs() as rig, provider(rig.node.url) as one, seen_by(rig, one) as it, running(it, "watch", "payer"):
        n = 0

        def fault(method: str) -> Fault | None:
            nonlocal n
            n += 1
            return Fault(kind, slow_s=2 * TIMEOUT_S) if method == "eth_sendRawTransaction" or n % 5 == 0 else None

        async def heals() -> None:
            await it.until(lambda: one.done[kind] > 5)
            one.fault = honest

        one.fault = fault
        assert await both(moved(it), heals()) == (AMOUNT - PAYOUT, PAYOUT)
        assert await count(it, batch.Signed) == 1
        assert await it.treasury() == (AMOUNT - PAYOUT,) * 2


async def test_a_provider_that_lags_behind_the_other_delays_and_harms_nothing(rigs: Rigs) -> None:
    async with rigs() as rig, provider(rig.node.url) as good, provider(rig.node.url) as late, seen_by(rig, good, late) as it:
        late.fault = always("lagging", behind=3)
        async with running(it, "watch", "payer"):
            assert await moved(it) == (AMOUNT - PAYOUT, PAYOUT)
        assert [await count(it, kind) for kind in (deposit.Orphaned, batch.Unmined)] == [0, 0]


async def test_one_of_two_providers_that_is_gone_stops_everything_and_says_so(rigs: Rigs) -> None:
    async with rigs() as rig, provider(rig.node.url) as good, provider(rig.node.url) as gone, seen_by(rig, good, gone) as it:
        with structlog.testing.capture_logs() as lines:
            async with running(it, "watch", "payer"):
                gone.fault = always("refused")
                someone = await it.person()
                await it.deposit(someone, AMOUNT)
                await it.until(lambda: gone.done["refused"] > 20)
                assert (it.available(someone), it.world.deposits) == (0, {})
                assert any(line["event"] == "waits" and line["why"].startswith("ChainSilent") for line in lines)
                gone.fault = honest
                await it.until(lambda: it.available(someone) == AMOUNT and any(line["event"] == "goes on" for line in lines))


async def test_a_node_of_another_chain_halts_the_daemons_before_they_believe_it(rigs: Rigs) -> None:
    async with rigs() as rig, provider(rig.node.url) as other, seen_by(rig, other) as it:
        other.fault = lying(eth_chainId=lambda _: "0x1")
        with structlog.testing.capture_logs() as lines:
            async with running(it, "watch"):
                await it.until(lambda: any(line["event"] == "halted" for line in lines))
        [why] = [line["why"] for line in lines if line["event"] == "halted"]
        assert why.startswith("the node is of chain 1, and usdc is on chain 31337")


async def both(one: Awaitable[Any], other: Awaitable[Any]) -> Any:
    return (await asyncio.gather(one, other))[0]


def as_port(quorum: Quorum) -> chain.Chain:
    """The type checker's proof that several nodes are asked like one."""
    return quorum
