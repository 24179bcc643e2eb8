"""What a bundle says of itself (docs/exports.md, The bundle): its manifest, whoever writes it. auditor/bundle.py has the rest."""

from hashlib import sha256

import msgspec

from domain.house import rules
from domain.log import wire
from domain.log.block import Broken
from domain.value import Value

FORMAT = 1
MANIFEST, LEAVES, RECEIPTS = "manifest.json", "log/leaves", "chain/receipts.json"
SEAL = b',\n "sha256": "'
ASSET = b'"type":"asset.listed.v1"'


class Listed(Value):
    """A file of the bundle."""

    path: str
    sha256: str
    bytes: int


class OnChain(Value):
    """An asset's contracts."""

    asset: str
    chain_id: int
    contract: str
    treasury: str


class Manifest(Value, forbid_unknown_fields=True):
    gridledger_bundle: int
    log: str
    size: int
    """Of the head; `root` likewise."""
    root: str
    assets: tuple[OnChain, ...]
    source: str
    """Where it was made from."""
    files: tuple[Listed, ...]
    sha256: str


def written(manifest: Manifest, digest: str) -> bytes:
    """Its one form, with this as its own hash."""
    open_ = msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(manifest, sha256="")), indent=1)
    return b"%b%b%b" % (open_[: open_.rindex(SEAL)], SEAL, digest.encode()) + b'"\n}\n'


def sealed_manifest(manifest: Manifest) -> bytes:
    whole = written(manifest, "")
    return written(manifest, sha256(whole[: whole.rindex(SEAL)]).hexdigest())


def segment(number: int) -> str:
    """The name of the log's file of this number, from 0."""
    return f"log/segment-{number:06d}.ndjson"


def listed_asset(line: bytes) -> OnChain | None:
    """Of a line that lists an asset; None of any other."""
    if ASSET not in line:
        return None
    try:
        event = wire.event(line).event
    except Broken:
        return None
    return OnChain(event.asset, event.chain_id, event.contract, event.treasury) if isinstance(event, rules.AssetListed) else None
