"""One process with very many live feeds: `python -m benchmarks.crowd PORT AGENTS EVENTS_PER_S SECONDS`.

The ledger is in memory; the reader of the log, the application and the server are the real ones. It says whose feeds there are; for
each line that it is told it changes the bid of one worker after another at a steady pace, and says what memory it took before and with all
clients, and when each event was in the log, by the machine's steady clock.
"""

import asyncio
import gc
import socket
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from adapters import objects
from adapters.log.follower import Follower
from adapters.server import http
from api.app import create_app
from api.parts import Limits, Parts
from domain.ids import AccountId, WorkerId
from domain.log.block import Sealed, accept
from domain.log.ledger import Ledger
from domain.log.log import MemoryLog
from domain.log.merkle import Head
from domain.treasury import account
from projections.memory import MemoryViews
from projections.past import Past
from tests.api.house import api_key, secret_of
from tests.network import LOG, Network

SETTLE_S = 1.0
"""After the last event; whatever is later than that is lost."""
LIMITS = Limits(live_max=20_000, keep_alive_s=3_600.0)


class Said(msgspec.Struct):
    secret: str
    workers: list[str]


class Told(msgspec.Struct):
    bytes_before: int
    bytes_with: int
    """With all clients."""
    landed: dict[int, float]
    """Position -> when it was in the log."""


class Crowd:
    """A network of very many workers of one owner."""

    def __init__(self, agents: int) -> None:
        self.network, self.log, self._head, self._written = Network(signs=False), MemoryLog(), Head(LOG), 0
        owner: AccountId = self.network.person("provider")
        self.network.do(owner, account.Change(keys_added=(api_key(owner, ("agent",)),)), keyed=True)
        self.secret, self.workers = secret_of(owner), [self.network.worker(owner) for _ in range(agents)]

    async def write(self) -> int:
        """What happened since goes into the log; returns where it ends."""
        for record in self.network.records[self._written :]:
            after = accept(self._head, record).after
            await self.log.append(Sealed(self._head, after, record))
            self._head = after
        self._written = len(self.network.records)
        return self._head.size

    async def change(self, events_s: int, seconds: float) -> dict[int, float]:
        landed, began = dict[int, float](), time.monotonic()
        for number in range(int(events_s * seconds)):
            await asyncio.sleep(max(0.0, began + number / events_s - time.monotonic()))
            worker: WorkerId = self.workers[number * 7 % len(self.workers)]
            self.network.bid(worker, 100_000_000 + number)
            landed[await self.write()] = time.monotonic()
        return landed


def resident() -> int:
    """Bytes of memory that this process has."""
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmRSS")))


async def nobody(*_: Any) -> Any:
    raise NotImplementedError


def parts(crowd: Crowd, follower: Follower) -> Parts:
    return Parts(
        submit=nobody,
        reader=follower,
        views=MemoryViews(),
        projections=(),
        objects=objects.memory(),
        log=crowd.log,
        past=Past(crowd.log, ()),
        check_scene=lambda *_: None,
        recover=lambda *_: "",
        gate=nobody,
        seen=lambda *_: None,
        now_us=lambda: crowd.network.now_us,
        limits=LIMITS,
    )


async def main(port: int, agents: int, events_s: int, seconds: float) -> None:
    crowd = Crowd(agents)
    follower = Follower(crowd.log, Ledger(Head(LOG)))
    size = await crowd.write()
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", port), backlog=4_096)
    tasks = [
        asyncio.create_task(follower.run()),
        asyncio.create_task(http.serve(create_app(parts(crowd, follower)), listener, stopping)),
    ]
    await follower.reached(size, 60.0)
    before = resident()
    print(msgspec.json.encode(Said(crowd.secret, list(crowd.workers))).decode(), flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        told = Told(before, resident(), await crowd.change(events_s, seconds))
        await asyncio.sleep(SETTLE_S)
        print(msgspec.json.encode(told).decode(), flush=True)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    http.run(main(*map(int, sys.argv[1:])))
