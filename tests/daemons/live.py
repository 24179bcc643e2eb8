"""The daemons as they run: a real sequencer and follower over a log in memory, and a treasury on a real node."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from unittest import mock
from uuid import UUID

from adapters import signer
from adapters.log.follower import Follower
from adapters.sequencer import Sequencer
from domain import accounts
from domain.accounts import ETH, USDC
from domain.body import Body
from domain.event import Event, Recorded
from domain.house.genesis import FirstAsset, Founder, Init
from domain.ids import AccountId, Actor
from domain.log import wire
from domain.log.ledger import Ledger
from domain.log.log import MemoryLog
from domain.log.merkle import Head
from domain.log.receipts import Ask, Receipt
from domain.policy import DEMO, POLICIES, Policy
from domain.signing import typed_data
from domain.treasury import account, chain, payout
from domain.treasury.account import DAEMONS
from domain.units import Units
from domain.world import World
from tests import fix_chain, network
from tests.contracts.log import everything
from worker_runtime.daemons.anchorer import Anchorer
from worker_runtime.daemons.loop import Desk
from worker_runtime.daemons.payer import Payer
from worker_runtime.daemons.presence import Presence
from worker_runtime.daemons.watch import Watch

WAIT_S = 20.0


class Live:
    """One ledger with its daemons; `rig` is the chain, and `node` how the daemons see it."""

    def __init__(self, rig: fix_chain.Rig, node: chain.Chain, log: MemoryLog, sequencer: Sequencer, follower: Follower) -> None:
        self.rig, self.node, self.log, self._sequencer, self.follower = rig, node, log, sequencer, follower
        self.bump_us = 2_000_000
        self.keys = dict[AccountId, signer.Signer]()
        self.mining, self._n = True, 0

    @property
    def world(self) -> World:
        return self.follower.world

    def start(self, *roles: str, reader: Follower | None = None) -> list[asyncio.Task[None]]:
        """These daemons, or all, as gridledger.py wires them; `reader` is another follower of the log."""
        rig, node = self.rig, self.node
        desks = {role: Desk(role, reader or self.follower, self._sequencer.submit, self._sequencer.now_us) for role in DAEMONS}
        runs = {
            "watch": Watch(desks["watch"], node, USDC).run,
            "payer": Payer(desks["payer"], node, rig.payer, signer.decode_batch, USDC, bump_us=self.bump_us).run,
            "anchorer": Anchorer(desks["anchorer"], node, rig.anchorer, USDC).run,
            "presence": Presence(desks["presence"]).run,
        }
        return [asyncio.create_task(runs[role](), name=role) for role in roles or runs]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition():  # noqa: ASYNC110 - of things that announce nothing
                await asyncio.sleep(0.02)

    async def pause(self) -> None:
        """A moment in which daemons look."""
        await asyncio.sleep(0.05)

    async def do(self, actor: Actor, command: Body, owner: AccountId) -> Receipt:
        self._n += 1
        key = str(UUID(int=(time.time_ns() // 1_000_000 << 80) | 0x7 << 76 | 0x2 << 62 | self._n))
        claim = command.claim(owner)
        if claim:
            document = typed_data(self.follower.head.log, network.CHAIN_ID, claim)
            command = command.model_copy(update={"signature": self.keys[owner].sign_typed(document)})
        by = self.keys[owner].address if claim else ""
        ask = Ask.keyed(actor, key, command, command.model_dump_json().encode(), account=owner, signer=by)
        receipt = await self._sequencer.submit(ask)
        await self.follower.reached(receipt.position, WAIT_S)
        return receipt

    async def person(self) -> AccountId:
        """Somebody with an owner key, which is the payout address as well."""
        actor = Actor(f"key-{sha256(b'person %d' % len(self.keys)).hexdigest()}")
        id = AccountId(Actor(f"account-{(await self.do(actor, account.Open(roles=('creator',)), AccountId(Actor('')))).position}"))
        me = self.keys[id] = signer.generate()
        key = account.SigningKey(alg="eip712", key=me.address, purpose="owner")
        await self.do(id, account.Change(keys_added=(key,), payout_address=me.address), id)
        return id

    async def deposit(self, to: AccountId, amount: int) -> None:
        await self.rig.creator.deposit(self.rig.treasury, self.rig.token, to, amount, mint=True)

    async def request(self, owner: AccountId, amount: int) -> None:
        number, to = self.world.people[owner].payouts + 1, self.keys[owner].address
        facts = {"asset": USDC, "kind": "customer", "to": to, "amount": Units(amount), "number": number, "signature": network.DUMMY}
        await self.do(owner, payout.Request.model_validate(facts), owner)

    def available(self, of: AccountId) -> int:
        return self.world.credit(accounts.available(USDC, of))

    async def received(self, by: AccountId) -> int:
        return await self.rig.chain.balance(self.rig.token, self.keys[by].address, (await self.rig.chain.head()).number)

    async def treasury(self) -> tuple[int, int]:
        """(in the ledger, on the chain)."""
        held = await self.rig.chain.held((await self.rig.chain.head()).number)
        return self.world.balances.get(accounts.treasury(USDC), 0), held

    async def events(self) -> list[Recorded[Event]]:
        records = await everything(self.log)
        return [wire.event(line) for record in records for line in record.split(b"\n")[1:-1]]


@contextlib.asynccontextmanager
async def live(rig: fix_chain.Rig, *, node: chain.Chain | None = None, policy: Policy = DEMO, block_s: float = 1.0) -> AsyncIterator[Live]:
    """Everything but the daemons started, and a block each second while `mining`."""
    log, empty = MemoryLog(), Head(network.LOG)
    assets = (
        FirstAsset(USDC, 6, network.CHAIN_ID, rig.token, rig.treasury),
        FirstAsset(ETH, 18, network.CHAIN_ID, "0x" + "0" * 40, rig.treasury),
    )
    founders = [Founder(sha256(b"secret %d" % n).hexdigest(), network.key(n).address) for n in range(2 + len(DAEMONS))]
    init = Init(network.LOG, "memory", "demo", (founders[0], founders[1]), tuple(founders[2:]), assets, ())
    with mock.patch.dict(POLICIES, {"demo": policy}):
        await log.append(Ledger(empty).genesis(init, time.time_ns() // 1000))
    sequencer, follower = Sequencer(log, lambda: Ledger(empty), "test"), Follower(log, Ledger(empty))
    it = Live(rig, node or rig.chain, log, sequencer, follower)

    async def blocks() -> None:
        while True:
            await asyncio.sleep(block_s)
            if it.mining:
                await rig.mine()

    runs = [asyncio.create_task(run) for run in (sequencer.run(), follower.run(), blocks())]
    await it.until(lambda: follower.head.size > 0 and sequencer.leading)
    try:
        yield it
    finally:
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)


@contextlib.asynccontextmanager
async def running(it: Live, *roles: str) -> AsyncIterator[None]:
    """The daemons, killed at the end. Raises what ended one of them before."""
    tasks = it.start(*roles)
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
