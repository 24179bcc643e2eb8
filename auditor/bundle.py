"""A bundle: all that an auditor needs, in a directory or a tar of it, plain enough to be read with other tools.

    manifest.json               what is in it: log, head, chain, and every file with its size and hash
    log/segment-000000.ndjson   records of the log, byte for byte: a header line, then one line per event
    log/leaves                  the leaf hash of every event, 32 bytes each: tells which line of a damaged record was changed
    evidence/<sha256>           the regions of closed audits: what each checker rendered, and what the worker had proved
    chain/receipts.json         what the chain said to whoever exported: a convenience, evidence of nothing

The manifest's last member is the SHA-256 of all bytes of the file before it, so that a change in it shows as such.
"""

import os
import re
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

import msgspec

from auditor.facts import Facts
from auditor.report import Place
from domain.log.block import BLOCK_BYTES_MAX, Void, accept, read_header
from domain.log.listing import (
    FORMAT,
    LEAVES,
    MANIFEST,
    RECEIPTS,
    SEAL,
    Listed,
    Manifest,
    OnChain,
    listed_asset,
    sealed_manifest,
    segment,
    written,
)
from domain.log.merkle import Head, leaf_hash

SEGMENT_BYTES_MAX = 64 << 20
MANIFEST_BYTES_MAX = 256 << 20
SEGMENT = re.compile(r"log/segment-[0-9]{6}\.ndjson")
PATH = re.compile(r"log/segment-[0-9]{6}\.ndjson|log/leaves|evidence/[0-9a-f]{64}|chain/receipts\.json")
HEADER_START = b'{"gridledger":'
CHUNK = 1 << 20
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""How JSON fails."""


class BadBundle(Exception):
    """This is no bundle, or cannot be read."""


class Record(NamedTuple):
    """A record, and where it lies."""

    file: str
    number: int
    """From 1, over all segments."""
    offset: int
    data: bytes


class Bundle:
    """An open bundle. `close` it after use, or use it in a `with`."""

    def __init__(self, path: Path) -> None:
        """Raises `BadBundle`."""
        self.path = path
        self._tar: tarfile.TarFile | None = None
        try:
            if path.is_file():
                self._tar = tarfile.open(path, "r:")  # noqa: SIM115 - closed by `close`
                self._members = {member.name.removeprefix("./"): member for member in self._tar.getmembers() if member.isfile()}
            elif not path.is_dir():
                raise BadBundle(f"{path}: no such directory or tar")
            self.manifest, self.sealed = read_manifest(self._whole(MANIFEST, MANIFEST_BYTES_MAX))
        except (OSError, tarfile.TarError, EOFError) as error:
            self.close()
            raise BadBundle(f"{path}: {error}") from error
        except BadBundle:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._tar:
            self._tar.close()

    def names(self) -> set[str]:
        """Of all files that are there, listed or not."""
        if self._tar:
            return set(self._members)
        return {found.relative_to(self.path).as_posix() for found in self.path.rglob("*") if found.is_symlink() or not found.is_dir()}

    def open(self, name: str) -> BinaryIO:
        """Raises `FileNotFoundError`; other trouble as `OSError`."""
        if self._tar:
            found = self._tar.extractfile(self._members[name]) if name in self._members else None
            if found is None:
                raise FileNotFoundError(f"there is no {name}")
            return found  # type: ignore[return-value]
        path = self.path / name
        if path.is_symlink() or not path.is_file():
            raise FileNotFoundError(f"there is no {name}")
        return path.open("rb")

    def digest(self, name: str) -> tuple[str, int]:
        """SHA-256 and size of a file as it is."""
        hashed, size = sha256(), 0
        with self.open(name) as file:
            while chunk := file.read(CHUNK):
                hashed.update(chunk)
                size += len(chunk)
        return hashed.hexdigest(), size

    def evidence(self, sha256_hex: str, bytes_max: int) -> bytes | None:
        """What lies under this hash, whatever it is, one byte more than `bytes_max` at most; None if nothing does."""
        try:
            with self.open(f"evidence/{sha256_hex}") as file:
                return file.read(bytes_max + 1)
        except FileNotFoundError:
            return None

    def receipts(self) -> Facts | None:
        """What the chain said to the exporter. None if there is nothing, or nothing readable."""
        try:
            return msgspec.json.decode(self._whole(RECEIPTS, MANIFEST_BYTES_MAX), type=Facts)
        except (OSError, *UNREADABLE):
            return None

    def leaves(self, first: int, count: int) -> list[bytes]:
        """Leaf hashes of the events from position `first` on, as the bundle has them; fewer where it ends."""
        try:
            with self.open(LEAVES) as file:
                file.seek((first - 1) * 32)
                raw = file.read(count * 32)
        except OSError:
            return []
        return [raw[at : at + 32] for at in range(0, len(raw) - 31, 32)]

    @property
    def segments(self) -> list[Listed]:
        """The log's files, in order."""
        return sorted((it for it in self.manifest.files if SEGMENT.fullmatch(it.path)), key=lambda it: it.path)

    @property
    def log_bytes(self) -> int:
        """As the manifest says."""
        return sum(it.bytes for it in self.segments)

    def records(self, since: Place | None = None) -> Iterator[Record]:
        """All records in order, or those from a place on. A record reaches from one header line to the next, whatever is between."""
        number, first = (since.record - 1, since.offset) if since else (0, 0)
        for name in [it.path for it in self.segments if since is None or it.path >= since.file]:
            try:
                file = self.open(name)
            except OSError:
                continue
            with file:
                start, first = first, 0
                file.seek(start)
                for offset, data in split(file, start):
                    number += 1
                    yield Record(name, number, offset, data)

    def _whole(self, name: str, bytes_max: int) -> bytes:
        with self.open(name) as file:
            data = file.read(bytes_max + 1)
        if len(data) > bytes_max:
            raise OSError(f"{name} is larger than {bytes_max} bytes")
        return data


