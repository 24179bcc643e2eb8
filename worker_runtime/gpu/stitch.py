"""From proved tiles to pictures: frames of linear light, and what people look at (PNG, contact sheet, WebP animation)."""

import io
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from domain.work import tiles

Frame = NDArray[np.float32]
"""Linear light, shape (height, width, 3), rows from the top."""

SHEET_COLUMNS = 2
FRAMES_PER_SECOND = 8
_GAP = 4


def frame(spec: tiles.Spec, raws: Mapping[int, bytes]) -> Frame:
    """One frame from its raw tiles by number. Raises `ValueError` unless every tile is there, to this specification and shape."""
    width, height = spec.size
    picture = np.empty((height, width, tiles.CHANNELS), "<f4")
    mark = bytes.fromhex(spec.sha256())
    for number, box in enumerate(tiles.boxes(spec.size, spec.grid)):
        if number not in raws:
            raise ValueError(f"tile: {number} is missing")
        raw = tiles.unpack(raws[number])
        if (raw.height, raw.width, raw.spec) != (box.height, box.width, mark):
            raise ValueError(f"tile: {number} is of another shape or specification")
        pixels = np.frombuffer(raw.pixels, "<f4").reshape(raw.height, raw.width, raw.channels)
        picture[box.y : box.y + box.height, box.x : box.x + box.width] = pixels
    return picture


def picture_sha256(frames: Iterable[Frame]) -> str:
    """SHA-256, as hex, of the linear floats of all frames in order: equal for equal specifications, whoever rendered what."""
    digest = sha256()
    for picture in frames:
        digest.update(np.ascontiguousarray(picture, "<f4").tobytes())
    return digest.hexdigest()


def screen(picture: Frame) -> NDArray[np.uint8]:
    """Eight-bit sRGB (IEC 61966-2-1) of linear light, clipped to what a screen can show."""
    linear = np.clip(picture, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.power(linear, 1 / 2.4) - 0.055)
    rounded: NDArray[np.uint8] = (encoded * 255 + 0.5).astype(np.uint8)
    return rounded


def png(picture: Frame) -> bytes:
    """One frame as PNG."""
    return _file(Image.fromarray(screen(picture)), "PNG", optimize=True)


def contact_sheet(frames: Sequence[Frame], columns: int = SHEET_COLUMNS) -> bytes:
    """All frames side by side as one PNG. At least one frame, all of one size."""
    height, width = frames[0].shape[:2]
    columns = min(columns, len(frames))
    rows = -(-len(frames) // columns)
    sheet = Image.new("RGB", (columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP), (16, 16, 20))
    for number, picture in enumerate(frames):
        row, column = divmod(number, columns)
        sheet.paste(Image.fromarray(screen(picture)), (column * (width + _GAP), row * (height + _GAP)))
    return _file(sheet, "PNG", optimize=True)


def animation(frames: Sequence[Frame], per_second: int = FRAMES_PER_SECOND) -> bytes:
    """All frames one after the other as WebP, forwards and back so that it never jumps. At least one frame."""
    pictures = [Image.fromarray(screen(picture)) for picture in frames]
    pictures += pictures[-2:0:-1]
    return _file(pictures[0], "WEBP", save_all=True, append_images=pictures[1:], duration=1000 // per_second, loop=0, quality=88)


def _file(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
