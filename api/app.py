"""The web application, from its parts; importing it does nothing."""

from functools import cache

from fastapi import FastAPI, Request, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api import agents, checks, commands, live, metrics, ops, problems
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


def create_app(parts: Parts) -> FastAPI:
    app = FastAPI(title="Gridledger", version="1", docs_url=None, redoc_url=None, redirect_slashes=False)
    reach, deliveries = Reach(parts.reader, parts.limits.wait_s), Deliveries(parts.limits.account_bytes_max)
    authenticate, feeds = keys.authenticator(parts, reach), live.Live(parts)
    past = Past(parts, reach)
    numbers, requests = metrics.router(parts, feeds)
    routers = (
        uploads.router(parts, reach, authenticate, deliveries),
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
    for router in routers:
        app.include_router(router)
    app.add_middleware(metrics.Metered, requests=requests)
    for reason, answer in ANSWERS:
        app.add_exception_handler(reason, answer)
    app.openapi = cache(lambda: build.document(routers))  # type: ignore[method-assign]
    return app


async def no_route(_: Request, reason: Exception) -> Response:
    assert isinstance(reason, HTTPException)
    refusal = problems.MethodUnknown() if reason.status_code == 405 else problems.PathUnknown()
    return problems.problem(refusal.code, str(refusal), headers=dict(reason.headers or {}))


async def gone(_: Request, __: Exception) -> Response:
    """Nobody is there to read it."""
    return problems.problem("malformed", "The request ended early.")


ANSWERS = (
    (Refused, problems.refused),
    (Busy, problems.not_considered),
    (Unreachable, problems.not_considered),
    (OutcomeUnknown, problems.unanswered),
    (NotReached, not_reached),
    (BadKey, problems.bad_key),
    (ValidationError, problems.invalid),
    (HTTPException, no_route),
    (ClientDisconnect, gone),
    (Exception, problems.fault),
)
