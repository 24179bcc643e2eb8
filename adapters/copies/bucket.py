"""A log in an object store, whatever obstore reaches: an object for each run of blocks, named by the head before it. For copies.

Nothing is ever written twice: of two writers at one head, one puts the object and the other is told that it is there.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, MemoryStore, ObjectStore, from_url

from adapters.copies.records import extended, split
from adapters.copies.segments import after as after_record
from domain.log.block import Sealed, read_header
from domain.log.log import Lost, OutcomeUnknown, Records, Unreachable
from domain.log.merkle import Mark

FOLDER = "log"
POLL_S = 1.0


class BucketLog:
    """Keeps to the contract of every log (tests/contracts/log.py)."""

    pause_s = 1.0
    """Whoever follows another log gathers for so long: an object costs money."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._known = list[int]()
        """Sizes that objects begin at, in order: what there is stays."""
        self._folded = 0
        self._mark: Mark | None = None
        """After so many of them, as far as headers tell."""

    @classmethod
    def at(cls, url: str, *, make: bool = True) -> Self:
        """`objects:FOLDER`, or what obstore understands; without `make` the folder is there. Raises `ValueError`."""
        scheme, _, folder = url.partition(":")
        try:
            store = LocalStore(folder, mkdir=make) if scheme == "objects" else MemoryStore() if scheme == "memory" else from_url(url)
        except BaseError as fault:
            raise ValueError(reason(fault)) from fault
        return cls(store)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        return

    async def append(self, block: Sealed) -> None:
        await self.extend([block])

    async def extend(self, blocks: Sequence[Sealed]) -> None:
        """Blocks that follow each other, as one object. Raises what `append` raises, for all of them."""
        try:
            await self._fold()
        except Unreachable as silence:
            raise Lost(f"not sent: {silence}") from silence
        extended(self._mark, blocks)
        try:
            await obstore.put_async(self._store, name_of(blocks[0].before.size), b"".join(it.record for it in blocks), mode="create")
        except AlreadyExistsError as refusal:
            raise Lost("another one came first") from refusal
        except (BaseError, OSError) as silence:
            raise OutcomeUnknown(reason(silence)) from silence

    async def read(self, after: int = 0, *, follow: bool = False) -> Records:
        at, begun = 0, False
        while True:
            try:
                await self._look()
                at = at or max(0, bisect_right(self._known, after) - 1)
                while at < len(self._known):
                    records = await self._records(self._known[at])
                    at += 1
                    for record in records:
                        begun = begun or _ends_after(record, after)
                        if begun:
                            yield record
            except Unreachable:
                if not follow:
                    raise
            if not follow:
                return
            await asyncio.sleep(POLL_S)

    async def size(self) -> int:
        """The position at which the log ends now. Raises `Unreachable`."""
        await self._fold()
        return self._mark.size if self._mark else 0

    async def _fold(self) -> None:
        """Up to the log's end."""
        await self._look()
        while self._folded < len(self._known):
            for record in await self._records(self._known[self._folded]):
                self._mark = after_record(self._mark, record)
            self._folded += 1

    async def _look(self) -> None:
        """For objects that are new. Raises `Unreachable`."""
        offset = name_of(self._known[-1]) if self._known else None
        try:
            found = [each["path"] async for page in obstore.list(self._store, FOLDER, offset=offset) for each in page]
        except (BaseError, OSError) as silence:
            raise Unreachable(reason(silence)) from silence
        self._known = sorted({*self._known, *(size for path in found if (size := size_of(path)) is not None)})

    async def _records(self, size: int) -> list[bytes]:
        try:
            found = await obstore.get_async(self._store, name_of(size))
            return list(split(bytes(await found.bytes_async())))
        except (BaseError, OSError) as silence:
            raise Unreachable(reason(silence)) from silence


def reason(fault: Exception) -> str:
    """What obstore says, without what it says for its own authors."""
    return str(fault).partition("Debug source:")[0].strip()


def name_of(size: int) -> str:
    return f"{FOLDER}/{size:015d}.ndjson"


def size_of(path: str) -> int | None:
    """None: it is none of our objects."""
    name = path.rpartition("/")[2].removesuffix(".ndjson")
    return int(name) if len(name) == 15 and name.isdecimal() else None


def _ends_after(record: bytes, position: int) -> bool:
    header = read_header(record)
    return header is not None and header.next_size > position
