"""Builds a projection anew, beside the live one, while that goes on and is read; then swaps them in one transaction.

A new fold is a new version. Its tables are empty at first and nobody reads them: the new code fills them while the old code still
serves its own version, which stays until the new one is rebuilt again.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection

from adapters.views import postgres, statements
from adapters.views.postgres import PostgresViews, Session
from adapters.views.statements import Generation
from domain.log.log import Log
from domain.log.merkle import Head
from domain.value import Value
from projections import runner
from projections.row import Projection
from projections.views import Move

ONLY_ONE = b"SELECT pg_try_advisory_lock(%s, hashtext(%s))"
RELEASE = b"SELECT pg_advisory_unlock(%s, hashtext(%s))"
STANDS = b"SELECT size FROM projection WHERE generation = %s"
STOP = b"SELECT size FROM projection WHERE generation = %s FOR UPDATE"
OTHERS = b"SELECT generation FROM projection WHERE name = %s AND generation <> ALL (%s) AND (NOT live OR version < %s)"
RETIRE = b"UPDATE projection SET live = false WHERE generation = %s"
ENTHRONE = b"UPDATE projection SET live = true WHERE generation = %s"
NEAR_EVENTS = 1_000
"""So many events may be left to fold while the live view is kept from moving."""
PASSES_MAX = 20


class Busy(Exception):
    """Somebody else is rebuilding this projection."""


class Differs(Exception):
    """At the same position, the rebuilt tables do not add up to the live ones. Nothing was swapped."""


class Totals(Value):
    """Of one table: its number of rows, then the sum of each column that is a sum."""

    table: str
    numbers: tuple[int, ...]


class Rebuilt(Value):
    projection: str
    position: int
    totals: tuple[Totals, ...]


class Beside:
    """The store of a generation that is not live."""

    def __init__(self, views: PostgresViews, generation: Generation) -> None:
        self._views, self._generation = views, generation

    async def head(self, projection: Projection) -> Head | None:
        async with self._views.pool.connection() as db:
            return await postgres.head(db, self._generation)

    async def write(self, *moves: Move) -> None:
        async with self._views.pool.connection() as db, db.transaction():
            await postgres.write(db, {self._generation.name: self._generation}, moves)


async def rebuild(views: PostgresViews, projection: Projection, log: Log, start: Head) -> Rebuilt:
    """Raises `Busy`, `Differs`, and what `runner.run` raises; then the live view is as it was."""
    async with alone(views.uri, projection):
        live = await views.generation(projection)
        if await views.head(projection) is None:
            return await fill(views, projection, log, start, live)
        await clear(views, projection, live)
        async with views.pool.connection() as db, db.transaction():
            made = await postgres.begin(db, projection, live=False)
        try:
            beside = Beside(views, made)
            await approach(views, projection, log, start, beside, live)
            totals, position = await swap(views, projection, log, start, live, made)
        except BaseException:
            await forget(views, made)
            raise
        await forget(views, live)
    return Rebuilt(projection.name, position, totals)


async def fill(views: PostgresViews, projection: Projection, log: Log, start: Head, live: Generation) -> Rebuilt:
    """Of a version that nobody reads yet."""
    await runner.run((projection,), log, views, start, follow=False)
    async with views.pool.connection() as db, db.transaction():
        return Rebuilt(projection.name, await standing(db, STANDS, live), await totals(db, projection, live))


@asynccontextmanager
async def alone(uri: str, projection: Projection) -> AsyncGenerator[None, None]:
    """Nobody else rebuilds it meanwhile. Raises `Busy`."""
    async with await AsyncConnection.connect(uri, autocommit=True, application_name="gridledger rebuild") as db:
        row = await (await db.execute(ONLY_ONE, (postgres.LOCK, projection.name))).fetchone()
        if not (row and row[0]):
            raise Busy(projection.name)
        try:
            yield
        finally:
            # The end of a session is not waited for; this is.
            await db.execute(RELEASE, (postgres.LOCK, projection.name))


async def clear(views: PostgresViews, projection: Projection, live: Generation) -> None:
    """Remove what a rebuild that was killed left behind, and generations of older versions."""
    async with views.pool.connection() as db:
        rows = await (await db.execute(OTHERS, (projection.name, [live.id], projection.version))).fetchall()
    for (id,) in rows:
        await forget(views, Generation(id, projection.name, live=False))


async def approach(views: PostgresViews, projection: Projection, log: Log, start: Head, beside: Beside, live: Generation) -> None:
    """Fold the log up to where the live view stands, which moves on meanwhile."""
    for _ in range(PASSES_MAX):
        async with views.pool.connection() as db:
            target = await standing(db, STANDS, live)
        reached = await beside.head(projection) or start
        if target - reached.size <= NEAR_EVENTS:
            return
        await runner.run((projection,), log, beside, start, follow=False, until=target)


async def swap(
    views: PostgresViews, projection: Projection, log: Log, start: Head, live: Generation, made: Generation
) -> tuple[tuple[Totals, ...], int]:
    """While the live view is kept from moving: fold what is left, compare, and let the new one take its place."""
    async with views.pool.connection() as db, db.transaction():
        position = await standing(db, STOP, live)
        before = await postgres.head(db, made) or start
        await runner.run((projection,), log, Within(db, made, before), start, follow=False, until=position)
        expected, actual = [await totals(db, projection, each) for each in (live, made)]
        if expected != actual:
            wrong = [
                f"{one.table}: {one.numbers} became {other.numbers}" for one, other in zip(expected, actual, strict=True) if one != other
            ]
            raise Differs("; ".join(wrong))
        await db.execute(RETIRE, (live.id,))
        await db.execute(ENTHRONE, (made.id,))
    return actual, position


class Within:
    """The store of a generation that is not live, in a transaction that is open already."""

    def __init__(self, db: Session, generation: Generation, head: Head) -> None:
        self._db, self._generation, self._head = db, generation, head

    async def head(self, projection: Projection) -> Head | None:
        return self._head

    async def write(self, *moves: Move) -> None:
        await postgres.write(self._db, {self._generation.name: self._generation}, moves)


async def standing(db: Session, query: bytes, generation: Generation) -> int:
    row = await (await db.execute(query, (generation.id,))).fetchone()
    if row is None:
        raise Busy(generation.name)
    return int(row[0])


async def totals(db: Session, projection: Projection, generation: Generation) -> tuple[Totals, ...]:
    found = []
    for kind in projection.rows:
        row = await (await db.execute(statements.totals(generation.schema, kind))).fetchone()
        assert row is not None
        found.append(Totals(kind.table, tuple(int(each) for each in row)))
    return tuple(found)


async def forget(views: PostgresViews, generation: Generation) -> None:
    async with views.pool.connection() as db, db.transaction():
        await postgres.drop(db, generation)
