"""The web application, from its parts; importing it does nothing."""

from collections.abc import Awaitable, Callable, Sequence
from functools import cache

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match

from api import agents, checks, commands, forward, live, metrics, ops, problems
from api.auth import keys
from api.document import build
from api.objects import downloads, uploads
from api.objects.deliveries import Deliveries
from api.parts import Parts
from api.proofs import audit
from api.reach import Reach
from api.reads import lines, market, pages
from api.reads.views import NotReached, Past, not_reached
from domain.errors import Refused
from domain.log.log import Busy, OutcomeUnknown, Unreachable
from domain.log.receipts import BadKey
from projections.views import Unavailable


def create_app(parts: Parts) -> FastAPI:
    app = FastAPI(title="Gridledger", version="1", docs_url=None, redoc_url=None, redirect_slashes=False)
    reach, deliveries = Reach(parts.reader, parts.limits.wait_s), Deliveries(parts.limits.account_bytes_max)
    authenticate, feeds = keys.authenticator(parts, reach), live.Live(parts)
    past = Past(parts, reach)
    numbers, requests = metrics.router(parts, feeds)
    routers = (
        uploads.router(parts, authenticate, deliveries),
        downloads.router(parts, reach, authenticate, deliveries),
        commands.router(parts, reach, authenticate, checks.Checks(parts, deliveries)),
        agents.router(agents.Agents(parts, reach, authenticate, feeds)),
        live.router(feeds),
        audit.router(parts),
        pages.router(past),
        lines.router(parts, past, feeds),
        market.router(parts, past, authenticate),
        ops.router(parts),
        numbers,
    )
    routes = [route for router in routers for route in router.routes]
    app.router.routes.extend(routes)  # `include_router` would search each router anew for each request: a fifth of the speed
    if parts.leader:
        app.add_middleware(forward.Forwarded, leader=parts.leader, leads=parts.leads, reach=reach)
    app.add_middleware(metrics.Metered, requests=requests)
    app.add_exception_handler(HTTPException, no_route(routes))
    for reason, answer in ANSWERS:
        app.add_exception_handler(reason, answer)
    app.openapi = cache(lambda: build.document(routers))  # type: ignore[method-assign]
    return app


def no_route(routes: Sequence[BaseRoute]) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, reason: Exception) -> Response:
        assert isinstance(reason, HTTPException)
        if reason.status_code != 405:
            return problems.problem("path_unknown", str(problems.PathUnknown()))
        found = [route for route in routes if isinstance(route, APIRoute) and route.matches(request.scope)[0] != Match.NONE]
        allowed = sorted(method for route in found for method in route.methods or ())
        return problems.problem("method_unknown", str(problems.MethodUnknown()), headers={"Allow": ", ".join(allowed)})

    return answer


async def gone(_: Request, __: Exception) -> Response:
    """Nobody is there to read it."""
    return problems.problem("malformed", "The request ended early.")


ANSWERS = (
    (Refused, problems.refused),
    (Busy, problems.not_considered),
    (Unreachable, problems.not_considered),
    (Unavailable, problems.not_considered),
    (OutcomeUnknown, problems.unanswered),
    (NotReached, not_reached),
    (BadKey, problems.bad_key),
    (ValidationError, problems.invalid),
    (ClientDisconnect, gone),
    (Exception, problems.fault),
)
