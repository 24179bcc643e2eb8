"""The web application, from its parts; importing it does nothing."""

from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from api import agents, checks, commands, forward, live, metrics, ops, problems
from api.auth import keys
from api.daemons import asks
from api.document import build
from api.graphql import endpoint
from api.objects import downloads, uploads
from api.objects.deliveries import Deliveries
from api.parts import Parts
from api.proofs import audit, tiles
from api.reach import Reach
from api.reads import explain, exports, lines, market, pages, search
from api.reads.standing import Standing, unreadable
from api.reads.views import NotReached, Past, crowded, not_reached
from api.sockets import beside
from api.traffic import guarded, kept, limited, packed
from projections.past import Crowded, TooMuch
from projections.views import Unavailable


class Application(Starlette):
    """FastAPI describes the routes (api/document/), Starlette runs them: an endpoint takes the bare request, and what FastAPI would do for
    each one is for nothing, and a quarter of what the application spends on a command."""

    def __init__(self, routers: Sequence[APIRouter]) -> None:
        super().__init__()
        self.routes.extend(bare(route) for router in routers for route in router.routes if isinstance(route, APIRoute))
        self.router.redirect_slashes = False
        self.openapi: Callable[[], dict[str, Any]] = dict

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, guarded.guarded(send))

    def describe(self, routers: Sequence[APIRouter]) -> None:
        """Have these routes in the document at /openapi.json."""
        self.openapi = cache(lambda: build.document(routers))

        async def document(_: Request) -> Response:
            return JSONResponse(self.openapi())

        self.routes.append(Route("/openapi.json", document, methods=["GET"]))


def bare(it: APIRoute) -> Route:
    """The same route for Starlette, with no method more (it adds HEAD)."""
    methods = it.methods or set()
    route = Route(it.path, it.endpoint, methods=sorted(methods))
    route.methods = methods
    return route


def create_app(parts: Parts, *, daemons: bool = True) -> Application:
    """`daemons`: those in other processes may ask here."""
    standing = Standing(parts)
    parts = msgspec.structs.replace(parts, views=standing)
    reach, deliveries = Reach(parts.reader, parts.limits.wait_s, parts.begun), Deliveries(parts.limits.account_bytes_max)
    authenticate, feeds = keys.authenticator(parts, reach), live.Live(parts)
    past, archive = Past(parts, reach), audit.Archive(parts)
    numbers, requests = metrics.router(parts, feeds, standing)
    routers = (
        commands.router(
            parts, reach, authenticate, checks.Checks(parts, deliveries)
        ),  # first, since a request is held against one after another
        uploads.router(parts, authenticate, deliveries),
        downloads.router(parts, reach, authenticate, deliveries),
        agents.router(agents.Agents(parts, reach, authenticate, feeds)),
        live.router(feeds),
        audit.router(parts, archive),
        tiles.router(parts, archive),
        pages.router(past),
        lines.router(parts, past, feeds),
        market.router(parts, past, authenticate),
        search.router(past),
        explain.router(past),
        exports.router(parts, archive),
        endpoint.router(past),
        ops.router(parts, standing),
        numbers,
    )
    inside = (asks.router(parts, authenticate),) if daemons else ()
    app = Application((*routers, *inside))
    app.describe(routers)
    if parts.leader:
        app.add_middleware(forward.Forwarded, leader=parts.leader, leads=parts.leads, reach=reach)
    app.add_middleware(beside.Beside, parts=parts, open=feeds.open)
    app.add_middleware(packed.Packed)
    app.add_middleware(kept.Kept, head=lambda: parts.reader.head.size)
    app.add_middleware(limited.Limited, limits=parts.limits)
    app.add_middleware(metrics.Metered, requests=requests, head=lambda: parts.reader.head.size)
    finish(app, standing)
    return app


def create_ops(parts: Parts) -> Application:
    """The application of a process that answers nobody but whoever runs it."""
    standing = Standing(parts)
    numbers, requests = metrics.router(parts, live.Live(parts), standing)
    app = Application((ops.router(parts, standing), numbers))
    app.add_middleware(metrics.Metered, requests=requests, head=lambda: parts.reader.head.size)
    finish(app, standing)
    return app


def finish(app: Application, standing: Standing) -> None:
    """Whatever goes wrong is a problem document."""
    app.add_exception_handler(HTTPException, no_route([route for route in app.routes if isinstance(route, Route)]))
    app.add_exception_handler(Unavailable, unreadable(standing))
    for reason, answer in ANSWERS:
        app.add_exception_handler(reason, answer)


def no_route(routes: Sequence[Route]) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, reason: Exception) -> Response:
        assert isinstance(reason, HTTPException)
        if reason.status_code != 405:
            return problems.problem("path_unknown", str(problems.PathUnknown()))
        found = [route for route in routes if route.matches(request.scope)[0] != Match.NONE]
        allowed = sorted(method for route in found for method in route.methods or ())
        return problems.problem("method_unknown", str(problems.MethodUnknown()), headers={"Allow": ", ".join(allowed)})

    return answer


async def gone(_: Request, __: Exception) -> Response:
    """Nobody is there to read it."""
    return problems.problem("malformed", "The request ended early.")


ANSWERS: tuple[tuple[type[Exception], problems.Answer], ...] = (
    *problems.ANSWERS,
    (NotReached, not_reached),
    (Crowded, crowded),
    (TooMuch, crowded),
    (ClientDisconnect, gone),
    (Exception, problems.fault),
)
