"""A look at one raw tile, as bytes that anybody may have made: plain struct work, to be done in another process (gate.py).

What is said of it is a word for the log: `format` (not a raw object), `size` (another shape), `spec` (rendered to another
specification), `finite` (a value that is no number), `range` (beyond all light).
"""

from domain.value import Value
from domain.work import tiles

VALUE_MAX = 1e30
"""No scene may name a larger number (gpu/rules.py), so no picture has one. Filters may make values negative."""
COLOURS_MAX, REPEATS_MIN = 64, 4
"""Rendered pixels hardly ever repeat: a tile that has no more different ones than this, each so many times on average, is plain."""
_PIXEL_BYTES = tiles.CHANNELS * 4


class Look(Value):
    fault: str
    """Empty: none."""
    constant: bool = False
    """One colour."""
    plain: bool = False
    """Few colours: a background, which many tiles may share."""


def at(raw: bytes, height: int, width: int, spec: bytes) -> Look:
    """Is it a tile of this shape, rendered to the specification with this hash?"""
    try:
        tile = tiles.unpack(raw)
    except ValueError:
        return Look("format")
    if (tile.height, tile.width) != (height, width):
        return Look("size")
    if tile.spec != spec:
        return Look("spec")
    values = tile.values()
    # A sum is a number only if all that went into it are: doubles hold the sum of all floats that a tile can have.
    if not float("-inf") < sum(map(abs, values)) < float("inf"):
        return Look("finite")
    if max(values) > VALUE_MAX or min(values) < -VALUE_MAX:
        return Look("range")
    colours_max = min(COLOURS_MAX, max(1, height * width // REPEATS_MIN))
    colours = _colours(tile.pixels, colours_max)
    return Look("", colours == 1, colours <= colours_max)


def _colours(pixels: bytes, enough: int) -> int:
    """Different pixels, counted until there are more than `enough`."""
    found = set[bytes]()
    for start in range(0, len(pixels), _PIXEL_BYTES):
        found.add(pixels[start : start + _PIXEL_BYTES])
        if len(found) > enough:
            break
    return len(found)
