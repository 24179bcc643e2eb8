"""Clients of the HTTP API, as a process of its own that does as little as possible: `python -m benchmarks.client < plan.json`.

Each client keeps one connection and asks for one thing at a time. Raw HTTP/1.1 over asyncio; what came back is looked at when all is over.
It prints `measured` when its window is over, goes on until the server is gone, and then writes what it saw to the plan's file.
"""

import asyncio
import random
import re
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import cast

import msgspec

from benchmarks.seeds import uuid7

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Plan(msgspec.Struct):
    """What to ask for."""

    port: int
    secret: str
    clients: int
    seconds: float
    output: str
    payable: list[str] = []
    """Paths of commands that will be carried out, each asked for once."""
    dear: list[str] = []
    """Paths of commands that are refused, each again and again."""
    together: float = 0.0
    """The share of requests that bring `batch` commands at once (`POST /v1/commands`)."""
    batch: int = 50
    warm_up_s: float = 1.0
    refused: float = 0.10
    again: float = 0.05


class Saw(msgspec.Struct):
    """What came of it."""

    seconds: float = 0.0
    latencies_us: list[int] = []
    """Of all answers within the window."""
    done: int = 0
    """Answers within the window."""
    refusals: int = 0
    retries: int = 0
    acknowledged: list[bytes] = []
    """The bodies of all answers 200 and 201, also outside of the window; of commands that came together, as if they had come alone."""
    strange: list[str] = []
    """Answers that nobody expected; the first few."""
    cpu_s: float = 0.0
    ran_dry: bool = False


class Outcome(msgspec.Struct):
    """Of a command that came with others."""

    status: int
    position: int = 0
    events: list[msgspec.Raw] = []

    def body(self) -> bytes:
        return b'{"position":%d,"events":[%b]}' % (self.position, b",".join(bytes(each) for each in self.events))


Command = tuple[str, str, str]
"""Path, key, and what is expected of it: `done`, `again` or `refused`."""
EXPECTED = {"done": {b"201"}, "again": {b"200", b"201"}, "refused": {b"402"}}
outcomes_of = msgspec.json.Decoder(list[Outcome]).decode


class Load:
    """Which request comes next, and what is known of those before."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.saw = plan, Saw()
        self._draw, self._numbers = random.Random(plan.port), count(1)
        self._fresh = iter(plan.payable)
        self._done: list[Command] = []
        self._together: list[tuple[list[Command], bytes]] = []
        self.opens = time.monotonic() + plan.warm_up_s
        self.closes = self.opens + plan.seconds
        self.over = False

    def next(self) -> tuple[bytes, list[Command]]:
        """The request, and the commands in it: one that came alone, or several."""
        if self._draw.random() >= self.plan.together:
            path, key, _ = command = self._command()
            return self._request(path, f"idempotency-key: {key}\r\n", "{}"), [command]
        commands = [self._command() for _ in range(self.plan.batch)]
        items = ",".join([f'{{"path":"{path}","key":"{key}","body":{{}}}}' for path, key, _ in commands])
        return self._request("/v1/commands", "", f"[{items}]"), commands

    def _command(self) -> Command:
        drawn = self._draw.random()
        if self._done and drawn < self.plan.again:
            path, key, _ = self._draw.choice(self._done[-1000:])
            return path, key, "again"
        if self.plan.dear and drawn < self.plan.again + self.plan.refused:
            return self._draw.choice(self.plan.dear), uuid7(next(self._numbers)), "refused"
        if fresh := next(self._fresh, None):
            return fresh, uuid7(next(self._numbers)), "done"
        self.saw.ran_dry = True
        return *self._done[-1][:2], "again"

    def _request(self, path: str, key: str, body: str) -> bytes:
        head = f"POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {self.plan.secret}\r\n{key}"
        return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()

    def hear(self, commands: list[Command], status: bytes, body: bytes, began: float) -> None:
        now = time.monotonic()
        if len(commands) > 1 and status == b"200":
            self._together.append((commands, body))
            self._done += [each for each in commands if each[2] == "done"]
        else:
            self._alone(commands[0], status, body)
        if self.opens <= now < self.closes:
            self.saw.latencies_us.append(int((now - began) * 1e6))
            self.saw.done += len(commands)
            self.saw.refusals += sum(kind == "refused" for _, _, kind in commands)
            self.saw.retries += sum(kind == "again" for _, _, kind in commands)
        elif now >= self.closes and not self.over:
            self.over = True
            self.saw.seconds, self.saw.cpu_s = self.plan.seconds, time.process_time()
            print("measured", flush=True)

    def _alone(self, command: Command, status: bytes, body: bytes) -> None:
        if status in EXPECTED["again"]:
            self.saw.acknowledged.append(body)
            if command[2] == "done":
                self._done.append(command)
        if status not in EXPECTED[command[2]] and len(self.saw.strange) < 5:
            self.saw.strange.append(f"{command[2]} {status!r} {body[:200]!r}")

    def look(self) -> None:
        """At what came together: when all is over, since clients and server share the machine."""
        for commands, body in self._together:
            for command, outcome in zip(commands, outcomes_of(body), strict=True):
                self._alone(command, b"%d" % outcome.status, outcome.body())


class Asker(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, ended: asyncio.Future[None]) -> None:
        self.ended = ended
        self._buffer, self._start, self._need = b"", 0, -1

    def ask(self) -> bytes:
        """The next request; nothing, if there is to be none."""
        raise NotImplementedError

    def hear(self, status: bytes, body: bytes) -> None:
        """What was answered to the last one."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none of asyncio's classes
        self._transport.write(self.ask())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._need < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            found = LENGTH.search(self._buffer, 0, end)
            self._start, self._need = end + 4, end + 4 + (int(found[1]) if found else 0)
        if len(self._buffer) < self._need:
            return
        status, body = self._buffer[9:12], self._buffer[self._start : self._need]
        self._buffer, self._need = b"", -1
        self.hear(status, body)
        if request := self.ask():
            self._transport.write(request)
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class Client(Asker):
    """Of commands."""

    def __init__(self, load: Load, ended: asyncio.Future[None]) -> None:
        super().__init__(ended)
        self._load = load

    def ask(self) -> bytes:
        request, self._commands = self._load.next()
        self._began = time.monotonic()
        return request

    def hear(self, status: bytes, body: bytes) -> None:
        self._load.hear(self._commands, status, body, self._began)


async def live(plan: Plan) -> Saw:
    loop, load = asyncio.get_running_loop(), Load(plan)
    ends = [loop.create_future() for _ in range(plan.clients)]
    clients = iter(ends)
    for _ in ends:
        await loop.create_connection(lambda: Client(load, next(clients)), "127.0.0.1", plan.port)
    await asyncio.wait(ends, timeout=plan.warm_up_s + plan.seconds + 30)
    load.look()
    return load.saw


def main(lines: Iterator[bytes]) -> None:
    plan = msgspec.json.decode(next(lines), type=Plan)
    Path(plan.output).write_bytes(msgspec.msgpack.encode(asyncio.run(live(plan))))


if __name__ == "__main__":
    main(iter(sys.stdin.buffer))
