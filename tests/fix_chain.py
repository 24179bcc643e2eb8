"""A real chain for tests: anvil with our contracts on it, an own one for each test that asks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adapters import signer
from adapters.chain import EvmChain
from adapters.evm import anvil, contracts, transaction
from adapters.evm.node import Node
from adapters.evm.wallet import Wallet, mined
from adapters.files.home import Home
from domain.treasury import chain

Receipt = chain.Receipt
TOOLS = Path(__file__).parents[1] / ".tools"


@dataclass
class Rig:
    """A treasury on a chain of its own, and those who use it. Without block time, every transaction makes a block at once."""

    node: anvil.Anvil
    chain: EvmChain
    treasury: str
    token: str
    payer: signer.Signer
    anchorer: signer.Signer
    creator: Wallet
    nonces: dict[str, int] = field(default_factory=dict)

    async def mine(self, blocks: int = 1) -> None:
        await self.node.call("anvil_mine", hex(blocks))

    async def batch(self, *items: tuple[str, str, int], nonce: int | None = None, tip_wei: int = 10**9) -> tuple[str, str]:
        """(raw transaction, hash) of a signed batch with the payer's next nonce, not sent yet."""
        if nonce is None:
            nonce = self.nonces.get(self.payer.address, 0)
            self.nonces[self.payer.address] = nonce + 1
        base = (await self.chain.fees()).base_wei
        fees = {"fee_wei_max": 4 * base + tip_wei, "tip_wei": tip_wei}
        return self.payer.sign_payout_batch(self.treasury, nonce, items, chain_id=anvil.CHAIN_ID, **fees)

    async def pay(self, *items: tuple[str, str, int]) -> Receipt:
        raw, _ = await self.batch(*items)
        return await self.sent(raw)

    async def sent(self, raw: str) -> Receipt:
        """Its receipt. Even a node that makes a block for each transaction makes it a moment after the answer."""
        async with asyncio.timeout(5):
            return await mined(self.chain, await self.chain.send(raw))


Rigs = Callable[..., AbstractAsyncContextManager[Rig]]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], contracts.Contract]:
    """Contracts by name and folder of sources, compiled once for all tests."""
    cache = tmp_path_factory.mktemp("contracts")
    return lambda name, sources: contracts.compiled(name, cache, sources)


@contextlib.asynccontextmanager
async def standing(
    directory: Path, dollar: contracts.Contract, treasury: contracts.Contract, *, home: Home | None = None, block_time_s: int | None = None
) -> AsyncIterator[Rig]:
    """An own chain with these contracts on it; `home` has the keys of payer and anchorer, if they are daemons of a server."""
    async with anvil.running(anvil.find(TOOLS), directory, block_time_s=block_time_s) as node:
        payer, anchorer = (home.signer(role) if home else signer.generate() for role in ("payer", "anchorer"))
        creator = signer.generate()
        for who in (payer, anchorer, creator):
            await node.fund(who.address)
        async with contextlib.aclosing(Node(node.url)) as bare:
            addresses = await Wallet(bare, creator).deploy_treasury(dollar, treasury, payer=payer.address, anchorer=anchorer.address)
        async with contextlib.aclosing(EvmChain(node.url, *addresses)) as evm:
            yield Rig(node, evm, *addresses, payer, anchorer, Wallet(evm, creator))


@pytest.fixture
def rigs(tmp_path: Path, compiled: Callable[[str, Path], contracts.Contract]) -> Rigs:
    """`async with rigs() as rig:`; `token` is another contract than the test dollar that the treasury shall hold."""

    def rig(token: str = "TestDollar", sources: Path = contracts.SOURCES) -> AbstractAsyncContextManager[Rig]:
        return standing(tmp_path / "anvil", compiled(token, sources), compiled("Treasury", contracts.SOURCES))

    return rig


async def mood(rig: Rig, of: str, mood: int) -> None:
    """Gives an address a mood of `MoodyToken`."""
    await rig.creator.run(transaction.Call(rig.token, transaction.encode("set_mood(address,uint256)", of, mood), 80_000))