def split(file: BinaryIO, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """(offset, record) of a segment that is read from `offset` on. What is much too long for a record is given out as it is: it will not
    count."""
    lines, size = list[bytes](), 0
    while line := file.readline(BLOCK_BYTES_MAX + 1):
        if lines and (line.startswith(HEADER_START) or size > 2 * BLOCK_BYTES_MAX):
            yield offset, b"".join(lines)
            offset += size
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    if lines:
        yield offset, b"".join(lines)


def read_manifest(data: bytes) -> tuple[Manifest, str]:
    """The manifest, and the hash that it should name as its own. Raises `BadBundle`."""
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except UNREADABLE as error:
        raise BadBundle(f"{MANIFEST}: {error}") from error
    if manifest.gridledger_bundle != FORMAT:
        raise BadBundle(f"{MANIFEST}: format {manifest.gridledger_bundle}, this version reads {FORMAT}")
    paths = [listed.path for listed in manifest.files]
    if odd := next((path for path in paths if not PATH.fullmatch(path)), ""):
        raise BadBundle(f"{MANIFEST}: {odd!r} is no file of a bundle")
    if len(set(paths)) != len(paths):
        raise BadBundle(f"{MANIFEST}: a file is listed twice")
    if data != written(manifest, manifest.sha256):
        return manifest, "a manifest in its one form"
    return manifest, sha256(data[: data.rindex(SEAL)]).hexdigest()


class Writer:
    """Writes a bundle beside its place and puts it there in one step. Raises `FileExistsError` where something is."""

    def __init__(self, out: Path) -> None:
        if out.exists():
            raise FileExistsError(str(out))
        self._out, self._part = out, out.with_name(f".{out.name}.{os.getpid()}.part")
        shutil.rmtree(self._part, ignore_errors=True)
        for folder in ("log", "evidence", "chain"):
            (self._part / folder).mkdir(parents=True)
        self._segment: BinaryIO | None = None
        self._leaves = (self._part / LEAVES).open("wb")
        self._segments = 0
        self._assets: list[OnChain] = []
        self.head: Head | None = None
        """After the last record that counts."""

    def record(self, data: bytes) -> list[bytes]:
        """The next record of the log, void ones included. Returns its lines if it counts; raises what `block.accept` raises."""
        if self._segment is None or self._segment.tell() + len(data) > SEGMENT_BYTES_MAX:
            if self._segment:
                self._segment.close()
            self._segment = (self._part / segment(self._segments)).open("wb")
            self._segments += 1
        self._segment.write(data)
        if self.head is None and (header := read_header(data)) and header.size == 0:
            self.head = Head(header.log)
        if self.head is None:
            return []
        try:
            block = accept(self.head, data)
        except Void:
            return []
        self.head = block.after
        self._leaves.write(b"".join(map(leaf_hash, block.lines)))
        self._assets += [asset for line in block.lines if (asset := listed_asset(line))]
        return list(block.lines)

    def evidence(self, sha256_hex: str, data: bytes) -> None:
        (self._part / "evidence" / sha256_hex).write_bytes(data)

    def receipts(self, facts: Facts) -> None:
        (self._part / RECEIPTS).write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=1) + b"\n")

    def finish(self, source: str) -> Manifest:
        """Seals the manifest, and puts the bundle in its place."""
        self._close()
        head = self.head
        if head is None:
            raise BadBundle("the log is empty")
        files = []
        for path in sorted(found for found in self._part.rglob("*") if found.is_file()):
            with path.open("rb") as file:
                hashed = sha256()
                while chunk := file.read(CHUNK):
                    hashed.update(chunk)
            files.append(Listed(path.relative_to(self._part).as_posix(), hashed.hexdigest(), path.stat().st_size))
        manifest = Manifest(FORMAT, head.log, head.size, head.root, tuple(self._assets), source, tuple(files), "")
        (self._part / MANIFEST).write_bytes(sealed_manifest(manifest))
        self._part.rename(self._out)
        return manifest

    def abandon(self) -> None:
        self._close()
        shutil.rmtree(self._part, ignore_errors=True)

    def _close(self) -> None:
        self._leaves.close()
        if self._segment:
            self._segment.close()


def write(out: Path, records: Iterable[bytes], evidence: Mapping[str, bytes], facts: Facts | None = None) -> Manifest:
    """A bundle of what is at hand."""
    writer = Writer(out)
    try:
        for record in records:
            writer.record(record)
        for digest, data in evidence.items():
            writer.evidence(digest, data)
        if facts:
            writer.receipts(facts)
        return writer.finish("memory")
    except BaseException:
        writer.abandon()
        raise
