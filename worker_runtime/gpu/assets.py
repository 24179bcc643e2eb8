"""Meshes and textures of a scene, looked at before any library opens them: what they claim to be, how large, and whether every number
and index in them is one.

Nothing here is a decoder. It reads as much as is needed to bound what the renderer's own readers, which are C++, will do with a file.
"""

import itertools
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

TRIANGLES_MAX = 2_000_000
VERTICES_MAX = 2_000_000
TEXTURE_SIDE_MAX = 8_192
TEXTURE_PIXELS_MAX = 1 << 24
_LINES_MAX = 100


class SceneRefused(Exception):
    """A scene or one of its files is not what we render. `code` is stable, `detail` names the file, the line and the reason."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(f"{code}: {detail}")


class Facts(NamedTuple):
    """What a file costs wherever it is used: triangles of a mesh, pixels of a texture."""

    triangles: int = 0
    pixels: int = 0


def inspect(name: str, content: bytes) -> Facts:
    """Looks at one file; its ending says what it must be. Raises `SceneRefused`."""
    ending = name.rpartition(".")[2]
    if ending not in _READERS:
        raise SceneRefused("ending", f"{name}: expected one of .{', .'.join(_READERS)}")
    try:
        return _READERS[ending](content)
    except SceneRefused as refused:
        raise SceneRefused(refused.code, f"{name}: {refused.detail}") from None
    except (ValueError, struct.error, IndexError, UnicodeDecodeError, OverflowError) as error:
        raise SceneRefused("format", f"{name}: {error}") from None


def _texture(width: int, height: int) -> Facts:
    if not (1 <= width <= TEXTURE_SIDE_MAX and 1 <= height <= TEXTURE_SIDE_MAX and width * height <= TEXTURE_PIXELS_MAX):
        raise SceneRefused(
            "pixels", f"{width} × {height} pixels, at most {TEXTURE_SIDE_MAX} along a side and {TEXTURE_PIXELS_MAX} together"
        )
    return Facts(pixels=width * height)


def _mesh(vertices: int, triangles: int) -> Facts:
    if not (3 <= vertices <= VERTICES_MAX and 1 <= triangles <= TRIANGLES_MAX):
        raise SceneRefused("triangles", f"{triangles} triangles on {vertices} vertices, at most {TRIANGLES_MAX} on {VERTICES_MAX}")
    return Facts(triangles=triangles)


# PNG (ISO/IEC 15948): chunks from the signature to IEND, each with its checksum.
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


def _png(content: bytes) -> Facts:
    if not content.startswith(_PNG):
        raise SceneRefused("magic", "not a PNG")
    at, kind, facts = len(_PNG), b"", None
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, at)
        if length > len(content) - at - 12:
            raise ValueError("a chunk is cut off")
        (checksum,) = struct.unpack_from(">I", content, at + 8 + length)
        if zlib.crc32(content[at + 4 : at + 8 + length]) != checksum:
            raise ValueError("a chunk's checksum is wrong")
        if (facts is None) != (kind == b"IHDR"):
            raise ValueError("IHDR must come first, and once")
        if kind == b"IHDR":
            width, height, depth, colours, packing, filtering, interlace = struct.unpack_from(">IIBBBBB", content, at + 8)
            if depth not in _PNG_DEPTHS.get(colours, ()) or packing or filtering or interlace > 1 or length != 13:
                raise ValueError("IHDR holds values that PNG does not know")
            facts = _texture(width, height)
        at += 12 + length
    if at != len(content) or facts is None:
        raise ValueError("something follows IEND")
    return facts


# Radiance RGBE: a text header, an empty line, the resolution, scan lines.
_RESOLUTION = re.compile(rb"-Y ([0-9]{1,6}) \+X ([0-9]{1,6})")


def _hdr(content: bytes) -> Facts:
    lines = content[:4096].split(b"\n")
    if lines[0] not in {b"#?RADIANCE", b"#?RGBE"}:
        raise SceneRefused("magic", "not a Radiance picture")
    if b"" not in lines[:-2]:
        raise ValueError("the header does not end")
    end = lines.index(b"")
    if b"FORMAT=32-bit_rle_rgbe" not in lines[1:end]:
        raise ValueError("FORMAT must be 32-bit_rle_rgbe")
    if not (resolution := _RESOLUTION.fullmatch(lines[end + 1])):
        raise ValueError("the resolution must read -Y height +X width")
    facts = _texture(int(resolution[2]), int(resolution[1]))
    # A run covers at most 127 pixels of one channel with two bytes.
    if (len(content) - sum(len(line) + 1 for line in lines[: end + 2])) * 127 < facts.pixels * 4:
        raise ValueError("scan lines are missing")
    return facts


# PLY: a text header that describes elements, then their records.
_PLY_TYPES = {
    word: code
    for code, words in {
        "b": "char int8", "B": "uchar uint8", "h": "short int16", "H": "ushort uint16",
        "i": "int int32", "I": "uint uint32", "f": "float float32", "d": "double float64",
    }.items()
    for word in words.split()
}  # fmt: skip
_PLY_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_PLY_NAME = re.compile("[a-z][a-z0-9_]{0,40}")


class _Element(NamedTuple):
    name: str
    records: int
    codes: str
    """One `struct` code per value; the list of a face's corners is `B` and three indices."""
    corners: int
    """Where in the record that list begins; -1 if it has none."""


