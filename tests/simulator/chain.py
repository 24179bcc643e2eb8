"""The chain, as the script has it, and as a node tells of it. tests/daemons/chain_twin.py does the work; here its states are kept between
questions, since thousands are asked, and the node may be silent, lag behind, or do what it was asked and not say so.
"""

from collections.abc import Callable, Coroutine
from copy import copy
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar

from domain.treasury import chain
from tests.daemons import chain_twin
from tests.daemons.chain_twin import ChainTwin, State, Tx
from tests.simulator.twins import Net, Silent

T = TypeVar("T")
decode = cache(chain_twin.decode)


class Chain(ChainTwin):
    def __init__(self, start_s: int) -> None:
        self._states = list[State]()
        self.sends = list[tuple[str, str]]()
        """(transaction, signed bytes) in the order in which the node was given them."""
        self.told: Callable[[], None] = lambda: None
        """When it was given some."""
        super().__init__(start_s)

    def state(self, block: int | None = None) -> State:
        last = len(self.blocks) if block is None else min(block + 1, len(self.blocks))
        while len(self._states) < last:
            mined = self.blocks[len(self._states)]
            state = self._states[-1] if self._states else State()
            if mined.txs:
                state = unshared(state)
                index = 0
                for tx in mined.txs:
                    index = self._execute(state, mined, tx, index)
            self._states.append(state)
        return self._states[last - 1] if last else State()

    def reorg(self, depth: int, *, without: tuple[str, ...] = ()) -> None:
        """The last blocks are replaced by others, and by one more: a node takes the longer chain."""
        super().reorg(depth, without=without)
        self._states = self._states[: len(self.blocks)]
        self.mine(depth + 1)

    async def send(self, raw_tx: str) -> str:
        tx = decode(raw_tx)
        self._answer()
        self.sends.append((tx.hash, raw_tx))
        self.told()
        self._accept(replace(tx))
        return tx.hash

    def behind(self, blocks: int) -> "Chain":
        """As a node sees it that has not heard of the last blocks."""
        view = copy(self)
        view.blocks = self.blocks[:-blocks] if 0 < blocks < len(self.blocks) else self.blocks
        view._states = self._states[: len(view.blocks)]
        return view

    def waits(self, tx: Tx) -> bool:
        return any(tx.hash == other.hash for other in self.waiting)


def unshared(state: State) -> State:
    lists = {name: list(getattr(state, name)) for name in ("deposits", "payouts", "anchors")}
    dicts = {name: dict(getattr(state, name)) for name in ("nonces", "receipts", "got")}
    return State(
        state.held, state.size, dicts["nonces"], lists["deposits"], lists["payouts"], lists["anchors"], dicts["receipts"], dicts["got"]
    )


class Node:
    """`chain.Chain`, asked over the network."""

    def __init__(self, twin: Chain, net: Net) -> None:
        self._twin, self._net = twin, net
        self.lag = 0

    async def _ask(self, what: Callable[[Chain], Coroutine[Any, Any, T]], *, now: bool = False) -> T:
        def work() -> T:
            return at_once(what(self._twin if now else self._twin.behind(self.lag)))

        try:
            return await self._net.call("chain", work)
        except Silent:
            raise chain.ChainSilent("nobody answers") from None

    async def chain_id(self) -> int:
        return await self._ask(lambda twin: twin.chain_id())

    async def head(self) -> chain.Block:
        return await self._ask(lambda twin: twin.head())

    async def block(self, number: int) -> chain.Block | None:
        return await self._ask(lambda twin: twin.block(number))

    async def first_block_since(self, timestamp_s: int) -> chain.Block | None:
        return await self._ask(lambda twin: twin.first_block_since(timestamp_s))

    async def deposits(self, first: int, last: int) -> list[chain.DepositLog]:
        return await self._ask(lambda twin: twin.deposits(first, last))

    async def payouts(self, first: int, last: int) -> list[chain.PaidLog]:
        return await self._ask(lambda twin: twin.payouts(first, last))

    async def anchors(self, first: int, last: int) -> list[chain.AnchorLog]:
        return await self._ask(lambda twin: twin.anchors(first, last))

    async def held(self, block: int) -> int:
        return await self._ask(lambda twin: twin.held(block))

    async def nonce(self, address: str, block: int) -> int:
        return await self._ask(lambda twin: twin.nonce(address, block))

    async def fees(self) -> chain.Fees:
        return await self._ask(lambda twin: twin.fees())

    async def send(self, raw_tx: str) -> str:
        return await self._ask(lambda twin: twin.send(raw_tx), now=True)

    async def receipt(self, tx: str) -> chain.Receipt | None:
        return await self._ask(lambda twin: twin.receipt(tx))


def at_once(asked: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that waits for nothing."""
    try:
        asked.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("a twin does not wait")
