"""A chain, asked over JSON-RPC (https://ethereum.github.io/execution-apis/) for what concerns a ledger. Reads only, believes nothing of
what a server of ours says."""

import itertools
from collections.abc import Iterator
from typing import Any, Self, get_args

import httpx2
from eth_utils.crypto import keccak

from auditor.checks.batches import text
from auditor.facts import Balance, Block, ChainLog, Facts, Gas, Kind
from domain.value import Value

TIMEOUT_S = 20.0
ZERO_ADDRESS = "0x" + "0" * 40
BALANCE_OF = keccak(b"balanceOf(address)")[:4].hex()
SIGNATURES = {
    "Deposited": b"Deposited(bytes32,address,uint256)",
    "Paid": b"Paid(bytes32,address,uint256)",
    "Failed": b"Failed(bytes32,address,uint256)",
    "Anchored": b"Anchored(uint256,bytes32)",
}
TOPICS: dict[str, Kind] = {"0x" + keccak(SIGNATURES[kind]).hex(): kind for kind in get_args(Kind)}


class Silent(Exception):
    """The node did not answer, or not in a way that can be understood: nothing is known."""


class Refused(Silent):
    """The node understood, and said no."""


class Wanted(Value):
    """What a log asks of the chain."""

    blocks: tuple[int, ...]
    """Heights of blocks that beacons name."""
    treasuries: tuple[str, ...]
    balances: tuple[tuple[str, str, int], ...]
    """(treasury, token, block)."""
    transactions: tuple[str, ...]
    """Whose gas the ledger booked."""


class Node:
    """One node. `close` it after use."""

    def __init__(self, url: str) -> None:
        # The address is the whole instruction: no proxy, no credentials from the environment.
        self._http = httpx2.Client(timeout=TIMEOUT_S, trust_env=False)
        self._url, self._ids = url, itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def call(self, method: str, *parameters: Any) -> Any:
        """Raises `Silent`, also where the node says no."""
        question = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": parameters}
        try:
            answer = self._http.post(self._url, json=question).json()
            if "result" not in answer:
                raise Refused(f"{method}: {str(answer.get('error', 'no result'))[:200]}")
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, TypeError, AttributeError) as error:
            raise Silent(f"{method}: {type(error).__name__}") from error
        return answer["result"]

    def chain_id(self) -> int:
        return number(self.call("eth_chainId"))

    def head(self) -> int:
        return number(self.call("eth_blockNumber"))

    def block(self, height: int) -> Block | None:
        """None if there is none of this height."""
        found = self.call("eth_getBlockByNumber", hex(height), False)
        return None if found is None else Block(number(found["number"]), str(found["hash"]).lower(), number(found["timestamp"]))

    def logs(self, treasury: str, first: int, last: int) -> Iterator[ChainLog]:
        """Of the four kinds, in the chain's order. A node that refuses so many blocks at once is asked for half of them."""
        where = {"address": treasury, "fromBlock": hex(first), "toBlock": hex(last), "topics": [list(TOPICS)]}
        try:
            found = self.call("eth_getLogs", where)
        except Refused:
            if first == last:
                raise
            middle = (first + last) // 2
            yield from self.logs(treasury, first, middle)
            yield from self.logs(treasury, middle + 1, last)
            return
        for it in sorted(found, key=lambda it: (number(it["blockNumber"]), number(it["logIndex"]))):
            yield _log(treasury, it)

    def held(self, token: str, holder: str, block: int) -> int:
        data = f"0x{BALANCE_OF}{holder.removeprefix('0x').rjust(64, '0')}"
        return number(self.call("eth_call", {"to": token, "data": data}, hex(block)))

    def gas(self, tx: str) -> Gas | None:
        """What a transaction cost; None if it is in no block."""
        found = self.call("eth_getTransactionReceipt", tx)
        if found is None:
            return None
        return Gas(tx, number(found["blockNumber"]), str(number(found["gasUsed"]) * number(found["effectiveGasPrice"])))


def collect(node: Node, wanted: Wanted) -> Facts:
    """All that a log asks for. Raises `Silent`."""
    try:
        head = node.head()
        heights = sorted({height for block in wanted.blocks for height in (block - 1, block) if 0 <= height <= head})
        blocks = tuple(block for height in heights if (block := node.block(height)))
        logs = tuple(log for treasury in wanted.treasuries for log in node.logs(treasury, 0, head))
        balances = tuple(
            Balance(treasury, block, str(node.held(token, treasury, block))) for treasury, token, block in wanted.balances if block <= head
        )
        gas = tuple(found for tx in wanted.transactions if (found := node.gas(tx)))
        return Facts(node.chain_id(), head, blocks, logs, balances, gas)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise Silent(f"an answer of another shape: {error!r}") from error


def number(quantity: str) -> int:
    return int(quantity, 16)


def _log(treasury: str, it: dict[str, Any]) -> ChainLog:
    topics, data = it["topics"], str(it["data"]).lower()
    kind = TOPICS[topics[0]]
    place = number(it["blockNumber"]), str(it["blockHash"]).lower(), str(it["transactionHash"]).lower(), number(it["logIndex"])
    if kind == "Anchored":
        return ChainLog(kind, treasury, *place, data.removeprefix("0x"), "", str(number(topics[1])))
    subject, who = text(bytes.fromhex(topics[1][2:])), "0x" + topics[2][-40:].lower()
    return ChainLog(kind, treasury, *place, subject, who, str(number(data)))
