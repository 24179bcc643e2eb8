"""What a server does with requests while another one leads: whatever changes something, or rests on what only the leader's process
knows, goes to the leader and its answer comes back; the rest is answered here.

Whoever was answered through this server finds here what he was told, like with any other.
"""

import re
from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.parts import Leader
from api.reach import Reach
from domain.log import asks
from domain.log.log import Busy, OutcomeUnknown

KEY, KEPT_BYTES_MAX = "idempotency-key", 64 << 10
"""A request with a key may come twice; its body is kept until it is answered, up to this size: the leader may go meanwhile."""
MARK = "gridledger-forwarded"
"""A request that carries it is not handed on again."""
POSITION = "gridledger-position"
"""Of a command's last event: in the answer's header, for who hands it on."""
READS = {"GET", "OPTIONS"}
HERE, SOCKETS = {asks.PATH, "/graphql"}, "/socket.io/"
OF_THE_LEADER = re.compile("/v1/tasks/.+/raw/")
"""What a checker filed first is known to the process that took it."""


class Forwarded:
    """The application of a server that may not lead."""

    def __init__(self, app: ASGIApp, leader: Leader, leads: Callable[[], bool], reach: Reach) -> None:
        self._app, self._leader, self._leads, self._reach = app, leader, leads, reach

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._leads() or not concerns_leader(scope):
            await self._app(scope, receive, send)
            return
        request, begun = Request(scope, receive), False
        body: bytes | None = None

        async def sent(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            if MARK in request.headers:
                raise Busy
            body = await request.body() if may_come_twice(request) else None
            await self._hand_on(request, body, sent)
        except ClientDisconnect:
            return
        except Busy as reason:
            if self._leads() and MARK not in request.headers:  # since a moment ago; nothing of the request was read, or it was kept
                await self._app(scope, receive if body is None else replayed(body, receive), send)
                return
            await (await problems.not_considered(request, reason))(scope, receive, send)
        except OutcomeUnknown as reason:
            if begun:
                raise
            await (await problems.unanswered(request, reason))(scope, receive, send)

    async def _hand_on(self, request: Request, body: bytes | None, send: Send) -> None:
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        content = request.stream() if body is None else body
        async with self._leader.ask(request.method, target, {**request.headers, MARK: "1"}, content) as (status, headers, chunks):
            for name, value in headers:
                if name.lower() == POSITION and value.isdecimal():
                    self._reach.tell(int(value))
            raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            await send({"type": "http.response.start", "status": status, "headers": raw})
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


def may_come_twice(request: Request) -> bool:
    length = request.headers.get("content-length", "")
    return KEY in request.headers and length.isdecimal() and int(length) <= KEPT_BYTES_MAX


def replayed(body: bytes, receive: Receive) -> Receive:
    """A request whose body was read, from its beginning."""
    first = True

    async def received() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return received


def concerns_leader(scope: Scope) -> bool:
    """Daemons find the leader themselves: nobody hands on what only they may ask. GraphQL only reads, whatever its method."""
    path: str = scope["path"]
    return path not in HERE and not path.startswith(SOCKETS) and (scope["method"] not in READS or bool(OF_THE_LEADER.match(path)))
