"""A server that does what a test says, on a free port of the loopback address, over real sockets: also what no server should do."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple


class Asked(NamedTuple):
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Say(NamedTuple):
    """An answer. `cut`: the connection breaks off behind `body`, although `length` announces more. `hangs`: it stays open."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}
    cut: bool = False
    hangs: bool = False

    def bytes(self, method: str) -> bytes:
        headers = dict(self.headers)
        if self.cut:
            headers.setdefault("content-length", str(len(self.body) + 1))
        elif headers.get("content-type") != "text/event-stream":
            headers.setdefault("content-length", str(len(self.body)))
        lines = [f"HTTP/1.1 {self.status} Said", *(f"{name}: {value}" for name, value in headers.items()), "connection: close", "", ""]
        return "\r\n".join(lines).encode() + (b"" if method == "HEAD" else self.body)


HANG_UP = Say(-1)
"""No answer at all."""


def document(value: Any, status: int = 200, **headers: str) -> Say:
    return Say(status, json.dumps(value).encode(), {"content-type": "application/json", **headers})


def feed(*messages: str, cut: bool = True) -> Say:
    """A live feed that breaks off after these messages, or stays open."""
    text = "".join(f"{message}\n\n" for message in messages)
    return Say(200, text.encode(), {"content-type": "text/event-stream"}, cut=False, hangs=not cut)


class Site:
    """Gives its answers in turn, the last one for ever, and remembers what it was asked. An answer may be made of the question."""

    def __init__(self, *answers: Say | Callable[[Asked], Say]) -> None:
        self.answers = list(answers)
        self.asked: list[Asked] = []
        self._open: set[asyncio.StreamWriter] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
            asked = Asked(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))
            self.asked.append(asked)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            said = answer if isinstance(answer, Say) else answer(asked)
            if said.status > 0:
                writer.write(said.bytes(method))
                await writer.drain()
            if said.hangs:
                await reader.read()
        self._open.discard(writer)
        writer.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """The address, while it runs."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for writer in [*self._open]:
                writer.close()
            await server.wait_closed()
            await asyncio.sleep(0)
