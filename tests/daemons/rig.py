"""A ledger in memory and a twin of the chain, with daemons that can be killed at any moment and started again."""

from collections.abc import AsyncGenerator, Collection
from contextlib import suppress

from adapters import signer
from domain import accounts
from domain.accounts import USDC
from domain.event import Event, Recorded
from domain.ids import AccountId
from domain.log import wire
from domain.log.log import OutcomeUnknown
from domain.log.merkle import Head
from domain.log.receipts import Ask, Receipt
from domain.treasury import chain
from domain.world import World
from tests import network
from tests.daemons.chain_twin import ChainTwin
from worker_runtime.daemons import loop
from worker_runtime.daemons.anchorer import Anchorer
from worker_runtime.daemons.payer import Payer
from worker_runtime.daemons.presence import Presence
from worker_runtime.daemons.watch import Watch

BUMP_US = 10_000_000


class Killed(BaseException):
    """The process ended here."""


class Rig:
    """`submit` and `loop.Reader` over a `network.Network`, whose clock the chain follows."""

    def __init__(self, policy: str = "demo", net: network.Network | None = None) -> None:
        self.net = net or network.Network(policy)
        self.chain = ChainTwin(self.net.now_us // 1_000_000)
        self.key = network.key(99)
        self.asks = list[Ask]()
        self.dies_at = ""
        """The subject of the command after which the process ends; with `!` before it, the command itself does not arrive."""
        self.loses_answers = False
        self.watch, self.payer = self.start_watch(), self.start_payer()

    @property
    def head(self) -> Head:
        return self.net.ledger.head

    @property
    def world(self) -> World:
        return self.net.world

    async def reached(self, position: int, timeout_s: float) -> None:
        assert self.head.size >= position

    async def events(
        self, after: int, *, types: Collection[str] = (), streams: Collection[str] = ()
    ) -> AsyncGenerator[tuple[Recorded[Event], bytes], None]:
        for recorded in self.net.events[after:]:
            if (not streams or recorded.stream in streams) and (not types or f"{recorded.event.verb()}.v1" in types):
                yield recorded, wire.encode(recorded)

    async def submit(self, ask: Ask) -> Receipt:
        verb = type(ask.command).__name__
        if self.dies_at == f"!{verb}":
            raise Killed
        self.asks.append(ask)
        self.net.now_us += 1_000
        receipt = self.net.ledger.decide(ask, self.net.now_us)
        self.net.seal()
        if self.dies_at == verb:
            raise Killed
        if self.loses_answers:
            raise OutcomeUnknown
        return receipt

    def desk(self, role: str) -> loop.Desk:
        return loop.Desk(role, self, self.submit, lambda: self.net.now_us)

    def start_watch(self) -> Watch:
        return Watch(self.desk("watch"), self.chain, USDC)

    def start_payer(self) -> Payer:
        return Payer(self.desk("payer"), self.chain, self.key, signer.decode_batch, USDC, bump_us=BUMP_US)

    def start_anchorer(self) -> Anchorer:
        return Anchorer(self.desk("anchorer"), self.chain, network.key(98), USDC, bump_us=BUMP_US)

    def start_presence(self) -> Presence:
        return Presence(self.desk("presence"))

    async def pass_s(self, seconds: int = 1, *, watch: bool = True, payer: bool = True) -> None:
        """Each second a block, and each daemon takes two steps."""
        for _ in range(seconds):
            self.net.wait(1_000_000)
            if not self.chain.silent:
                self.chain.mine()
            for _ in range(2):
                for step in [self.watch.step] * watch + [self.payer.step] * payer:
                    with suppress(chain.ChainRefused, loop.Waits):
                        await step()

    async def funded(self, amount: int = 20_000_000) -> AccountId:
        """Somebody whose deposit is final and whose payout address is usable."""
        someone = self.net.person("creator")
        self.chain.deposit(someone, amount)
        await self.pass_s(1 + self.world.policy.finality_blocks, payer=False)
        self.net.wait(self.world.policy.address_delay_us)
        return someone

    def types(self) -> list[str]:
        """What happened about money on the chain, in order."""
        kinds = ("deposit", "batch", "chain", "checkpoint")
        return [verb for recorded in self.net.events if (verb := recorded.event.verb()).partition(".")[0] in kinds]

    def available(self, of: AccountId) -> int:
        return self.world.credit(accounts.available(USDC, of))

    def treasury(self) -> int:
        return self.world.balances.get(accounts.treasury(USDC), 0)
