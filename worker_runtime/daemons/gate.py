"""The gate: what every proof has to pass before the ledger hears of it (DOMAIN.md §5.2). It finds what is wrong at sight, so that an
audit need not; it never says that something is right.

What fails ends the attempt (`attempt.ended`, outcome `gate`), by the gate's own account, with one of the words of look.py or

* `tiles`: not one object per tile of the task;
* `bytes`: not as many bytes as the commit says;
* `early`: committed in less than half of the time that the work takes at the worker's score. For benches this is not asked: they
  measure that time;
* `duplicate`: the object proves another tile as well, of the same commit or of another task of the job that this owner proved. Seeds
  differ from tile to tile, so pictures do, unless they are plain. Equal tiles of *different* owners end nobody's attempt, since the
  honest one of the two may be the later one: they are logged, and left to the lottery;
* `constant`: one colour in a whole tile of a bench, whose scene fills every tile. In a job a constant tile passes: a plain background is
  such a tile, the wish to save it is the creator's, and whoever makes one up is caught like anybody who makes up pixels.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import aclosing

import structlog

from domain.house.house import expected_us
from domain.ids import TaskId, WorkerId, order, position
from domain.parts import Task
from domain.proof import bench, proof
from domain.work import job, objects, task, tiles
from domain.work.tiles import Spec
from domain.world import World
from worker_runtime.daemons import look, loop

AT_ONCE_MAX = 4
"""Tiles that are held in memory."""
SPECS_MAX = 1_000
_PIXEL_BYTES = tiles.CHANNELS * 4
_TRAILER_BYTES = len(tiles.pack(bytes(_PIXEL_BYTES), 1, 1, bytes(tiles.SPEC_BYTES))) - _PIXEL_BYTES
log = structlog.get_logger(__name__)


class Gate:
    """Called with the world, the worker and its commit: None, or the word for what is wrong, and then the attempt was ended."""

    def __init__(
        self,
        desk: loop.Desk,
        store: objects.Store,
        bench_spec: Callable[[int], Spec],
        *,
        executor: Executor | None = None,
    ) -> None:
        """`bench_spec` is the specification of the bench with a seed. `executor` looks at the bytes: best another process; None is a
        thread."""
        self._desk, self._store, self._bench_spec = desk, store, bench_spec
        self._executor = executor
        self._specs = dict[str, Spec]()
        self._turn = asyncio.Semaphore(AT_ONCE_MAX)

    async def __call__(self, world: World, worker: WorkerId, command: proof.Commit) -> str | None:
        """Raises `ObjectMissing` for what was not uploaded, and what `submit` raises; nothing was decided then."""
        it = world.tasks.get(command.task)
        if it is None or (it.worker, it.fence, it.status) != (worker, command.fence, "leased"):
            return None  # late, or of no concern: the ledger says so itself
        code = await self._fault(world, it, command)
        if code:
            log.warning("gate", agent="gate", command=f"commit/{it.id}/{it.fence}", worker=worker, code=code)
            stop = task.Stop(task=command.task, fence=command.fence, code=code)
            await self._desk.ask(f"gate/{command.task}/{command.fence}", stop)
        return code or None

    async def _fault(self, world: World, it: Task, command: proof.Commit) -> str:
        if len(command.raw) != it.tiles:
            return "tiles"
        if is_early(world, it, self._desk.now_us()):
            return "early"
        sizes = [await self._store.size(digest) for digest in command.raw]
        if sum(sizes) != command.raw_bytes:
            return "bytes"
        looks = list[look.Look]()
        for digest, size, box in zip(command.raw, sizes, boxes(spec := await self._spec(it.id), it.id), strict=True):
            if size != box.height * box.width * _PIXEL_BYTES + _TRAILER_BYTES:
                return "size"
            found = await self._look(digest, box, bytes.fromhex(spec.sha256()))
            if found.fault:
                return found.fault
            looks.append(found)
        if not it.job and any(found.constant for found in looks):
            return "constant"
        return duplicate(world, it, [digest for digest, found in zip(command.raw, looks, strict=True) if not found.plain])

    async def _look(self, digest: str, box: tiles.Box, spec: bytes) -> look.Look:
        async with self._turn:
            raw = b"".join([chunk async for chunk in await self._store.open(digest)])
            return await asyncio.get_running_loop().run_in_executor(self._executor, look.at, raw, box.height, box.width, spec)

    async def _spec(self, id: TaskId) -> Spec:
        """From the event that made the job or the bench: the world keeps its hash only."""
        made = id.partition("/")[0]
        if made not in self._specs:
            if len(self._specs) >= SPECS_MAX:
                self._specs.clear()
            self._specs[made] = await self._read(made)
        return self._specs[made]

    async def _read(self, made: str) -> Spec:
        async with aclosing(self._desk.reader.events(position(made) - 1, streams=(made,))) as events:
            async for recorded, _ in events:
                match recorded.event:
                    case job.Submitted() as submitted:
                        return spec_of(submitted)
                    case bench.Opened(seed=seed):
                        return self._bench_spec(seed)
                    case _:
                        break
        raise AssertionError(f"{made} does not begin with what made it")


def spec_of(submitted: job.Submitted) -> Spec:
    """What a job is rendered to."""
    asked = submitted.spec
    return Spec(
        engine=submitted.engine,
        build=submitted.build,
        manifest_sha256=submitted.manifest_sha256,
        frames=asked.frames,
        size=asked.size,
        grid=asked.tiles,
        group=asked.group,
        samples=asked.samples,
        seed=asked.seed,
    )


def boxes(spec: Spec, id: TaskId) -> list[tiles.Box]:
    """Where the task's tiles are in the frame; a bench is one task."""
    _, numbers = tiles.task_tiles(order(id)[1] or 1, spec.grid, spec.group)
    return [tiles.box(spec.size, spec.grid, number) for number in numbers]


def earliest_us(world: World, it: Task) -> int:
    """Ledger time before which a commit of a leased task does not pass: half of the expected time after the lease."""
    score = world.workers[it.worker].classes[it.cls].score
    return it.leased_us + expected_us(it.wu_milli, score) // 2 if it.job and score else it.leased_us


def is_early(world: World, it: Task, now_us: int) -> bool:
    return now_us < earliest_us(world, it)


def duplicate(world: World, it: Task, rich: list[str]) -> str:
    """`rich` are the hashes of those tiles of the commit that are not plain."""
    mine = set(rich)
    if len(mine) < len(rich):
        return "duplicate"
    for other in world.tasks.values():
        if other.job != it.job or not it.job or other.proof is None:
            continue
        if shared := mine.intersection(other.proof.raw):
            if other.owner == it.owner:
                return "duplicate"
            log.warning("equal tiles", agent="gate", task=it.id, other=other.id, tiles=len(shared))
    return ""
