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

        async def sent(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            if MARK in request.headers:
                raise Busy
            await self._hand_on(request, sent)
        except ClientDisconnect:
            return
        except Busy as reason:
            if self._leads() and MARK not in request.headers:  # since a moment ago; nothing of the request was read
                await self._app(scope, receive, send)
                return
            await (await problems.not_considered(request, reason))(scope, receive, send)
        except OutcomeUnknown as reason:
            if begun:
                raise
            await (await problems.unanswered(request, reason))(scope, receive, send)

    async def _hand_on(self, request: Request, send: Send) -> None:
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        async with self._leader.ask(request.method, target, {**request.headers, MARK: "1"}, request.stream()) as (status, headers, body):
            for name, value in headers:
                if name.lower() == POSITION and value.isdecimal():
                    self._reach.tell(int(value))
            raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            await send({"type": "http.response.start", "status": status, "headers": raw})
            async for chunk in body:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


def concerns_leader(scope: Scope) -> bool:
    """Daemons find the leader themselves: nobody hands on what only they may ask. GraphQL only reads, whatever its method."""
    path: str = scope["path"]
    return path not in HERE and not path.startswith(SOCKETS) and (scope["method"] not in READS or bool(OF_THE_LEADER.match(path)))
