"""What the explorer is given: the process's reader of the log, the views, how they stood before, and a clock."""

from collections.abc import AsyncGenerator, Callable, Collection
from typing import Protocol

from domain.event import Event, Recorded
from domain.log.merkle import Head
from domain.value import Value
from domain.work.objects import Store
from domain.world import World
from projections.past import Past
from projections.views import Views

Item = tuple[Recorded[Event], bytes]


class Reader(Protocol):
    """The process's one reader of the log (adapters/log/follower.py)."""

    @property
    def head(self) -> Head: ...

    @property
    def world(self) -> World:
        """As of `head`. To be read only."""
        ...

    @property
    def at_us(self) -> int:
        """Ledger time of the last block."""
        ...

    def events(
        self, after: int, *, types: Collection[str] = (), streams: Collection[str] = (), about: Collection[str] = ()
    ) -> AsyncGenerator[Item, None]:
        """Events after a position, with their lines, for ever. To be closed."""
        ...


class Parts(Value):
    reader: Reader
    views: Views
    past: Past
    objects: Store
    now_us: Callable[[], int]
