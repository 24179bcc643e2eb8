"""A chain, asked over JSON-RPC (https://ethereum.github.io/execution-apis/) for what concerns a ledger. Reads only, believes nothing of
what a server of ours says."""

import itertools
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any, Protocol, Self, TypeVar, get_args

import httpx2

from auditor.checks.batches import text
from auditor.checks.signatures import keccak
from auditor.facts import Balance, Block, ChainLog, Facts, Gas, Kind

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

T = TypeVar("T")
F = TypeVar("F", Block, Gas)


class Silent(Exception):
    """The node did not answer, or not in a way that can be understood: nothing is known."""


class Refused(Silent):
    """The node understood, and said no."""


class Source(Protocol):
    """Who says what is on a chain. Raises `Silent` where nothing is known."""

    def chain_id(self) -> int: ...

    def head(self) -> int:
        """Number of the newest block."""

    def block(self, height: int) -> Block | None:
        """None if there is none of this height."""

    def logs(self, treasury: str, first: int, last: int) -> Iterator[ChainLog]:
        """Of the four kinds, in the chain's order."""

    def held(self, token: str, holder: str, block: int) -> str | None:
        """The balance after a block; None if there is no such block."""

    def gas(self, tx: str) -> Gas | None:
        """What a transaction cost; None if it is in no block."""


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
        return self._read(number, "eth_chainId")

    def head(self) -> int:
        return self._read(number, "eth_blockNumber")

    def block(self, height: int) -> Block | None:
        if height < 0:
            return None
        return self._read(lambda it: it and _block(it), "eth_getBlockByNumber", hex(height), False)

    def logs(self, treasury: str, first: int, last: int) -> Iterator[ChainLog]:
        """A node that refuses so many blocks at once is asked for half of them."""
        where = {"address": treasury, "fromBlock": hex(first), "toBlock": hex(last), "topics": [list(TOPICS)]}
        try:
            found = self._read(lambda listed: [_log(treasury, it) for it in listed], "eth_getLogs", where)
        except Refused:
            if first >= last:
                raise
            middle = (first + last) // 2
            yield from self.logs(treasury, first, middle)
            yield from self.logs(treasury, middle + 1, last)
            return
        yield from sorted(found, key=lambda log: (log.block, log.log_index))

    def held(self, token: str, holder: str, block: int) -> str | None:
        if block > self.head():
            return None
        data = f"0x{BALANCE_OF}{holder.removeprefix('0x').rjust(64, '0')}"
        return str(self._read(number, "eth_call", {"to": token, "data": data}, hex(block)))

    def gas(self, tx: str) -> Gas | None:
        return self._read(lambda it: it and _gas(tx, it), "eth_getTransactionReceipt", tx)

    def _read(self, parse: Callable[[Any], T], method: str, *parameters: Any) -> T:
        answer = self.call(method, *parameters)
        try:
            return parse(answer)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise Silent(f"{method}: an answer of another shape: {error!r}") from error


class Told:
    """A chain as somebody wrote it down."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._blocks = {it.number: it for it in facts.blocks}
        self._balances = {(it.treasury, it.block): it.amount for it in facts.balances}
        self._gas = {it.tx: it for it in facts.gas}
        self._logs: dict[str, list[ChainLog]] = {}
        for it in sorted(facts.logs, key=lambda log: (log.block, log.log_index)):
            self._logs.setdefault(it.treasury, []).append(it)

    def chain_id(self) -> int:
        return self._facts.chain_id

    def head(self) -> int:
        """Nobody need have looked at the newest block: what is told ends with the last fact."""
        return max([self._facts.head, *(logs[-1].block for logs in self._logs.values())])

    def block(self, height: int) -> Block | None:
        return self._blocks.get(height)

    def logs(self, treasury: str, first: int, last: int) -> Iterator[ChainLog]:
        listed = self._logs.get(treasury, [])
        start = bisect_left(listed, first, key=lambda log: log.block)
        yield from itertools.takewhile(lambda log: log.block <= last, itertools.islice(listed, start, None))

    def held(self, token: str, holder: str, block: int) -> str | None:
        return self._balances.get((holder, block))

    def gas(self, tx: str) -> Gas | None:
        return self._gas.get(tx)


class Listening:
    """Passes questions on, and answers back; `heard` is called with every fact that is in an answer."""

    def __init__(self, source: Source, heard: Callable[[Block | ChainLog | Balance | Gas], object]) -> None:
        self._source, self._heard = source, heard

    def chain_id(self) -> int:
        return self._source.chain_id()

    def head(self) -> int:
        return self._source.head()

    def block(self, height: int) -> Block | None:
        return self._told(self._source.block(height))

    def logs(self, treasury: str, first: int, last: int) -> Iterator[ChainLog]:
        for log in self._source.logs(treasury, first, last):
            self._heard(log)
            yield log

    def held(self, token: str, holder: str, block: int) -> str | None:
        if (amount := self._source.held(token, holder, block)) is not None:
            self._heard(Balance(holder, block, amount))
        return amount

    def gas(self, tx: str) -> Gas | None:
        return self._told(self._source.gas(tx))

    def _told(self, fact: F | None) -> F | None:
        if fact is not None:
            self._heard(fact)
        return fact


def number(quantity: str) -> int:
    return int(quantity, 16)


def _block(it: dict[str, Any]) -> Block:
    return Block(number(it["number"]), str(it["hash"]).lower(), number(it["timestamp"]))


def _gas(tx: str, it: dict[str, Any]) -> Gas:
    return Gas(tx, number(it["blockNumber"]), str(number(it["gasUsed"]) * number(it["effectiveGasPrice"])))


def _log(treasury: str, it: dict[str, Any]) -> ChainLog:
    topics, data = it["topics"], str(it["data"]).lower()
    kind = TOPICS[topics[0]]
    place = number(it["blockNumber"]), str(it["blockHash"]).lower(), str(it["transactionHash"]).lower(), number(it["logIndex"])
    if kind == "Anchored":
        return ChainLog(kind, treasury, *place, data.removeprefix("0x"), "", str(number(topics[1])))
    subject, who = text(bytes.fromhex(topics[1][2:])), "0x" + topics[2][-40:].lower()
    return ChainLog(kind, treasury, *place, subject, who, str(number(data)))
