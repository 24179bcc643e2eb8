"""Batches: payouts on the chain. The payer signs, and the signed bytes are an event before they are sent; the watch reports what becomes
of them. An ambiguous send is answered by the same bytes again; the contract pays each payout id once."""

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from domain import accounts, body
from domain.accounts import ETH, Account, Asset, Entry, entry, move
from domain.errors import MoneyFrozen, NotAllowed, TooEarly, WrongNonce
from domain.event import Event, Origin
from domain.ids import AccountId, BatchId, PayoutId
from domain.lifecycle import PAYOUT
from domain.parts import Batch
from domain.units import Units
from domain.value import Value
from domain.world import World

PAYOUTS_MAX = 100


class BatchEvent(Event):
    batch: BatchId
    asset: Asset

    @property
    def stream(self) -> str:
        return self.batch


class Signed(BatchEvent, tag="batch.signed.v1"):
    """The payer signed a transaction that pays these payouts: these bytes and no others will be sent (again on a fee bump)."""

    who: ClassVar[str] = "the payer"

    payouts: tuple[PayoutId, ...]
    nonce: int
    raw_tx: str
    tx_hash: str

    def apply(self, world: World) -> None:
        for id in self.payouts:
            payout = world.payouts[id]
            payout.move(self.verb())
            payout.batch = self.batch
        world.nonce = max(world.nonce, self.nonce)
        world.batches[self.batch] = Batch(self.batch, self.asset, list(self.payouts), self.nonce, self.raw_tx, self.tx_hash, world.at_us)


class Item(Value):
    """One payout of a batch, and where its money goes back to if it fails."""

    payout: PayoutId
    account: AccountId
    back_to: Account
    amount: Units


class MinedEvent(BatchEvent):
    tx_hash: str
    block: int
    paid: tuple[Item, ...]
    failed: tuple[Item, ...]


class Mined(MinedEvent, tag="batch.mined.v1"):
    """The transaction is in a block."""

    who: ClassVar[str] = "the watch"

    def apply(self, world: World) -> None:
        batch = world.batches[self.batch]
        batch.status, batch.block, batch.tx_hash = "mined", self.block, self.tx_hash
        for item in (*self.paid, *self.failed):
            world.payouts[item.payout].move(self.verb())

    def entry(self) -> Entry:
        out = accounts.outbound(self.asset)
        return entry(*(move(item.amount, debit=accounts.inflight(self.asset, item.payout), credit=out) for item in self.paid))


class Unmined(MinedEvent, tag="batch.unmined.v1"):
    """That block is not part of the chain any more; the same bytes are sent again."""

    who: ClassVar[str] = "the watch"

    def apply(self, world: World) -> None:
        batch = world.batches[self.batch]
        batch.status, batch.block = "signed", 0
        for item in (*self.paid, *self.failed):
            world.payouts[item.payout].move(self.verb())

    def entry(self) -> Entry:
        out = accounts.outbound(self.asset)
        return entry(*(move(item.amount, debit=out, credit=accounts.inflight(self.asset, item.payout)) for item in self.paid))


class Finalised(MinedEvent, tag="batch.finalised.v1"):
    """The payouts are final. What failed inside the batch is payable again; the platform paid the gas."""

    who: ClassVar[str] = "the watch"

    gas: Units
    """In wei."""

    def apply(self, world: World) -> None:
        del world.batches[self.batch]
        world.versions.pop(self.batch, None)
        world.final_block = max(world.final_block, self.block)
        for item in (*self.paid, *self.failed):
            world.payouts.pop(item.payout).move(self.verb())
            world.versions.pop(item.payout, None)
            world.arm_payday(item.account)

    def entry(self) -> Entry:
        out = Units(sum(item.amount for item in self.paid))
        return entry(
            move(out, debit=accounts.outbound(self.asset), credit=accounts.treasury(self.asset)),
            *(move(item.amount, debit=accounts.inflight(self.asset, item.payout), credit=item.back_to) for item in self.failed),
            move(self.gas, debit=accounts.gas(ETH), credit=accounts.capital(ETH)),
        )


Payouts = Annotated[tuple[body.Payout, ...], Field(max_length=PAYOUTS_MAX, strict=False)]


