"""Meshes and textures: what is claimed, how large, and whether every number and index is one."""

import contextlib
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_runtime.gpu import assets


def code(name: str, content: bytes) -> str:
    with pytest.raises(assets.SceneRefused) as refused:
        assets.inspect(name, content)
    assert refused.value.detail.startswith(name)
    return refused.value.code


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int = 2, height: int = 2, depth: int = 8, colours: int = 2, first: bytes = b"") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + first + head + chunk(b"IDAT", zlib.compress(bytes(14))) + chunk(b"IEND", b"")


def hdr(width: int = 4, height: int = 2, magic: bytes = b"#?RADIANCE", kind: bytes = b"32-bit_rle_rgbe") -> bytes:
    return magic + b"\nFORMAT=" + kind + b"\n\n-Y %d +X %d\n" % (height, width) + bytes(4 * 8)


def ply(
    vertices: str = "3",
    faces: str = "1",
    order: str = "binary_little_endian",
    corners: tuple[int, ...] = (0, 1, 2),
    x: float = 1.0,
    sides: int = 3,
    more: bytes = b"",
    kind: str = "uchar int",
) -> bytes:
    head = f"ply\nformat {order} 1.0\ncomment ours\nelement vertex {vertices}\nproperty float x\nproperty float y\nproperty float z\n"
    head += f"element face {faces}\nproperty list {kind} vertex_indices\nend_header\n"
    body = struct.pack("<9f", 0, 0, 0, x, 0, 0, 0, 1, 0) + struct.pack("<B3i", sides, *corners)
    return head.encode() + body + more


def text_ply(rows: str = "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n") -> bytes:
    head = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    return (head + "element face 1\nproperty list uint8 int32 vertex_index\nend_header\n" + rows).encode()


OBJ = b"# a triangle\nmtllib a.mtl\no a\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvn 0 0 1\nusemtl m\ns off\nf 1/1/1 2//1 -1\n"


@pytest.mark.parametrize(
    ("name", "content", "facts"),
    [
        ("a.png", png(3, 5), assets.Facts(pixels=15)),
        ("a.hdr", hdr(), assets.Facts(pixels=8)),
        ("a.hdr", hdr(magic=b"#?RGBE"), assets.Facts(pixels=8)),
        ("a.ply", ply(), assets.Facts(triangles=1)),
        ("a.ply", text_ply(), assets.Facts(triangles=1)),
        ("a.obj", OBJ, assets.Facts(triangles=1)),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\n", assets.Facts(triangles=2)),
    ],
)
def test_a_good_file_is_measured(name: str, content: bytes, facts: assets.Facts) -> None:
    assert assets.inspect(name, content) == facts


