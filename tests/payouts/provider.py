"""A provider between us and the node, as bad as it is told to be: it refuses, loses answers, is slow, lags behind, or lies.

It speaks HTTP/1.1 as far as our client and anvil do. What it does to a question is decided by `fault`, a function of the method; a lie
changes the node's answer.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

Lie = Callable[[Any], Any]
"""From the true result of a question to another."""


class Fault(msgspec.Struct, frozen=True):
    """What happens to one question."""

    kind: str
    """refused (the node never hears of it), lost (it does, and its answer never arrives), slow, lagging, lie."""
    slow_s: float = 0.0
    behind: int = 0
    lie: Lie | None = None


class Provider:
    """One address of its own."""

    def __init__(self, node: str) -> None:
        where = urlsplit(node)
        self._host, self._port = where.hostname or "", where.port or 80
        self.url = ""
        self.fault: Callable[[str], Fault | None] = honest
        self.done = Counter[str]()
        """How often each kind of fault came about."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        node_reader, node_writer = await asyncio.open_connection(self._host, self._port)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    _, body = await message(reader)
                    question = msgspec.json.decode(body)
                    fault = self.fault(question["method"])
                    if fault:
                        self.done[fault.kind] += 1
                    if fault and fault.kind == "refused":
                        return
                    if fault and fault.kind == "lagging":
                        question = await self._older(question, fault.behind, node_reader, node_writer)
                    answer = await asked(node_reader, node_writer, question)
                    if fault and fault.kind == "lost":
                        return
                    if fault and fault.lie and "result" in answer:
                        answer = {**answer, "result": fault.lie(answer["result"])}
                    await asyncio.sleep(fault.slow_s if fault else 0)
                    content = msgspec.json.encode(answer)
                    writer.write(
                        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(content) + content
                    )
                    await writer.drain()
        finally:
            writer.close()
            node_writer.close()

    async def _older(
        self, question: dict[str, Any], behind: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> dict[str, Any]:
        """The same about a block below the newest."""
        if question["params"][:1] != ["latest"]:
            return question
        newest = await asked(reader, writer, {**question, "method": "eth_blockNumber", "params": []})
        number = max(0, int(newest["result"], 16) - behind)
        return {**question, "params": [hex(number), *question["params"][1:]]}


def honest(method: str) -> Fault | None:
    return None


def lying(**lies: Lie) -> Callable[[str], Fault | None]:
    """Lies about these methods (`eth_getLogs=…`) and about nothing else."""
    return lambda method: Fault("lie", lie=lies[method]) if method in lies else None


def always(kind: str, **facts: Any) -> Callable[[str], Fault | None]:
    return lambda _: Fault(kind, **facts)


@contextlib.asynccontextmanager
async def provider(node: str) -> AsyncIterator[Provider]:
    it = Provider(node)
    server = await asyncio.start_server(it.serve, "127.0.0.1", 0)
    it.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield it
    finally:
        server.close()


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, question: Any) -> dict[str, Any]:
    content = msgspec.json.encode(question)
    head = b"POST / HTTP/1.1\r\nhost: node\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    writer.write(head % len(content) + content)
    await writer.drain()
    _, body = await message(reader)
    return dict(msgspec.json.decode(body))


async def message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body. Raises `IncompleteReadError` at the end."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = next(int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    return head, await reader.readexactly(size)
