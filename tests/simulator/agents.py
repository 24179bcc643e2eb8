"""Workers and checkers: their real state machines, loops and hands, over a server that may be any of two, or none.

A mock where nobody can render: the studio. Its tiles are a function of specification, frame, tile and honesty, and each takes the time
that the task's work units say. A checker's notes lie on a disk of its own that outlives it.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import msgspec

from domain import body
from domain.errors import Refused
from domain.event import Event, Recorded
from domain.ids import NO_JOB, AuditId, JobId, TaskId, WorkerId, order
from domain.log.answers import Answer, Problem, Unanswered
from domain.log.log import Busy, OutcomeUnknown, Unreachable
from domain.work import job, tiles
from domain.work import manifest as manifests
from tests.network import CHAIN_ID, CLASS, DUMMY, LOG
from tests.simulator.loop import LIFE, Life
from tests.simulator.server import Server, bench_spec
from tests.simulator.twins import EPOCH_US, Silent
from worker_runtime import config
from worker_runtime.checker import agent as checking
from worker_runtime.checker import checker
from worker_runtime.daemons.gate import spec_of
from worker_runtime.gpu import agent as working
from worker_runtime.gpu.cheat import Cheat
from worker_runtime.loop import Loop
from worker_runtime.studio import Order, Unrendered
from worker_runtime.worker import Worker

if TYPE_CHECKING:
    from tests.simulator.play import Play

T = TypeVar("T")
TRIES_MAX = 3
QUIET_S = 4.0
"""Without a word for so long, a feed is asked for anew."""
RESTART_S = 2.0
CHEAT = 0.3


class Connection:
    """A feed between a server's process and an agent: in order, and broken for good by the first message that is lost."""

    def __init__(self, play: "Play", life: Life) -> None:
        self.play, self.life = play, life
        self.unread: asyncio.Queue[Recorded[Event]] = asyncio.Queue()
        self.broken = False
        self._last_s = 0.0

    @property
    def closed(self) -> bool:
        return self.broken or self.life.dead

    def tell(self, frm: str, recorded: Recorded[Event]) -> None:
        net = self.play.net
        if self.life.name in self.play.deaf or (delay := net.fate(frm, self.life.name)) is None:
            self.broken = True
        else:
            self._last_s = max(self._last_s, net.loop.time() + delay)
            net.at(self._last_s, f"feed {self.life.name} {recorded.pos}", lambda: self.unread.put_nowait(recorded))


class Client:
    """`ports.Server`: tries one server and then the other, as its implementation over HTTP does."""

    def __init__(self, play: "Play", me: WorkerId) -> None:
        self.play, self.me = play, me
        self.turn = 0

    async def _reach(self, work: Callable[[Server], Awaitable[T]]) -> T:
        """Raises `Problem`, or `Unanswered` after some tries."""
        for _ in range(TRIES_MAX):
            server = self.play.servers[self.turn % len(self.play.servers)]
            try:
                return await self.play.net.ask(server.life, server.name, lambda server=server: work(server))  # type: ignore[misc]
            except Refused as refusal:
                raise Problem(409, refusal.code, refusal.facts, str(refusal)) from None
            except Busy:
                self.turn += 1
                await asyncio.sleep(0.1)
            except (Silent, OutcomeUnknown, Unreachable, TimeoutError):
                self.turn += 1
        raise Unanswered("nobody answers")

    async def send(self, agent: WorkerId, command: body.Body) -> Answer:
        ask = self.play.ask_of(agent, command)
        receipt = await self._reach(lambda server: server.command(ask))
        self.play.judges.heard(ask, receipt)
        return Answer(receipt.position, receipt.lines)

    async def beat(self, agent: WorkerId, session: str) -> None:
        await self._reach(lambda server: server.beat(agent, session))

    async def report(self, agent: WorkerId, task: TaskId, fence: int, tile: int, of: int) -> None:
        """Nobody watches."""

    async def stream(self, id: str, least_pos: int = 0) -> list[Recorded[Event]]:
        return await self._reach(lambda server: server.stream(id, least_pos))

    async def agent_events(self, agent: WorkerId) -> AsyncIterator[Recorded[Event]]:
        after: int | None = None
        life = LIFE.get()
        assert life
        while True:
            to = Connection(self.play, life)
            try:
                await self._reach(lambda server, to=to, after=after: server.open_feed(agent, after, to))  # type: ignore[misc]
                while not to.broken:
                    async with asyncio.timeout(QUIET_S):
                        recorded = await to.unread.get()
                    after = max(after or 0, recorded.pos)
                    yield recorded
            except (Unanswered, TimeoutError):
                to.broken = True
                await asyncio.sleep(0.2)

    async def manifest(self, job: JobId, sha256: str) -> bytes:
        raise AssertionError("nobody renders here")

    async def asset(self, job: JobId, wanted: manifests.Asset) -> bytes:
        raise AssertionError("nobody renders here")

    async def store(self, content: bytes) -> str:
        async def put(server: Server) -> str:
            return self.play.objects.keep(content)

        return await self._reach(put)

    async def raw(self, task: TaskId, tile: int, sha256: str, evidence: str) -> bytes:
        async def get(server: Server) -> bytes:
            if evidence not in self.play.objects.kept:
                raise Problem(409, "not_uploaded")
            return self.play.objects.kept[sha256]

        return await self._reach(get)


