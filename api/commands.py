"""Commands over HTTP. A command is its own request body, and the answer is its event lines, byte for byte the leaves of the tree: the
caller's receipt. Endpoints take the bare `Request`: what FastAPI would do per call is done once, for OpenAPI."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response

from api import bodies, checks
from api.auth import keys, signatures
from api.auth.keys import Authenticate, Caller
from api.forward import POSITION
from api.parts import Parts
from api.problems import Invalid, KeyMissing
from api.reach import Reach
from domain.body import Body
from domain.errors import Refused
from domain.house import override, rules
from domain.ids import NO_ACCOUNT
from domain.log.receipts import Ask, Receipt
from domain.market import bid, worker
from domain.proof import proof, verdict
from domain.treasury import account, payout, stake
from domain.value import Value
from domain.work import job, task
from domain.world import World

Subject = Callable[[Any, str, World], str]
"""(command, worker, world) -> what is done: the same thing once more does nothing."""

logger = structlog.get_logger()


class Route(Value):
    path: str
    kind: type[Body]
    scope: str
    """What the API key must be good for; empty: the key itself is what is registered."""
    subject: Subject | None = None
    """None: a command of an account, under an Idempotency-Key. Else one of an agent, as its worker."""
    fills: tuple[str, str] = ("", "")
    """(parameter in the path, field of the command that it fills) where the names differ; a field of no name is filled by none."""

    @property
    def keyed(self) -> bool:
        return self.subject is None


def _session(_: Body, id: str, world: World) -> str:
    at = world.workers.get(id)  # type: ignore[call-overload]
    return f"offline/{id}/{at.session if at else ''}"


ROUTES = (
    Route("/v1/accounts", account.Open, ""),
    Route("/v1/me/account", account.Change, "account"),
    Route("/v1/stakes/lock", stake.Lock, "provide"),
    Route("/v1/stakes/unlock", stake.Unlock, "provide"),
    Route("/v1/workers", worker.Register, "provide"),
    Route("/v1/workers/{worker}/change", worker.Change, "provide"),
    Route("/v1/workers/{worker}/bid", bid.Bid, "provide"),
    Route("/v1/jobs", job.Submit, "create"),
    Route("/v1/jobs/{job}/open", job.Open, "create"),
    Route("/v1/jobs/{job}/pause", job.Pause, "create"),
    Route("/v1/jobs/{job}/resume", job.Resume, "create"),
    Route("/v1/jobs/{job}/cancel", job.Cancel, "create"),
    Route("/v1/payouts", payout.Request, "payout"),
    Route("/v1/payouts/{payout}/cancel", payout.Cancel, "payout"),
    Route("/v1/agents/{worker}/online", worker.GoOnline, "agent", lambda it, id, _: f"online/{id}/{it.session}"),
    Route("/v1/agents/{worker}/offline", worker.GoOffline, "agent", _session),
    Route("/v1/agents/{worker}/end", task.End, "agent", lambda it, _, __: f"end/{it.task}/{it.fence}", ("worker", "")),
    Route("/v1/agents/{worker}/commit", proof.Commit, "agent", lambda it, _, __: f"commit/{it.task}/{it.fence}"),
    Route("/v1/agents/{worker}/seal", verdict.Commit, "agent", lambda it, _, __: f"seal/{it.audit}/{it.round}", ("worker", "checker")),
    Route("/v1/agents/{worker}/reveal", verdict.Reveal, "agent", lambda it, _, __: f"reveal/{it.audit}", ("worker", "checker")),
    Route("/internal/v1/policies", rules.Adopt, "office"),
    Route("/internal/v1/engines", rules.RegisterEngine, "office"),
    Route("/internal/v1/assets", rules.ListAsset, "office"),
    Route("/internal/v1/grants", account.Grant, "office"),
    Route("/internal/v1/overrides", override.Override, "office"),
    Route("/internal/v1/payouts/{payout}/approve", payout.Approve, "office"),
)


class Commands:
    """What every command needs on its way to the ledger."""

    def __init__(self, parts: Parts, reach: Reach, authenticate: Authenticate, checked: checks.Checks) -> None:
        self._parts, self._reach, self._authenticate, self._checked = parts, reach, authenticate, checked

    def endpoint(self, route: Route) -> Callable[[Request], Awaitable[Response]]:
        async def post(request: Request) -> Response:
            caller = await self._caller(route, request)
            key = request.headers.get("idempotency-key", "")
            if route.keyed and not key:
                raise KeyMissing
            body = await bodies.read(request)
            command = build(route, request.path_params, bodies.fields(body))
            asked = route.path.encode() + b"\0" + request.url.path.encode() + b"\0" + body
            try:
                receipt = await self._ask(route, request, caller, command, key, asked)
            except Refused as refusal:
                logger.info("refused", command=name(route.kind), account=caller.account, code=refusal.code)
                raise
            self._reach.tell(receipt.last)
            logger.info("done", command=name(route.kind), account=caller.account, position=receipt.position, events=receipt.count)
            headers = {POSITION: str(receipt.last)}
            return Response(answer(receipt), 201 if receipt.lines else 200, headers, "application/json")

        return post

    async def _caller(self, route: Route, request: Request) -> Caller:
        if not route.scope:
            keys.opening_actor(request)
            return Caller(NO_ACCOUNT, ())
        caller = await self._authenticate(request)
        caller.require(route.scope)
        return caller

    async def _ask(self, route: Route, request: Request, caller: Caller, command: Body, key: str, asked: bytes) -> Receipt:
        world = self._parts.reader.world
        first, second = signatures.signers(world, self._parts.recover, command, caller.account)
        if route.subject is None:
            actor = caller.account if route.scope else keys.opening_actor(request)
            ask = Ask.keyed(actor, key, command, asked, account=caller.account, signer=first, approver=second)
        else:
            id = (await keys.own_worker(self._parts, self._reach, caller, request.path_params["worker"])).id
            subject = route.subject(command, id, world)
            ask = Ask.about(id, subject, command, account=caller.account, signer=first, approver=second, size=len(asked))
        if not self._parts.reader.remembers(ask.cmd):
            await self._checked.before(caller.account, command)
        return await self._with_lines(await self._parts.submit(ask))

    async def _with_lines(self, receipt: Receipt) -> Receipt:
        """The lines of an older receipt, from the log."""
        if receipt.lines or not receipt.count:
            return receipt
        last, lines = receipt.position + receipt.count - 1, list[bytes]()
        self._reach.tell(last)
        await self._reach.settle()
        async with aclosing(self._parts.reader.events(receipt.position - 1)) as items:
            async for recorded, line in items:
                lines.append(line)
                if recorded.pos == last:
                    break
        return Receipt(receipt.position, receipt.count, tuple(lines))


def build(route: Route, in_path: dict[str, str], fields: dict[str, Any]) -> Body:
    """The command of a path and a body. A body may repeat what the path says, not contradict it."""
    for parameter, value in in_path.items():
        field = route.fills[1] if parameter == route.fills[0] else parameter
        if field and fields.setdefault(field, value) != value:
            raise Invalid(field=field, pointer=f"/{field}", reason="the path says otherwise")
    return route.kind.model_validate(fields)


def answer(receipt: Receipt) -> bytes:
    return b'{"position":%d,"events":[%b]}' % (receipt.position, b",".join(receipt.lines))


def name(kind: type[Body]) -> str:
    """`job.Submit`."""
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"


def router(parts: Parts, reach: Reach, authenticate: Authenticate, checked: checks.Checks) -> APIRouter:
    routes, commands = APIRouter(), Commands(parts, reach, authenticate, checked)
    for route in ROUTES:
        post, text = commands.endpoint(route), (route.kind.__doc__ or "").strip()
        routes.add_api_route(route.path, post, methods=["POST"], operation_id=name(route.kind), description=text)
    return routes
