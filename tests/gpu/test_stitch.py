"""From tiles to pictures."""

import hashlib
import io
import struct

import numpy as np
import pytest
from PIL import Image

from domain.proof import comparator
from domain.work import tiles
from worker_runtime.gpu import stitch

SPEC = tiles.Spec("mitsuba", "mitsuba-3.9.1", "ab" * 32, 2, (5, 3), (2, 2), 4, 64, 7)
MARK = bytes.fromhex(SPEC.sha256())


def raws(value: float = 0.25, spec: bytes = MARK) -> dict[int, bytes]:
    """Tile n is of one colour: n + value, n + value, n + value."""
    boxes = tiles.boxes(SPEC.size, SPEC.grid)
    return {
        n: tiles.pack(struct.pack("<f", n + value) * box.width * box.height * 3, box.height, box.width, spec) for n, box in enumerate(boxes)
    }


def test_every_tile_lies_in_its_place() -> None:
    picture = stitch.frame(SPEC, raws())
    assert picture[:, :, 1].tolist() == [
        [0.25, 0.25, 1.25, 1.25, 1.25],
        [2.25, 2.25, 3.25, 3.25, 3.25],
        [2.25, 2.25, 3.25, 3.25, 3.25],
    ]


def test_a_missing_tile_is_named() -> None:
    some = raws()
    del some[2]
    with pytest.raises(ValueError, match=r"^tile: 2 is missing"):
        stitch.frame(SPEC, some)


@pytest.mark.parametrize("wrong", [raws(spec=bytes(32))[1], raws()[0]])
def test_a_tile_of_another_shape_or_specification_is_named(wrong: bytes) -> None:
    with pytest.raises(ValueError, match=r"^tile: 1 is of another"):
        stitch.frame(SPEC, raws() | {1: wrong})


def test_the_pictures_hash_is_of_all_linear_floats_in_order() -> None:
    first, second = stitch.frame(SPEC, raws()), stitch.frame(SPEC, raws(0.5))
    assert stitch.picture_sha256([first, second]) == hashlib.sha256(first.tobytes() + second.tobytes()).hexdigest()
    assert stitch.picture_sha256([second, first]) != stitch.picture_sha256([first, second])


def test_a_screen_shows_srgb_as_the_comparator_measures_it() -> None:
    values = [-1.0, 0.0, 0.002, 0.0031308, 0.18, 0.5, 1.0, 7.0]
    linear = np.array(values, np.float32).repeat(3).reshape(1, -1, 3)
    expected = [int(comparator.encode(value) * 255 + 0.5) for value in values]
    assert stitch.screen(linear)[0, :, 0].tolist() == expected


def test_a_frame_is_a_png_of_its_size() -> None:
    with Image.open(io.BytesIO(stitch.png(stitch.frame(SPEC, raws())))) as image:
        assert (image.format, image.size, image.mode) == ("PNG", (5, 3), "RGB")


@pytest.mark.parametrize(("count", "size"), [(1, (5, 3)), (2, (14, 3)), (3, (14, 10))])
def test_a_contact_sheet_holds_all_frames(count: int, size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(stitch.contact_sheet([stitch.frame(SPEC, raws())] * count))) as image:
        assert (image.format, image.size) == ("PNG", size)


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (2, 2), (4, 6)])
def test_an_animation_goes_there_and_back(count: int, shown: int) -> None:
    frames = [stitch.frame(SPEC, raws(n / 8)) * np.float32(0.2) for n in range(count)]
    with Image.open(io.BytesIO(stitch.animation(frames))) as image:
        assert image.format == "WEBP"
        assert getattr(image, "n_frames", 1) == shown


def test_the_same_frames_make_the_same_files() -> None:
    frames = [stitch.frame(SPEC, raws(n / 8)) for n in range(3)]
    assert stitch.contact_sheet(frames) == stitch.contact_sheet(frames)
    assert stitch.animation(frames) == stitch.animation(frames)
