"""The network at a glance, the market, and what an account may want to know of itself."""

from fastapi import APIRouter, Request, Response

from api.auth.keys import Authenticate
from api.parts import Parts
from api.reads import query
from api.reads.views import Past, Several, answer, time_of
from domain import accounts
from domain.ids import AccountId
from domain.log import wire
from domain.parts import Person
from domain.value import Value
from domain.world import World
from projections.explorer import house, market, overview
from projections.explorer.market import Demand, Quotation
from projections.explorer.overview import Overview, Volume
from projections.network import map as network_map
from projections.network.map import Place


class Head(Value):
    log: str
    size: int
    root: str
    at_us: int


class Stopped(Value):
    """Payouts and new escrow are stopped, until two admins release them."""

    position: int
    """Of the event that stopped them."""
    at_us: int
    number: int
    """Of this override; that of the release is one more."""
    reason: str
    evidence_sha256: str


class Network(Value):
    """What there is, and what there was in all."""

    as_of: int
    network: Overview | None
    volumes: list[Volume]
    policy: str | None
    """In force now; none in the past, likewise the head."""
    head: Head | None
    frozen: Stopped | None
    """None: money moves."""


class Market(Value):
    as_of: int
    classes: list[Quotation]
    demand: list[Demand]


class Map(Value):
    as_of: int
    places: list[Place]
    """The fullest first."""


class Numbered(Value):
    """A worker of one's own, and the number of its last bid: the next one is one more."""

    worker: str
    bids: int


class Me(Value):
    """The account of the API key, as the ledger knows it now."""

    as_of: int
    log: str
    chain_id: int
    account: AccountId
    roles: list[str]
    scopes: list[str]
    payout_address: str
    usable_us: int
    payouts: int
    """Number of the last payout request; likewise of the last stake command: the next one is one more."""
    stakes: int
    overrides: int
    """Likewise of the last override, whoever made it."""
    workers: list[Numbered]
    balances: dict[str, str]
    """Amounts in minor units: debits minus credits, so what is owed to the account is negative."""


class Special:
    def __init__(self, parts: Parts, past: Past, authenticate: Authenticate) -> None:
        self._parts, self._past, self._authenticate, self._quarters = parts, past, authenticate, market.Quarters()

    async def overview(self, request: Request) -> Response:
        """The network at a glance."""
        asked = query.one(request)
        views = await self._past.at(Overview, asked)
        found = await views.get(Overview, overview.NETWORK)
        volumes = (await views.page(Volume, limit=query.LIMIT_MAX)).rows
        past, reader = asked.as_of is not None, self._parts.reader
        head = None if past else Head(reader.head.log, reader.head.size, reader.head.root, reader.at_us)
        policy = None if past else reader.world.policy.name
        body = Network(found.position, found.row, volumes, policy, head, await stopped(Several(self._past, asked)))
        changed = found.position if past else f"{found.position}-{reader.head.size}"
        return answer(request, body, found.position, changed=changed, past=past)

    async def market(self, request: Request) -> Response:
        """By class: what work was sold for and what is asked; by engine: what waits to be done."""
        asked = query.one(request)
        views = Several(self._past, asked)
        engines = (await views.page(house.Engine, limit=query.LIMIT_MAX)).rows
        at_us = self._parts.reader.at_us if asked.as_of is None else await time_of(self._parts.reader, asked.as_of)
        classes = sorted({cls for engine in engines for cls in engine.classes or ()})
        quotations = [await market.quotation(views, cls, at_us, self._quarters) for cls in classes]
        position = min([each.position for each in quotations], default=asked.as_of or self._parts.reader.head.size)
        body = Market(position, quotations, await market.demand(views))
        return answer(request, body, position, changed=f"{position}-{at_us}", past=asked.as_of is not None)

    async def map(self, request: Request) -> Response:
        """Machines by country and model, as far as their owners say."""
        asked = query.one(request)
        crowds, position = await network_map.crowds(Several(self._past, asked))
        return answer(request, Map(position, network_map.places(crowds)), position, changed=position, past=asked.as_of is not None)

    async def me(self, request: Request) -> Response:
        """The account of the API key: roles, and the numbers that its next signed commands need."""
        caller = await self._authenticate(request)
        world, size = self._parts.reader.world, self._parts.reader.head.size
        body = me(world, world.people[caller.account], list(caller.scopes), size)
        return Response(wire.encode(body), headers={"Cache-Control": "no-store"}, media_type="application/json")


async def stopped(views: Several) -> Stopped | None:
    for it in (await views.page(house.Override, limit=1, descending=True)).rows:
        if it.action == "freeze":
            return Stopped(it.position, it.at_us or 0, it.number or 0, it.reason or "", it.evidence_sha256 or "")
    return None


def me(world: World, person: Person, scopes: list[str], size: int) -> Me:
    chain_id = next(iter(world.assets.values())).chain_id if world.assets else 0
    mine = [Numbered(worker.id, worker.bids) for worker in world.workers.values() if worker.owner == person.id]
    names = (of(asset, person.id) for asset in world.assets for of in accounts.OF_PEOPLE)
    held = {str(name): str(world.balances[name]) for name in names if name in world.balances}
    numbers = person.payouts, person.stakes, world.overrides
    return Me(size, world.log, chain_id, person.id, person.roles, scopes, person.payout_address, person.usable_us, *numbers, mine, held)


def router(parts: Parts, past: Past, authenticate: Authenticate) -> APIRouter:
    routes, special = APIRouter(), Special(parts, past, authenticate)
    routes.add_api_route("/v1/overview", special.overview, methods=["GET"], operation_id="overview")
    routes.add_api_route("/v1/market", special.market, methods=["GET"], operation_id="market")
    routes.add_api_route("/v1/map", special.map, methods=["GET"], operation_id="map")
    routes.add_api_route("/v1/me", special.me, methods=["GET"], operation_id="me")
    return routes
