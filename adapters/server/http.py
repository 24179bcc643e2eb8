"""The application on a socket, by uvicorn."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

STOP_S_MAX = 1
"""What is under way when the server stops has so long to end."""
HEADERS_BYTES_MAX, HEADERS_S_MAX = 65_536, 10.0


class Punctual(H11Protocol):
    """Closes a connection whose next request has begun, and whose headers do not come whole in time. Else whoever sends halves of requests
    takes every place that there is."""

    _late: asyncio.TimerHandle | None = None
    _last: RequestResponseCycle | None = None
    """The last request whose headers came."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._late = self.loop.call_later(HEADERS_S_MAX, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        between = not self._last or self._last.response_complete
        if self._last is not self.cycle:
            self._last = self.cycle
            self._in_time()
        elif self._late is None and between and not self.transport.is_closing():
            self._late = self.loop.call_later(HEADERS_S_MAX, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def _in_time(self) -> None:
        if self._late:
            self._late.cancel()
            self._late = None


class Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the composition root's: they stop more than this, in an order."""
        yield


async def serve(app: Any, listener: socket.socket, stopping: asyncio.Event) -> None:
    """Serves until told to stop; then what is under way has a moment to end."""
    server = Server(
        uvicorn.Config(
            app,
            http=Punctual,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=STOP_S_MAX,
            lifespan="off",
            h11_max_incomplete_event_size=HEADERS_BYTES_MAX,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await asyncio.wait([serving, asyncio.create_task(stopping.wait())], return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
