"""Any number of payouts over a real node while everything around them goes wrong, and what is to be said of them afterwards.

The chain replaces up to twelve of its last blocks, forgets what waits, and gets dear; two providers refuse, lose answers, lag, and one at
a time lies; watch, payer and anchorer are killed anywhere and started again, at times twice, the second ones with an old view of the
log; the payer's wallet runs dry; some recipients refuse. One seed draws what happens when. Then all heals, and every payout id has one
payment.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from random import Random
from unittest import mock

import msgspec

from adapters import signer
from adapters.chain import EvmChain
from adapters.evm import anvil, contracts, transaction
from adapters.evm.quorum import Quorum
from adapters.log.follower import Follower
from domain.errors import Refused
from domain.ids import AccountId, PayoutId
from domain.log.block import Sealed
from domain.log.ledger import Ledger
from domain.log.log import MemoryLog
from domain.log.merkle import Head
from domain.policy import DEMO
from domain.treasury import anchor, batch, chain
from tests import network
from tests.daemons.live import Live, live
from tests.fix_chain import Rig, standing
from tests.payouts import judge
from tests.payouts.lies import LIES
from tests.payouts.provider import Fault, Provider, honest, provider

FINALITY = 12
ROLES = ("watch", "payer", "anchorer")
POLICY = msgspec.structs.replace(DEMO, finality_blocks=FINALITY, batch_wait_us=300_000, payday_us=0, anchor_us=1_000_000)
CONTRACTS = Path(__file__).parents[1] / "chain"
PEOPLE, MOODY = 20, 4
AMOUNT_MIN, AMOUNT_MAX, FUNDS = 10_000, 50_000, 20_000_000
BLOCK_S, TIMEOUT_S, BUMP_US = 0.06, 0.3, 600_000
ASKED_AT_ONCE = 4
WEALTH_WEI = 1_000 * anvil.ETHER_WEI
SETTLE_S = 120.0
REVERTS, SAYS_NO, BURNS_GAS = 1, 2, 3


class Report(msgspec.Struct):
    """What happened, and what was found wrong."""

    seed: int
    payouts: int = 0
    """Asked for, and paid in the end."""
    failed: int = 0
    """Payments that a recipient refused; asked for anew, and paid then."""
    batches: int = 0
    blocks: int = 0
    reorgs: int = 0
    unmined: int = 0
    bumps: int = 0
    anchors: int = 0
    drops: int = 0
    spikes: int = 0
    dry: int = 0
    kills: int = 0
    doubles: int = 0
    rpc: dict[str, int] = {}
    seconds: float = 0.0
    findings: list[str] = []


class LateLog:
    """Another process's view of a log: while `held`, nothing new arrives there."""

    def __init__(self, log: MemoryLog) -> None:
        self._log, self.held = log, False

    async def append(self, block: Sealed) -> None:
        await self._log.append(block)

    async def read(self, after: int = 0, *, follow: bool = False) -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(self._log.read(after, follow=follow)) as records:
            async for record in records:
                while self.held:  # noqa: ASYNC110 - of things that announce nothing
                    await asyncio.sleep(0.01)
                yield record


