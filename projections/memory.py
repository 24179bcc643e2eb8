"""Views in memory: tables, kept. The twin of adapters/views/postgres.py, and what an answer `as of` a position is read from."""

import asyncio
from collections.abc import Mapping
from copy import copy
from typing import TypeVar

from domain.log.merkle import Head
from projections import tally
from projections.row import Cursor, Plain, Projection, Row, Sweep, Tables, matches, shape
from projections.views import Behind, Move, Page, Read

T = TypeVar("T", bound=Row)


class MemoryViews:
    def __init__(self, *projections: Projection) -> None:
        self._heads: dict[str, Head] = {}
        self._positions: dict[str, int] = {}
        self._tables = Tables()
        self._of = {kind: projection.name for projection in projections for kind in projection.rows}
        self._grown = asyncio.Condition()

    async def head(self, projection: Projection) -> Head | None:
        return self._heads.get(projection.name)

    async def write(self, *moves: Move) -> None:
        if any(self._heads.get(move.projection.name, move.before) != move.before for move in moves):
            raise Behind
        for move in moves:
            self.take(move, move.after.size)
            self._heads[move.projection.name] = move.after
        async with self._grown:
            self._grown.notify_all()

    def take(self, move: Move, position: int) -> None:
        """Only the rows: the view then stands at `position`, which may lie within a block."""
        for part in move.batch.parts:
            if isinstance(part, Sweep):
                self._tables.sweep(part)
                continue
            for kind in part.kinds():
                for row in part.all(kind):
                    self._add(move.projection, row)
        self._positions[move.projection.name] = position

    def _add(self, projection: Projection, row: Row) -> None:
        kind = type(row)
        if not tally.tallies(projection, kind):
            self._tables.add(row)
            return
        key = shape(kind).key_of(row)
        before = copy(self._tables.get(kind, *key))
        self._tables.add(row)
        after = self._tables.get(kind, *key)
        assert after is not None
        for change in tally.changes(projection, kind, before, after):
            its, group = type(change), shape(type(change)).key_of(change)
            self._tables.add(change)
            if not getattr(self._tables.get(its, *group), tally.counter(its)):
                self._tables.drop(its, group)

    @property
    def size(self) -> int:
        """How many rows."""
        return self._tables.size

    def _position(self, kind: type[Row]) -> int:
        return self._positions.get(self._of[kind], 0)

    async def get(self, kind: type[T], *key: Plain) -> Read[T]:
        shape(kind).check(shape(kind).key, key)
        row = self._tables.get(kind, *key)
        return Read(copy(row) if row else None, self._position(kind))

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
        its, where = shape(kind), where or {}
        names = its.sorted_by(tuple(where), by)
        its.check(tuple(where), tuple(where.values()))
        fit = [row for row in self._tables.all(kind) if matches(row, where)]
        found = [(its.sort_key(names, [getattr(row, name) for name in names]), row) for row in fit]
        if after is not None:
            its.check(names, after)
            start = its.sort_key(names, after)
            found = [each for each in found if (each[0] < start if descending else each[0] > start)]
        found.sort(key=lambda each: each[0], reverse=descending)
        rows = [copy(row) for _, row in found[:limit]]
        more = len(found) > limit and rows
        return Page(rows, self._position(kind), tuple(getattr(rows[-1], name) for name in names) if more else None)

    async def reached(self, kind: type[Row], position: int, timeout_s: float) -> int:
        try:
            async with asyncio.timeout(timeout_s), self._grown:
                await self._grown.wait_for(lambda: self._position(kind) >= position)
        except TimeoutError:
            pass
        return self._position(kind)