class Tile(NamedTuple):
    number: int
    raw: bytes
    seconds_us: int


class Studio:
    """Renders nothing: the tiles are made up."""

    def __init__(self, play: "Play", client: Client, machine: "Machine") -> None:
        self.play, self.client, self.machine = play, client, machine
        self.orders = dict[JobId, job.Submitted]()

    async def order(self, task: TaskId, seed: int, least_pos: int = 0) -> Order:
        position, number = order(task)
        if not number:
            spec = bench_spec(seed)
            return Order(NO_JOB, "", spec, 0, range(spec.tiles))
        id = JobId(f"job-{position}")
        if id not in self.orders:
            for recorded in await self.client.stream(id, position):
                if isinstance(recorded.event, job.Submitted):
                    self.orders[id] = recorded.event
        if id not in self.orders:
            raise Unrendered("no_job", f"{id} is not there")
        spec = spec_of(self.orders[id])
        frame, numbers = tiles.task_tiles(number, spec.grid, spec.group)
        return Order(id, self.orders[id].creator, spec, frame, numbers)

    async def render(self, wanted: Order, told: Callable[[int], None], spec: tiles.Spec | None = None) -> list[Tile]:
        done = list[Tile]()
        work_s = (0.7 if wanted.job else 1.5) * self.machine.speed / 100 / len(wanted.numbers)
        for number in wanted.numbers:
            await asyncio.sleep(work_s * self.play.net.random.randrange(90, 130) / 100)
            done.append(Tile(number, tile(wanted.spec, wanted.frame, number, honest=spec is None), round(work_s * 1e6)))
            told(len(done))
        return done


@cache
def _tile(spec: tiles.Spec, frame: int, number: int, honest: bool) -> bytes:
    box = tiles.box(spec.size, spec.grid, number)
    base = tiles.seed(spec.seed, frame, number) % 1000 / 2000
    levels = [base + (0.0 if honest else CHEAT) + n / 10_000 for n in range(box.width * box.height * tiles.CHANNELS)]
    return tiles.pack(struct.pack(f"<{len(levels)}f", *levels), box.height, box.width, bytes.fromhex(spec.sha256()))


def tile(spec: tiles.Spec, frame: int, number: int, *, honest: bool) -> bytes:
    return _tile(spec, frame, number, honest)


class Notes:
    """A checker's disk."""

    def __init__(self, disk: dict[AuditId, checking.Found]) -> None:
        self.disk = disk

    def keep(self, audit: AuditId, found: checking.Found) -> None:
        self.disk[audit] = found

    def forget(self, audit: AuditId) -> None:
        self.disk.pop(audit, None)


class Machine:
    """A worker's or checker's machine: its process, started again whenever it ends."""

    def __init__(self, play: "Play", id: WorkerId, *, kind: str, cheats: bool = False) -> None:
        self.play, self.id, self.kind, self.cheats = play, id, kind, cheats
        self.life: Life | None = None
        self.starts, self.off_us = 0, 0
        self.speed = self.usual = 70 + order(id)[0] * 7 % 60
        """Percent of the time that the reference device takes."""
        self.disk = dict[AuditId, checking.Found]()

    @property
    def name(self) -> str:
        return str(self.id)

    def start(self) -> None:
        if self.life and not self.life.dead:
            return
        self.starts += 1
        self.life = self.play.loop.begin(self.name, self.starts, self._live)

    def kill(self) -> None:
        if self.life and not self.life.dead:
            self.play.loop.kill(self.life)
            self.play.later(RESTART_S, self.start)

    def clock(self) -> int:
        return EPOCH_US + self.play.loop.now_us() + self.off_us

    async def _live(self, life: Life) -> None:
        client = Client(self.play, self.id)
        owner = self.play.founding.world.workers[self.id].owner
        facts = {"server": "http://127.0.0.1:1", "log": LOG, "chain_id": CHAIN_ID, "worker": self.id, "account": owner, "class": CLASS}
        settings = msgspec.convert({**facts, "api_key": "secret", "signing_key": "secret"}, config.Config)
        session = sha256(f"{self.id} {self.starts}".encode()).hexdigest()[:16]
        studio: Any = Studio(self.play, client, self)
        run = self._work if self.kind == "worker" else self._check
        try:
            await run(settings, client, studio, session)
        except Exception as failure:
            self.play.judges.failed(self.name, failure)
        self.kill()

    async def _work(self, settings: config.Config, client: Client, studio: Any, session: str) -> None:
        cheat = Cheat(1) if self.cheats else None
        loop = Loop(working.Agent(self.id, session, 1, cheat or working.Duty()), self.id, client, self.clock)
        hands = Worker(settings, client, lambda claim: DUMMY, studio, loop)
        hands.cheat = cheat
        asyncio.create_task(hands.recall())  # noqa: RUF006 - the life keeps its tasks
        await loop.run(lambda recorded: working.seen(recorded, self.id), hands.perform)

    async def _check(self, settings: config.Config, client: Client, studio: Any, session: str) -> None:
        loop = Loop(checking.Agent(self.id, session, 1), self.id, client, self.clock)
        hands = checker.Checker(settings, client, lambda claim: DUMMY, studio, loop, cast(checker.Notes, Notes(self.disk)))
        for audit, found in list(self.disk.items()):
            loop.tell(checking.Remembered(audit, found))
        await loop.run(lambda recorded: checking.seen(recorded, self.id), hands.perform)
