"""The auditors' bundle as a tar that is sent while it is written: the log's records as they are, the hash of each event, and the regions of
closed audits. What the chain says is not in it: whoever audits asks a node of their own."""

import tarfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from hashlib import sha256
from typing import Protocol

from domain.log import listing, wire
from domain.log.block import Void, accept
from domain.log.listing import Listed, Manifest, OnChain
from domain.log.log import Log
from domain.log.merkle import Head, Mark
from domain.work.objects import ObjectMissing, Store

MEDIA_TYPE = "application/x-tar"
SEGMENT_BYTES = 8 << 20
"""Of the log: what is held at a time. A tar says before each file how long it is."""
LEAVES = 1 << 15
"""Hashes that are taken at a time."""
HASH_BYTES = 32
SOURCE = "/v1/exports/bundle.tar"


class Evidence(Protocol):
    """Reads the events, and knows which objects everybody may have (api/proofs/audit.py)."""

    open: set[str]

    def take(self, event: object) -> None: ...


class Bundle:
    """Of the first `mark.size` events, where a block ends."""

    def __init__(self, log: Log, mark: Mark, leaves: Callable[[int, int], bytes], evidence: Evidence, store: Store) -> None:
        self._log, self._mark, self._leaves, self._evidence, self._store = log, mark, leaves, evidence, store
        self._files = list[Listed]()
        self._assets = list[OnChain]()

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The same bytes whenever it is asked for, as long as the store has its regions."""
        async with aclosing(self._segments()) as segments:
            number = 0
            async for content in segments:
                yield self._file(listing.segment(number), content)
                number += 1
        async for part in self._all_leaves():
            yield part
        for digest in sorted(self._evidence.open):
            try:
                content = b"".join([chunk async for chunk in await self._store.open(digest)])
            except ObjectMissing:
                continue
            yield self._file(f"evidence/{digest}", content)
        files = tuple(sorted(self._files, key=lambda it: it.path))
        log, size, root = self._mark.log, self._mark.size, self._mark.root
        manifest = Manifest(listing.FORMAT, log, size, root, tuple(self._assets), SOURCE, files, "")
        yield self._file(listing.MANIFEST, listing.sealed_manifest(manifest)) + tarfile.NUL * 2 * tarfile.BLOCKSIZE

    async def _segments(self) -> AsyncGenerator[bytes, None]:
        """The records up to the head, void ones between them too, in pieces."""
        head, held = Head(self._mark.log), bytearray()
        async with aclosing(self._log.read()) as records:
            async for record in records:
                if head.size >= self._mark.size:
                    break
                if held and len(held) + len(record) > SEGMENT_BYTES:
                    yield bytes(held)
                    held.clear()
                held += record
                try:
                    block = accept(head, record)
                except Void:
                    continue
                head = block.after
                for line in block.lines:
                    self._evidence.take(wire.event(line).event)
                    if asset := listing.listed_asset(line):
                        self._assets.append(asset)
        if held:
            yield bytes(held)

    async def _all_leaves(self) -> AsyncIterator[bytes]:
        size, hashed = self._mark.size * HASH_BYTES, sha256()
        yield header(listing.LEAVES, size)
        for start in range(0, self._mark.size, LEAVES):
            hashed.update(part := self._leaves(start, min(start + LEAVES, self._mark.size)))
            yield part
        self._files.append(Listed(listing.LEAVES, hashed.hexdigest(), size))
        yield padding(size)

    def _file(self, path: str, content: bytes) -> bytes:
        if path != listing.MANIFEST:
            self._files.append(Listed(path, sha256(content).hexdigest(), len(content)))
        return header(path, len(content)) + content + padding(len(content))


def header(path: str, size: int) -> bytes:
    info = tarfile.TarInfo(path)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def padding(size: int) -> bytes:
    return tarfile.NUL * (-size % tarfile.BLOCKSIZE)
