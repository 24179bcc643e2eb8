"""Manifests: one scene, one text, one hash."""

import hashlib
import json
from typing import Any

import pytest

from domain.work import manifest

SALT = "00112233445566778899aabbccddeeff"
DIGEST = "ab" * 32
FRAME = {"name": "frame-000.xml", "sha256": DIGEST, "bytes": 10}
MESH = {"name": "knot.ply", "sha256": DIGEST, "bytes": 20}
GOOD: dict[str, Any] = {"salt": SALT, "assets": [FRAME, MESH], "frames": ["frame-000.xml"]}


def body(fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def test_a_manifest_is_read_back_as_it_was_written() -> None:
    scene = manifest.parse(body(GOOD))
    assert scene.encode() == body(GOOD)
    assert manifest.parse(scene.encode()) == scene


def test_the_hash_is_that_of_the_text() -> None:
    assert manifest.parse(body(GOOD)).sha256() == hashlib.sha256(body(GOOD)).hexdigest()


def test_a_described_file_has_its_hash_and_length() -> None:
    assert manifest.describe("a.png", b"abc") == manifest.Asset("a.png", hashlib.sha256(b"abc").hexdigest(), 3)


def test_an_asset_is_found_by_name() -> None:
    scene = manifest.parse(body(GOOD))
    assert scene.asset("knot.ply").bytes == 20
    with pytest.raises(KeyError):
        scene.asset("other.ply")


def test_a_frame_may_stand_still() -> None:
    assert len(manifest.parse(body(GOOD | {"frames": ["frame-000.xml"] * 10_000})).frames) == 10_000


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (GOOD | {"salt": SALT[:-1]}, "salt"),
        (GOOD | {"salt": SALT.upper()}, "salt"),
        (GOOD | {"salt": 1}, r"manifest.*\.salt"),
        (GOOD | {"assets": []}, "assets"),
        (GOOD | {"frames": []}, "frames"),
        (GOOD | {"frames": ["frame-000.xml"] * 10_001}, "frames"),
        (GOOD | {"assets": [FRAME] + [MESH | {"name": f"m{n}.ply"} for n in range(1_000)]}, "assets"),
        (GOOD | {"assets": [FRAME, FRAME]}, r"assets\[1\]\.name: frame-000.xml stands there twice"),
        (GOOD | {"frames": ["other.xml"]}, r"frames\[0\]"),
        (GOOD | {"note": "x"}, "manifest.*note"),
        (GOOD | {"assets": [FRAME | {"path": "/etc/passwd"}]}, "manifest.*path"),
        (GOOD | {"assets": [FRAME | {"sha256": DIGEST.upper()}]}, r"assets\[0\]\.sha256"),
        (GOOD | {"assets": [FRAME | {"bytes": 0}]}, r"assets\[0\]\.bytes"),
        (GOOD | {"assets": [FRAME | {"bytes": -5}]}, r"assets\[0\]\.bytes"),
        (GOOD | {"assets": [FRAME | {"bytes": True}]}, "manifest.*bytes"),
        (GOOD | {"assets": [FRAME | {"bytes": "10"}]}, "manifest.*bytes"),
        (GOOD | {"assets": [FRAME | {"bytes": 10.5}]}, "manifest.*bytes"),
        (GOOD | {"assets": [FRAME | {"bytes": 2**40}]}, r"assets\[0\]\.bytes"),
        (GOOD | {"assets": [FRAME, *[MESH | {"name": f"m{n}.ply", "bytes": 1 << 28} for n in range(5)]]}, "assets.*together"),
        ({"salt": SALT, "assets": [FRAME]}, "manifest.*frames"),
        ([], "manifest"),
        (None, "manifest"),
    ],
)
def test_a_manifest_that_breaks_a_rule_is_refused_by_field(fields: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        manifest.parse(body(fields))


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../evil.ply", "/etc/passwd", "a/b.ply", "a\\b.ply", "a b.ply", ".hidden", "-rf", "a\n.ply", "a" * 101, "é.ply", "a\0"],
)
def test_a_name_that_is_not_plain_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^assets\[1\]\.name"):
        manifest.parse(body(GOOD | {"assets": [FRAME, MESH | {"name": name}]}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (body(GOOD).replace(b'"frames"', b'"salt":"' + SALT.encode() + b'","frames"'), "salt: .*twice"),
        (body(GOOD).replace(b'"bytes":10', b'"bytes":1,"bytes":10'), "bytes: .*twice"),
        (json.dumps(GOOD).encode(), "manifest: not in canonical form"),
        (body(GOOD) + b"\n", "manifest: not in canonical form"),
        (body(dict(reversed(GOOD.items()))), "manifest: not in canonical form"),
        (body(GOOD).replace(b"knot", b"\\u006bnot"), "manifest: not in canonical form"),
        (body(GOOD) + b"{}", "manifest: "),
        (b"", "manifest: "),
        (b"\xff", "manifest: "),
        (b"[" * 100_000, "manifest: "),
        (b" " * (2 << 20) + body(GOOD), "manifest: .*at most"),
    ],
)
def test_another_text_for_the_same_manifest_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        manifest.parse(text)
