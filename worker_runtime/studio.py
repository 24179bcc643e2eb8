"""Where an agent renders: scenes on disk, checked by us, and a renderer's child process for each.

A scene is downloaded once, kept by hash, and looked at again here before it is rendered: the server's word is not enough. One child
per scene stays open for the next task of it; one more is started ahead, so that the first task does not wait for it.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import structlog

from domain.ids import NO_JOB, JobId, TaskId, order
from domain.log.answers import Problem, Unanswered
from domain.work import job as jobs
from domain.work import manifest as manifests
from domain.work import tiles
from worker_runtime import ports
from worker_runtime.gpu import bench
from worker_runtime.gpu.assets import SceneRefused
from worker_runtime.gpu.mitsuba import EngineFailed

KEPT_MAX = 2
"""Children with a scene that wait for more of it."""
CACHE_BYTES_MAX = 8 << 30
ABANDONED_S = 3600
"""A file not renamed for so long was left by a process that was killed."""
JOBS_MAX = 100
"""Whose specifications are remembered."""

logger = structlog.get_logger()


class Unrendered(Exception):
    """It could not be rendered here. `code` is a word for the log."""

    def __init__(self, code: str, detail: str = "") -> None:
        self.code, self.detail = code, detail
        super().__init__(f"{code}: {detail}")


class Order(NamedTuple):
    """What a task is: which tiles of which frame, to which specification. `job` is empty for a bench, `creator` too."""

    job: JobId
    creator: str
    spec: tiles.Spec
    frame: int
    numbers: Sequence[int]


class Cache:
    """Files of scenes under their hashes, the longest unused removed when they are too many. Threads may share it."""

    def __init__(self, folder: Path, bytes_max: int = CACHE_BYTES_MAX) -> None:
        self.folder, self.bytes_max = folder, bytes_max
        self.lock = threading.Lock()

    def get(self, name: str) -> bytes | None:
        """The bytes, hashed again; None if they are not there, or not these any more."""
        path = self.folder / name
        try:
            content = path.read_bytes()
        except OSError:
            return None
        if sha256(content).hexdigest() != name:
            path.unlink(missing_ok=True)
            return None
        with suppress(FileNotFoundError):
            os.utime(path)
        return content

    def has(self, name: str) -> bool:
        """Whether there is such a file; only `get` knows what it holds."""
        return (self.folder / name).is_file()

    def put(self, content: bytes) -> None:
        """Keeps them; whoever looks meanwhile sees all of them or nothing. Raises `OSError`."""
        name = sha256(content).hexdigest()
        with self.lock:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = self.folder / f"{name}.{os.getpid()}-{time.monotonic_ns()}"
            try:
                fresh.write_bytes(content)
                fresh.replace(self.folder / name)
            finally:
                fresh.unlink(missing_ok=True)
            self._trim()

    def _trim(self) -> None:
        total, abandoned_ns = 0, time.time_ns() - ABANDONED_S * 10**9
        for used_ns, size, file in sorted(self._files(), reverse=True):
            unfinished = bool(file.suffix)
            total += 0 if unfinished else size
            if used_ns < abandoned_ns if unfinished else total > self.bytes_max:
                file.unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[int, int, Path]]:
        """When each was last used, its bytes and where it is. One that another process renames or removes meanwhile is left out."""
        for file in self.folder.iterdir():
            with suppress(FileNotFoundError):
                stat = file.stat()
                yield stat.st_mtime_ns, stat.st_size, file


class Studio:
    """Renders orders. `owns` says of a creator whether he is the operator, too. To be closed."""

    def __init__(self, server: ports.Server, workshop: ports.Workshop, cache: Cache, owns: Callable[[str], bool]) -> None:
        self.server, self.workshop, self.cache, self.owns = server, workshop, cache, owns
        self.orders: dict[JobId, jobs.Submitted] = {}
        self.idle: list[tuple[str, ports.Renderer]] = []
        """With the hash of the scene that each has open; the longest unused first."""
        self.spare: asyncio.Task[ports.Renderer] | None = None

    def prepare(self) -> None:
        """Starts a child ahead."""
        if self.spare is None:
            self.spare = asyncio.create_task(self._fresh())

    async def close(self) -> None:
        """Ends every child."""
        renderers = [renderer for _, renderer in self.idle]
        self.idle.clear()
        if self.spare is not None:
            self.spare.cancel()
            (spare,) = await asyncio.gather(self.spare, return_exceptions=True)
            renderers += [] if isinstance(spare, BaseException) else [spare]
        await asyncio.gather(*(renderer.close() for renderer in renderers))

    async def order(self, task: TaskId, seed: int, least_pos: int = 0) -> Order:
        """What is to be done for a task. `seed` is a bench's. Raises `Unrendered`."""
        position, number = order(task)
        if not number:
            spec = bench.spec(seed)
            return Order(NO_JOB, "", spec, 0, range(spec.tiles))
        job = JobId(f"job-{position}")
        with _reasons():
            if job not in self.orders:
                self.orders[job] = await self._submitted(job, least_pos)
                if len(self.orders) > JOBS_MAX:
                    del self.orders[next(iter(self.orders))]
            submitted = self.orders[job]
            spec = spec_of(submitted)
            frame, numbers = tiles.task_tiles(number, spec.grid, spec.group)
        return Order(job, submitted.creator, spec, frame, numbers)

    async def render(self, wanted: Order, told: Callable[[int], None], spec: tiles.Spec | None = None) -> list[ports.Tile]:
        """The tiles of an order; `told` hears how many are done. `spec` is for drills: render to that instead. Cancelling it ends
        the child at once. Raises `Unrendered`."""
        if wanted.job and not self.workshop.isolated and not self.owns(wanted.creator):
            raise Unrendered("no_sandbox", "somebody else's scene, and no sandbox to render it in")
        renderer, done = None, list[ports.Tile]()
        try:
            with _reasons():
                renderer = await self._opened(wanted)
                async for tile in renderer.render(spec or wanted.spec, wanted.frame, wanted.numbers):
                    done.append(tile)
                    told(len(done))
        except BaseException:
            if renderer is not None:
                await renderer.close()
            raise
        await self._keep(wanted, renderer)
        return done

    async def _submitted(self, job: JobId, least_pos: int) -> jobs.Submitted:
        for recorded in await self.server.stream(job, least_pos):
            if isinstance(recorded.event, jobs.Submitted):
                return recorded.event
        raise Unrendered("unknown_job", f"{job} was never submitted")

    async def _fresh(self) -> ports.Renderer:
        renderer = self.workshop.renderer()
        try:
            await renderer.warm()
        except BaseException:
            await renderer.close()
            raise
        return renderer

    async def _opened(self, wanted: Order) -> ports.Renderer:
        """A child with the order's scene open."""
        scene = wanted.spec.manifest_sha256
        for at, (name, renderer) in enumerate(self.idle):
            if name == scene:
                del self.idle[at]
                return renderer
        self.prepare()
        described, read = await self._scene(wanted)
        assert self.spare
        spare, self.spare = self.spare, None
        renderer = await spare
        try:
            await renderer.open(described, read)
        except BaseException:
            await renderer.close()
            raise
        return renderer

    async def _keep(self, wanted: Order, renderer: ports.Renderer) -> None:
        """A bench's scene does not come again. While some scene is open, the next task is likely one of it."""
        if wanted.job:
            self.idle.append((wanted.spec.manifest_sha256, renderer))
        else:
            await renderer.close()
        while len(self.idle) > KEPT_MAX:
            await self.idle.pop(0)[1].close()
        if not self.idle:
            self.prepare()

    async def _scene(self, wanted: Order) -> tuple[manifests.Manifest, Callable[[str], bytes]]:
        """The manifest, and what reads an asset by name."""
        if not wanted.job:
            described, files = bench.scene(wanted.spec.seed)
            return described, files.__getitem__
        name = wanted.spec.manifest_sha256
        if (text := self.cache.get(name)) is None:
            text = await self.server.manifest(wanted.job, name)
            await asyncio.to_thread(self.cache.put, text)
        described = manifests.parse(text)
        await asyncio.gather(*(self._asset(wanted.job, asset) for asset in described.assets))
        return described, lambda asset: self._read(described.asset(asset))

    async def _asset(self, job: JobId, asset: manifests.Asset) -> None:
        if not self.cache.has(asset.sha256):
            content = await self.server.asset(job, asset)
            await asyncio.to_thread(self.cache.put, content)
            logger.info("asset downloaded", job=job, bytes=asset.bytes)

    def _read(self, asset: manifests.Asset) -> bytes:
        content = self.cache.get(asset.sha256)
        if content is None:
            raise SceneRefused("cache", f"{asset.name} is gone from the disk")
        return content


