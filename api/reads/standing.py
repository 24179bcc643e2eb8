"""How far the views have come, and what is said where they cannot be read."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TypeVar

from fastapi import Request, Response

from api.parts import Parts
from api.problems import problem
from projections.row import Cursor, Plain, Row
from projections.views import Page, Read, Unavailable

T = TypeVar("T", bound=Row)


class Standing:
    """The views (projections/views.py), which remember where each projection stood when it was read last, and whether it could be."""

    def __init__(self, parts: Parts) -> None:
        self._views, self._projections, self.reader = parts.views, parts.projections, parts.reader
        self._of = {kind: projection.name for projection in parts.projections for kind in projection.rows}
        self.positions = dict[str, int]()
        """Of projections that were read since this process began, by name."""
        self.away = False
        """Whether the views could not be read when somebody tried last."""

    async def get(self, kind: type[T], *key: Plain) -> Read[T]:
        with self._reading():
            found = await self._views.get(kind, *key)
        self._note(kind, found.position)
        return found

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
        with self._reading():
            found = await self._views.page(kind, where=where, by=by, after=after, limit=limit, descending=descending)
        self._note(kind, found.position)
        return found

    async def reached(self, kind: type[Row], position: int, timeout_s: float) -> int:
        with self._reading():
            found = await self._views.reached(kind, position, timeout_s)
        self._note(kind, found)
        return found

    async def look(self) -> None:
        """Where each projection stands now. While the views cannot be read, what was last seen of them stays."""
        with suppress(Unavailable):
            for each in self._projections:
                await self.reached(each.rows[0], 0, 0.0)

    @property
    def behind(self) -> dict[str, int]:
        """Events that each projection has not folded yet, as this process has read the log."""
        head = self.reader.head.size
        return {name: max(0, head - position) for name, position in self.positions.items()}

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except Unavailable:
            self.away = True
            raise
        self.away = False

    def _note(self, kind: type[Row], position: int) -> None:
        name = self._of[kind]
        self.positions[name] = max(position, self.positions.get(name, 0))


def unreadable(standing: Standing) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Answers while the views are away: where the log stands, and where the last of the views stood when it was seen."""

    async def answer(_: Request, __: Exception) -> Response:
        facts = {"head": standing.reader.head.size, "position": min(standing.positions.values(), default=0)}
        return problem("unreachable", "The views cannot be read now. Come back later.", facts)

    return answer
