"""Bids: what a worker asks per thousand work units in a class, until it says otherwise."""

from collections.abc import Iterator
from typing import ClassVar

from msgspec import field
from pydantic import Field

from domain import body
from domain.errors import DeadlinePassed, NumberUsed, UnknownEngine
from domain.event import Event, Origin
from domain.ids import AccountId, WorkerId
from domain.market.worker import WorkerEvent, own
from domain.signing import Claim
from domain.units import ZERO, Units
from domain.world import World


class Set(WorkerEvent, tag="bid.set.v1"):
    """The worker's standing bid in a class changed."""

    who: ClassVar[str] = "its owner or the worker"

    owner: AccountId
    cls: str = field(name="class")
    price_per_kwu: Units | None
    """Minor units, gross of fees; none: it takes no more tasks of the class."""
    expires_us: int
    """Zero: never."""
    number: int
    signature: str

    def apply(self, world: World) -> None:
        worker = world.workers[self.worker]
        worker.bids = self.number
        standing = worker.classes[self.cls]
        standing.price, standing.bid_expires_us = self.price_per_kwu or ZERO, self.expires_us
        world.seat(worker)

    def claims(self) -> tuple[Claim, ...]:
        return (bidding(self.worker, self.cls, self.price_per_kwu, self.expires_us, self.number, self.owner, self.signature),)


def bidding(worker: WorkerId, cls: str, price: Units | None, expires_us: int, number: int, owner: AccountId, signature: str) -> Claim:
    amount = "" if price is None else str(int(price))
    fields = (("worker", worker), ("class", cls), ("pricePerKwu", amount), ("expiresUs", expires_us), ("number", number))
    return Claim("Bid", fields, owner, "agent", signature)


class Bid(body.Body):
    """Say what a worker asks. Signed by an agent key of its owner; `number` is the worker's last one plus one."""

    worker: body.Worker
    cls: body.Class = Field(alias="class")
    price_per_kwu: body.Amount | None
    expires_us: body.Count = 0
    number: body.Number
    signature: body.Signature

    def claim(self, account: AccountId) -> Claim:
        return bidding(self.worker, self.cls, self.price_per_kwu, self.expires_us, self.number, account, self.signature)

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        worker = own(world, self.worker, origin)
        origin.require_signature(world, self.claim(worker.owner))
        if self.cls not in worker.classes:
            raise UnknownEngine(engine=self.cls.partition("/")[0], cls=self.cls)
        standing = worker.classes[self.cls]
        if self.number == worker.bids and standing.price == (self.price_per_kwu or ZERO):
            return
        if self.number != worker.bids + 1:
            raise NumberUsed(expected=worker.bids + 1, number=self.number)
        if 0 < self.expires_us <= origin.at_us:
            raise DeadlinePassed(what="the bid", due_us=self.expires_us)
        yield Set(worker.id, worker.owner, self.cls, self.price_per_kwu, self.expires_us, self.number, self.signature)
