"""Small pictures of what a worker delivered, for the wall: of jobs whose creator lets everybody see them, which the scene's manifest says,
and of nothing else.

A raw tile is linear light (`domain.work.tiles`); what is shown is 8-bit sRGB, every n-th pixel of it, as PNG.
"""

import asyncio
import struct
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeVar

from domain.proof import proof
from domain.work import manifest, tiles
from domain.work.objects import ObjectMissing
from explorer.drawing import wall
from explorer.look import Look, Missing, event_at
from explorer.parts import Parts
from projections.explorer.audits import Audit, Round, Verdict
from projections.explorer.jobs import Job
from projections.explorer.tasks import Attempt

WIDTH_MAX = 320
KEPT_MAX, SCENES_MAX = 1_000, 1_000
LEVELS = 4_096
DIFFERENCE = 4


def encoded(linear: float) -> int:
    """sRGB (IEC 61966-2-1) of linear light from 0 to 1."""
    return int((12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055) * 255 + 0.5)


SCREEN = bytes(encoded(n / (LEVELS - 1)) for n in range(LEVELS))


class Pictures:
    """Those that were asked for last are kept; they never change."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._shown: OrderedDict[str, bool] = OrderedDict()

    async def shows(self, job: Job) -> bool:
        """Whether the creator lets everybody see pictures of the job."""
        digest = str(job.manifest_sha256)
        if digest not in self._shown:
            try:
                scene = manifest.parse(await self._object(digest))
            except (ObjectMissing, ValueError):
                return False
            remember(self._shown, digest, scene.pictures, SCENES_MAX)
        return self._shown[digest]

    async def picture(self, look: Look, id: str, fence: int) -> bytes:
        """The PNG of what was delivered at an attempt. Raises `Missing`."""
        if (id, fence) not in self._kept:
            attempt, job = await look.get(Attempt, id, fence), await look.need(Job, id.partition("/")[0])
            if attempt is None or not attempt.proof_position or not await self.shows(job):
                raise Missing(f"a picture of {id}")
            raws = await self._raws(attempt.proof_position)
            its = (job.width or 1, job.height or 1), (job.columns or 1, job.rows or 1)
            number = int(id.partition("/")[2])
            made = await asyncio.to_thread(png_of, *its, tiles.task_tiles(number, its[1], job.group or 1)[1], raws)
            remember(self._kept, (id, fence), made, KEPT_MAX)
        return self._kept[id, fence]

    async def evidence(self, look: Look, id: str, number: int, place: int, which: str) -> bytes:
        """Of a region that was checked in a closed audit: what the worker had, what the first checker of the round rendered, or their
        difference. Raises `Missing`."""
        key = f"{id}/{number}/{which}", place
        if key not in self._kept:
            worker, checker = await self._evidence(look, id, number, place)
            made = {"worker": [worker], "checker": [checker], "difference": [worker, checker]}.get(which)
            if made is None:
                raise Missing(f"a picture {which}")
            remember(self._kept, key, await asyncio.to_thread(tile_png, *made), KEPT_MAX)
        return self._kept[key]

    async def _evidence(self, look: Look, id: str, number: int, place: int) -> tuple[bytes, bytes]:
        audit, its = await look.need(Audit, id), await look.get(Round, id, number)
        said = [
            each for each in (await look.page(Verdict, {"audit": id}, newest=False)).rows if each.round == number and each.evidence_sha256
        ]
        regions = its.regions or () if its else ()
        if audit.status != "closed" or not said or place >= min(len(regions), len(said[0].evidence_sha256 or ())):
            raise Missing(f"evidence {place} of round {number} of {id}")
        recorded, _ = await event_at(self._parts, audit.proof_position or 0)
        assert isinstance(recorded.event, proof.Committed)
        try:
            pair = recorded.event.raw[regions[place]], (said[0].evidence_sha256 or ())[place]
            return await self._object(pair[0]), await self._object(pair[1])
        except ObjectMissing:
            raise Missing("these pixels any more") from None

    async def _raws(self, position: int) -> list[bytes]:
        recorded, _ = await event_at(self._parts, position)
        assert isinstance(recorded.event, proof.Committed)
        try:
            return [await self._object(digest) for digest in recorded.event.raw]
        except ObjectMissing:
            raise Missing("these pixels any more") from None

    async def _object(self, digest: str) -> bytes:
        return b"".join([chunk async for chunk in await self._parts.objects.open(digest)])


K = TypeVar("K")
V = TypeVar("V")


def remember(kept: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    kept[key] = value
    if len(kept) > most:
        kept.popitem(last=False)


def png_of(size: tiles.Pair, grid: tiles.Pair, numbers: Sequence[int], raws: Sequence[bytes]) -> bytes:
    """Tiles of one frame in what holds all of them; where there are none it is transparent."""
    boxes = {number: tiles.box(size, grid, number) for number in numbers}
    left, top, width, height = wall.extent(list(boxes.values()))
    step = -(-size[0] // WIDTH_MAX)
    lines = [bytearray(4 * len(range(0, width, step))) for _ in range(0, height, step)]
    for (_, box), content in zip(boxes.items(), raws, strict=True):
        raw = tiles.unpack(content)
        if (raw.width, raw.height) != (box.width, box.height):
            raise Missing("pixels of this shape")
        values = raw.values()
        for y in range(-(-(box.y - top) // step) * step + top, box.y + box.height, step):
            for x in range(-(-(box.x - left) // step) * step + left, box.x + box.width, step):
                at = ((y - box.y) * box.width + x - box.x) * tiles.CHANNELS
                place = (x - left) // step * 4
                lines[(y - top) // step][place : place + 4] = bytes((*map(shown, values[at : at + 3]), 255))
    return png(lines)


def tile_png(content: bytes, other: bytes | None = None) -> bytes:
    """One tile, or the difference of two, DIFFERENCE times as bright."""
    raw = tiles.unpack(content)
    values: Sequence[float] = raw.values()
    if other is not None:
        values = [DIFFERENCE * abs(a - b) for a, b in zip(values, tiles.unpack(other).values(), strict=True)]
    width = raw.width * tiles.CHANNELS
    rows = [values[n * width : (n + 1) * width] for n in range(raw.height)]
    return png([b"".join(bytes((*map(shown, row[x : x + tiles.CHANNELS]), 255)) for x in range(0, width, tiles.CHANNELS)) for row in rows])


def shown(linear: float) -> int:
    """What is no number is black."""
    return SCREEN[int(linear * (LEVELS - 1))] if 0.0 <= linear < 1.0 else 255 * (linear >= 1.0)


def png(lines: Sequence[bytes | bytearray]) -> bytes:
    """Rows of RGBA as a file (PNG, second edition, §11)."""
    head = struct.pack(">IIBBBBB", len(lines[0]) // 4, len(lines), 8, 6, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + line for line in lines), 6)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in ((b"IHDR", head), (b"IDAT", body), (b"IEND", b"")))


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
