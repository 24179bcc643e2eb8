"""Objects: bytes under the name of their SHA-256. Scenes, proved tiles and frames are kept so; the log knows their names only.

A name is 64 lower-case hexadecimal digits. What lies under it never changes; storing it again changes nothing.
"""

import re
from collections.abc import AsyncIterable, AsyncIterator
from typing import Protocol

from domain.errors import Refused
from domain.value import Value

BYTES_MAX = 4 << 30
"""The largest object that anybody may store."""

_NAME = re.compile(r"[0-9a-f]{64}")


class ObjectMissing(Refused):
    """There is no such object."""


class ObjectTooLarge(Refused):
    """The object is longer than {maximum} bytes."""


class ObjectTruncated(Refused):
    """The object ended after {given} of {expected} bytes."""


class WrongHash(Refused):
    """The bytes hash to {given}, not to {expected}."""


class WrongOffset(Refused):
    """The next byte of the upload is number {expected}, not {given}."""


class StoreFull(Refused):
    """There is no room for the object now; nothing of it was kept."""


class UploadMissing(Refused):
    """There is no such upload; it may be complete already."""


class Stored(Value):
    """An object that lies in the store."""

    sha256: str
    bytes: int


class Upload(Value):
    """An object on its way in: how far it got, whoever asks and however often we started again."""

    id: str
    owner: str
    sha256: str
    bytes: int
    """How long the object is to be."""
    offset: int
    """How many of its bytes are kept."""


class Store(Protocol):
    """Where objects lie. All of it streams: no more than one part of an object is held in memory.

    What is refused leaves nothing behind, and so does a caller that is cancelled in `put`. Whatever writes raises `StoreFull` if there is
    no room.
    """

    async def put(
        self, chunks: AsyncIterable[bytes], *, sha256: str | None = None, size: int | None = None, size_max: int = BYTES_MAX
    ) -> Stored:
        """Stores what `chunks` yields and returns its name, hashed on the way.

        With `sha256` or `size` it is stored only if it is that: `WrongHash`, `ObjectTruncated`. Longer than `size` or `size_max`
        bytes: `ObjectTooLarge`, raised at the first byte too many.
        """
        ...

    async def size(self, sha256: str) -> int:
        """How many bytes the object has; `ObjectMissing` if there is none, or if `sha256` is no name."""
        ...

    async def exists(self, sha256: str) -> bool:
        """Whether there is such an object."""
        ...

    async def open(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from number `start` up to but without number `end`, cut at the object's end; `ObjectMissing` before the first."""
        ...

    async def begin(self, owner: str, sha256: str, size: int, size_max: int = BYTES_MAX) -> Upload:
        """Opens an upload of `size` bytes for `owner`, or `ObjectTooLarge`.

        The bytes are asked for even where the store has them: that somebody knows a hash does not show that he has the object.
        """
        ...

    async def progress(self, upload: str) -> Upload:
        """How far the upload with this id got, or `UploadMissing`."""
        ...

    async def append(self, upload: str, offset: int, chunks: AsyncIterable[bytes]) -> Upload:
        """Keeps what `chunks` yields as the bytes from `offset` on and returns how far the upload got.

        `WrongOffset` names the right one, and keeps nothing. If `chunks` fails in the middle, what came before is kept. Bytes
        beyond the announced size: `ObjectTooLarge`, and the upload stays at what was kept.
        """
        ...

    async def complete(self, upload: str) -> Stored:
        """Makes an object of the upload. `ObjectTruncated` leaves it open for the rest; `WrongHash` ends it."""
        ...

    async def abandon(self, upload: str) -> None:
        """Removes the upload and what was kept of it; harmless when repeated."""
        ...


def is_name(sha256: str) -> bool:
    """Whether this can name an object. Nothing else ever becomes part of a path."""
    return _NAME.fullmatch(sha256) is not None
