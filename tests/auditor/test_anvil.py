"""The chain's checks on a real chain: a whole life whose deposits, beacons, payouts and anchors are in anvil's blocks."""

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from adapters.evm import transaction
from adapters.evm.wallet import Wallet
from auditor.export import export
from auditor.facts import Facts
from auditor.report import OF_CHAIN, Report
from auditor.verify import verify
from domain import accounts
from domain.accounts import USDC
from domain.event import Event, Recorded
from domain.ids import PayoutId
from domain.proof import beacon
from domain.treasury import anchor, batch, deposit
from domain.treasury.account import DAEMONS
from domain.units import Units
from tests import network
from tests.auditor.served import served
from tests.fix_chain import Rig, Rigs
from tests.network import CHAIN_ID, Network

pytestmark = pytest.mark.system

T = TypeVar("T")
Events = list[Recorded[Event]]


class Settled(Network):
    """A network that settles on a real chain. It lives in a thread, beside the event loop of the chain's clients."""

    rig: Rig
    loop: asyncio.AbstractEventLoop

    def ask(self, question: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(question, self.loop).result()

    def deposit(self, to: str, amount: int) -> Events:
        receipt = self.ask(self.rig.creator.deposit(self.rig.treasury, self.rig.token, to, amount, mint=True))
        [log] = self.ask(self.rig.chain.deposits(receipt.block, receipt.block))
        watch, where = self.daemon("watch"), {"tx": log.tx, "log_index": log.log_index, "block": log.block}
        self.do(watch, deposit.See(account=log.account, asset=USDC, amount=Units(log.amount), **where))  # type: ignore[arg-type]
        return self.do(watch, deposit.Finalise(**where))  # type: ignore[arg-type]

    def beacon(self) -> Events:
        grid_us = self.world.next_grid_us()
        if grid_us is None or grid_us > self.now_us + 10 * self.policy.grid_us:
            return []
        due_s = -(-(grid_us + self.policy.delay_us) // 10**6)
        block = self.ask(self.rig.chain.first_block_since(due_s))
        if block is None:
            self.ask(self.rig.node.call("evm_setNextBlockTimestamp", due_s))
            self.ask(self.rig.mine())
            block = self.ask(self.rig.chain.first_block_since(due_s))
        assert block is not None
        self.now_us = max(self.now_us, grid_us + self.policy.delay_us)
        command = beacon.Bring(grid_us=grid_us, chain_id=CHAIN_ID, block_number=block.number, block_hash=block.hash)
        return self.do(self.daemon("watch"), command)

    def land(self, *, failing: Sequence[PayoutId] = ()) -> Events:
        """The real contract decides what fails: nothing does."""
        it, watch = next(iter(self.world.batches.values())), self.daemon("watch")
        receipt = self.ask(self.rig.sent(it.raw_tx))
        mined = batch.Mine(batch=it.id, tx_hash=receipt.tx, block=receipt.block, paid=tuple(it.payouts), failed=())
        self.do(watch, mined)
        return self.do(watch, batch.Finalise.model_validate(dict(mined) | {"gas": Units(receipt.gas_wei)}))

    def anchor(self) -> None:
        head, key = self.ledger.head, self.signers[self.daemon("anchorer")]
        [receipt] = self.ask(Wallet(self.rig.chain, key).run(transaction.anchor(self.rig.treasury, head.root, head.size)))
        command = anchor.Anchor(size=head.size, root=head.root, tx=receipt.tx, block=receipt.block)
        self.do(self.daemon("anchorer"), command)

    def reconcile(self) -> None:
        block = self.ask(self.rig.chain.head()).number
        balance = str(self.ask(self.rig.chain.held(block)))
        self.do(self.daemon("watch"), anchor.Reconcile(asset=USDC, block=block, balance=balance))


def live(it: Settled, workers: dict[str, Any], creator: Any) -> None:
    job_id = it.submit(creator)
    it.open(job_id)
    while it.world.jobs[job_id].status == "open":
        network.work(it, workers)
    it.wait(2 * it.policy.maturity_us)
    it.wait(2 * it.policy.epoch_us)
    network.pay_all(it)
    it.anchor()
    it.reconcile()


async def settled(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Settled:
    Settled.rig, Settled.loop = rig, asyncio.get_running_loop()
    monkeypatch.setattr(network, "Network", Settled)
    monkeypatch.setattr(network, "TREASURY", rig.treasury)
    monkeypatch.setattr(network, "TOKEN", rig.token)
    payer, anchorer = (network.key(3 + DAEMONS.index(role)).address for role in ("payer", "anchorer"))
    for address in (payer, anchorer):
        await rig.node.fund(address)
    data = transaction.encode("appoint(address,address,address)", rig.creator.address, payer, anchorer)
    await rig.creator.run(transaction.Call(rig.treasury, data, 200_000))
    it, creator, workers = await asyncio.to_thread(network.populated)
    assert isinstance(it, Settled)
    await asyncio.to_thread(live, it, workers, creator)
    return it


async def audited(it: Settled, path: Path) -> Report:
    """Exported over HTTP and from the chain, verified against the chain."""

    def audit() -> Report:
        with served(it.records, it.objects, Facts(CHAIN_ID, 0, (), (), (), ())) as url:
            export(url, it.rig.node.url, path)
        return verify(path, it.rig.node.url)

    return await asyncio.to_thread(audit)


async def test_a_life_on_a_real_chain_is_clean_and_its_balance_is_the_treasurys(
    rigs: Rigs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rigs() as rig:
        it = await settled(rig, monkeypatch)
        report = await audited(it, tmp_path / "b")

        assert (report.exit, report.findings, report.notes) == (0, (), ())
        assert [check.name for check in report.checks if check.name in OF_CHAIN and not check.seen] == []
        assert it.world.balances[accounts.treasury(USDC)] == await rig.chain.held((await rig.chain.head()).number)


async def test_what_happens_beside_the_ledger_is_found(rigs: Rigs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deposit that the watch does not report, then a reconciliation that hides it; and a root anchored that is not the log's."""
    async with rigs() as rig:
        it = await settled(rig, monkeypatch)
        await rig.creator.deposit(rig.treasury, rig.token, "account-14", 50_000_000, mint=True)
        balance = str(it.world.balances[accounts.treasury(USDC)])
        block = (await rig.chain.head()).number
        command = anchor.Reconcile(asset=USDC, block=block, balance=balance)
        hidden = (await asyncio.to_thread(it.do, it.daemon("watch"), command))[0].pos
        key = it.signers[it.daemon("anchorer")]
        await Wallet(rig.chain, key).run(transaction.anchor(rig.treasury, "ab" * 32, it.ledger.head.size))

        report = await audited(it, tmp_path / "b")

        expected = [("deposits", hidden), ("treasury", hidden), ("anchors", it.ledger.head.size)]
        assert sorted((found.check, found.position) for found in report.findings) == sorted(expected)