class Crowd:
    """Those who deposit and ask for payouts. What they sent to the chain they send again until it is there."""

    def __init__(self, it: Live, random: Random) -> None:
        self._it, self._random = it, random
        self.people = list[AccountId]()
        self.asked = list[tuple[AccountId, int]]()
        self.moody = list[AccountId]()
        self._key, self._nonce = signer.generate(), 0
        self._raws = list[tuple[str, str]]()

    async def come(self) -> None:
        """They open accounts and deposit; the recipients among them that refuse do so from now on."""
        it, rig = self._it, self._it.rig
        await rig.node.fund(self._key.address, 10**6 * anvil.ETHER_WEI)
        self.people = [await it.person() for _ in range(PEOPLE)]
        self.moody = self.people[:MOODY]
        await self.send(transaction.mint(rig.token, self._key.address, 10**15))
        await self.send(transaction.approve(rig.token, rig.treasury, 10**15))
        for n, someone in enumerate(self.moody):
            await self.mood(someone, (REVERTS, SAYS_NO, BURNS_GAS)[n % 3])
        for someone in self.people:
            await self.deposit(someone)

    async def deposit(self, someone: AccountId) -> None:
        await self.send(transaction.deposit(self._it.rig.treasury, someone, FUNDS))

    async def mood(self, someone: AccountId, mood: int) -> None:
        address = self._it.keys[someone].address
        await self.send(transaction.Call(self._it.rig.token, transaction.encode("set_mood(address,uint256)", address, mood), 80_000))

    async def send(self, call: transaction.Call) -> None:
        signed = self._key.sign_call(call, transaction.Terms(anvil.CHAIN_ID, self._nonce, 10**14, 10**9))
        self._nonce += 1
        self._raws.append((signed.raw, signed.tx))
        await self.again()

    async def again(self) -> None:
        """Send what is in no block, in order; what is final is forgotten."""
        chain_ = self._it.rig.chain
        head = await chain_.head()
        for raw, tx in list(self._raws):
            if receipt := await chain_.receipt(tx):
                if head.number - receipt.block > FINALITY:
                    self._raws.remove((raw, tx))
            else:
                with contextlib.suppress(chain.ChainRefused):
                    await chain_.send(raw)

    @property
    def waiting(self) -> int:
        return len(self._raws)

    async def ask(self, count: int) -> None:
        for _ in range(count):
            someone, amount = self._random.choice(self.people), self._random.randint(AMOUNT_MIN, AMOUNT_MAX)
            if self._it.available(someone) >= amount:
                await self._it.request(someone, amount)
                self.asked.append((someone, amount))


