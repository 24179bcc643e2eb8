"""Pictures: what was delivered, small, of jobs whose creator lets everybody see them, and of no others."""

import struct
import zlib

from domain.work import manifest, tiles
from explorer.drawing.pictures import SCREEN, png_of
from projections import catalog
from projections.explorer.jobs import Job, Jobs
from projections.row import Batch, Sweep
from projections.views import Move
from tests.explorer.fresh import Explorer, opened, scene_of
from tests.explorer.test_pages import job_of, lived
from tests.projections import lives


async def showing(*, pictures: bool) -> Explorer:
    """The explorer of a network whose creator said this in the scene's manifest."""
    it = lived()
    views, scene = await lives.folded(it.records), scene_of(pictures=pictures)
    head, batch = await views.head(catalog.of(Job)), Batch()
    assert head is not None
    batch.add(Sweep(Job, {"job": job_of(it)}, {"manifest_sha256": scene.sha256()}))
    views.take(Move(Jobs(), batch, head, head), head.size)
    return await opened(it, views=views)


async def test_a_job_is_shown_only_if_its_creator_lets_everybody_see_it() -> None:
    it = lived()
    accepted = next(e for e in it.events if e.event.verb() == "task.accepted")
    path = f"/pictures/{accepted.stream}/{accepted.event.fence}.png"  # type: ignore[attr-defined]
    public, private = await showing(pictures=True), await showing(pictures=False)

    assert path in await public.text(f"/jobs/{job_of(it)}")
    assert (await public.get(path)).content.startswith(b"\x89PNG")
    assert "/pictures/" not in await private.text(f"/jobs/{job_of(it)}")
    assert (await private.get(path)).status_code == 404
    assert [(await public.get(f"/pictures/{which}.png")).status_code for which in (f"{job_of(it)}/1/99", "job-7/1/1", "x/1/1")] == [404] * 3


def test_a_picture_holds_the_pixels_that_were_proved() -> None:
    """Tiles beside each other, in sRGB; what is no number is black, what is too bright is white."""
    numbers = [[0.0, 0.25, 1.0], [float("nan"), 2.0, -1.0]]
    raws = [tiles.pack(struct.pack("<12f", *(each * 4)), 2, 2, bytes(32)) for each in numbers]
    width, height, rows = unpacked(png_of((4, 4), (2, 2), [2, 3], raws))

    assert (width, height) == (4, 2)
    assert rows[0] == bytes([0, SCREEN[1023], 255, 255] * 2 + [0, 255, 0, 255] * 2)


def test_a_large_frame_becomes_a_small_picture() -> None:
    raw = tiles.pack(struct.pack("<3f", 0.5, 0.5, 0.5) * (1000 * 10), 10, 1000, bytes(32))
    width, height, _ = unpacked(png_of((1000, 10), (1, 1), [0], [raw]))

    assert (width, height) == (250, 3)


def test_a_manifest_that_says_nothing_of_pictures_is_written_as_before() -> None:
    plain = scene_of(pictures=False)

    assert b"pictures" not in plain.encode()
    assert manifest.parse(plain.encode()) == plain
    assert manifest.parse(scene_of(pictures=True).encode()).pictures


def unpacked(content: bytes) -> tuple[int, int, list[bytes]]:
    """Width, height and rows of a PNG as we write it."""
    width, height = struct.unpack(">II", content[16:24])
    length = struct.unpack(">I", content[33:37])[0]
    body = zlib.decompress(content[41 : 41 + length])
    return width, height, [body[n * (4 * width + 1) + 1 : (n + 1) * (4 * width + 1)] for n in range(height)]
