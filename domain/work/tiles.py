"""The fixed grid of tiles: what can be rendered alone, proved alone and checked alone (research/engines.md §1).

A frame of `size` = (width, height) pixels is cut by `grid` = (columns, rows) into tiles, numbered from 0, row by row. A task is
`group` consecutive tiles of one frame; tasks are numbered `frame × groups + group index + 1`. What a worker proves is one *raw*
object per tile: its pixels, their shape, and the hash of the specification that they were rendered to.
"""

import json
import struct
import sys
from array import array
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

SIZE_MAX = 16_384
"""Pixels along one side of a frame."""
TILES_MAX = 4_096
"""Tiles of one frame."""
TILE_PIXELS_MAX = 1 << 22
FRAMES_MAX = 10_000
CHANNELS = 3
SPEC_BYTES = 32
_SHAPE = struct.Struct("<III")
_TRAILER = _SHAPE.size + SPEC_BYTES
RAW_BYTES_MAX = TILE_PIXELS_MAX * CHANNELS * 4 + _TRAILER

Pair = tuple[int, int]


class Box(NamedTuple):
    """A rectangle of pixels, from the frame's upper left corner."""

    x: int
    y: int
    width: int
    height: int


class Spec(NamedTuple):
    """What a picture is a function of: two workers with equal specifications owe equal bits.

    `manifest_sha256` and `frames` (how many) are the scene's; `samples` are per pixel, `seed` is the creator's.
    """

    engine: str
    build: str
    manifest_sha256: str
    frames: int
    size: Pair
    grid: Pair
    group: int
    samples: int
    seed: int

    @property
    def tiles(self) -> int:
        """Tiles of one frame."""
        return self.grid[0] * self.grid[1]

    @property
    def groups(self) -> int:
        """Tasks of one frame; the last one has fewer tiles where `group` does not divide their number."""
        return groups(self.grid, self.group)

    @property
    def tasks(self) -> int:
        return self.frames * self.groups

    def sha256(self) -> str:
        """The specification's hash, as hex: part of every raw object."""
        return spec_sha256(
            engine=self.engine,
            build=self.build,
            manifest_sha256=self.manifest_sha256,
            frames=self.frames,
            size=self.size,
            tiles=self.grid,
            group=self.group,
            samples=self.samples,
            seed=self.seed,
        )


def spec_sha256(
    *,
    engine: str,
    build: str,
    manifest_sha256: str,
    frames: int,
    size: Sequence[int],
    tiles: Sequence[int],
    group: int,
    samples: int,
    seed: int,
) -> str:
    """SHA-256, as hex, of the canonical JSON of the specification: these fields in this order, no spaces, ASCII."""
    fields = {
        "engine": engine,
        "build": build,
        "manifest_sha256": manifest_sha256,
        "frames": frames,
        "size": [*size],
        "tiles": [*tiles],
        "group": group,
        "samples": samples,
        "seed": seed,
    }
    return sha256(json.dumps(fields, separators=(",", ":")).encode()).hexdigest()


def check_grid(size: Pair, grid: Pair, group: int) -> None:
    """Raises `ValueError`, naming the field, for a grid that cannot be cut or is too large."""
    if not all(1 <= side <= SIZE_MAX for side in size):
        raise ValueError(f"size: each side must be 1 to {SIZE_MAX} pixels")
    if not all(1 <= count <= side for count, side in zip(grid, size, strict=True)):
        raise ValueError("tiles: at least 1 and at most one per pixel along each side")
    if grid[0] * grid[1] > TILES_MAX:
        raise ValueError(f"tiles: at most {TILES_MAX} per frame")
    if -(-size[0] // grid[0]) * -(-size[1] // grid[1]) > TILE_PIXELS_MAX:
        raise ValueError(f"tiles: at most {TILE_PIXELS_MAX} pixels each")
    if not 1 <= group <= grid[0] * grid[1]:
        raise ValueError("group: at least 1 tile and at most all tiles of a frame")


def box(size: Pair, grid: Pair, tile: int) -> Box:
    """The pixels of a tile. Column i of c covers ⌊i·w/c⌋ up to ⌊(i+1)·w/c⌋, so that tiles cover every pixel once."""
    (width, height), (columns, rows) = size, grid
    if not 0 <= tile < columns * rows:
        raise ValueError(f"tile: {tile} is not in 0..{columns * rows - 1}")
    row, column = divmod(tile, columns)
    left, top = column * width // columns, row * height // rows
    return Box(left, top, (column + 1) * width // columns - left, (row + 1) * height // rows - top)


def boxes(size: Pair, grid: Pair) -> list[Box]:
    """The pixels of every tile of a frame, by tile number."""
    return [box(size, grid, tile) for tile in range(grid[0] * grid[1])]


def groups(grid: Pair, group: int) -> int:
    """How many tasks a frame is."""
    return -(-grid[0] * grid[1] // group)


def task_number(frame: int, index: int, grid: Pair, group: int) -> int:
    """The task (from 1) that renders group `index` (from 0) of `frame` (from 0)."""
    return frame * groups(grid, group) + index + 1


def task_tiles(number: int, grid: Pair, group: int) -> tuple[int, range]:
    """The frame and the tile numbers of a task: the inverse of `task_number`."""
    if number < 1:
        raise ValueError(f"task: {number} is not a task's number")
    frame, index = divmod(number - 1, groups(grid, group))
    return frame, range(index * group, min((index + 1) * group, grid[0] * grid[1]))


def seed(spec_seed: int, frame: int, tile: int) -> int:
    """The tile's 32-bit seed: a function of its position, not of who renders it; hashed, since adjacent seeds share streams."""
    return int.from_bytes(sha256(f"gl/seed/1/{spec_seed}/{frame}/{tile}".encode()).digest()[:4], "little")


class Raw(NamedTuple):
    """A raw object, opened: `pixels` are float32 little-endian, row by row, `channels` values each; `spec` is a hash."""

    pixels: bytes
    height: int
    width: int
    channels: int
    spec: bytes

    def values(self) -> Sequence[float]:
        """The pixels as numbers, wherever they are read."""
        numbers = array("f", self.pixels)
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers


def pack(pixels: bytes, height: int, width: int, spec: bytes) -> bytes:
    """The raw object of a tile of three channels: pixels ‖ height, width, channels as u32 LE ‖ spec hash."""
    raw = pixels + _SHAPE.pack(height, width, CHANNELS) + spec
    unpack(raw)
    return raw


def unpack(raw: bytes) -> Raw:
    """Opens a raw object. Raises `ValueError`, naming the field, unless every byte is accounted for."""
    if not _TRAILER < len(raw) <= RAW_BYTES_MAX:
        raise ValueError(f"raw: {len(raw)} bytes is not a tile")
    height, width, channels = _SHAPE.unpack_from(raw, len(raw) - _TRAILER)
    if channels != CHANNELS:
        raise ValueError(f"channels: {channels}, expected {CHANNELS}")
    if height * width * channels * 4 + _TRAILER != len(raw):
        raise ValueError(f"shape: {height} × {width} × {channels} does not fit {len(raw)} bytes")
    return Raw(raw[:-_TRAILER], height, width, channels, raw[-SPEC_BYTES:])
