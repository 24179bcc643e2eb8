"""Views in PostgreSQL: the contract, and that they are the twins of those in memory."""

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from msgspec import UNSET

from adapters import migrate
from adapters.views.postgres import PostgresViews
from projections import catalog, runner
from projections.row import Projection, shape
from projections.views import Views
from tests.contracts.views import *  # noqa: F403
from tests.contracts.views import NewViews
from tests.projections.lives import START, Written, everything, folded, network

pytestmark = pytest.mark.system


@pytest.fixture
def new_views(database: str) -> NewViews:
    migrate.apply(database)

    @asynccontextmanager
    async def empty(*projections: Projection) -> AsyncGenerator[PostgresViews, None]:
        async with PostgresViews(database, *projections) as views, views.pool.connection() as db:
            await db.execute("DELETE FROM projection")
            for projection in projections:
                await db.execute(f"DROP SCHEMA IF EXISTS {projection.name}_1 CASCADE".encode())
        async with PostgresViews(database, *projections) as views:
            yield views

    return empty


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
async def test_the_same_log_makes_the_same_rows_as_in_memory(database: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches end wherever chance wills."""
    migrate.apply(database)
    draw, records = random.Random(seed), network(seed).records
    expected = await everything(await folded(records))
    async with PostgresViews(database, *catalog.ALL) as views:
        position = 0
        while position < len(records):
            position += draw.randint(1, len(records) // 3)
            monkeypatch.setattr(runner, "EVENTS_PER_BATCH_MAX", draw.choice([1, 20, 5_000]))
            await runner.run(catalog.ALL, Written(records[:position]), views, START, follow=False)

        assert await everything(views) == expected


@pytest.mark.parametrize("seed", [1])
async def test_every_page_is_the_same_as_in_memory(database: str, seed: int) -> None:
    """By each index, forwards and backwards, cut anywhere."""
    migrate.apply(database)
    records, draw = network(seed).records, random.Random(seed)
    twin = await folded(records)
    async with PostgresViews(database, *catalog.ALL) as views:
        await runner.run(catalog.ALL, Written(records), views, START, follow=False)
        for kind in (kind for projection in catalog.ALL for kind in projection.rows):
            rows = (await twin.page(kind, limit=10**6)).rows
            ways = [((), ""), *((index.where, index.by) for index in kind.indexes)]
            ways += [(shape(kind).key[:n], "") for n in range(1, len(shape(kind).key) + 1)]
            for where_names, by in ways if rows else ():
                row = draw.choice([row for row in rows if UNSET not in {getattr(row, name) for name in where_names}] or rows)
                descending, limit = draw.choice([True, False]), draw.randint(1, 20)
                where = {name: getattr(row, name) for name in where_names}

                async def pages(of: Views) -> list[object]:
                    seen, after = list[object](), None
                    while True:
                        page = await of.page(kind, where=where, by=by, after=after, limit=limit, descending=descending)  # noqa: B023
                        seen.append((page.rows, page.position))
                        if (after := page.next) is None:
                            return seen

                assert await pages(views) == await pages(twin)


@pytest.mark.parametrize("kind", [kind for projection in catalog.ALL for kind in projection.rows], ids=lambda kind: kind.table)
async def test_every_page_has_an_index(database: str, kind: type) -> None:
    """PostgreSQL goes through no whole table, and sorts nothing, for any way to page that a row's type declares."""
    from adapters.views import statements

    migrate.apply(database)
    projection = catalog.of(kind)
    async with PostgresViews(database, projection) as views:
        generation = await views.generation(projection)
        its = shape(kind)
        for where, by in [((), ""), *((index.where, index.by) for index in kind.indexes), (its.key[:1], "")]:  # type: ignore[attr-defined]
            names = its.sorted_by(where, by)
            statement = statements.page(generation, kind, where, names, descending=False, after=False).decode()
            values = {str: "'thing-1'", int: "1"}
            literals = [values[str if issubclass(its.of[name].type, str) else int] for name in where]
            inner = statement[statement.index("LATERAL (") + 9 : statement.rindex(") t ON true")] % (*literals, "10")
            async with views.pool.connection() as db, db.transaction():
                await db.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
                plan = "\n".join(str(row[0]) for row in await (await db.execute(f"EXPLAIN {inner}".encode())).fetchall())

            assert "Seq Scan" not in plan, plan
            assert "Sort" not in plan, plan
            assert not where or "Filter" not in plan, plan
