"""Socket.IO beside the application, under a path of its own; made when somebody asks for it first."""

import asyncio
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from api.parts import Parts

PATH = "/socket.io/"


class Beside:
    """Around the application."""

    def __init__(self, app: ASGIApp, parts: Parts, open: dict[object, None]) -> None:
        """`open` are all live connections, whatever they speak."""
        self._app, self._parts, self._open = app, parts, open
        self._sockets: Any = None
        self._loading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"} and scope["path"].startswith(PATH):
            sockets = self._sockets or await self._made()
            await sockets(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            await self._app(scope, receive, send)

    async def _made(self) -> ASGIApp:
        async with self._loading:
            if self._sockets is None:
                self._sockets = await asyncio.to_thread(made, self._parts, self._open)
            sockets: ASGIApp = self._sockets
            return sockets


def made(parts: Parts, open: dict[object, None]) -> Any:
    from api.sockets import server  # noqa: PLC0415 - a server starts sooner without

    return server.application(parts, PATH, open)
