"""Views in PostgreSQL: a schema for each generation of a projection, one upsert per table and batch, in one transaction with
the projection's head (migrations/0002_projections.sql)."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from psycopg import AsyncConnection, OperationalError, sql
from psycopg.errors import InvalidSchemaName, UndefinedTable
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adapters.views import statements
from adapters.views.positions import Positions
from adapters.views.statements import Generation
from domain.log.merkle import Head, Mark
from projections import tally
from projections.row import Cursor, Plain, Projection, Row, Sweep, shape
from projections.views import Behind, Move, Page, Read, Swapped, Unavailable

Session = AsyncConnection[tuple[Any, ...]]
T = TypeVar("T", bound=Row)

LIVE = b"SELECT generation, tables FROM projection WHERE name = %s AND version = %s AND live"
BEGIN = b"INSERT INTO projection (name, version, tables, live) VALUES (%s, %s, %s, %s) RETURNING generation"
HEAD = b"SELECT head FROM projection WHERE generation = %s"
HEADS = b"SELECT head FROM projection WHERE head IS NOT NULL"
MOVE = b"""
    UPDATE projection AS p SET size = m.size, head = m.head
    FROM unnest(%b::bigint[], %b::boolean[], %b::bigint[], %b::bigint[], %b::bytea[]) AS m (generation, live, before, size, head)
    WHERE p.generation = m.generation AND p.live = m.live AND p.size = m.before RETURNING p.generation"""
STILL = b"SELECT 1 FROM projection WHERE generation = %s AND live = %s"
TAKE_TURNS = b"SELECT pg_advisory_xact_lock(%s)"
LOCK = 0x76_69_65_77
"""Key of the advisory lock: "view"."""
CONNECTIONS_MAX, CONNECT_S_MAX, READ_S_MAX = 8, 1.0, 5.0
TRIES = 5


class NotPrepared(Exception):
    """The database has no tables of this projection."""


class PostgresViews:
    """Both ports of projections/views.py. On entry the tables of all its projections are there."""

    def __init__(self, uri: str, *projections: Projection) -> None:
        self.uri = uri
        self.pool: AsyncConnectionPool[Session] = AsyncConnectionPool(
            uri,
            min_size=1,
            max_size=CONNECTIONS_MAX,
            open=False,
            kwargs={"application_name": "gridledger views", "autocommit": True},  # a read by itself is one round trip, not three
        )
        self._projections = projections
        self._of = {kind: projection for projection in projections for kind in projection.rows}
        self._positions = Positions(uri)
        self._read: dict[str, Generation] = {}
        """Live generations, as readers found them last; likewise the next, as a writer did when it asked for the head."""
        self._written: dict[str, Generation] = {}

    async def __aenter__(self) -> Self:
        await self.pool.open()
        try:
            await self._prepare()
        except BaseException:
            await self.pool.close()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        await self._positions.close()
        await self.pool.close()

    async def _prepare(self) -> None:
        """Tables whose definition changed without a new version are made anew, and filled from the log's first event on."""
        async with self.pool.connection() as db, db.transaction():
            await db.execute(TAKE_TURNS, (LOCK,))
            for projection in self._projections:
                row = await (await db.execute(LIVE, (projection.name, projection.version))).fetchone()
                if row and row[1] != statements.digest(projection):
                    await drop(db, Generation(row[0], projection.name, live=True))
                    row = None
                if row is None:
                    await begin(db, projection, live=True)

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[Session, None]:
        """One of the pool's. Raises `Unavailable`."""
        try:
            async with self.pool.connection(CONNECT_S_MAX) as db:
                yield db
        except (OperationalError, PoolTimeout) as silence:
            raise Unavailable(type(silence).__name__) from silence

    async def generation(self, projection: Projection) -> Generation:
        """The live one. Raises `NotPrepared`."""
        rows = await self._read_rows(LIVE, (projection.name, projection.version))
        if not rows:
            raise NotPrepared(f"{projection.name} version {projection.version}")
        return Generation(rows[0][0], projection.name, live=True)

    async def marks(self, start: Head) -> list[Mark]:
        """Where in the log that begins with `start` the views stand, those of earlier versions too. Raises `Unavailable`."""
        rows = await self._read_rows(HEADS)
        heads = [msgspec.msgpack.decode(row[0], type=Head) for row in rows]
        return [head.mark for head in heads if head.log == start.log]

    async def head(self, projection: Projection) -> Head | None:
        generation = self._written[projection.name] = await self.generation(projection)
        async with self.session() as db:
            return await head(db, generation)

    async def write(self, *moves: Move) -> None:
        async with self.session() as db, db.transaction():
            await write(db, self._written, moves)

    async def get(self, kind: type[T], *key: Plain) -> Read[T]:
        shape(kind).check(shape(kind).key, key)
        rows = await self._rows(kind, lambda generation: statements.get(generation, kind), key)
        return Read(statements.row_of(kind, rows[0][1:]), rows[0][0])

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
        if after is not None:
            its.check(names, after)

        def statement(generation: Generation) -> bytes:
            return statements.page(generation, kind, tuple(where), names, descending, after is not None)

        found = await self._rows(kind, statement, (*where.values(), *(after or ()), limit + 1))
        rows = [row for values in found if (row := statements.row_of(kind, values[1:]))]
        more = len(rows) > limit > 0
        return Page(rows[:limit], found[0][0], tuple(getattr(rows[limit - 1], name) for name in names) if more else None)

    async def reached(self, kind: type[Row], position: int, timeout_s: float) -> int:
        projection = self._of[kind]
        while True:
            rows = await self._rows(kind, statements.size, ())
            size: int = rows[0][0]
            if size >= position or not await self._positions.reached((projection.name, projection.version), position, timeout_s):
                return size

    async def _rows(self, kind: type[Row], statement: Callable[[Generation], bytes], values: Sequence[Plain]) -> list[tuple[Any, ...]]:
        """At least one, of the generation that is live now."""
        projection = self._of[kind]
        for _ in range(TRIES):
            generation = self._read.get(projection.name) or await self.generation(projection)
            try:
                rows = await self._read_rows(statement(generation), values)
            except (UndefinedTable, InvalidSchemaName):
                rows = []
            if rows:
                self._read[projection.name] = generation
                return rows
            self._read.pop(projection.name, None)
        raise NotPrepared(projection.name)

    async def _read_rows(self, query: bytes, values: Sequence[Plain] = ()) -> list[tuple[Any, ...]]:
        """Raises `Unavailable`, also where the database is there and does not answer: nobody waits until a query is taken back."""

        async def read() -> list[tuple[Any, ...]]:
            async with self.session() as db:
                return await (await db.execute(query, values)).fetchall()

        reading = asyncio.create_task(read())
        try:
            if not (await asyncio.wait({reading}, timeout=READ_S_MAX))[0]:
                raise Unavailable("it does not answer")
            return reading.result()
        finally:
            reading.cancel()


