"""The least that an application can do on our server: one answer, whoever asks. `python -m benchmarks.raw PORT BYTES`."""

import asyncio
import socket
import sys
from typing import Any

from adapters.server import http


def main(port: int, size: int) -> None:
    body, headers = b"a" * size, [(b"content-type", b"application/json"), (b"content-length", str(size).encode())]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    http.run(http.serve(app, socket.create_server(("127.0.0.1", port)), asyncio.Event()))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
