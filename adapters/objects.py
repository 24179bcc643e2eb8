"""Objects in whatever obstore reaches: a local folder, memory, a bucket.

An object lies at `objects/ab/abcd…`. An upload is the folder `uploads/ID/`: `about` says what it is to become, every other name
is the number of a part's first byte. Parts are written under names that did not exist, so of two writers of the same bytes one wins.
"""

import errno
import hashlib
import re
import secrets
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Literal

import msgspec
import obstore
from obstore.exceptions import AlreadyExistsError, GenericError
from obstore.store import LocalStore, MemoryStore, ObjectStore

from domain.work import objects
from domain.work.objects import (
    ObjectMissing,
    ObjectTooLarge,
    ObjectTruncated,
    Stored,
    StoreFull,
    Upload,
    UploadMissing,
    WrongHash,
    WrongOffset,
)

PART_BYTES = 8 << 20
"""How much of an upload is held in memory, and at most lost when we are killed."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_UPLOAD = re.compile(r"[0-9a-f]{32}")


class Objects:
    """The store of `domain.work.objects`, over one of obstore's."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(
        self,
        chunks: AsyncIterable[bytes],
        *,
        sha256: str | None = None,
        size: int | None = None,
        size_max: int = objects.BYTES_MAX,
    ) -> Stored:
        found = _Meter(chunks, sha256, size, size_max)
        if sha256 is not None:
            # obstore shows an object only when its last byte is written, and `found` refuses before that.
            await self._put(_path(sha256), found.stream())
            return Stored(sha256, found.bytes)
        incoming = f"incoming/{secrets.token_hex(16)}"
        await self._put(incoming, found.stream())
        await obstore.rename_async(self._store, incoming, _path(found.sha256))
        return Stored(found.sha256, found.bytes)

    async def size(self, sha256: str) -> int:
        try:
            return (await obstore.head_async(self._store, _path(sha256)))["size"]
        except FileNotFoundError:
            raise ObjectMissing from None

    async def exists(self, sha256: str) -> bool:
        try:
            await self.size(sha256)
        except ObjectMissing:
            return False
        return True

    async def open(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        size = await self.size(sha256)
        end = size if end is None else min(end, size)
        return self._read(_path(sha256), start, end)

    async def begin(self, owner: str, sha256: str, size: int, size_max: int = objects.BYTES_MAX) -> Upload:
        if size > size_max:
            raise ObjectTooLarge(maximum=size_max)
        _path(sha256)
        upload = Upload(secrets.token_hex(16), owner, sha256, size, 0)
        await self._put(f"uploads/{upload.id}/about", msgspec.json.encode(upload), mode="create")
        return upload

    async def progress(self, upload: str) -> Upload:
        if not _UPLOAD.fullmatch(upload):
            raise UploadMissing
        try:
            about = await obstore.get_async(self._store, f"uploads/{upload}/about")
        except FileNotFoundError:
            raise UploadMissing from None
        opened = msgspec.json.decode(bytes(await about.bytes_async()), type=Upload)
        parts = await self._parts(upload)
        return msgspec.structs.replace(opened, offset=sum(parts.values()))

    async def append(self, upload: str, offset: int, chunks: AsyncIterable[bytes]) -> Upload:
        opened = await self.progress(upload)
        if offset != opened.offset:
            raise WrongOffset(expected=opened.offset, given=offset)
        buffer = bytearray()
        try:
            async for chunk in chunks:
                if offset + len(buffer) + len(chunk) > opened.bytes:
                    raise ObjectTooLarge(maximum=opened.bytes)
                buffer += chunk
                if len(buffer) >= PART_BYTES:
                    offset = await self._keep(upload, offset, buffer)
        finally:
            # Also when the client broke off: it goes on from what came.
            offset = await self._keep(upload, offset, buffer)
        return msgspec.structs.replace(opened, offset=offset)

    async def complete(self, upload: str) -> Stored:
        opened = await self.progress(upload)
        if opened.offset < opened.bytes:
            raise ObjectTruncated(expected=opened.bytes, given=opened.offset)
        try:
            stored = await self.put(self._joined(upload), sha256=opened.sha256, size=opened.bytes)
        except WrongHash:
            await self.abandon(upload)
            raise
        await self.abandon(upload)
        return stored

    async def abandon(self, upload: str) -> None:
        if not _UPLOAD.fullmatch(upload):
            return
        paths = [f"uploads/{upload}/{start:020}" for start in await self._parts(upload)]
        # What says that there is an upload goes first: parts without it are nobody's.
        for path in (f"uploads/{upload}/about", *paths):
            try:
                await obstore.delete_async(self._store, path)
            except FileNotFoundError:
                continue

    async def _put(self, path: str, content: AsyncIterator[bytes] | bytes, mode: Literal["create", "overwrite"] = "overwrite") -> None:
        """obstore removes what it could not write whole, and says why in words only."""
        try:
            await obstore.put_async(self._store, path, content, mode=mode)
        except GenericError as fault:
            if any(f"(os error {number})" in str(fault) for number in NO_ROOM):
                raise StoreFull from fault
            raise

    async def _keep(self, upload: str, offset: int, buffer: bytearray) -> int:
        """Writes a part and empties the buffer; returns where the next part begins."""
        if not buffer:
            return offset
        try:
            await self._put(f"uploads/{upload}/{offset:020}", bytes(buffer), mode="create")
        except AlreadyExistsError:
            raise WrongOffset(expected=(await self.progress(upload)).offset, given=offset) from None
        offset += len(buffer)
        buffer.clear()
        return offset

    async def _parts(self, upload: str) -> dict[int, int]:
        """First byte -> length, in order."""
        found = {}
        async for page in obstore.list(self._store, f"uploads/{upload}"):
            for entry in page:
                name = entry["path"].rpartition("/")[2]
                if name != "about":
                    found[int(name)] = entry["size"]
        return dict(sorted(found.items()))

    async def _joined(self, upload: str) -> AsyncIterator[bytes]:
        for start, length in (await self._parts(upload)).items():
            async for chunk in self._read(f"uploads/{upload}/{start:020}", 0, length):
                yield chunk

    async def _read(self, path: str, start: int, end: int) -> AsyncIterator[bytes]:
        if start >= end:
            return
        found = await obstore.get_async(self._store, path, options={"range": (start, end)})
        async for chunk in found.stream(min_chunk_size=1 << 18):
            yield bytes(chunk)


def local(directory: Path) -> Objects:
    """Objects in a folder, made when missing."""
    return Objects(LocalStore(directory, mkdir=True))


def memory() -> Objects:
    """Objects that end with the process."""
    return Objects(MemoryStore())


class _Meter:
    """Hashes and counts what flows through, and refuses it as soon as it is known to be wrong."""

    def __init__(self, chunks: AsyncIterable[bytes], sha256: str | None, size: int | None, size_max: int) -> None:
        self._chunks, self._sha256, self._size = chunks, sha256, size
        self._size_max = size_max if size is None else min(size, size_max)
        self.bytes, self.sha256 = 0, ""

    async def stream(self) -> AsyncIterator[bytes]:
        digest = hashlib.sha256()
        async for chunk in self._chunks:
            self.bytes += len(chunk)
            if self.bytes > self._size_max:
                raise ObjectTooLarge(maximum=self._size_max)
            digest.update(chunk)
            yield chunk
        self.sha256 = digest.hexdigest()
        if self._size is not None and self.bytes != self._size:
            raise ObjectTruncated(expected=self._size, given=self.bytes)
        if self._sha256 is not None and self.sha256 != self._sha256:
            raise WrongHash(expected=self._sha256, given=self.sha256)


def _path(sha256: str) -> str:
    if not objects.is_name(sha256):
        raise ObjectMissing
    return f"objects/{sha256[:2]}/{sha256}"
