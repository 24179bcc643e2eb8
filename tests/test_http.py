"""What a connection may cost the server before the application sees a request."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from adapters.server import http

ANSWER = b"HTTP/1.1 200 OK"


async def application(scope: Any, _: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stopping = asyncio.Event()
        serving = asyncio.create_task(http.serve(application, listener, stopping))
        reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        try:
            yield reader, writer
        finally:
            writer.close()
            stopping.set()
            await serving


async def head(reader: asyncio.StreamReader) -> bytes:
    return (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).split(b"\r\n")[0]


async def test_headers_that_never_end_are_refused_as_soon_as_they_are_too_many() -> None:
    async with connected() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert await head(reader) == ANSWER

        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n")
        for _ in range(http.HEADERS_BYTES_MAX // 4_000 + 1):
            writer.write(b"x: %b\r\n" % (b"y" * 4_000))
            await asyncio.sleep(0.001)

        assert (await head(reader)).startswith(b"HTTP/1.1 400 ")
        assert await asyncio.wait_for(reader.read(), 5) == b"The headers are too long."


async def test_headers_within_the_limit_are_taken_and_count_anew_for_each_request() -> None:
    async with connected() as (reader, writer):
        for _ in range(3):
            writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n")
            for _ in range(http.HEADERS_BYTES_MAX // 4_000 - 2):
                writer.write(b"x: %b\r\n" % (b"y" * 4_000))
                await asyncio.sleep(0.001)
            writer.write(b"\r\n")

            assert await head(reader) == ANSWER


def test_the_loop_leaves_logging_as_it_is() -> None:
    async def nothing() -> None:
        assert asyncio.get_running_loop().__class__.__module__.startswith("uvloop")

    http.run(nothing())

    assert not logging.getLogger("uvicorn").handlers