REFUSED = {
    "picture of no known kind": ("a.exr", b"\x76\x2f\x31\x01", "ending"),
    "library": ("a.so", b"\x7fELF", "ending"),
    "no ending": ("a", b"", "ending"),
    "ending in capitals": ("a.PNG", png(), "ending"),
    "PNG that is a library": ("a.png", b"\x7fELF" + bytes(100), "magic"),
    "PNG that is empty": ("a.png", b"", "magic"),
    "PNG that is cut off": ("a.png", png()[:-8], "format"),
    "PNG with a false checksum": ("a.png", png()[:-1] + b"\0", "format"),
    "PNG with more behind it": ("a.png", png() + b"PK", "format"),
    "PNG that begins otherwise": ("a.png", png(first=chunk(b"tEXt", b"x")), "format"),
    "PNG with two heads": ("a.png", png(first=png()[8:33]), "format"),
    "PNG of impossible colours": ("a.png", png(colours=5), "format"),
    "PNG of huge sides": ("a.png", png(100_000, 1), "pixels"),
    "PNG of huge area": ("a.png", png(8_000, 8_000), "pixels"),
    "PNG of no area": ("a.png", png(0, 5), "pixels"),
    "HDR that is text": ("a.hdr", b"hello\n\n", "magic"),
    "HDR without an end": ("a.hdr", b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", "format"),
    "HDR of other colours": ("a.hdr", hdr(kind=b"32-bit_rle_xyze"), "format"),
    "HDR turned around": ("a.hdr", hdr().replace(b"-Y", b"+Y"), "format"),
    "HDR of huge sides": ("a.hdr", hdr(width=9_000), "pixels"),
    "HDR without its pixels": ("a.hdr", hdr(4_000, 4_000), "format"),
    "PLY that is text": ("a.ply", b"hello", "magic"),
    "PLY without an end": ("a.ply", b"ply\nformat ascii 1.0\n", "format"),
    "PLY of unknown order": ("a.ply", ply(order="binary_middle_endian"), "format"),
    "PLY with a false vertex count": ("a.ply", ply(vertices="4"), "format"),
    "PLY with a false face count": ("a.ply", ply(faces="2"), "format"),
    "PLY of negative count": ("a.ply", ply(faces="-1"), "format"),
    "PLY of huge count": ("a.ply", ply(vertices="999999999"), "triangles"),
    "PLY of absurd count": ("a.ply", ply(faces="9" * 30), "format"),
    "PLY without a face": ("a.ply", ply(faces="0"), "triangles"),
    "PLY with more behind it": ("a.ply", ply(more=b"x"), "format"),
    "PLY of quadrilaterals": ("a.ply", ply(sides=4), "triangles"),
    "PLY with an index too high": ("a.ply", ply(corners=(0, 1, 3)), "index"),
    "PLY with an index below": ("a.ply", ply(corners=(0, -1, 2)), "index"),
    "PLY with a list of floats": ("a.ply", ply(kind="uchar float"), "format"),
    "PLY with a list of great counts": ("a.ply", ply(kind="int int"), "format"),
    "PLY with a vertex at infinity": ("a.ply", ply(x=float("inf")), "number"),
    "PLY with a vertex nowhere": ("a.ply", ply(x=float("nan")), "number"),
    "PLY with a long header": ("a.ply", b"ply\n" + b"comment x\n" * 200 + b"end_header\n", "format"),
    "PLY with an element more": ("a.ply", ply().replace(b"end_header", b"element edge 1\nproperty int a\nend_header"), "format"),
    "text PLY with a word": ("a.ply", text_ply("0 0 0\n1 0 zero\n0 1 0\n3 0 1 2\n"), "number"),
    "text PLY nowhere": ("a.ply", text_ply("0 0 0\n1 0 nan\n0 1 0\n3 0 1 2\n"), "number"),
    "text PLY with a line less": ("a.ply", text_ply("0 0 0\n1 0 0\n0 1 0\n"), "format"),
    "text PLY with a number less": ("a.ply", text_ply("0 0 0\n1 0\n0 1 0\n3 0 1 2\n"), "format"),
    "text PLY with an index too high": ("a.ply", text_ply("0 0 0\n1 0 0\n0 1 0\n3 0 1 9\n"), "index"),
    "OBJ that is empty": ("a.obj", b"", "magic"),
    "OBJ that is a library": ("a.obj", b"\x7fELF\0\0", "format"),
    "OBJ with an index too high": ("a.obj", OBJ + b"f 1 2 4\n", "index"),
    "OBJ with index zero": ("a.obj", OBJ + b"f 0 1 2\n", "index"),
    "OBJ with an index far back": ("a.obj", OBJ + b"f -4 1 2\n", "index"),
    "OBJ with a normal too high": ("a.obj", OBJ + b"f 1//2 2//1 3//1\n", "index"),
    "OBJ of many corners": ("a.obj", OBJ + b"f 1 2 3 1 2\n", "triangles"),
    "OBJ of two corners": ("a.obj", OBJ + b"f 1 2\n", "triangles"),
    "OBJ nowhere": ("a.obj", OBJ + b"v nan 0 0\n", "number"),
    "OBJ at infinity": ("a.obj", OBJ + b"v 1e40 0 0\n", "number"),
    "OBJ with a number less": ("a.obj", OBJ + b"v 1 0\n", "format"),
    "OBJ with a command": ("a.obj", OBJ + b"call /etc/passwd\n", "format"),
    "OBJ with a continued line": ("a.obj", OBJ + b"f 1 2 \\\n3\n", "format"),
    "OBJ with a corner of four parts": ("a.obj", OBJ + b"f 1/1/1/1 2 3\n", "format"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_file_is_refused_with_its_code(case: str) -> None:
    name, content, expected = REFUSED[case]
    assert code(name, content) == expected


@given(st.sampled_from([("a.png", png()), ("a.hdr", hdr()), ("a.ply", ply()), ("a.ply", text_ply()), ("a.obj", OBJ)]), st.data())
def test_no_damage_does_worse_than_being_refused(good: tuple[str, bytes], data: st.DataObject) -> None:
    name, content = good
    at = data.draw(st.integers(0, len(content)))
    junk = data.draw(st.binary(max_size=6))
    with contextlib.suppress(assets.SceneRefused):
        assets.inspect(name, content[:at] + junk + content[at + data.draw(st.integers(0, 9)) :])


@given(st.sampled_from(["a.png", "a.hdr", "a.ply", "a.obj"]), st.binary(max_size=300))
def test_no_bytes_do_worse_than_being_refused(name: str, junk: bytes) -> None:
    with pytest.raises(assets.SceneRefused):
        assets.inspect(name, junk)
