"""The grid of tiles, task numbers, seeds and raw objects."""

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.work import tiles

SPEC = tiles.Spec("mitsuba", "mitsuba-3.9.1", "ab" * 32, 4, (320, 180), (4, 4), 4, 64, 7)
HASH = bytes.fromhex(SPEC.sha256())

sizes = st.tuples(st.integers(1, 300), st.integers(1, 300))


@st.composite
def cuts(draw: st.DrawFn) -> tuple[tiles.Pair, tiles.Pair, int]:
    width, height = draw(sizes)
    grid = draw(st.integers(1, min(width, 12))), draw(st.integers(1, min(height, 12)))
    return (width, height), grid, draw(st.integers(1, grid[0] * grid[1]))


@given(cuts())
def test_tiles_cover_every_pixel_exactly_once(cut: tuple[tiles.Pair, tiles.Pair, int]) -> None:
    size, grid, _ = cut
    covered = [(x, y) for b in tiles.boxes(size, grid) for y in range(b.y, b.y + b.height) for x in range(b.x, b.x + b.width)]
    assert sorted(covered) == [(x, y) for x in range(size[0]) for y in range(size[1])]


def test_tiles_are_numbered_row_by_row() -> None:
    assert tiles.boxes((320, 180), (4, 4))[6] == tiles.Box(160, 45, 80, 45)


def test_uneven_sides_are_cut_at_rounded_down_bounds() -> None:
    assert [(b.x, b.width) for b in tiles.boxes((10, 1), (3, 1))] == [(0, 3), (3, 3), (6, 4)]


@given(cuts(), st.integers(0, 50), st.integers(0, 200))
def test_a_task_number_gives_back_its_frame_and_group(cut: tuple[tiles.Pair, tiles.Pair, int], frame: int, index: int) -> None:
    _, grid, group = cut
    index %= tiles.groups(grid, group)
    number = tiles.task_number(frame, index, grid, group)
    assert tiles.task_tiles(number, grid, group)[0] == frame
    assert tiles.task_tiles(number, grid, group)[1].start == index * group


@given(cuts())
def test_the_tasks_of_a_frame_have_every_tile_once(cut: tuple[tiles.Pair, tiles.Pair, int]) -> None:
    _, grid, group = cut
    numbers = range(1, tiles.groups(grid, group) + 1)
    assert [t for n in numbers for t in tiles.task_tiles(n, grid, group)[1]] == list(range(grid[0] * grid[1]))


def test_tasks_of_the_second_frame_follow_those_of_the_first() -> None:
    assert tiles.task_tiles(5, SPEC.grid, SPEC.group) == (1, range(4))
    assert (SPEC.tiles, SPEC.groups, SPEC.tasks) == (16, 4, 16)


def test_a_seed_is_a_hash_of_the_position() -> None:
    digest = hashlib.sha256(b"gl/seed/1/7/2/5").digest()
    assert tiles.seed(7, 2, 5) == struct.unpack("<I", digest[:4])[0]


def test_the_spec_hash_is_of_the_canonical_json() -> None:
    text = (
        '{"engine":"mitsuba","build":"mitsuba-3.9.1","manifest_sha256":"' + "ab" * 32 + '","frames":4,"size":[320,180],'
        '"tiles":[4,4],"group":4,"samples":64,"seed":7}'
    )
    assert SPEC.sha256() == hashlib.sha256(text.encode()).hexdigest()


def test_a_raw_object_opens_to_what_was_packed() -> None:
    pixels = struct.pack("<6f", 0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
    raw = tiles.unpack(tiles.pack(pixels, 1, 2, HASH))
    assert raw == tiles.Raw(pixels, 1, 2, 3, HASH)
    assert list(raw.values()) == [0.0, 0.25, 0.5, 1.0, 2.0, 4.0]


def test_the_trailer_is_shape_then_spec_hash() -> None:
    raw = tiles.pack(bytes(24), 1, 2, HASH)
    assert raw[24:] == b"\x01\0\0\0\x02\0\0\0\x03\0\0\0" + HASH


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"", "raw"),
        (bytes(44), "raw"),
        (bytes(tiles.RAW_BYTES_MAX + 1), "raw"),
        (bytes(24) + struct.pack("<III", 1, 2, 4) + HASH, "channels"),
        (bytes(24) + struct.pack("<III", 2, 2, 3) + HASH, "shape"),
        (bytes(25) + struct.pack("<III", 1, 2, 3) + HASH, "shape"),
        (bytes(24) + struct.pack("<III", 0xFFFFFFFF, 0xFFFFFFFF, 3) + HASH, "shape"),
    ],
)
def test_a_raw_object_with_a_wrong_byte_count_is_refused(raw: bytes, field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}:"):
        tiles.unpack(raw)


def test_pixels_that_do_not_fit_their_shape_are_not_packed() -> None:
    with pytest.raises(ValueError, match=r"^shape:"):
        tiles.pack(bytes(24), 2, 2, HASH)


@pytest.mark.parametrize(
    ("size", "grid", "group", "field"),
    [
        ((0, 180), (4, 4), 4, "size"),
        ((320, 20_000), (4, 4), 4, "size"),
        ((320, 180), (0, 4), 4, "tiles"),
        ((2, 180), (4, 4), 4, "tiles"),
        ((1000, 1000), (100, 100), 4, "tiles"),
        ((16_384, 16_384), (1, 1), 1, "tiles"),
        ((320, 180), (4, 4), 0, "group"),
        ((320, 180), (4, 4), 17, "group"),
    ],
)
def test_an_impossible_grid_is_refused_by_field(size: tiles.Pair, grid: tiles.Pair, group: int, field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}:"):
        tiles.check_grid(size, grid, group)


def test_a_possible_grid_is_accepted() -> None:
    tiles.check_grid((16_384, 16_384), (16, 16), 256)


@pytest.mark.parametrize("tile", [-1, 16])
def test_a_tile_outside_the_grid_has_no_box(tile: int) -> None:
    with pytest.raises(ValueError, match=r"^tile:"):
        tiles.box((320, 180), (4, 4), tile)


def test_task_numbers_start_at_one() -> None:
    with pytest.raises(ValueError, match=r"^task:"):
        tiles.task_tiles(0, (4, 4), 4)
