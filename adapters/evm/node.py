"""An EVM node by JSON-RPC (https://ethereum.github.io/execution-apis/): blocks, accounts, transactions; nothing of ours is on it."""

import msgspec

from adapters.evm import rpc, typed
from domain.treasury import chain

_KNOWN = ("already known", "already imported", "known transaction")
_REFUSALS: tuple[tuple[str, type[chain.ChainRefused]], ...] = (
    ("nonce too low", chain.NonceUsed),
    ("underpriced", chain.Underpriced),
    ("max fee per gas less than block base fee", chain.Underpriced),
    ("fee cap less than block base fee", chain.Underpriced),
    ("insufficient funds", chain.Unfunded),
    ("failed to decode", chain.ChainRefused),
    ("intrinsic gas too low", chain.ChainRefused),
    ("exceeds block gas limit", chain.ChainRefused),
    ("invalid chain id", chain.ChainRefused),
    ("invalid sender", chain.ChainRefused),
)
"""What nodes (anvil, geth, reth) say when a transaction is not on its way. Other words prove nothing, so they count as silence."""


class _Block(msgspec.Struct, rename="camel"):
    number: str
    hash: str
    timestamp: str
    base_fee_per_gas: str = "0x0"


class Log(msgspec.Struct, rename="camel"):
    """What a contract said in a transaction."""

    address: str
    topics: list[str]
    data: str
    block_number: str
    block_hash: str
    transaction_hash: str
    log_index: str


class _Receipt(msgspec.Struct, rename="camel"):
    transaction_hash: str
    block_number: str
    block_hash: str
    status: str
    gas_used: str
    effective_gas_price: str
    logs: list[Log]


_BLOCK: msgspec.json.Decoder[_Block | None] = msgspec.json.Decoder(_Block | None)
_RECEIPT: msgspec.json.Decoder[_Receipt | None] = msgspec.json.Decoder(_Receipt | None)
_TRANSACTION: msgspec.json.Decoder[dict[str, object] | None] = msgspec.json.Decoder(dict[str, object] | None)
_BALANCE_OF = typed.keccak(b"balanceOf(address)")[:4]


class Node:
    """What every EVM chain answers; `domain.treasury.chain.Chain` says what the methods promise. `aclose` it after use."""

    def __init__(self, url: str, timeout_s: float = 10.0) -> None:
        self._rpc = rpc.Rpc(url, timeout_s)

    async def aclose(self) -> None:
        await self._rpc.aclose()

    async def chain_id(self) -> int:
        return rpc.number(await self._rpc.call(rpc.TEXT, "eth_chainId"))

    async def head(self) -> chain.Block:
        return _block(await self._newest())

    async def block(self, number: int) -> chain.Block | None:
        found = await self._rpc.call(_BLOCK, "eth_getBlockByNumber", hex(number), False)
        return None if found is None else _block(found)

    async def first_block_since(self, timestamp_s: int) -> chain.Block | None:
        """Strides back from the head in doubling steps, then halves: what is asked about is seldom far back."""
        after, stride = await self.head(), 1
        if after.timestamp_s < timestamp_s:
            return None
        before = -1
        while after.number - stride >= 0:
            block = await self._existing(after.number - stride)
            if block.timestamp_s < timestamp_s:
                before = block.number
                break
            after, stride = block, stride * 2
        while after.number - before > 1:
            middle = await self._existing((before + after.number) // 2)
            if middle.timestamp_s < timestamp_s:
                before = middle.number
            else:
                after = middle
        return after

    async def balance(self, token: str, holder: str, block: int) -> int:
        """What `holder` has of an ERC-20 after `block`."""
        return int.from_bytes(await self.view(token, _BALANCE_OF + bytes.fromhex(holder[2:]).rjust(32, b"\0"), block), "big")

    async def view(self, contract: str, data: bytes, block: int) -> bytes:
        """The one word that a contract's view answers."""
        return rpc.word(await self._rpc.call(rpc.TEXT, "eth_call", {"to": contract, "data": "0x" + data.hex()}, hex(block)))

    async def nonce(self, address: str, block: int) -> int:
        return rpc.number(await self._rpc.call(rpc.TEXT, "eth_getTransactionCount", address, hex(block)))

    async def next_nonce(self, address: str) -> int:
        """Behind all that the node has of the sender, in blocks and waiting: a guess, for those who may err."""
        return rpc.number(await self._rpc.call(rpc.TEXT, "eth_getTransactionCount", address, "pending"))

    async def fees(self) -> chain.Fees:
        tip = await self._rpc.call(rpc.TEXT, "eth_maxPriorityFeePerGas")
        return chain.Fees(rpc.number((await self._newest()).base_fee_per_gas), rpc.number(tip))

    async def send(self, raw_tx: str) -> str:
        tx = "0x" + typed.keccak(bytes.fromhex(raw_tx[2:])).hex()
        try:
            told = await self._rpc.call(rpc.TEXT, "eth_sendRawTransaction", raw_tx)
        except rpc.Refusal as refusal:
            said = refusal.message.lower()
            if any(words in said for words in _KNOWN):
                return tx
            kind = next((kind for words, kind in _REFUSALS if words in said), None)
            # After it was mined its own nonce is too low, too.
            if kind is chain.NonceUsed and await self.knows(tx):
                return tx
            if kind is None:
                raise chain.ChainSilent(str(refusal)) from refusal
            raise kind(str(refusal)) from refusal
        if told != tx:
            raise chain.ChainSilent(f"the node took {tx} for {told[:80]}")
        return tx

    async def knows(self, tx: str) -> bool:
        """Whether the node has the transaction, waiting or in a block."""
        return await self._rpc.call(_TRANSACTION, "eth_getTransactionByHash", tx) is not None

    async def receipt(self, tx: str) -> chain.Receipt | None:
        found = await self._rpc.call(_RECEIPT, "eth_getTransactionReceipt", tx)
        if found is None:
            return None
        gas_wei, ok = rpc.number(found.gas_used) * rpc.number(found.effective_gas_price), rpc.number(found.status) == 1
        deposits = tuple(rpc.number(log.log_index) for log in found.logs if self._is_deposit(log))
        return chain.Receipt(tx, rpc.number(found.block_number), found.block_hash, ok, gas_wei, deposits)

    def _is_deposit(self, log: Log) -> bool:
        """Of the treasury, if this node is asked about one."""
        return False

    async def _newest(self) -> _Block:
        found = await self._rpc.call(_BLOCK, "eth_getBlockByNumber", "latest", False)
        if found is None:
            raise chain.ChainSilent("the node has no block")
        return found

    async def _existing(self, number: int) -> chain.Block:
        if (block := await self.block(number)) is None:
            raise chain.ChainSilent(f"block {number} went away below the head")
        return block


def _block(found: _Block) -> chain.Block:
    return chain.Block(rpc.number(found.number), found.hash, rpc.number(found.timestamp))
