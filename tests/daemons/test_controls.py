"""Negative controls: each protection taken away by a small patch, and the same judges that are content otherwise find what comes of it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from unittest import mock

import pytest
import structlog.testing

from domain.errors import Refused
from domain.house import invariants
from domain.log.receipts import Ask, Receipt
from domain.parts import Batch
from domain.treasury import batch, chain, deposit
from tests.daemons.rig import Rig
from tests.daemons.test_kills import Mortal, story, wrong
from worker_runtime.daemons import batches, deposits, fees, loop
from worker_runtime.daemons.ground import Ground
from worker_runtime.daemons.payer import Payer

AMOUNT, PAYOUT, FINALITY = 20_000_000, 1_000_000, 12


@contextmanager
def another_nonce() -> Iterator[None]:
    """What is stuck is signed under the next nonce, and the ledger lets that pass."""

    async def bump(self: Payer, it: Batch) -> None:
        terms = fees.usual(await self._node.fees())
        await self._put([self._desk.world.payouts[id] for id in it.payouts], it.nonce + 1, terms, it)

    with mock.patch.object(Payer, "_bump", bump), mock.patch.object(batch.Sign, "_bumped", lambda self, *_: self.nonce):
        yield


@contextmanager
def early_credit() -> Iterator[None]:
    real = deposits.changes
    with mock.patch.object(deposits, "changes", lambda world, asset, logs, last, final: real(world, asset, logs, last, last)):
        yield


@contextmanager
def ignored_reorg() -> Iterator[None]:
    """What was mined once is not looked at again."""
    real = batches.found

    async def found(node: chain.Chain, it: Batch, story: batches.Told, head: int) -> batches.Found | None:
        if it.status == "mined":
            return batches.Found(it.tx_hash, it.block, 1, story.paid, story.failed)
        return await real(node, it, story, head)

    with mock.patch.object(batches, "found", found):
        yield


@contextmanager
def sent_before_signed() -> Iterator[None]:
    """The bytes go out, and are an event only then."""
    real = Payer._put

    async def put(self: Payer, payouts: Any, nonce: int, terms: fees.Terms, bumped: Batch | None) -> None:
        asset = self._desk.world.assets[self._asset]
        items = [(it.id, it.to, int(it.amount)) for it in payouts]
        odd = {"chain_id": asset.chain_id, "fee_wei_max": 10**13, "tip_wei": terms.tip_wei}
        await self._node.send(self._signer.sign_payout_batch(asset.treasury, nonce, items, **odd)[0])
        await real(self, payouts, nonce, terms, bumped)

    with mock.patch.object(Payer, "_put", put):
        yield


@contextmanager
def forgetful_contract() -> Iterator[None]:
    real = Rig.__init__

    def init(self: Rig, *given: Any) -> None:
        real(self, *given)
        self.chain.forgets = True

    with mock.patch.object(Rig, "__init__", init):
        yield


PLANTS = {
    "another nonce": (another_nonce,),
    "another nonce, and a contract that forgets": (another_nonce, forgetful_contract),
    "credit before finality": (early_credit,),
    "a reorg is ignored": (ignored_reorg,),
    "sent before it was signed": (sent_before_signed,),
}


@pytest.mark.parametrize("plant", PLANTS)
async def test_what_a_planted_fault_does_to_money_is_found(plant: str) -> None:
    it = Mortal()
    with ExitStack() as stack, structlog.testing.capture_logs():
        for patch in PLANTS[plant]:
            stack.enter_context(patch())
        it = Mortal()
        with suppress(loop.Halted, Refused, KeyError):
            await story(it)
    found = list(wrong(it.rig))
    assert found != []
    if plant.endswith("forgets"):
        assert any("the recipients got" in each for each in found)


async def test_with_every_protection_the_judge_is_content() -> None:
    it = Mortal()
    await story(it)
    assert list(wrong(it.rig)) == []


async def ruined(rig: Rig) -> str:
    """A deposit that was credited is gone for good, and its owner asks for his money. Says what stopped him."""
    someone = await rig.funded(AMOUNT)
    await rig.funded(AMOUNT)
    depth, [tx] = len(rig.chain.blocks) - 1, [log.tx for log in rig.chain.state().deposits if log.account == someone]
    rig.chain.reorg(depth, without=(tx,))
    rig.chain.mine(depth + 3)
    try:
        await rig.watch.step()
        rig.net.request(someone, "customer", PAYOUT)
        rig.net.wait(rig.world.policy.batch_wait_us)
        await rig.payer.step()
    except (loop.Halted, loop.Waits) as stopped:
        return str(stopped)
    return ""


async def test_without_a_look_at_the_ground_money_is_paid_that_is_not_there() -> None:
    assert "was final as" in await ruined(Rig("standard"))

    async def content(self: Ground, head: chain.Block) -> str:
        return ""

    rig = Rig("standard")
    with mock.patch.object(Ground, "fault", content):
        assert await ruined(rig) == ""
    assert (len(rig.chain.sent), rig.treasury()) == (1, 2 * AMOUNT)
    assert rig.chain.state().held < rig.treasury()


@pytest.mark.parametrize("confirms", [True, False])
async def test_without_a_second_source_logs_that_lag_lose_a_deposit(confirms: bool) -> None:
    """A provider of several machines: the head comes from one that is there, the logs from one that is behind."""
    rig = Rig("standard")
    someone = rig.net.person("creator")
    rig.chain.deposit(someone, AMOUNT)
    await rig.pass_s(2)
    rig.chain.mine(FINALITY)
    with ExitStack() as stack:
        if not confirms:
            stack.enter_context(mock.patch.object(deposits, "confirm", mock.AsyncMock()))
        for _ in range(3):
            with mock.patch.object(rig.chain, "deposits", mock.AsyncMock(return_value=[])), suppress(chain.ChainSilent):
                await rig.watch.step()
        await rig.pass_s(3)
    assert rig.available(someone) == (AMOUNT if confirms else 0)


@pytest.mark.parametrize("checks", [True, False])
async def test_without_a_check_of_the_result_a_late_second_watch_takes_back_what_was_not_paid(checks: bool) -> None:
    rig = Rig("standard")
    people = [await rig.funded() for _ in range(2)]
    for who in people:
        rig.net.request(who, "customer", PAYOUT)
    rig.net.wait(rig.world.policy.batch_wait_us)
    rig.chain.refusing.add(rig.world.people[people[1]].payout_address)
    await rig.pass_s(2)
    [mined] = [it.event for it in rig.net.events if isinstance(it.event, batch.Mined)]
    late = batch.Unmine(batch=mined.batch, paid=tuple(it.payout for it in (*mined.paid, *mined.failed)), failed=())

    def unchecked(world: Any, it: Batch, told: Any, verb: str) -> Any:
        return batch.items(world, told[0]), batch.items(world, told[1])

    with ExitStack() as stack, suppress(Refused):
        if not checks:
            stack.enter_context(mock.patch.object(batch, "as_mined", unchecked))
        rig.net.do(rig.net.daemon("watch"), late)
    assert any(invariants.breaches(rig.world)) == (not checks)


@pytest.mark.parametrize("looks_again", [True, False])
async def test_a_watch_that_moves_on_without_looking_again_loses_a_deposit_that_another_one_took_back(looks_again: bool) -> None:
    """Two watches, one on a fork that lost: between the first one's look and its word the other one takes the deposit back."""
    rig = Rig("standard")
    someone = rig.net.person("creator")
    tx = rig.chain.deposit(someone, AMOUNT)
    await rig.pass_s(1)
    rig.chain.mine(FINALITY)
    submit, theirs = rig.submit, [deposit.Orphan(tx=tx, log_index=0)]

    async def after_another(ask: Ask) -> Receipt:
        if theirs:
            rig.net.do(rig.net.daemon("watch"), theirs.pop())
        return await submit(ask)

    with mock.patch.object(rig, "submit", after_another):
        rig.watch = rig.start_watch()
    await rig.watch.step()
    if not looks_again:
        rig.watch._done = len(rig.chain.blocks)
    await rig.pass_s(3)
    assert rig.available(someone) == (AMOUNT if looks_again else 0)
