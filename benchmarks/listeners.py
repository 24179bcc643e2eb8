"""Clients of live feeds, as a process of its own: `python -m benchmarks.listeners < plan.json`. Each keeps one feed open and notes when it
was told of which position; a line on standard input ends it."""

import asyncio
import sys
import time
from array import array
from itertools import islice
from typing import cast

import msgspec

AT_ONCE = 200
"""Connections that are being opened."""
WAIT_S = 120.0


class Plan(msgspec.Struct):
    port: int
    requests: list[str]
    """One feed each."""


class Heard(msgspec.Struct):
    opened: int
    strange: list[str]
    positions: list[list[int]]
    """Of each feed, in the order in which it was told."""
    times: list[list[float]]


class Listener(asyncio.Protocol):
    def __init__(self, request: str, strange: list[str]) -> None:
        self._request, self._strange = request, strange
        self.positions, self.times, self.open = array("q"), array("d"), asyncio.get_running_loop().create_future()
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._request.encode())

    def data_received(self, data: bytes) -> None:
        if not self.open.done():
            if data[9:12] != b"200" and len(self._strange) < 3:
                self._strange.append(data[:200].decode())
            self.open.set_result(None)
        *lines, self._rest = (self._rest + data).split(b"\n")
        now = time.monotonic()
        for line in lines:
            if line.startswith(b"id: "):
                self.positions.append(int(line[4:]))
                self.times.append(now)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.open.done():
            self.open.set_result(None)
        if len(self._strange) < 3:
            self._strange.append("a feed ended")


async def listen(plan: Plan) -> Heard:
    loop, strange = asyncio.get_running_loop(), list[str]()
    listeners = [Listener(each, strange) for each in plan.requests]
    left = iter(listeners)
    while some := list(islice(left, AT_ONCE)):
        await asyncio.gather(*(loop.create_connection(lambda each=each: each, "127.0.0.1", plan.port) for each in some))  # type: ignore[misc]
        await asyncio.wait([each.open for each in some], timeout=WAIT_S)
    print("listening", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    positions, times = [list(each.positions) for each in listeners], [list(each.times) for each in listeners]
    return Heard(sum(each.open.done() for each in listeners), strange, positions, times)


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(msgspec.json.encode(runner.run(listen(msgspec.json.decode(sys.stdin.readline(), type=Plan)))).decode(), flush=True)