def spec_of(submitted: jobs.Submitted) -> tiles.Spec:
    """What a job is rendered to. Raises `Unrendered` if its hash is not the one on the log."""
    spec = tiles.Spec(
        engine=submitted.engine,
        build=submitted.build,
        manifest_sha256=submitted.manifest_sha256,
        frames=submitted.spec.frames,
        size=submitted.spec.size,
        grid=submitted.spec.tiles,
        group=submitted.spec.group,
        samples=submitted.spec.samples,
        seed=submitted.spec.seed,
    )
    if spec.sha256() != submitted.spec_sha256:
        raise Unrendered("spec", "the specification does not hash to what is on the log")
    return spec


@contextmanager
def _reasons() -> Iterator[None]:
    """Whatever went wrong, as one word and a text."""
    try:
        yield
    except SceneRefused as refused:
        raise Unrendered(f"scene_{refused.code}", refused.detail) from None
    except EngineFailed as failed:
        raise Unrendered(f"engine_{failed.code}", failed.detail) from None
    except Problem as problem:
        raise Unrendered(f"server_{problem.code}"[:40], problem.detail) from None
    except Unanswered as silence:
        raise Unrendered("server_silent", str(silence)) from None
    except ValueError as error:
        raise Unrendered("manifest", str(error)) from None
    except OSError as error:
        raise Unrendered("disk", str(error)) from None
