"""Commands over HTTP. A command is its own request body, and the answer is its event lines, byte for byte the leaves of the tree: the
caller's receipt. Endpoints take the bare `Request`: what FastAPI would do per call is done once, for OpenAPI.

Several commands of one account may come in one request. Each is what it would be by itself, with its own key, its own receipt or refusal,
and the same digest: a retry of one of them may come alone, or the other way round.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Annotated, Any

import msgspec
import structlog
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from api import bodies, checks, problems
from api.auth import keys, signatures
from api.auth.keys import Authenticate, Caller
from api.forward import POSITION
from api.parts import Parts
from api.problems import Invalid, KeyMissing, Malformed, PathUnknown, TooLarge
from api.reach import Reach
from domain.body import Body
from domain.errors import Refused
from domain.house import override, rules
from domain.ids import NO_ACCOUNT, Actor
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


SEVERAL = "/v1/commands"
SEVERAL_MAX, SEVERAL_BYTES_MAX = 250, 512 * 1024
TOGETHER = [(re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path)), route) for route in ROUTES if route.keyed and route.scope]
"""What may come with others: whatever takes an Idempotency-Key, but the opening of an account, whose secret nobody has yet."""


class Item(BaseModel):
    """A command of several: what would be the path, the Idempotency-Key and the body of its own request."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    path: Annotated[str, Field(max_length=200, examples=["/v1/jobs/job-100/open"])]
    key: Annotated[str, Field(max_length=36, examples=["019a9f60-7c00-7000-8000-000000000001"])]
    body: dict[str, Any]


class Bytes(Value):
    """An item's body as it came: the key stands for these bytes."""

    body: msgspec.Raw


validated = TypeAdapter(Annotated[list[Item], Field(min_length=1, max_length=SEVERAL_MAX)]).validate_python
sliced = msgspec.json.Decoder(list[Bytes]).decode


class Commands:
    """What every command needs on its way to the ledger."""

    def __init__(self, parts: Parts, reach: Reach, authenticate: Authenticate, checked: checks.Checks) -> None:
        self._parts, self._reach, self._authenticate, self._checked = parts, reach, authenticate, checked

    def endpoint(self, route: Route) -> Callable[[Request], Awaitable[Response]]:
        async def post(request: Request) -> Response:
            caller, actor = await self._caller(route, request)
            key = request.headers.get("idempotency-key", "")
            if route.keyed and not key:
                raise KeyMissing
            body = await bodies.read(request)
            command = build(route, request.path_params, bodies.fields(body))
            asked = digested(route, request.scope["path"], body)
            try:
                if route.subject is None:
                    ask = await self._keyed(caller, actor, key, command, asked)
                else:
                    ask = await self._about(route.subject, request.path_params["worker"], caller, command, asked)
                receipt = await self._with_lines(await self._parts.submit(ask))
            except Refused as refusal:
                logger.info("refused", command=name(route.kind), account=caller.account, code=refusal.code)
                raise
            self._reach.tell(receipt.last)
            logger.info("done", command=name(route.kind), account=caller.account, position=receipt.position, events=receipt.count)
            headers = {POSITION: str(receipt.last)}
            return Response(b"{%b}" % answer(receipt), status(receipt), headers, "application/json")

        return post

    async def several(self, request: Request) -> Response:
        """Several commands of one account, each as if it had come by itself. An item is what would be its path, its Idempotency-Key and its
        body. They are decided in the order in which they stand; the answer has an outcome for each, in that order, and one that is refused
        keeps none of the others from being carried out. Whatever takes an Idempotency-Key may come so, but the opening of an account. To
        ask again, send the same, or any of them by itself under its key."""
        caller = await self._authenticate(request)
        ready = [await self._ready(caller, *each) for each in items(await bodies.read(request, SEVERAL_BYTES_MAX))]
        outcomes = await asyncio.gather(*(self._outcome(each) for each in ready))
        done = [each for each in outcomes if isinstance(each, Receipt)]
        last = max((each.last for each in done), default=0)
        self._reach.tell(last)
        logger.info("several done", account=caller.account, done=len(done), refused=len(outcomes) - len(done), position=last)
        told = [
            b'{"status":%d,%b}' % (status(each), answer(each)) if isinstance(each, Receipt) else await problem(request, each)
            for each in outcomes
        ]
        return Response(b"[%b]" % b",".join(told), 200, {POSITION: str(last)} if last else {}, "application/json")

    async def _ready(self, caller: Caller, item: Item, body: bytes) -> Ask | Exception:
        """The command on its way in, or why it does not come so far."""
        try:
            if len(body) > bodies.BODY_BYTES_MAX:
                raise TooLarge(maximum=bodies.BODY_BYTES_MAX)
            route, in_path = together(item.path)
            caller.require(route.scope)
            command = build(route, in_path, item.body)
            return await self._keyed(caller, caller.account, item.key, command, digested(route, item.path, body))
        except Exception as reason:
            return reason

    async def _outcome(self, ready: Ask | Exception) -> Receipt | Exception:
        if isinstance(ready, Exception):
            return ready
        try:
            return await self._with_lines(await self._parts.submit(ready))
        except Exception as reason:
            return reason

    async def _caller(self, route: Route, request: Request) -> tuple[Caller, Actor]:
        if not route.scope:
            return Caller(NO_ACCOUNT, ()), keys.opening_actor(request)
        caller = await self._authenticate(request)
        caller.require(route.scope)
        return caller, caller.account

    async def _keyed(self, caller: Caller, actor: Actor, key: str, command: Body, asked: bytes) -> Ask:
        first, second = signatures.signers(self._parts.reader.world, self._parts.recover, command, caller.account)
        ask = Ask.keyed(actor, key, command, asked, account=caller.account, signer=first, approver=second)
        return await self._checks(caller, ask, command)

    async def _about(self, subject: Subject, worker: str, caller: Caller, command: Body, asked: bytes) -> Ask:
        world = self._parts.reader.world
        first, second = signatures.signers(world, self._parts.recover, command, caller.account)
        id = (await keys.own_worker(self._parts, self._reach, caller, worker)).id
        what = subject(command, id, world)
        ask = Ask.about(id, what, command, account=caller.account, signer=first, approver=second, size=len(asked))
        return await self._checks(caller, ask, command)

    async def _checks(self, caller: Caller, ask: Ask, command: Body) -> Ask:
        if not self._parts.reader.remembers(ask.cmd):
            await self._checked.before(caller.account, command)
        return ask

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


