"""A log in a folder: segment files, appended and synced, in the form that a bundle has (auditor/bundle.py). For copies: nobody leads here.

A record of which a crash left a part is no record; whoever appends next cuts it off.
"""

import asyncio
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from adapters.copies.records import Gathered, extended
from domain.log.block import BLOCK_BYTES_MAX, Sealed, Void, judge, read_header
from domain.log.log import Lost, OutcomeUnknown, Records, Unreachable
from domain.log.merkle import Head, Mark

SEGMENT_BYTES_MAX = 64 << 20
BATCH_MAX, BATCH_BYTES_MAX = 500, 8 << 20
POLL_S = 0.2
PATTERN = "segment-[0-9][0-9][0-9][0-9][0-9][0-9].ndjson"


class Taken(Exception):
    """Somebody else writes to this folder now."""


class Place(NamedTuple):
    """Where the next record begins."""

    segment: int
    offset: int


class SegmentsLog:
    """Keeps to the contract of every log (tests/contracts/log.py)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Writer | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        if writer := self._writer:
            self._writer = None
            writer.close()

    async def append(self, block: Sealed) -> None:
        await self.extend([block])

    async def extend(self, blocks: Sequence[Sealed]) -> None:
        """Blocks that follow each other, synced once. Raises what `append` raises, for all of them; and `Taken`."""
        try:
            if (writer := self._writer) is None:
                writer = self._writer = await asyncio.to_thread(Writer, self._folder)
        except OSError as fault:
            raise Lost(str(fault)) from fault
        try:
            await asyncio.to_thread(writer.extend, blocks)
        except OSError as fault:
            await self.close()
            raise OutcomeUnknown(str(fault)) from fault

    async def read(self, after: int = 0, *, follow: bool = False) -> Records:
        place, begun = await asyncio.to_thread(self._place, after), False
        while True:
            try:
                records, place, ended = await asyncio.to_thread(some, self._folder, place)
            except OSError as fault:
                raise Unreachable(str(fault)) from fault
            for record in records:
                header = None if begun else read_header(record)
                begun = begun or (header is not None and header.next_size > after)
                if begun:
                    yield record
            if not records and ended:
                if not follow:
                    return
                await asyncio.sleep(POLL_S)

    async def size(self) -> int:
        """The position at which the log ends now. Raises `Unreachable`."""
        size = 0
        async for record in self.read():
            header = read_header(record)
            size = header.next_size if header else size
        return size

    def _place(self, after: int) -> Place:
        """Of the last segment that begins at or before a position."""
        found = 0
        for number in range(len(segments(self._folder))):
            with (self._folder / name_of(number)).open("rb") as file:
                header = read_header(file.readline(BLOCK_BYTES_MAX))
            if header and header.size <= after:
                found = number
        return Place(found, 0)


class Writer:
    """The one who may append to a folder. Raises `Taken`, `OSError`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._file: BinaryIO | None = None
        self._lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._mark = self._recover()
        except BlockingIOError:
            os.close(self._lock)
            raise Taken(f"somebody else writes to {folder} now") from None
        except BaseException:
            self.close()
            raise

    def extend(self, blocks: Sequence[Sealed]) -> None:
        """Raises `Lost` before anything is written, `OSError`."""
        mark = extended(self._mark, blocks)
        for block in blocks:
            self._room(len(block.record)).write(block.record)
        if self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
        self._mark = mark

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None
        os.close(self._lock)

    def _room(self, size: int) -> BinaryIO:
        """The segment that a record of this size goes into."""
        if self._file and self._file.tell() and self._file.tell() + size > SEGMENT_BYTES_MAX:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
        if self._file is None:
            self._file = (self._folder / name_of(len(segments(self._folder)))).open("ab")
            os.fsync(self._lock)
        return self._file

    def _recover(self) -> Mark | None:
        """The head at which the log ends, after what a crash left of a record is cut off."""
        mark, place = None, Place(0, 0)
        while True:
            records, place, ended = some(self._folder, place)
            for record in records:
                mark = after(mark, record)
            if not records and ended:
                break
        if there := segments(self._folder):
            self._file = (self._folder / there[-1]).open("r+b")
            self._file.truncate(place.offset)
            self._file.seek(place.offset)
        return mark


def after(mark: Mark | None, record: bytes) -> Mark | None:
    """The head after a record, as far as headers tell; None: before the first one that counts. Raises `Diverged`."""
    header = read_header(record)
    if mark is None and header and header.size == 0:
        mark = Head(header.log).mark
    if mark is None:
        return None
    try:
        return judge(mark, record).after
    except Void:
        return mark


def segments(folder: Path) -> list[str]:
    """Names of the files, in order. Raises `OSError`."""
    return sorted(file.name for file in folder.glob(PATTERN)) if folder.is_dir() else []


def name_of(number: int) -> str:
    return f"segment-{number:06d}.ndjson"


def some(folder: Path, place: Place) -> tuple[list[bytes], Place, bool]:
    """Some records from a place on, the place after them, and whether nothing more is there yet. Raises `OSError`."""
    if not (folder / name_of(place.segment)).is_file():
        return [], place, True
    with (folder / name_of(place.segment)).open("rb") as file:
        file.seek(place.offset)
        records, end = list[bytes](), place.offset
        for record in _whole(file, last=not (folder / name_of(place.segment + 1)).is_file()):
            records.append(record)
            end += len(record)
            if len(records) >= BATCH_MAX or end - place.offset >= BATCH_BYTES_MAX:
                return records, Place(place.segment, end), False
    if (folder / name_of(place.segment + 1)).is_file():
        return records, Place(place.segment + 1, 0), False
    return records, Place(place.segment, end), True


def _whole(file: BinaryIO, *, last: bool) -> Iterator[bytes]:
    gathered = Gathered()
    while line := file.readline(BLOCK_BYTES_MAX + 1):
        if last and len(line) <= BLOCK_BYTES_MAX and not line.endswith(b"\n"):
            break
        if (record := gathered.take(line)) is not None:
            yield record
    if gathered.bytes and (gathered.whole or not last):
        yield gathered.end()
