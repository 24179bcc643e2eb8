"""The application on a socket, by uvicorn."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

STOP_S_MAX = 1
"""What is under way when the server stops has so long to end."""
HEADERS_BYTES_MAX = 65_536


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