class Sign(body.Body):
    """Put payouts on the chain: the signed transaction, before it is sent. By the payer. With `batch`, the same payouts and nonce with a
    higher fee."""

    asset: body.AssetId
    payouts: Annotated[Payouts, Field(min_length=1)]
    nonce: body.Count
    raw_tx: Annotated[str, Field(pattern="^0x[0-9a-f]{2,40000}$")]
    tx_hash: body.Hash32
    batch: body.Batch | None = None

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        origin.require(world, "payer")
        if any(batch.tx_hash == self.tx_hash for batch in world.batches.values()):
            return
        if world.frozen:
            raise MoneyFrozen(what=Signed.verb())
        expected = self._bumped(world, origin) if self.batch else (world.nonce + 1 if world.nonce >= 0 else self.nonce)
        if self.nonce != expected:
            raise WrongNonce(expected=expected, given=self.nonce)
        if len(set(self.payouts)) < len(self.payouts):
            raise NotAllowed(what="a payout", status="named twice", happens=Signed.verb())
        for id in self.payouts:
            payout = world.payouts.get(id) or origin.missing(id)
            if payout.asset != self.asset:
                raise NotAllowed(what=id, status=f"in {payout.asset}", happens=Signed.verb())
            PAYOUT.guard(id, payout.status, Signed.verb())
            if self.batch is None and payout.status == "signed":
                raise NotAllowed(what=id, status="signed", happens=Signed.verb())
            if payout.status == "requested" and payout.amount >= world.policy.approval_min:
                raise NotAllowed(what=id, status="not approved", happens=Signed.verb())
        oldest_us = min(world.payouts[id].requested_us for id in self.payouts)
        if origin.at_us < oldest_us + world.policy.batch_wait_us:
            raise TooEarly(what=Signed.verb(), due_us=oldest_us + world.policy.batch_wait_us)
        id_ = self.batch or BatchId(f"batch-{origin.pos}")
        yield Signed(id_, self.asset, self.payouts, self.nonce, self.raw_tx, self.tx_hash)

    def _bumped(self, world: World, origin: Origin) -> int:
        batch = world.batches.get(self.batch or BatchId("")) or origin.missing(str(self.batch))
        if batch.status != "signed" or batch.payouts != list(self.payouts):
            raise NotAllowed(what=batch.id, status=batch.status, happens=Signed.verb())
        return batch.nonce


class Mine(body.Body):
    """A batch was mined: which of its payouts were paid and which failed. By the watch."""

    batch: body.Batch
    tx_hash: body.Hash32
    block: body.Count
    paid: Payouts
    failed: Payouts

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        origin.require(world, "watch")
        batch = world.batches.get(self.batch) or origin.missing(self.batch)
        if batch.status == "mined" and batch.block == self.block:
            return
        if batch.status != "signed" or sorted((*self.paid, *self.failed)) != sorted(batch.payouts):
            raise NotAllowed(what=batch.id, status=batch.status, happens=Mined.verb())
        yield Mined(batch.id, batch.asset, self.tx_hash, self.block, items(world, self.paid), items(world, self.failed))


class Unmine(body.Body):
    """The block of a batch was reorganised away. By the watch."""

    batch: body.Batch
    paid: Payouts
    failed: Payouts

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        origin.require(world, "watch")
        batch = world.batches.get(self.batch) or origin.missing(self.batch)
        if batch.status == "mined":
            paid, failed = as_mined(world, batch, (self.paid, self.failed), Unmined.verb())
            yield Unmined(batch.id, batch.asset, batch.tx_hash, batch.block, paid, failed)


class Finalise(body.Body):
    """The block of a batch is final. By the watch."""

    batch: body.Batch
    tx_hash: body.Hash32
    block: body.Count
    gas: body.Amount
    paid: Payouts
    failed: Payouts

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        origin.require(world, "watch")
        if (batch := world.batches.get(self.batch)) is None:
            return
        if (batch.status, batch.block, batch.tx_hash) != ("mined", self.block, self.tx_hash):
            raise NotAllowed(what=batch.id, status=batch.status, happens=Finalised.verb())
        paid, failed = as_mined(world, batch, (self.paid, self.failed), Finalised.verb())
        yield Finalised(batch.id, batch.asset, batch.tx_hash, batch.block, paid, failed, self.gas)


def as_mined(
    world: World, batch: Batch, told: tuple[tuple[PayoutId, ...], tuple[PayoutId, ...]], verb: str
) -> tuple[tuple[Item, ...], ...]:
    """What was paid and what failed when the batch was mined. Raises `NotAllowed` if another result is told, e.g. that of a block which
    a second watch has seen replaced: what is posted once would be taken back twice."""
    gone = {id for id in batch.payouts if not world.credit(accounts.inflight(batch.asset, id))}
    if sorted(told[0]) != sorted(gone) or sorted((*told[0], *told[1])) != sorted(batch.payouts):
        raise NotAllowed(what=batch.id, status="mined with another result", happens=verb)
    return items(world, told[0]), items(world, told[1])


def items(world: World, ids: tuple[PayoutId, ...]) -> tuple[Item, ...]:
    payouts = [world.payouts[id] for id in ids]
    return tuple(Item(payout.id, payout.account, payout.back_to, payout.amount) for payout in payouts)