class Storm:
    """All that goes wrong; each tick is a block."""

    def __init__(
        self, it: Live, crowd: Crowd, providers: tuple[Provider, Provider], late: LateLog, reader: Follower, random: Random
    ) -> None:
        self._it, self._crowd, self.providers, self._random = it, crowd, providers, random
        self._late, self._reader = late, reader
        self.report = Report(0)
        self._tasks = dict[str, asyncio.Task[None] | None]()
        self._doubles = list[asyncio.Task[None]]()
        self._until = dict[Provider, int]()
        self._tick = 0

    async def tick(self, *, calm: bool = False) -> None:
        self._tick += 1
        await self._it.rig.mine()
        await asyncio.sleep(BLOCK_S)
        if not calm:
            await self._trouble()
        for each, until in list(self._until.items()):
            if self._tick >= until:
                each.fault = honest
                del self._until[each]
        for role in ROLES:
            if self._tasks.get(role) is None and (calm or self._random.random() < 0.3):
                [self._tasks[role]] = self._it.start(role)
        self._look()
        if self._tick % 4 == 0:
            await self._crowd.again()

    def _look(self) -> None:
        """No daemon ends by itself: it would have halted or failed."""
        for task in [*self._tasks.values(), *self._doubles]:
            if task and task.done():
                why = task.exception() if not task.cancelled() else "cancelled"
                self.report.findings.append(f"the {task.get_name()} ended by itself: {why!r}")
        self._doubles = [task for task in self._doubles if not task.done()]
        self._tasks = {role: None if task and task.done() else task for role, task in self._tasks.items()}

    async def _trouble(self) -> None:
        """Rather when it hurts."""
        on_its_way = {it.status for it in self._it.world.batches.values()}
        draws = {
            self._reorg: 0.25 if "mined" in on_its_way else 0.05,
            self._drop: 0.06 if "signed" in on_its_way else 0.0,
            self._spike: 0.06 if "signed" in on_its_way else 0.01,
            self._dry: 0.01,
            self._kill: 0.1,
            self._double: 0.03,
            self._provide: 0.04,
        }
        for happens, chance in draws.items():
            if self._random.random() < chance:
                await happens()

    async def _reorg(self) -> None:
        """The last blocks are replaced; what was in them comes back in other places, or has to be sent again."""
        depth, node, pairs = self._random.randint(1, FINALITY), self._it.rig.node, list[tuple[str, int]]()
        signed = [it.raw_tx for it in self._it.world.batches.values() if it.status == "mined" and self._random.random() < 0.4]
        head = await self._it.rig.chain.head()
        for raw in signed:
            receipt = await self._it.rig.chain.receipt(transaction.decode(raw).tx)
            if receipt and receipt.block > head.number - depth:
                pairs.append((raw, self._random.randrange(depth)))
        # A transaction that cannot be carried out there is a refusal of the whole; then nothing comes back by itself.
        try:
            await node.call("anvil_reorg", depth, pairs)
        except chain.ChainRefused:
            await node.call("anvil_reorg", depth, [])
        self.report.reorgs += 1

    async def _drop(self) -> None:
        await self._it.rig.node.call("anvil_dropAllTransactions")
        self.report.drops += 1

    async def _spike(self) -> None:
        """Gas gets dear, by far more than what is on its way offers."""
        fees = await self._it.rig.chain.fees()
        base_wei = min(10**12, fees.base_wei + self._random.randint(10, 60) * 10**9)
        await self._it.rig.node.call("anvil_setNextBlockBaseFeePerGas", hex(base_wei))
        self.report.spikes += 1

    async def _dry(self) -> None:
        rig = self._it.rig
        await rig.node.fund(rig.payer.address, 0)
        for _ in range(self._random.randint(3, 10)):
            await rig.mine()
            await asyncio.sleep(BLOCK_S)
        await rig.node.fund(rig.payer.address, WEALTH_WEI)
        self.report.dry += 1

    async def _kill(self) -> None:
        role = self._random.choice(ROLES)
        if task := self._tasks.get(role):
            await ended(task)
            self._tasks[role] = None
            self.report.kills += 1

    async def _double(self) -> None:
        """A second watch and payer, whose view of the log stands still for a while; the last ones are killed."""
        for task in self._doubles:
            await ended(task)
        self._late.held = self._random.random() < 0.7
        self._doubles = self._it.start(*ROLES, reader=self._reader)
        self.report.doubles += 1
        asyncio.get_running_loop().call_later(self._random.uniform(0.2, 2.0), setattr, self._late, "held", False)

    async def _provide(self) -> None:
        """Providers lose, refuse, lag; only one of them lies, and only while the other does not."""
        one = self._random.choice(self.providers)
        kind, share = self._random.choice(("refused", "lost", "slow", "lagging", "lie")), self._random.choice((0.1, 0.5, 1.0))
        other = self.providers[1 - self.providers.index(one)]
        if kind == "lie":
            other.fault = honest
        lies, behind, random = self._random.choice([*LIES.values()]), self._random.randint(1, FINALITY), Random(self._random.random())

        def fault(method: str) -> Fault | None:
            if random.random() >= share or (kind == "lie" and method not in lies):
                return None
            return Fault(
                kind, slow_s=1.5 * TIMEOUT_S if kind == "slow" else 0.0, behind=behind, lie=lies.get(method) if kind == "lie" else None
            )

        one.fault = fault
        self._until[one] = self._tick + self._random.randint(3, 12)

    async def heal(self) -> None:
        """Everything works again, and the recipients accept."""
        for each in self.providers:
            each.fault = honest
        self._until.clear()
        self._late.held = False
        for task in self._doubles:
            await ended(task)
        self._doubles = []
        await self._it.rig.node.fund(self._it.rig.payer.address, WEALTH_WEI)
        for someone in self._crowd.moody:
            await self._crowd.mood(someone, 0)

    async def end(self) -> None:
        for task in [*self._tasks.values(), *self._doubles]:
            if task:
                await ended(task)


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def payouts(directory: Path, cache: Path, count: int, seconds: float, seed: int) -> Report:
    """`count` payouts, or as many as are asked for in `seconds`, whichever comes first; then all of them settle."""
    dollar, treasury = (
        contracts.compiled(name, cache, where) for name, where in (("MoodyToken", CONTRACTS), ("Treasury", contracts.SOURCES))
    )
    began, random = time.monotonic(), Random(seed)
    async with standing(directory, dollar, treasury) as rig, stormy(rig, random) as (it, storm, crowd):
        storm.report.seed = seed
        try:
            await asyncio.wait_for(play(it, storm, crowd, count, seconds, random), seconds + SETTLE_S + count * 0.2)
        except TimeoutError:
            storm.report.findings.append(f"not settled: {len(it.world.payouts)} payouts, {len(it.world.deposits)} deposits are under way")
        except Refused as refusal:
            storm.report.findings.append(f"people were refused: {refusal}")
        await storm.end()
        await judge.judge(it, crowd.people, crowd.asked, storm.report.findings)
        await fill(it, storm.report)
        for each in storm.providers:
            storm.report.rpc = dict(Counter(storm.report.rpc) + each.done)
        storm.report.seconds = round(time.monotonic() - began, 1)
        return storm.report


