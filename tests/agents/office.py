"""A whole ledger in memory, for agents that speak to it as if it were a server."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from domain import body
from domain.errors import Refused
from domain.event import Event, Recorded
from domain.ids import AccountId, JobId, TaskId, WorkerId
from domain.log.answers import Answer, Problem
from domain.market import bid
from domain.signing import typed_data
from domain.work import manifest as manifests
from domain.work import tiles
from tests.network import CHAIN_ID, CLASS, LOG, Network
from worker_runtime import config, inputs, ports
from worker_runtime.loop import Loop

STEP_S = 0.02


class Office:
    """The server that agents see. Its time runs `speed` times as fast as ours."""

    def __init__(self, network: Network, speed: int) -> None:
        self.network, self.speed = network, speed
        self.stored: dict[str, bytes] = {}
        self.progress: list[tuple[TaskId, int, int]] = []
        self.beats: list[WorkerId] = []
        self.filed: list[tuple[str, int]] = []
        self.open: dict[WorkerId, list[Recorded[Event]]] = {}
        """What the feed begins with."""

    async def send(self, agent: WorkerId, command: body.Body) -> Answer:
        owner = self.network.world.workers[agent].owner
        try:
            events = self.network.do(owner if isinstance(command, bid.Bid) else agent, command, owner)
        except Refused as refused:
            raise Problem(409, refused.code, refused.facts, str(refused)) from None
        return Answer(events[0].pos if events else self.network.world.pos)

    async def beat(self, agent: WorkerId, session: str) -> None:
        self.beats.append(agent)

    async def report(self, agent: WorkerId, task: TaskId, fence: int, tile: int, of: int) -> None:
        self.progress.append((task, tile, of))

    async def stream(self, id: str, least_pos: int = 0) -> list[Recorded[Event]]:
        return [recorded for recorded in self.network.events if recorded.stream == id]

    async def agent_events(self, agent: WorkerId) -> AsyncIterator[Recorded[Event]]:
        told = len(self.network.events)
        for recorded in self.open.get(agent, []):
            yield recorded
        while True:
            for recorded in self.network.events[told:]:
                told += 1
                yield recorded
            await asyncio.sleep(STEP_S / 4)

    async def manifest(self, job: JobId, sha256: str) -> bytes:
        return self.stored[sha256]

    async def asset(self, job: JobId, wanted: manifests.Asset) -> bytes:
        return self.stored[wanted.sha256]

    async def store(self, content: bytes) -> str:
        name = sha256(content).hexdigest()
        self.stored[name] = content
        return name

    async def raw(self, task: TaskId, tile: int, sha256: str, evidence: str) -> bytes:
        if evidence not in self.stored:
            raise Problem(409, "not_uploaded")
        self.filed.append((task, tile))
        return self.stored[sha256]

    async def run(self) -> None:
        """Time passes, blocks are sealed, beacons drawn."""
        while True:
            await asyncio.sleep(STEP_S)
            self.network.wait(int(STEP_S * self.speed * 1e6))
            grid_us = self.network.world.next_grid_us()
            if grid_us is not None and grid_us + self.network.policy.delay_us <= self.network.now_us:
                self.network.beacon()

    def sign(self, owner: AccountId) -> ports.Signer:
        return lambda claim: self.network.agents[owner].sign_typed(typed_data(LOG, CHAIN_ID, claim))

    def settings(self, agent: WorkerId, folder: Path, **more: object) -> config.Config:
        facts = {
            "server": "http://127.0.0.1:1",
            "log": LOG,
            "chain_id": CHAIN_ID,
            "worker": agent,
            "account": self.network.world.workers[agent].owner,
            "class": CLASS,
            "api_key": "secret",
            "signing_key": "secret",
            "folder": str(folder / agent),
        }
        return msgspec.convert({**facts, **more}, config.Config)


class Tile(NamedTuple):
    number: int
    raw: bytes
    seconds_us: int


class Painter:
    """A renderer whose pixels are a function of specification, frame and tile; each tile takes a moment."""

    alive = 0

    def __init__(self, moment_s: float = 0.002) -> None:
        self.moment_s = moment_s
        self.scene: manifests.Manifest | None = None
        Painter.alive += 1

    async def warm(self) -> None:
        await asyncio.sleep(0)

    async def open(self, described: manifests.Manifest, read: Callable[[str], bytes]) -> None:
        for asset in described.assets:
            assert len(read(asset.name)) == asset.bytes
        self.scene = described

    async def render(self, spec: tiles.Spec, frame: int, numbers: Sequence[int]) -> AsyncIterator[Tile]:
        assert self.scene is not None
        assert self.scene.sha256() == spec.manifest_sha256
        for number in numbers:
            await asyncio.sleep(self.moment_s)
            box = tiles.box(spec.size, spec.grid, number)
            levels = [(spec.samples + tiles.seed(spec.seed, frame, number) % 97) % 100 / 100] * (box.width * box.height * 3)
            pixels = struct.pack(f"<{len(levels)}f", *levels)
            yield Tile(number, tiles.pack(pixels, box.height, box.width, bytes.fromhex(spec.sha256())), 1_000)

    async def close(self) -> None:
        Painter.alive -= 1


class Ears:
    """Hears for an agent that it has to leave."""

    def __init__(self) -> None:
        self.loops: list[Loop] = []

    def __call__(self, loop: Loop) -> None:
        self.loops.append(loop)

    def leave(self) -> None:
        for loop in self.loops:
            loop.tell(inputs.Left())