def _ply(content: bytes) -> Facts:
    if not content.startswith((b"ply\n", b"ply\r\n")):
        raise SceneRefused("magic", "not a PLY mesh")
    end = content.find(b"end_header")
    start = content.find(b"\n", end) + 1
    if end < 0 or not start or content[end + 10 : start].strip():
        raise ValueError("the header does not end")
    lines = [line.split() for line in content[:end].decode("ascii").splitlines()[1:]]
    if len(lines) > _LINES_MAX:
        raise ValueError("the header is too long")
    order, elements = _ply_header([words for words in lines if words and words[0] not in {"comment", "obj_info"}])
    if [element.name for element in elements] != ["vertex", "face"]:
        raise ValueError("expected the elements vertex and face, in this order")
    vertices, faces = elements
    if vertices.corners >= 0 or faces.corners < 0:
        raise ValueError("faces, and only faces, have a list of vertex_index")
    facts = _mesh(vertices.records, faces.records)
    records = _ply_text(content[start:], elements) if not order else _ply_binary(content[start:], order, elements)
    _finite(value for record in itertools.islice(records, vertices.records) for value in record)
    corner = faces.corners
    for record in records:
        if record[corner] != 3:
            raise SceneRefused("triangles", "a face is not a triangle")
        if not 0 <= min(record[corner + 1 : corner + 4]) <= max(record[corner + 1 : corner + 4]) < vertices.records:
            raise SceneRefused("index", "a face uses a vertex that does not exist")
        _finite(record)
    return facts


def _ply_header(lines: list[list[str]]) -> tuple[str, list[_Element]]:
    if not lines or len(lines[0]) != 3 or lines[0][0] != "format" or lines[0][1] not in _PLY_ORDERS:
        raise ValueError("expected a format line that PLY knows")
    elements: list[_Element] = []
    for words in lines[1:]:
        match words:
            case ["element", name, count] if re.fullmatch("[0-9]{1,9}", count):
                elements.append(_Element(name, int(count), "", -1))
            case ["property", "list", size, kind, "vertex_index" | "vertex_indices"] if elements and elements[-1].corners < 0:
                if _PLY_TYPES.get(size) != "B" or _PLY_TYPES.get(kind) not in {"i", "I"}:
                    raise ValueError("corners must be a list of uchar and int")
                last = elements.pop()
                code = "B" + _PLY_TYPES[kind] * 3
                elements.append(last._replace(codes=last.codes + code, corners=len(last.codes)))
            case ["property", kind, name] if elements and kind in _PLY_TYPES and _PLY_NAME.fullmatch(name):
                elements[-1] = elements[-1]._replace(codes=elements[-1].codes + _PLY_TYPES[kind])
            case _:
                raise ValueError(f"unknown header line: {' '.join(words)[:60]!a}")
    return _PLY_ORDERS[lines[0][1]], elements


