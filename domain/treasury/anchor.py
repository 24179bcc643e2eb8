"""What ties the log to the chain: the head anchored in the contract, and the treasury reconciled with `balanceOf`."""

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from domain import accounts, body
from domain.accounts import Asset
from domain.errors import UnknownAsset
from domain.event import Event, Origin
from domain.units import Units
from domain.world import World


class Anchored(Event, tag="checkpoint.anchored.v1"):
    """The head of the log at `size` stands in the contract's storage."""

    who: ClassVar[str] = "the anchorer"

    size: int
    root: str
    tx: str
    block: int

    @property
    def stream(self) -> str:
        return "checkpoint"

    def apply(self, world: World) -> None:
        world.anchored_size, world.anchored_us = world.pos, world.at_us


class Reconciled(Event, tag="chain.reconciled.v1"):
    """At a final block, the treasury's balance on chain and in the ledger. `breaks` is their difference, zero when all is well."""

    who: ClassVar[str] = "the watch"

    asset: Asset
    block: int
    balance: Units
    ledger: Units
    breaks: Units

    @property
    def stream(self) -> str:
        return "chain"

    def apply(self, world: World) -> None:
        world.reconciled_block = self.block


class Anchor(body.Body):
    """The contract took the head, and the block is final. By the anchorer."""

    size: body.Number
    root: body.Digest
    tx: body.Hash32
    block: body.Count

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        origin.require(world, "anchorer")
        if world.anchored_size < self.size < origin.pos:
            yield Anchored(self.size, self.root, self.tx, self.block)


class Reconcile(body.Body):
    """The treasury's balance at a final block, all of whose facts are in the ledger. By the watch."""

    asset: body.AssetId
    block: body.Count
    balance: Annotated[str, Field(pattern="^(0|[1-9][0-9]{0,77})$")]

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        origin.require(world, "watch")
        if self.asset not in world.assets:
            raise UnknownAsset(asset=self.asset)
        if self.block <= world.reconciled_block or self.block < world.final_block:
            return  # the ledger's balance is of a later block by now
        balance, ledger = Units(self.balance), Units(world.balances.get(accounts.treasury(self.asset), 0))
        yield Reconciled(self.asset, self.block, balance, ledger, balance - ledger)
