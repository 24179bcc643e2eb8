"""A network that one can spoil: a TCP proxy in this process, before an address or a Unix socket.

Each way (`up` to the server, `down` to the client) may be late, slow, cut (what comes is swallowed, nobody is told), or break after so
many bytes. A connection that lost bytes is of no use any more: `heal` resets those, as a network would that comes back.
"""

import asyncio
import random
import socket
import struct
from contextlib import suppress
from typing import Self

CHUNK = 4_096


class Way:
    """What happens to bytes in one direction, of all connections."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.bytes_per_s: float | None = None
        self.cut = False
        self.bytes_left: int | None = None
        """None: as many as there are. When they are used up, the connection that sends the next is reset."""


class Link:
    """One connection through the proxy."""

    def __init__(self, *ends: asyncio.StreamWriter) -> None:
        self.ends = ends
        self.lost = False

    def reset(self) -> None:
        for end in self.ends:
            if raw := end.get_extra_info("socket"):
                with suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.transport.abort()


class Proxy:
    """To be used as a context. `port` is where it listens."""

    def __init__(self, host: str = "", port: int = 0, *, path: str = "") -> None:
        self._host, self._port, self._path = host, port, path
        self.up, self.down = Way(), Way()
        self.links: dict[Link, None] = {}
        self.port = 0
        self._handling: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.reset()
        await asyncio.gather(*self._handling, return_exceptions=True)

    def reset(self) -> None:
        """RST to everybody."""
        for link in tuple(self.links):
            link.reset()

    def heal(self) -> None:
        """As on a good day; whoever lost bytes is reset."""
        for way in (self.up, self.down):
            way.__init__()  # type: ignore[misc]
        for link in tuple(self.links):
            if link.lost:
                link.reset()

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._handling.add(task)
        task.add_done_callback(self._handling.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far = asyncio.open_unix_connection(self._path) if self._path else asyncio.open_connection(self._host, self._port)
            far_reader, far_writer = await far
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, far_writer)
        self.links[link] = None
        pumps = [asyncio.create_task(self._pump(reader, far_writer, self.up, link))]
        pumps += [asyncio.create_task(self._pump(far_reader, writer, self.down, link))]
        await asyncio.gather(*pumps, return_exceptions=True)
        self.links.pop(link, None)
        for end in (writer, far_writer):
            end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way, link: Link) -> None:
        while data := await reader.read(CHUNK if way.bytes_per_s is None else max(1, int(way.bytes_per_s / 10))):
            if way.delay_s:
                await asyncio.sleep(way.delay_s)
            if way.bytes_per_s is not None:
                await asyncio.sleep(len(data) / way.bytes_per_s)
            if way.bytes_left is not None:
                passed, way.bytes_left = data[: way.bytes_left], max(0, way.bytes_left - len(data))
                if len(passed) < len(data):
                    writer.write(passed)
                    link.reset()
                    return
            if way.cut:
                link.lost = True
                continue
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def bad_weather(proxy: Proxy, draw: random.Random, bouts: int, *, calm_s: float = 0.15) -> dict[str, int]:
    """One fault after the other, each for a while; returns how many of each."""
    had = dict.fromkeys(("late", "cut up", "cut down", "torn up", "torn down", "reset"), 0)
    for _ in range(bouts):
        await asyncio.sleep(draw.uniform(0, calm_s))
        match kind := draw.choice(list(had)):
            case "late":
                proxy.up.delay_s = proxy.down.delay_s = draw.uniform(0.01, 0.2)
            case "cut up" | "cut down":
                (proxy.up if kind == "cut up" else proxy.down).cut = True
            case "torn up" | "torn down":
                (proxy.up if kind == "torn up" else proxy.down).bytes_left = draw.randint(1, 2_000)
            case "reset":
                proxy.reset()
        had[kind] += 1
        await asyncio.sleep(draw.uniform(0.05, 0.6))
        proxy.heal()
    return had