def items(body: bytes) -> list[tuple[Item, bytes]]:
    """Several commands, and the bytes of each one's body. Raises `Malformed`, `ValidationError`."""
    found = validated(bodies.parsed(body))
    try:
        return [(item, bytes(its.body)) for item, its in zip(found, sliced(body), strict=True)]
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Malformed(reason="it is not JSON") from None


def together(path: str) -> tuple[Route, dict[str, str]]:
    """The command at a path that may come with others, and what the path says. Raises `PathUnknown`."""
    for pattern, route in TOGETHER:
        if found := pattern.fullmatch(path):
            return route, found.groupdict()
    raise PathUnknown


def digested(route: Route, path: str, body: bytes) -> bytes:
    """What an Idempotency-Key stands for."""
    return b"\0".join((route.path.encode(), path.encode(), body))


def build(route: Route, in_path: Mapping[str, str], fields: dict[str, Any]) -> Body:
    """The command of a path and a body. A body may repeat what the path says, not contradict it."""
    for parameter, value in in_path.items():
        field = route.fills[1] if parameter == route.fills[0] else parameter
        if field and fields.setdefault(field, value) != value:
            raise Invalid(field=field, pointer=f"/{field}", reason="the path says otherwise")
    return route.kind.model_validate(fields)


def status(receipt: Receipt) -> int:
    return 201 if receipt.lines else 200


def answer(receipt: Receipt) -> bytes:
    return b'"position":%d,"events":[%b]' % (receipt.position, b",".join(receipt.lines))


async def problem(request: Request, reason: Exception) -> bytes:
    its = await problems.answer(request, reason)
    return b'{"status":%d,"problem":%b}' % (its.status_code, bytes(its.body))


def name(kind: type[Body]) -> str:
    """`job.Submit`."""
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"


def router(parts: Parts, reach: Reach, authenticate: Authenticate, checked: checks.Checks) -> APIRouter:
    routes, commands = APIRouter(), Commands(parts, reach, authenticate, checked)
    routes.add_api_route(SEVERAL, commands.several, methods=["POST"], operation_id="commands.several")
    for route in ROUTES:
        post, text = commands.endpoint(route), (route.kind.__doc__ or "").strip()
        routes.add_api_route(route.path, post, methods=["POST"], operation_id=name(route.kind), description=text)
    return routes
