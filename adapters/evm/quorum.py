"""Several nodes of one chain as one: it says what all of them say, and nothing where they differ or one is silent.

One node may lie, lag or be cut off from the chain that everybody else sees. What is taken for final on the word of two that know nothing
of each other would need both to be wrong in the same way. The price is that one of them can make everybody wait; nobody is paid then.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from domain.treasury import chain

T = TypeVar("T")


class Quorum:
    """`domain.treasury.chain.Chain` over nodes that must agree; with a single one, it is that node."""

    def __init__(self, nodes: Sequence[chain.Chain]) -> None:
        self._nodes = tuple(nodes)

    async def chain_id(self) -> int:
        return await self._agreed("the chain's id", lambda node: node.chain_id())

    async def head(self) -> chain.Block:
        """The newest block that all of them have."""
        if len(self._nodes) == 1:
            return await self._nodes[0].head()
        lowest = min(block.number for block in answered(await self._ask(lambda node: node.head())))
        block = await self.block(lowest)
        if block is None:
            raise chain.ChainSilent(f"block {lowest} went away below the head")
        return block

    async def block(self, number: int) -> chain.Block | None:
        return await self._agreed(f"block {number}", lambda node: node.block(number))

    async def first_block_since(self, timestamp_s: int) -> chain.Block | None:
        return await self._agreed(f"the first block since {timestamp_s}", lambda node: node.first_block_since(timestamp_s))

    async def deposits(self, first: int, last: int) -> list[chain.DepositLog]:
        return await self._agreed(f"deposits in blocks {first} to {last}", lambda node: node.deposits(first, last))

    async def payouts(self, first: int, last: int) -> list[chain.PaidLog]:
        return await self._agreed(f"payouts in blocks {first} to {last}", lambda node: node.payouts(first, last))

    async def anchors(self, first: int, last: int) -> list[chain.AnchorLog]:
        return await self._agreed(f"anchors in blocks {first} to {last}", lambda node: node.anchors(first, last))

    async def held(self, block: int) -> int:
        return await self._agreed(f"the treasury's balance after block {block}", lambda node: node.held(block))

    async def nonce(self, address: str, block: int) -> int:
        return await self._agreed(f"the nonce of {address} after block {block}", lambda node: node.nonce(address, block))

    async def receipt(self, tx: str) -> chain.Receipt | None:
        return await self._agreed(f"the receipt of {tx}", lambda node: node.receipt(tx))

    async def fees(self) -> chain.Fees:
        """An offer, no fact, so nobody has to agree: the highest price of blocks, of which no more is charged than is so, and the lowest
        tip, of which all is."""
        offers = answered(await self._ask(lambda node: node.fees()))
        return chain.Fees(max(each.base_wei for each in offers), min(each.tip_wei for each in offers))

    async def send(self, raw_tx: str) -> str:
        """To all of them: it is on its way when one has taken it, and refused only when all refuse it for the same reason."""
        answers = await self._ask(lambda node: node.send(raw_tx))
        for answer in answers:
            if not isinstance(answer, Exception):
                return answer
        return answered(answers)[0]

    async def _agreed(self, what: str, question: Callable[[chain.Chain], Awaitable[T]]) -> T:
        first, *others = answered(await self._ask(question))
        if any(other != first for other in others):
            raise chain.ChainSilent(f"the nodes differ about {what}")
        return first

    async def _ask(self, question: Callable[[chain.Chain], Awaitable[T]]) -> list[T | chain.ChainSilent | chain.ChainRefused]:
        """Each one's answer or refusal, at once."""

        async def one(node: chain.Chain) -> T | chain.ChainSilent | chain.ChainRefused:
            try:
                return await question(node)
            except (chain.ChainSilent, chain.ChainRefused) as fault:
                return fault

        return list(await asyncio.gather(*map(one, self._nodes)))


def answered(answers: list[T | chain.ChainSilent | chain.ChainRefused]) -> list[T]:
    """All of them, if there are all. Raises `ChainSilent` if one is silent or only some refuse, and the refusal if all refuse alike."""
    found, refused = list[T](), list[chain.ChainRefused]()
    for answer in answers:
        if isinstance(answer, chain.ChainSilent):
            raise answer
        if isinstance(answer, chain.ChainRefused):
            refused.append(answer)
        else:
            found.append(answer)
    if not refused:
        return found
    if found or len({type(each) for each in refused}) > 1:
        raise chain.ChainSilent(f"the nodes differ: {refused[0]}")
    raise refused[0]