async def begin(db: Session, projection: Projection, *, live: bool) -> Generation:
    """An empty generation."""
    row = await (await db.execute(BEGIN, (projection.name, projection.version, statements.digest(projection), live))).fetchone()
    assert row is not None
    generation = Generation(row[0], projection.name, live)
    await db.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(generation.schema)))
    for kind in projection.rows:
        for statement in statements.create(generation.schema, kind):
            await db.execute(statement)
    return generation


async def drop(db: Session, generation: Generation) -> None:
    await db.execute(b"SET LOCAL client_min_messages = warning")
    await db.execute(b"DELETE FROM projection WHERE generation = %s", (generation.id,))
    await db.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(generation.schema)))


async def head(db: Session, generation: Generation) -> Head | None:
    row = await (await db.execute(HEAD, (generation.id,))).fetchone()
    return msgspec.msgpack.decode(row[0], type=Head) if row and row[0] else None


async def write(db: Session, generations: Mapping[str, Generation], moves: Sequence[Move]) -> None:
    """Within a transaction. Raises `Behind` or `Swapped`."""
    moved = await move_heads(db, [generations[move.projection.name] for move in moves], moves)
    for move in moves:
        if (generation := generations[move.projection.name]).id not in moved:
            still = await (await db.execute(STILL, (generation.id, generation.live))).fetchone()
            raise Behind(move.projection.name) if still else Swapped(move.projection.name)
    # From here on nobody can drop these generations: their rows in `projection` are ours until the transaction ends.
    async with db.pipeline():
        for move in moves:
            await write_rows(db, generations[move.projection.name], move)
        await db.execute(b"SELECT pg_notify('projection', '')")


async def move_heads(db: Session, generations: Sequence[Generation], moves: Sequence[Move]) -> set[int]:
    """Which generations stood where their moves begin."""
    ids, live = [each.id for each in generations], [each.live for each in generations]
    sizes = [move.before.size for move in moves], [move.after.size for move in moves]
    cursor = await db.execute(MOVE, (ids, live, *sizes, [msgspec.msgpack.encode(move.after) for move in moves]))
    return {row[0] for row in await cursor.fetchall()}


async def write_rows(db: Session, generation: Generation, move: Move) -> None:
    for part in move.batch.parts:
        if isinstance(part, Sweep):
            await db.execute(*statements.sweep(generation.schema, part))
            continue
        for kind in part.kinds():
            counted = tally.tallies(move.projection, kind)
            await db.execute(statements.upsert(generation.schema, kind, counted), [statements.written(part.all(kind))])
            for each in counted:
                await db.execute(statements.empty(generation.schema, each))
