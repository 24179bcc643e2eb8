"""A key that pays its own way: what deploys contracts, and what creators do on the chain. Not for the treasury's payouts, which must
be events before they are sent.
"""

import asyncio

from adapters.evm import contracts, transaction
from adapters.evm.node import Node
from adapters.signer import Signer
from domain.treasury import chain

POLL_S = 0.02


class Reverted(Exception):
    """The transactions are in blocks and did nothing."""


class Wallet:
    """One key on one chain, used by one caller at a time. Its address must have ether for gas."""

    def __init__(self, node: Node, signer: Signer) -> None:
        self._node, self._signer = node, signer
        self.address = signer.address

    async def run(self, *calls: transaction.Call, wait_s: float = 30.0) -> list[chain.Receipt]:
        """Sends the calls in this order, all at once, and waits until each is in a block.

        Raises `Reverted`, or `TimeoutError` after `wait_s`.
        """
        async with asyncio.timeout(wait_s):
            receipts = [await mined(self._node, tx) for tx in await self._send(calls)]
        if reverted := [receipt.tx for receipt in receipts if not receipt.ok]:
            raise Reverted(*reverted)
        return receipts

    async def deploy_treasury(
        self, dollar: contracts.Contract, treasury: contracts.Contract, *, payer: str, anchorer: str
    ) -> tuple[str, str]:
        """Puts the test dollar and a treasury of it on the chain; the wallet owns the treasury. Returns (treasury, token)."""
        nonce = await self._node.next_nonce(self.address)
        token = transaction.contract_address(self.address, nonce)
        await self.run(contracts.creation(dollar), contracts.creation(treasury, token, payer, anchorer))
        return transaction.contract_address(self.address, nonce + 1), token

    async def deposit(self, treasury: str, token: str, account: str, amount: int, *, mint: bool = False) -> chain.Receipt:
        """Approves and deposits for an account of the ledger; with `mint` makes the test coins for it first."""
        calls = [transaction.mint(token, self.address, amount)] if mint else []
        calls += [transaction.approve(token, treasury, amount), transaction.deposit(treasury, account, amount)]
        return (await self.run(*calls))[-1]

    async def _send(self, calls: tuple[transaction.Call, ...]) -> list[str]:
        chain_id, fees, nonce = await asyncio.gather(self._node.chain_id(), self._node.fees(), self._node.next_nonce(self.address))
        most = 2 * fees.base_wei + fees.tip_wei
        txs = list[str]()
        for n, call in enumerate(calls):
            signed = self._signer.sign_call(call, transaction.Terms(chain_id, nonce + n, most, fees.tip_wei))
            txs.append(await self._node.send(signed.raw))
        return txs


async def mined(node: Node, tx: str) -> chain.Receipt:
    """Waits, without end, until the transaction is in a block, reverted or not."""
    while True:
        if receipt := await node.receipt(tx):
            return receipt
        await asyncio.sleep(POLL_S)