@contextlib.asynccontextmanager
async def stormy(rig: Rig, random: Random) -> AsyncIterator[tuple[Live, Storm, Crowd]]:
    async with contextlib.AsyncExitStack() as stack:
        for daemon in ROLES:
            stack.enter_context(mock.patch(f"worker_runtime.daemons.{daemon}.EVERY_S", BLOCK_S / 2))
        first, second = [await stack.enter_async_context(provider(rig.node.url)) for _ in range(2)]
        nodes = [EvmChain(each.url, rig.treasury, rig.token, timeout_s=TIMEOUT_S) for each in (first, second)]
        for node in nodes:
            stack.push_async_callback(node.aclose)
        it = await stack.enter_async_context(live(rig, node=Quorum(nodes), policy=POLICY))
        it.mining, it.bump_us = False, BUMP_US
        for who in (rig.payer, rig.anchorer):
            await rig.node.fund(who.address, WEALTH_WEI)
        await rig.node.call("evm_setAutomine", False)
        late = LateLog(it.log)
        reader = Follower(late, Ledger(Head(network.LOG)))
        following = asyncio.create_task(reader.run())
        stack.push_async_callback(ended, following)
        crowd = Crowd(it, random)
        yield it, Storm(it, crowd, (first, second), late, reader, random), crowd


async def play(it: Live, storm: Storm, crowd: Crowd, count: int, seconds: float, random: Random) -> None:
    await crowd.come()
    while crowd.waiting:
        await storm.tick(calm=True)
    stop = time.monotonic() + seconds
    while len(crowd.asked) < count and time.monotonic() < stop:
        await crowd.ask(min(ASKED_AT_ONCE, count - len(crowd.asked)))
        await storm.tick()
        if random.random() < 0.2:
            await crowd.deposit(random.choice(crowd.people))
    await storm.heal()
    again = set[PayoutId]()
    while True:
        while any((crowd.waiting, it.world.payouts, it.world.deposits)):
            await storm.tick(calm=True)
        failed = [item for each in await it.events() if isinstance(each.event, batch.Finalised) for item in each.event.failed]
        fresh = [item for item in failed if item.payout not in again]
        if not fresh:
            return
        for item in fresh:
            again.add(item.payout)
            await it.request(item.account, int(item.amount))


async def fill(it: Live, report: Report) -> None:
    events = [each.event for each in await it.events()]
    signed = [each for each in events if isinstance(each, batch.Signed)]
    final = [each for each in events if isinstance(each, batch.Finalised)]
    report.batches = len({each.batch for each in signed})
    report.bumps = len(signed) - report.batches
    report.unmined = sum(isinstance(each, batch.Unmined) for each in events)
    report.payouts, report.failed = sum(len(each.paid) for each in final), sum(len(each.failed) for each in final)
    report.anchors = sum(isinstance(each, anchor.Anchored) for each in events)
    report.blocks = (await it.rig.chain.head()).number
