"""What every page is: a model, made of views and an address, then written down by its template or, as it is, as JSON."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from domain.value import Value
from projections.row import Row


class Table(NamedTuple):
    kind: type[Row]
    rows: Sequence[Row]


class Model(Value):
    template: ClassVar[str]
    section: ClassVar[str] = ""
    """Which entry of the navigation it belongs to."""

    @property
    def title(self) -> str:
        raise NotImplementedError

    @property
    def about(self) -> str | None:
        """The thing whose events change the page: empty, all events do; None, nothing does."""
        return ""

    @property
    def records(self) -> Table | None:
        """What the page's CSV holds; None: it has none."""
        return None


class Frame(Value):
    """What stands around each page."""

    title: str
    section: str
    path: str
    state: str
    """`live`, `quiet`, `behind` or `past`."""
    head: int
    position: int
    at_us: int
    """Ledger time of the newest event that the page may hold."""
    now_us: int
    behind: int
    """How many events."""
    behind_us: int
    as_of: int | None
    json: str
    csv: str
    feed: str
    """The events that change the page, live and from the first one on; empty: it stands still."""
    about: str
    theme: str
