"""Creators, providers and checkers' owners: what they ask for, again and again under the same key until they are told what became of it."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from domain.accounts import USDC
from domain.body import Body
from domain.errors import Refused
from domain.house import override
from domain.ids import AccountId, Actor, JobId, PayoutId, TaskId, WorkerId
from domain.log.log import Busy, OutcomeUnknown, Unreachable
from domain.log.receipts import Ask, Receipt
from domain.market import bid, worker
from domain.parts import Job
from domain.treasury import batch, payout, stake
from domain.units import Units
from domain.work import job, task
from domain.world import World
from tests.network import CLASS, DUMMY, ENGINE, GRID, GROUP, SAMPLES, SIZE
from tests.simulator.loop import Life
from tests.simulator.script import Entry
from tests.simulator.twins import EPOCH_US, Silent

if TYPE_CHECKING:
    from tests.simulator.play import Play

FUNDS, STAKE = 50_000_000, 5_000_000
PAUSE_S = 0.7


class People:
    """All of them, behind one connection."""

    def __init__(self, play: "Play") -> None:
        self.play = play
        self.ids = list[AccountId]()
        self.asked = list[Ask]()
        """Keyed commands that were answered for good, for whoever asks again."""
        self.life: Life | None = None
        self._made = self._turn = 0

    @property
    def world(self) -> World:
        """What they know: all that is in the log."""
        return self.play.judges.ledger.world

    def start(self) -> None:
        self.life = self.play.loop.begin("people", 1, self._live)

    async def _live(self, life: Life) -> None:
        await asyncio.gather(*(self._arrive(id) for id in self.ids))

    async def _arrive(self, id: AccountId) -> None:
        """Pay in, and lock a stake when it is there."""
        self.play.chain.deposit(id, FUNDS)
        while self.world.credit(payout.source(USDC, id, "customer")) < STAKE:  # noqa: ASYNC110 - a world announces nothing
            await asyncio.sleep(1)
        await self.insist(id, self._lock(id, STAKE))

    def do(self, entry: Entry) -> None:
        """A deed of the script begins."""
        assert self.life
        deed: Callable[[Entry], object] = getattr(self, "_" + entry.what.replace(" ", "_"))
        self.play.inside(self.life, lambda: deed(entry))

    async def insist(self, who: Actor, command: Body, *, keyed: bool = True, once: bool = False) -> Receipt | Refused | None:
        """Ask until the answer is for good; `once`: or do not care."""
        ask = self._keyed(who, command) if keyed else self.play.ask_of(who, command)
        self.play.judges.asks(ask)
        outcome = await self.press(ask, once=once)
        if keyed and outcome is not None:
            self.asked.append(ask)
        return outcome

    async def press(self, ask: Ask, *, once: bool = False) -> Receipt | Refused | None:
        while True:
            server = self.play.servers[self._turn % len(self.play.servers)]
            try:
                receipt = await self.play.net.ask(server.life, server.name, partial(server.command, ask))
            except Refused as refusal:
                return refusal
            except (Busy, Silent, OutcomeUnknown, Unreachable, TimeoutError):
                self._turn += 1
                if once:
                    return None
                await asyncio.sleep(PAUSE_S)
            else:
                self.play.judges.heard(ask, receipt)
                return receipt

    def _keyed(self, who: Actor, command: Body) -> Ask:
        self._made += 1
        now_ms = (EPOCH_US + self.play.loop.now_us()) // 1_000
        key = str(UUID(int=now_ms << 80 | 0x7 << 76 | 0x2 << 62 | self._made))
        account = AccountId(who)
        signer = self.play.signer_of(account, command)
        return Ask.keyed(
            who, key, command, type(command).__name__.encode() + command.model_dump_json().encode(), account=account, signer=signer
        )

    def _start(self, who: Actor, command: Body, *, keyed: bool = True, once: bool = False) -> None:
        self.play.task(self.insist(who, command, keyed=keyed, once=once))

    def _some(self, entry: Entry) -> AccountId:
        return self.ids[entry.pick % len(self.ids)]

    # Deeds.

    def _submit(self, entry: Entry) -> None:
        now_us = EPOCH_US + self.play.loop.now_us()
        command = job.Submit(
            engine=ENGINE,
            manifest_sha256=f"{entry.pick:064x}",
            frames=1 + entry.pick % 2,
            size=SIZE,
            tiles=GRID,
            group=GROUP,
            samples=SAMPLES,
            limit_price=Units((165, 200, 200, 100)[entry.pick % 7 % 4] * 10**6),
            deadline_us=now_us + 50_000_000 if entry.pick % 5 == 0 else 0,
        )
        self._start(self._some(entry), command)

    def _open(self, entry: Entry) -> None:
        if quoted := [it for it in self.world.jobs.values() if it.status == "quoted"]:
            it = quoted[entry.pick % len(quoted)]
            self._start(it.creator, job.Open(job=it.id))

    def _deposit(self, entry: Entry) -> None:
        who: str = "nobody" if entry.pick % 9 == 0 else self._some(entry)
        self.play.chain.deposit(who, (5_000_000, 12_000_001, 30_000_000)[entry.pick % 3])

    def _payout(self, entry: Entry) -> None:
        kind: payout.Kind = ("worker", "checker", "customer")[entry.pick % 3]
        owner = self._some(entry)
        has, person = self.world.credit(payout.source(USDC, owner, kind)), self.world.people[owner]
        amount = Units(max(1, int(has) if kind != "customer" else int(has) // 7))
        facts = {"asset": USDC, "kind": kind, "to": person.payout_address, "amount": amount, "number": person.payouts + 1}
        self._start(owner, payout.Request.model_validate({**facts, "signature": DUMMY}))

    def _cancel_payout(self, entry: Entry) -> None:
        if waiting := [it for it in self.world.payouts.values() if it.status == "requested"]:
            it = waiting[entry.pick % len(waiting)]
            self._start(it.account, payout.Cancel(payout=it.id))

    def _lock(self, owner: AccountId, amount: int) -> stake.Lock:
        return stake.Lock(asset=USDC, amount=Units(amount), number=self.world.people[owner].stakes + 1, signature=DUMMY)

    def _stake(self, entry: Entry) -> None:
        owner = self._some(entry)
        self._start(owner, self._lock(owner, 1 + entry.pick * 1_000))

    def _unlock(self, entry: Entry) -> None:
        owner = self._some(entry)
        number = self.world.people[owner].stakes + 1
        self._start(owner, stake.Unlock(asset=USDC, amount=Units(1 + entry.pick * 1_000), number=number, signature=DUMMY))

    def _rebid(self, entry: Entry) -> None:
        workers = [it for it in self.world.workers.values() if it.kind != "checker"]
        it = workers[entry.pick % len(workers)]
        price = (None, Units(140_000_000), Units(190_000_000))[entry.pick % 3] if entry.pick % 4 else Units(160_000_000)
        facts = {"worker": it.id, "class": CLASS, "price_per_kwu": price, "number": it.bids + 1, "signature": DUMMY}
        self._start(it.owner, bid.Bid.model_validate(facts), keyed=False)
        self.play.later(6.0, lambda: self.bid_again(it.id))

    def bid_again(self, id: WorkerId) -> None:
        """Nobody stays without a bid."""
        assert self.life
        it = self.world.workers[id]
        if not it.classes[CLASS].price:
            facts = {"worker": id, "class": CLASS, "price_per_kwu": Units(150_000_000), "number": it.bids + 1, "signature": DUMMY}
            self.play.inside(self.life, lambda: self._start(it.owner, bid.Bid.model_validate(facts), keyed=False))

    def _change_job(self, entry: Entry) -> None:
        if jobs := list(self.world.jobs.values()):
            it = jobs[entry.pick % len(jobs)]
            kind = (job.Pause, job.Resume, job.Cancel)[entry.pick // 7 % 3]
            self._start(it.creator if entry.pick % 6 else self._some(entry), kind(job=it.id))

    def _foolish(self, entry: Entry) -> None:
        nobody = ("1", "999999999")[entry.pick % 2]
        tx = "0x" + "0" * 64
        silly: list[Body] = [
            job.Open(job=JobId(f"job-{nobody}")),
            task.Stop(task=TaskId(f"job-{nobody}/1"), fence=1, code="x"),
            payout.Approve(payout=PayoutId(f"payout-{nobody}")),
            worker.GoOnline(worker=WorkerId(AccountId(f"worker-{nobody}")), session="0" * 8),  # type: ignore[arg-type]
            batch.Sign(asset=USDC, payouts=(PayoutId(f"payout-{nobody}"),), nonce=0, raw_tx="0xab", tx_hash=tx),
        ]
        self._start(self._some(entry), silly[entry.pick % len(silly)])

    def _again(self, entry: Entry) -> None:
        """The same key once more, sometimes for another request."""
        if not self.asked:
            return
        ask = self.asked[entry.pick % len(self.asked)]
        if entry.pick % 4 == 0:
            other = msgspec.structs.replace(ask, body="f" * 32)
            self.play.task(self.press(other, once=True))
        else:
            self.play.task(self.press(ask))

    def _lose_interest(self, entry: Entry) -> None:
        """Ask once and do not wait for what becomes of it."""
        owner = self._some(entry)
        self._start(owner, self._lock(owner, 1_000 + entry.pick), once=True)

    def _freeze(self, entry: Entry) -> None:
        """The watch stops the money; two admins let it go again."""
        number = self.world.overrides + 1
        self._start(self.play.founding.daemon("watch"), override.Override(action="freeze", reason="drill", number=number), keyed=False)
        self.play.later(1.0 + entry.pick % 7, self.release)

    def release(self) -> None:
        assert self.life
        if self.world.frozen:
            one, other = (id for id, person in self.world.people.items() if "admin" in person.roles)
            facts = {"action": "release", "reason": "drill", "number": self.world.overrides + 1, "approver": other, "approval": DUMMY}
            self.play.inside(self.life, partial(self._start, one, override.Override.model_validate(facts), keyed=False))

    # The end.

    def tidy(self, last: bool) -> None:
        """After everything healed, jobs go on; at last those are given up that nobody will do."""
        assert self.life
        self.release()
        for it in list(self.world.jobs.values()):
            command: Body | None = self._wish(it, last)
            if command:
                self.play.inside(self.life, partial(self._start, it.creator, command))

    def _wish(self, it: Job, last: bool) -> Body | None:
        if it.status in {"quoted", "open", "paused"} and last:
            return job.Cancel(job=it.id)
        return job.Resume(job=it.id) if it.status == "paused" else None
