"""The application on a socket, by uvicorn, with the parser and the event loop that are written in C: a request costs less than the
application then, and several times as much as it without."""

import asyncio
import socket
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

STOP_S_MAX = 1
"""What is under way when the server stops has so long to end."""
HEADERS_BYTES_MAX, HEADERS_S_MAX = 65_536, 10.0


class Joined:
    """A connection whose bytes go out when the loop has had its turn, in one piece: uvicorn writes an answer's headers and its body by
    themselves, and each call of the system costs as much as the routing of a request."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop, self._waiting = transport, loop, list[bytes]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)

    def writelines(self, parts: Iterable[bytes]) -> None:
        self.write(b"".join(parts))

    def write_eof(self) -> None:
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting and not self._transport.is_closing():
            self._transport.write(b"".join(waiting))


class Punctual(HttpToolsProtocol):
    """Closes a connection whose next request has begun, and whose headers do not come whole in time, or are too many. Else whoever sends
    halves of requests takes every place, or all the memory, that there is."""

    _unheard = 0
    """Bytes that came since the last request's headers were whole."""
    _late: asyncio.TimerHandle | None = None
    _last: RequestResponseCycle | None = None
    """The last request whose headers came."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        joined: Any = Joined(transport, self.loop)
        super().connection_made(joined)
        self._late = self.loop.call_later(HEADERS_S_MAX, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        between = not self._last or self._last.response_complete
        if self._last is not self.cycle:
            self._last, self._unheard = self.cycle, 0
            self._in_time()
        elif between and self.transport.get_protocol() is self and not self.transport.is_closing():
            self._unheard += len(data)
            if self._unheard > HEADERS_BYTES_MAX:
                self.send_400_response("The headers are too long.")
            elif self._late is None:
                self._late = self.loop.call_later(HEADERS_S_MAX, self.transport.abort)

    def handle_websocket_upgrade(self) -> None:
        self._in_time()
        super().handle_websocket_upgrade()

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


def run(work: Coroutine[Any, Any, None]) -> None:
    """What `asyncio.run` does, on the event loop that uvicorn has found to be the fastest here."""
    with asyncio.Runner(loop_factory=uvicorn.Config("", log_config=None).get_loop_factory()) as runner:
        runner.run(work)


async def serve(app: Any, listener: socket.socket, stopping: asyncio.Event) -> None:
    """Serves until told to stop; then what is under way has a moment to end."""
    # asyncio does it only for sockets that name their protocol; without it the body of an answer waits 40 ms for its headers' receipt.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = Server(
        uvicorn.Config(
            app,
            http=Punctual,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=STOP_S_MAX,
            lifespan="off",
            proxy_headers=False,
            ws_max_size=HEADERS_BYTES_MAX,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await asyncio.wait([serving, asyncio.create_task(stopping.wait())], return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
