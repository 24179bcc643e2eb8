"""The treasury contract on an EVM chain: the port `domain.treasury.chain.Chain`."""

import msgspec

from adapters.evm import node, rpc, typed
from domain.ids import LogId
from domain.log.merkle import Mark
from domain.treasury import chain

_LOGS = msgspec.json.Decoder(list[node.Log])
_DEPOSITED, _PAID, _FAILED, _ANCHORED = (
    "0x" + typed.keccak(signature).hex()
    for signature in (
        b"Deposited(bytes32,address,uint256)",
        b"Paid(bytes32,address,uint256)",
        b"Failed(bytes32,address,uint256)",
        b"Anchored(uint256,bytes32)",
    )
)
_SIZE, _ROOT = typed.keccak(b"size()")[:4], typed.keccak(b"root()")[:4]
_PAID_BEFORE = typed.keccak(b"paid(bytes32)")[:4]


class EvmChain(node.Node):
    """A treasury, its token, and the node that tells of them."""

    def __init__(self, url: str, treasury: str, token: str, timeout_s: float = 10.0) -> None:
        """`treasury` and `token` are the contracts' addresses."""
        super().__init__(url, timeout_s)
        self._treasury, self._token = treasury.lower(), token.lower()

    async def deposits(self, first: int, last: int) -> list[chain.DepositLog]:
        return [
            chain.DepositLog(*_place(log), chain.from_bytes32(rpc.word(log.topics[1])), _address(log.topics[2]), rpc.number(log.data))
            for log in await self._logs(first, last, 3, _DEPOSITED)
        ]

    async def payouts(self, first: int, last: int) -> list[chain.PaidLog]:
        found = list[chain.PaidLog]()
        for log in await self._logs(first, last, 3, _PAID, _FAILED):
            payout, to = chain.from_bytes32(rpc.word(log.topics[1])), _address(log.topics[2])
            found.append(chain.PaidLog(*_place(log), payout, to, rpc.number(log.data), log.topics[0] == _PAID))
        return found

    async def anchors(self, first: int, last: int) -> list[chain.AnchorLog]:
        return [
            chain.AnchorLog(*_place(log), rpc.number(log.topics[1]), rpc.word(log.data).hex())
            for log in await self._logs(first, last, 2, _ANCHORED)
        ]

    async def held(self, block: int) -> int:
        return await self.balance(self._token, self._treasury, block)

    async def paid(self, payout: str, block: int) -> bool:
        """Whether the contract counts the payout as paid after `block`, and so refuses to pay it again."""
        return any(await self.view(self._treasury, _PAID_BEFORE + chain.to_bytes32(payout), block))

    async def anchored(self, log: LogId) -> list[Mark]:
        """The head of the log that the contract holds. None if it holds none, or the node does not say: leading waits for no chain."""
        try:
            newest = (await self.head()).number
            size, root = [await self.view(self._treasury, selector, newest) for selector in (_SIZE, _ROOT)]
        except (chain.ChainSilent, chain.ChainRefused):
            return []
        return [Mark(log, number, root.hex(), sealed=False)] if (number := int.from_bytes(size, "big")) else []

    def _is_deposit(self, log: node.Log) -> bool:
        return log.address.lower() == self._treasury and log.topics[:1] == [_DEPOSITED]

    async def _logs(self, first: int, last: int, topics: int, *kinds: str) -> list[node.Log]:
        where = {"address": self._treasury, "fromBlock": hex(first), "toBlock": hex(last), "topics": [list(kinds)]}
        found = await self._rpc.call(_LOGS, "eth_getLogs", where)
        if any(
            len(log.topics) != topics or log.topics[0] not in kinds or not first <= rpc.number(log.block_number) <= last for log in found
        ):
            raise chain.ChainSilent("logs that were not asked for")
        return sorted(found, key=lambda log: (rpc.number(log.block_number), rpc.number(log.log_index)))


def _place(log: node.Log) -> tuple[str, int, int, str]:
    return log.transaction_hash, rpc.number(log.log_index), rpc.number(log.block_number), log.block_hash


def _address(word: str) -> str:
    return "0x" + rpc.word(word)[-20:].hex()
