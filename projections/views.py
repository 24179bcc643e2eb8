"""How views are read, and how they are written: two ports over the same tables, in memory (projections/memory.py) or in PostgreSQL
(adapters/views/postgres.py), under one contract suite.

Every answer names the position at which it stands: the number of the last event that is in it.
"""

from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar

from domain.log.merkle import Head
from domain.value import Value
from projections.row import Batch, Cursor, Plain, Projection, Row

R = TypeVar("R", bound=Row)
T = TypeVar("T", bound=Row)


class Read(Value, Generic[R]):
    row: R | None
    position: int


class Page(Value, Generic[R]):
    rows: list[R]
    position: int
    next: Cursor | None
    """What to go on after; none if this is the end."""

    @property
    def more(self) -> bool:
        return self.next is not None


class Views(Protocol):
    """Any of it may raise `Unavailable`."""

    async def get(self, kind: type[T], *key: Plain) -> Read[T]:
        """The row with this key, if there is one. Raises `ValueError` if nothing could have it (text for a number, an id that is none)."""
        ...

    async def page(
        self,
        kind: type[T],
        *,
        where: Mapping[str, Plain] | None = None,
        by: str = "",
        after: Cursor | None = None,
        limit: int = 100,
        descending: bool = False,
    ) -> Page[T]:
        """Rows with these values, sorted by the column `by`, if one is named, and by the key. Raises `Unindexed` if the row's type
        declares no index for that, `ValueError` if `where` or `after` hold what no such row could."""
        ...

    async def reached(self, kind: type[Row], position: int, timeout_s: float) -> int:
        """Waits until the view stands at `position` or beyond, for so long at most. Returns where it stands."""
        ...


class Behind(Exception):
    """The view does not stand where we left it: another process moves it, too. Stop."""


class Swapped(Exception):
    """A rebuilt view has taken the place of this one. Begin again from where that one stands."""


class Unavailable(Exception):
    """The views cannot be reached now. What was to be written may have been, or not: the head tells."""


class Move(Value):
    """A batch of changes to one projection, and the heads between which they came about."""

    projection: Projection
    batch: Batch
    before: Head
    after: Head


class Store(Protocol):
    """Any of it may raise `Unavailable`."""

    async def head(self, projection: Projection) -> Head | None:
        """Where the projection stands; none if nothing is in it yet."""
        ...

    async def write(self, *moves: Move) -> None:
        """All of this in one transaction, each projection's head moved from `before` to `after`; or nothing, raising `Behind` or
        `Swapped`."""
        ...
