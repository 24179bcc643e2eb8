"""What is final stays: whether the chain still holds what the ledger took from it for good.

The policy's depth is a bet. Where a chain loses it, deposits that were credited or payouts that were counted are not there any more,
and nobody may pay on their strength. A block's hash covers all blocks before it, so one question notices: is the last final block that
was relied upon still what it was? After a start nobody remembers that block; then the newest final facts of the log are compared with
the chain, down to the first beacon that stands, whose hash covers all before it.

When two admins have released money that was frozen because of this, they have looked at what was lost: it is not asked about again, and
a deposit that was credited before comes to no second credit when its transaction is mined anew.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing

from domain.accounts import Asset
from domain.event import Event, Recorded
from domain.house import override
from domain.proof import beacon
from domain.treasury import anchor, batch, chain, deposit
from domain.value import Value
from worker_runtime.daemons import loop

REASON = "chain_reorganised"
REMEDY = (
    "money is frozen; compare the log with the chain, make good what was lost (a batch by sending its signed bytes again), "
    "release by two admins, then start the server again"
)
STRIDE = 1_000
"""So many events are looked through first for final facts, from the end of the log; four times as many each time there is none."""
FACTS_MAX = 100


class Fact(Value):
    """What the ledger took for final."""

    name: str
    block: int
    tx: str = ""
    block_hash: str = ""
    """Of a beacon, which is a block and no transaction."""


class Ground:
    """What one daemon relies on."""

    def __init__(self, desk: loop.Desk, node: chain.Chain, asset: Asset) -> None:
        self._desk, self._node, self._asset = desk, node, asset
        self._head: chain.Block | None = None
        """The newest block at the last look. As long as it is the newest, nothing below it changed."""
        self._final: chain.Block | None = None
        """The last final block at the last look."""
        self._since = -1
        """Position of the last release; negative before the first look."""
        self.credited = frozenset[str]()
        """References of the deposits that were final by then."""

    async def fault(self, head: chain.Block) -> str:
        """What the chain has lost, as the beginning of a sentence; empty if it holds everything. Raises `Waits` while the node is
        behind what it showed before, `Halted` if it is of another chain, and what the chain raises."""
        if self._since < 0:
            here, home = await self._node.chain_id(), self._desk.world.assets[self._asset].chain_id
            if here != home:
                raise loop.Halted(
                    f"the node is of chain {here}, and {self._asset} is on chain {home}: correct rpc_url, start the server again"
                )
            self._since, self.credited = await released(self._desk.reader)
        if head == self._head:
            return ""
        number = max(0, head.number - self._desk.world.policy.finality_blocks)
        fresh = await self._at(number, head)
        if not self._final:
            fault = await self._lost(head)
        elif (block := await self._at(self._final.number, head)).hash != self._final.hash:
            fault = f"block {block.number} was final as {self._final.hash} and is {block.hash} now"
            fault += f"; {lost}" if (lost := await self._lost(head)) else ""
        else:
            fault = ""
        if fault:
            return fault
        self._final = fresh if not self._final or number > self._final.number else self._final
        self._head = head
        return ""

    async def _at(self, number: int, head: chain.Block) -> chain.Block:
        block = await self._node.block(number) if number <= head.number else None
        if block is None:
            raise loop.Waits(f"the node is behind: block {number} was final, and its newest is {head.number}")
        return block

    async def _lost(self, head: chain.Block) -> str:
        for fact in await newest(self._desk.reader, self._since):
            block = await self._at(fact.block, head)
            if fact.block_hash:
                return "" if block.hash == fact.block_hash else f"{fact.name} was drawn from another block {fact.block}"
            receipt = await self._node.receipt(fact.tx)
            if receipt is None:
                return f"{fact.name}, final in block {fact.block}, is not on the chain any more (transaction {fact.tx})"
            if receipt.block != fact.block:
                return f"{fact.name}, final in block {fact.block}, is in block {receipt.block} now (transaction {fact.tx})"
        return ""


async def newest(reader: loop.Reader, since: int) -> list[Fact]:
    """Some final facts behind a position, the newest among them, by block, the highest first."""
    upto, stride = reader.head.size, STRIDE
    while upto > since:
        after = max(since, upto - stride)
        if facts := [fact async for each in between(reader, after, upto) if (fact := fact_of(each.event))]:
            return sorted(facts, key=lambda it: (it.block, it.block_hash), reverse=True)[:FACTS_MAX]
        upto, stride = after, 4 * stride
    return []


async def released(reader: loop.Reader) -> tuple[int, frozenset[str]]:
    """Where money that was frozen because of this was released last, zero if never; and the deposits that were final by then."""
    if not reader.world.overrides:
        return 0, frozenset()
    since, final, by_then, reason = 0, set[str](), frozenset[str](), ""
    async for each in between(reader, 0, reader.head.size):
        match each.event:
            case deposit.Finalised(tx=tx, log_index=index):
                final.add(deposit.reference(tx, index))
            case override.Applied(action="freeze"):
                reason = each.event.reason
            case override.Applied(action="release") if reason == REASON:
                since, by_then = each.pos, frozenset(final)
            case _:
                pass
    return since, by_then


async def between(reader: loop.Reader, after: int, upto: int) -> AsyncIterator[Recorded[Event]]:
    if after >= upto:
        return
    async with aclosing(reader.events(after)) as events:
        async for recorded, _ in events:
            yield recorded
            if recorded.pos >= upto:
                return


def fact_of(event: Event) -> Fact | None:
    match event:
        case deposit.Finalised():
            return Fact(event.deposit, event.block, event.tx)
        case batch.Finalised():
            return Fact(event.batch, event.block, event.tx_hash)
        case anchor.Anchored():
            return Fact(f"the anchor of size {event.size}", event.block, event.tx)
        case beacon.Drawn():
            return Fact(event.beacon, event.block_number, block_hash=event.block_hash)
        case _:
            return None
