"""The built-in engine: Mitsuba 3 in a child process, by the fixed-tile construction (research/engines.md §1).

One child belongs to one scene. It can be started before there is one (`warm`), is given a checked scene (`open`), and renders tiles
until it is closed, killed or fails; what it renders is a function of the specification alone. A child that crashes, hangs or answers
nonsense is an error here, never a hang.
"""

import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from domain.work import manifest, tiles
from worker_runtime.gpu import rules, sandbox, scene

ENGINE = "mitsuba"
BUILD = "mitsuba-3.9.1"
VERSIONS = {"mitsuba": "3.9.1", "drjit": "1.5.0"}
CHILD = Path(__file__).with_name("mitsuba_child.py")

START_S_MAX = 60.0
LOAD_S_MAX = 120.0
TILE_S_MAX = 900.0
_LAST_WORDS = 2_000


class EngineFailed(Exception):
    """The child did not do it. `code`: build, start, scene, render, crashed, timeout, protocol. Of these `scene` is
    the scene's own fault: it is within our rules, but the renderer does not take it."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(f"{code}: {detail}")


class Tile(NamedTuple):
    """A rendered tile: its number, its raw object and how long the renderer took."""

    number: int
    raw: bytes
    seconds_us: int


class Engine:
    """One child. `threads` render in it; `tile_s_max` is the wall clock of one tile; its copy of the scene lies in a folder of its own
    inside `scratch`, or where the system keeps temporary files. Not for two tasks at once."""

    def __init__(
        self, confinement: sandbox.Sandbox, *, threads: int = 1, tile_s_max: float = TILE_S_MAX, scratch: Path | None = None
    ) -> None:
        self.sandbox = confinement
        self.scratch = scratch
        self.threads = threads
        self.tile_s_max = tile_s_max
        self.folder: Path | None = None
        self.child: asyncio.subprocess.Process | None = None
        self.listener: asyncio.Task[None] | None = None
        self.last_words = b""
        self.ready = False
        self.manifest: manifest.Manifest | None = None
        self.frames: dict[str, scene.Frame] = {}
        self.loaded: tuple[str, tiles.Pair] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def warm(self) -> None:
        """Starts the child and waits until it can load a scene. Raises `EngineFailed`."""
        if self.ready:
            return
        if self.child is None:
            self.folder = Path(tempfile.mkdtemp(prefix="gridledger-scene-", dir=self.scratch))
            command = [sys.executable, "-I", "-B", str(CHILD), str(self.threads)]
            try:
                self.child = await self.sandbox.start(command, inputs=[self.folder, CHILD])
            except OSError as error:
                raise EngineFailed("start", str(error)) from None
            self.listener = asyncio.create_task(self._listen(self.child))
        versions = (await self._answer(START_S_MAX)).get("ready")
        if versions != VERSIONS:
            await self.kill()
            raise EngineFailed("build", f"found {versions}, expected {VERSIONS}")
        self.ready = True

    async def open(self, described: manifest.Manifest, read: Callable[[str], bytes]) -> None:
        """Checks a scene and gives its files to the child; `read` returns the bytes of an asset, from a thread. Once per engine.
        Raises `SceneRefused`, `EngineFailed`."""
        if self.manifest is not None:
            raise RuntimeError("this engine has a scene")
        await self.warm()
        checked = await asyncio.to_thread(scene.load, described, read)
        assert self.folder
        for name, content in checked.files.items():
            (self.folder / name).write_bytes(content)
        self.frames = checked.frames
        self.manifest = described

    async def render(self, spec: tiles.Spec, frame: int, numbers: Sequence[int]) -> AsyncGenerator[Tile, None]:
        """Renders tiles of a frame of the open scene, each as soon as it is done. Leaving early kills the child.
        Raises `EngineFailed`, and `ValueError` for what the specification does not have."""
        self._fits(spec, frame)
        assert self.manifest
        boxes = [tiles.box(spec.size, spec.grid, number) for number in numbers]
        done = False
        try:
            await self._load(self.manifest.frames[frame], spec.size)
            for number, box in zip(numbers, boxes, strict=True):
                seed = tiles.seed(spec.seed, frame, number)
                answer = await self._ask({"tile": number, "box": box, "seed": seed, "samples": spec.samples}, self.tile_s_max)
                length = box.width * box.height * tiles.CHANNELS * 4
                if answer.get("tile") != number or answer.get("bytes") != length:
                    raise EngineFailed("protocol", f"asked for tile {number}, got {answer}")
                pixels = await self._pixels(length)
                yield Tile(number, tiles.pack(pixels, box.height, box.width, bytes.fromhex(spec.sha256())), answer["seconds_us"])
            done = True
        finally:
            if not done:
                await self.kill()

    async def kill(self) -> None:
        """Ends the child at once, whatever it does."""
        if self.child is None:
            return
        if self.child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.child.kill()
        await self._drain()
        await self.child.wait()
        if self.listener is not None:
            await self.listener

    async def close(self) -> None:
        """Ends the child and removes its copy of the scene."""
        await self.kill()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _fits(self, spec: tiles.Spec, frame: int) -> None:
        if self.manifest is None:
            raise RuntimeError("this engine has no scene")
        if (spec.engine, spec.build) != (ENGINE, BUILD):
            raise EngineFailed("build", f"{spec.engine} {spec.build} asked, this is {ENGINE} {BUILD}")
        if spec.manifest_sha256 != self.manifest.sha256() or spec.frames != len(self.manifest.frames):
            raise ValueError("manifest_sha256: not the scene that is open")
        if not 0 <= frame < spec.frames:
            raise ValueError(f"frame: {frame} is not in 0..{spec.frames - 1}")
        if not 1 <= spec.samples <= rules.SAMPLES_MAX:
            raise ValueError(f"samples: expected 1 to {rules.SAMPLES_MAX}")
        tiles.check_grid(spec.size, spec.grid, spec.group)

    async def _load(self, name: str, size: tiles.Pair) -> None:
        if self.loaded != (name, size):
            answer = await self._ask({"scene": self.frames[name].text(size)}, LOAD_S_MAX)
            if "loaded" not in answer:
                raise EngineFailed("protocol", f"loaded a scene, got {answer}")
            self.loaded = name, size

    async def _ask(self, order: dict[str, Any], seconds_max: float) -> dict[str, Any]:
        assert self.child
        assert self.child.stdin
        with contextlib.suppress(ConnectionError):
            self.child.stdin.write(json.dumps(order).encode() + b"\n")
            await self.child.stdin.drain()
        answer = await self._answer(seconds_max)
        if "failed" in answer:
            raise EngineFailed(str(answer["failed"]), str(answer.get("detail", "")))
        return answer

    async def _answer(self, seconds_max: float) -> dict[str, Any]:
        assert self.child
        assert self.child.stdout
        try:
            async with asyncio.timeout(seconds_max):
                line = await self.child.stdout.readline()
            answer = json.loads(line) if line else None
        except TimeoutError:
            await self.kill()
            raise EngineFailed("timeout", f"no answer within {seconds_max:g} s") from None
        except ValueError as error:
            await self.kill()
            raise EngineFailed("protocol", f"an answer that is none: {error}") from None
        if not isinstance(answer, dict):
            raise await self._crash()
        return answer

    async def _pixels(self, length: int) -> bytes:
        assert self.child
        assert self.child.stdout
        try:
            async with asyncio.timeout(self.tile_s_max):
                return await self.child.stdout.readexactly(length)
        except TimeoutError:
            await self.kill()
            raise EngineFailed("timeout", f"no pixels within {self.tile_s_max:g} s") from None
        except asyncio.IncompleteReadError:
            raise await self._crash() from None

    async def _drain(self) -> None:
        """Reads what a dead child left: until then its pipe is open, and its end does not count."""
        assert self.child
        assert self.child.stdout
        # Whoever reads at the moment meets the end himself.
        with contextlib.suppress(RuntimeError):
            while await self.child.stdout.read(1 << 16):
                pass

    async def _crash(self) -> EngineFailed:
        await self.kill()
        assert self.child
        words = " ".join(self.last_words.decode(errors="replace").split())[-300:]
        return EngineFailed("crashed", f"the renderer ended with {self.child.returncode}: {words}")

    async def _listen(self, child: asyncio.subprocess.Process) -> None:
        """Keeps the end of what the child complains about, and keeps it from blocking on a full pipe."""
        assert child.stderr
        while words := await child.stderr.read(4096):
            self.last_words = (self.last_words + words)[-_LAST_WORDS:]
