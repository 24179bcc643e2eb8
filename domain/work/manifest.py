"""A scene's manifest: which files it has, by hash, and which of them are its frames (DOMAIN.md §5.1).

Only the manifest's hash is on the log, and the salt keeps anybody from guessing a scene by it. There is one way to write a manifest
down, and only that is read, so that one scene has one hash.
"""

import json
import re
from hashlib import sha256
from typing import Any

import msgspec

from domain.value import Value

BYTES_MAX = 2 << 20
"""Of the manifest itself."""
ASSETS_MAX = 1_000
FRAMES_MAX = 10_000
ASSET_BYTES_MAX = 256 << 20
TOTAL_BYTES_MAX = 1 << 30

_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SALT = re.compile("[0-9a-f]{32}")
_DIGEST = re.compile("[0-9a-f]{64}")


class Asset(Value, forbid_unknown_fields=True):
    """A file of the scene: a plain name without folders, the SHA-256 of its bytes as hex, and how many bytes."""

    name: str
    sha256: str
    bytes: int


class Manifest(Value, forbid_unknown_fields=True, omit_defaults=True):
    """`salt` is 16 random bytes as hex; `frames` are names of assets in the order of the frames, and may repeat. With `pictures` the
    creator lets everybody see small pictures of what is rendered."""

    salt: str
    assets: list[Asset]
    frames: list[str]
    pictures: bool = False

    def encode(self) -> bytes:
        """The one way to write this manifest: JSON, fields in this order, no spaces."""
        return msgspec.json.encode(self)

    def sha256(self) -> str:
        """What stands on the log for this scene, as hex."""
        return sha256(self.encode()).hexdigest()

    def asset(self, name: str) -> Asset:
        """Raises `KeyError` if the scene has no such file."""
        for asset in self.assets:
            if asset.name == name:
                return asset
        raise KeyError(name)


def describe(name: str, content: bytes) -> Asset:
    """The manifest's line for a file."""
    return Asset(name, sha256(content).hexdigest(), len(content))


def check(manifest: Manifest) -> None:
    """Raises `ValueError`, naming the field, for a manifest that breaks a rule."""
    if not _SALT.fullmatch(manifest.salt):
        raise ValueError("salt: expected 16 bytes as 32 lower-case hex digits")
    if not 1 <= len(manifest.assets) <= ASSETS_MAX:
        raise ValueError(f"assets: expected 1 to {ASSETS_MAX}, not {len(manifest.assets)}")
    if not 1 <= len(manifest.frames) <= FRAMES_MAX:
        raise ValueError(f"frames: expected 1 to {FRAMES_MAX}, not {len(manifest.frames)}")
    names: set[str] = set()
    for number, asset in enumerate(manifest.assets):
        where = f"assets[{number}]"
        if not _NAME.fullmatch(asset.name):
            raise ValueError(f"{where}.name: expected a plain file name matching {_NAME.pattern}")
        if asset.name in names:
            raise ValueError(f"{where}.name: {asset.name} stands there twice")
        if not _DIGEST.fullmatch(asset.sha256):
            raise ValueError(f"{where}.sha256: expected 64 lower-case hex digits")
        if not 1 <= asset.bytes <= ASSET_BYTES_MAX:
            raise ValueError(f"{where}.bytes: expected 1 to {ASSET_BYTES_MAX}")
        names.add(asset.name)
    if (size := sum(asset.bytes for asset in manifest.assets)) > TOTAL_BYTES_MAX:
        raise ValueError(f"assets: {size} bytes together, at most {TOTAL_BYTES_MAX}")
    for number, name in enumerate(manifest.frames):
        if name not in names:
            raise ValueError(f"frames[{number}]: not the name of an asset")


def parse(body: bytes) -> Manifest:
    """Reads a manifest from outside. Raises `ValueError`, naming the field."""
    if len(body) > BYTES_MAX:
        raise ValueError(f"manifest: {len(body)} bytes, at most {BYTES_MAX}")
    try:
        manifest = msgspec.json.decode(body, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"manifest: {error}") from None
    check(manifest)
    if body != manifest.encode():
        # Only a slower reader can say which key it is; by now the text is known to be small and flat.
        json.loads(body, object_pairs_hook=_unique)
        raise ValueError("manifest: not in canonical form (fields in order, no spaces, no escapes)")
    return manifest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{twice}: the key stands there twice")
    return fields
