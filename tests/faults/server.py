"""The real server, which kills itself at a named place: `python -m tests.faults.server --die-at PLACE --once FILE serve DIRECTORY …`.

The product has no hooks for this. Here the method at the place is wrapped, and the process sends itself SIGKILL as soon as FILE is there,
so that a test decides when. `--limit MODULE:NAME=NUMBER` sets one of its limits, so that a test need not wait for it; `--bug NAME` plants a
bug that the checker must find. Without any of these it is the server as it is.
"""

import argparse
import asyncio
import importlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

import gridledger
from adapters.log import postgres as logs
from adapters.log.follower import Follower
from adapters.log.postgres import PostgresLog
from adapters.views import postgres as views
from adapters.views.postgres import PostgresViews
from domain.log.block import Sealed
from projections.views import Move
from tests.soak.writer import BUGS

ELECTION = b'"type":"ledger.leader_elected.v1"'
TURNS = 20
"""Of the loop, after which the bytes of an append are with the operating system. The database needs longer, since it waits for the disk."""


class Trap:
    def __init__(self, once: Path) -> None:
        self._once = once

    @property
    def armed(self) -> bool:
        return self._once.exists()

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def append(trap: Trap, *, election: bool = False, sent: bool = False, landed: bool = False) -> None:
    """At a block of that kind: before it is sent, when it was sent, or when the database has it."""
    real = PostgresLog.append

    async def doomed(self: PostgresLog, block: Sealed) -> None:
        if not trap.armed or (ELECTION in block.record) != election:
            return await real(self, block)
        if sent:
            asyncio.ensure_future(real(self, block))  # noqa: RUF006 - nobody lives to see its end
            for _ in range(TURNS):
                await asyncio.sleep(0)
        elif landed:
            await real(self, block)
        trap.die()
        return None

    logs.PostgresLog.append = doomed  # type: ignore[method-assign]


def first_answer(trap: Trap) -> None:
    """When the first answer to a command is with the operating system, the others of its block not."""
    real = uvicorn.Config.__init__

    def configured(self: uvicorn.Config, app: Any, *given: Any, **named: Any) -> None:
        async def doomed(scope: Any, receive: Any, send: Any) -> None:
            async def last(message: Any) -> None:
                await send(message)
                if message["type"] == "http.response.body" and scope["method"] == "POST" and trap.armed:
                    trap.die()

            await app(scope, receive, last)

        real(self, doomed, *given, **named)

    uvicorn.Config.__init__ = configured  # type: ignore[method-assign]


def folded(trap: Trap) -> None:
    """When the follower has a block that no projection has."""
    followers, begin, real = list[Follower](), Follower.__init__, PostgresViews.write

    def noted(self: Follower, *given: Any, **named: Any) -> None:
        begin(self, *given, **named)
        followers.append(self)

    async def doomed(self: PostgresViews, *moves: Move) -> None:
        if trap.armed:
            await followers[0].reached(max(move.after.size for move in moves), 10.0)
            trap.die()
        await real(self, *moves)

    Follower.__init__ = noted  # type: ignore[method-assign]
    PostgresViews.write = doomed  # type: ignore[method-assign]


def inside_projection(trap: Trap) -> None:
    """Within the transaction of a projection: its rows and its head are written, and not committed."""
    real = views.write

    async def doomed(*given: Any) -> None:
        await real(*given)
        if trap.armed:
            trap.die()

    views.write = doomed  # type: ignore[assignment]


def snapshot_written(trap: Trap) -> None:
    """When a snapshot is written whole, and does not have its name yet."""
    real = Path.replace

    def doomed(self: Path, target: Path) -> Path:
        if self.suffix == ".part" and trap.armed:
            trap.die()
        return real(self, target)

    Path.replace = doomed  # type: ignore[method-assign, assignment]


def small_buffers(size: int) -> None:
    """Of each connection, so that a slow reader is felt soon."""
    real = socket.create_server

    def listening(*given: Any, **named: Any) -> socket.socket:
        made = real(*given, **named)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
        return made

    socket.create_server = listening


PLACES: dict[str, Callable[[Trap], None]] = {
    "before the append is sent": append,
    "after it is sent, before it is confirmed": lambda trap: append(trap, sent=True),
    "after the database has it, before anybody is answered": lambda trap: append(trap, landed=True),
    "after the first answer": first_answer,
    "after the follower has it, before a projection": folded,
    "inside the transaction of a projection": inside_projection,
    "at an election, before the append": lambda trap: append(trap, election=True),
    "at an election, after the append": lambda trap: append(trap, election=True, landed=True),
}
SNAPSHOT = "at a snapshot, written and not renamed"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--die-at", choices=[*PLACES, SNAPSHOT])
    parser.add_argument("--once", type=Path, default=Path("/nowhere"))
    parser.add_argument("--limit", action="append", default=[])
    parser.add_argument("--send-buffer", type=int)
    parser.add_argument("--bug", choices=BUGS)
    own, rest = parser.parse_known_args()
    for limit in own.limit:
        name, _, number = limit.partition("=")
        module, _, constant = name.partition(":")
        there = importlib.import_module(module)
        if not hasattr(there, constant):
            parser.error(f"{module} has no {constant}")
        setattr(there, constant, float(number) if "." in number else int(number))
    if own.send_buffer:
        small_buffers(own.send_buffer)
    if own.bug:
        BUGS[own.bug]()
    if own.die_at:
        {**PLACES, SNAPSHOT: snapshot_written}[own.die_at](Trap(own.once))
    sys.argv = ["gridledger", *rest]
    gridledger.main()


if __name__ == "__main__":
    main()
