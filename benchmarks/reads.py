"""Readers of the HTTP API, as a process of its own that does as little as possible: `python -m benchmarks.reads < plan.json`.

Each keeps one connection and asks for one thing at a time, one after another of those in the plan.
"""

import asyncio
import itertools
import subprocess
import sys
import time

import msgspec

from benchmarks.client import Asker
from benchmarks.site import ROOT


class Plan(msgspec.Struct):
    port: int
    requests: list[str]
    """Whole, with their bodies."""
    clients: int
    seconds: float
    warm_up_s: float = 1.0


class Saw(msgspec.Struct):
    done: int = 0
    seconds: float = 0.0
    bytes: int = 0
    """Of the bodies."""
    strange: list[str] = []


class Reader(Asker):
    """Of things, one after another."""

    def __init__(self, plan: Plan, saw: Saw, opens: float, first: int) -> None:
        super().__init__(asyncio.get_running_loop().create_future())
        self._saw, self._opens, self._closes = saw, opens, opens + plan.seconds
        self._next = itertools.cycle([each.encode() for each in plan.requests[first:] + plan.requests[:first]])
        self._now = 0.0

    def ask(self) -> bytes:
        return next(self._next) if self._now < self._closes else b""

    def hear(self, status: bytes, body: bytes) -> None:
        self._now = time.monotonic()
        if status != b"200" and len(self._saw.strange) < 3:
            self._saw.strange.append(f"{status!r} {body[:300]!r}")
        if self._opens <= self._now < self._closes:
            self._saw.done += 1
            self._saw.bytes += len(body)


async def read(plan: Plan) -> Saw:
    saw, opens, loop = Saw(seconds=plan.seconds), time.monotonic() + plan.warm_up_s, asyncio.get_running_loop()
    step = max(len(plan.requests) // plan.clients, 1)
    readers = [Reader(plan, saw, opens, n * step % len(plan.requests)) for n in range(plan.clients)]
    for each in readers:
        await loop.create_connection(lambda each=each: each, "127.0.0.1", plan.port)  # type: ignore[misc]
    await asyncio.wait([each.ended for each in readers], timeout=plan.warm_up_s + plan.seconds + 30)
    return saw


def run(plan: Plan) -> Saw:
    """In a process of its own."""
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.reads"], cwd=ROOT, input=msgspec.json.encode(plan), capture_output=True, check=True
    )
    return msgspec.json.decode(told.stdout, type=Saw)


def get(path: str, header: str = "") -> str:
    return f"GET {path} HTTP/1.1\r\nhost: a\r\n{header}\r\n"


def post(path: str, body: str) -> str:
    return f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {len(body.encode())}\r\n\r\n{body}"


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(msgspec.json.encode(runner.run(read(msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)))).decode())