def _ply_binary(body: bytes, order: str, elements: list[_Element]) -> Iterator[tuple[float, ...]]:
    layouts = [struct.Struct(order + element.codes) for element in elements]
    sizes = [layout.size * element.records for layout, element in zip(layouts, elements, strict=True)]
    if sum(sizes) != len(body):
        raise ValueError(f"{len(body)} bytes of records, expected {sum(sizes)}, all faces being triangles")
    view = memoryview(body)
    return itertools.chain(layouts[0].iter_unpack(view[: sizes[0]]), layouts[1].iter_unpack(view[sizes[0] :]))


def _ply_text(body: bytes, elements: list[_Element]) -> Iterator[tuple[float, ...]]:
    lines = [line for line in body.decode("ascii").split("\n") if line.strip()]
    if len(lines) != sum(element.records for element in elements):
        raise ValueError(f"{len(lines)} lines of records, the header says otherwise")
    rest = iter(lines)
    for element in elements:
        for line in itertools.islice(rest, element.records):
            words = zip(line.split(), element.codes, strict=True)
            yield tuple(number(word) if code in "fd" else int(word) for word, code in words)


# Wavefront OBJ: statements by line; we know those that the renderer reads and those that it skips.
_OBJ_NUMBERS = {"v": (3, 7), "vt": (1, 3), "vn": (3, 3)}
_OBJ_SKIPPED = {"#", "g", "o", "s", "usemtl", "mtllib"}


def _obj(content: bytes) -> Facts:
    counts = {"v": 0, "vt": 0, "vn": 0}
    triangles = 0
    if b"\\" in content or b"\0" in content:
        raise ValueError("continued lines are not read")
    for line in content.decode("utf-8").split("\n"):
        words = line.split()
        if not words or words[0] in _OBJ_SKIPPED or words[0].startswith("#"):
            continue
        kind, values = words[0], words[1:]
        if kind in _OBJ_NUMBERS:
            least, most = _OBJ_NUMBERS[kind]
            if not least <= len(values) <= most:
                raise ValueError(f"{kind} with {len(values)} numbers")
            _finite(map(number, values))
            counts[kind] += 1
        elif kind == "f":
            if not 3 <= len(values) <= 4:
                raise SceneRefused("triangles", "a face is neither a triangle nor a quadrilateral")
            triangles += len(values) - 2
            for corner in values:
                _obj_corner(corner, counts)
        else:
            raise ValueError(f"unknown statement {kind[:20]!a}")
    if not triangles and not counts["v"]:
        raise SceneRefused("magic", "not an OBJ mesh")
    return _mesh(counts["v"], triangles)


def _obj_corner(corner: str, counts: dict[str, int]) -> None:
    parts = corner.split("/")
    if len(parts) > 3:
        raise ValueError(f"a corner reads {corner[:40]!a}")
    for part, kind in zip(parts, counts, strict=False):
        if not part and kind != "v":
            continue
        if not re.fullmatch("-?[0-9]{1,9}", part):
            raise ValueError(f"a corner reads {corner[:40]!a}")
        # Indices count from 1; negative ones count back from the last.
        if not (1 <= int(part) <= counts[kind] or 1 <= -int(part) <= counts[kind]):
            raise SceneRefused("index", f"a face uses a {kind} that does not exist before it")


_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


def number(word: str) -> float:
    """A decimal number, as every reader reads it. Raises `SceneRefused`."""
    if len(word) > 40 or not _NUMBER.fullmatch(word):
        raise SceneRefused("number", f"{word[:40]!a} is not a number")
    return float(word)


def _finite(values: Iterable[float]) -> None:
    # Beyond float32 a value would become infinite inside the renderer.
    if not all(abs(value) < 1e30 for value in values):
        raise SceneRefused("number", "a coordinate is not finite")


_READERS: dict[str, Callable[[bytes], Facts]] = {"png": _png, "hdr": _hdr, "ply": _ply, "obj": _obj}
