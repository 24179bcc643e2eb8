"""Rebuilding a view beside the live one, and the swap, while the log grows and people read."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest
from psycopg import AsyncConnection

from adapters import migrate
from adapters.views import rebuild
from adapters.views.postgres import PostgresViews
from projections import catalog, runner
from projections.explorer.events import Events, Line
from projections.explorer.tasks import Tasks
from projections.finance.balances import Balances, TrialLine
from projections.row import Projection, Sweep, shape
from projections.views import Behind
from tests.projections.lives import START, Written, everything, folded, network

pytestmark = pytest.mark.system

RECORDS = network(9).records
SIZE = len(network(9).events)


@asynccontextmanager
async def live(database: str, log: Written, *projections: Projection) -> AsyncGenerator[PostgresViews, None]:
    """Views that follow the log, as a server keeps them."""
    async with PostgresViews(database, *projections) as views:
        running = asyncio.create_task(runner.run(projections, log, views, START))
        try:
            yield views
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def schemas(views: PostgresViews) -> list[str]:
    async with views.pool.connection() as db:
        rows = await (await db.execute(b"SELECT nspname::text FROM pg_namespace WHERE nspname ~ '_[0-9]+$' ORDER BY 1")).fetchall()
        known = await (await db.execute(b"SELECT name || '_' || generation FROM projection ORDER BY 1")).fetchall()
    assert [row[0] for row in rows] == sorted(row[0] for row in known)
    return [row[0] for row in rows]


async def test_while_the_log_grows_and_people_read_a_view_is_rebuilt_and_nobody_notices(database: str) -> None:
    migrate.apply(database)
    log, ended = Written(RECORDS[:60]), asyncio.Event()
    seen = list[tuple[int, int, int]]()

    async def grow() -> None:
        for record in RECORDS[60:]:
            await log.grow(record)
            await asyncio.sleep(0.004)

    async def read() -> None:
        while not ended.is_set():
            lines, trial = await reader.page(Line, limit=10_000), await reader.page(TrialLine)
            seen.append((lines.position, len(lines.rows), sum(row.amount for row in trial.rows if row.asset == "usdc")))
            await asyncio.sleep(0.001)

    async with live(database, log, *catalog.ALL) as views, PostgresViews(database, *catalog.ALL) as reader:
        await views.reached(Line, 1, 10)
        reading, growing = [asyncio.create_task(read()) for _ in range(3)], asyncio.create_task(grow())
        generations = list[int]()
        for projection in (Events(), Balances(), Tasks()):
            before = (await views.generation(projection)).id
            rebuilt = await rebuild.rebuild(views, projection, log, START)
            generations.append((await views.generation(projection)).id - before)
            assert rebuilt.position > 0
        await growing
        assert await views.reached(Line, SIZE, 20) == SIZE
        assert [await reader.reached(projection.rows[0], SIZE, 20) for projection in catalog.ALL] == [SIZE] * len(catalog.ALL)
        ended.set()
        await asyncio.gather(*reading)

        assert all(change > 0 for change in generations)
        assert await everything(reader) == await everything(await folded(RECORDS))
        assert len(await schemas(views)) == len(catalog.ALL)
    assert len(seen) > 20
    assert [rows for _, rows, _ in seen] == [position for position, _, _ in seen], "a page and its position are of one moment"
    assert all(balance == 0 for _, _, balance in seen)
    for n in range(3):
        positions = [position for position, _, _ in seen[n::3]]
        assert positions[0] < positions[-1]


async def test_a_reader_never_sees_a_view_go_back(database: str) -> None:
    migrate.apply(database)
    log, ended = Written(RECORDS), asyncio.Event()
    async with live(database, log, Events()) as views, PostgresViews(database, Events()) as reader:
        await views.reached(Line, SIZE, 20)
        assert (await reader.page(Line, limit=1)).position == SIZE

        async def read() -> set[int]:
            seen = set[int]()
            while not ended.is_set():
                seen.add((await reader.page(Line, limit=1)).position)
                seen.add((await reader.get(Line, 1)).position)
            return seen

        reading = asyncio.create_task(read())
        for _ in range(3):
            await rebuild.rebuild(views, Events(), log, START)
        ended.set()

        assert await reading == {SIZE}


async def test_a_rebuild_that_does_not_add_up_changes_nothing(database: str) -> None:
    migrate.apply(database)
    async with PostgresViews(database, Balances(), Tasks()) as views:
        await runner.run((Balances(), Tasks()), Written(RECORDS), views, START, follow=False)
        before = await everything(views, Balances(), Tasks())
        generation = await views.generation(Balances())
        async with views.pool.connection() as db:
            await db.execute(f"UPDATE {generation.schema}.balance SET amount = amount + 1 WHERE account = 'usdc:1110.treasury'".encode())
        with pytest.raises(rebuild.Differs, match="balance: "):
            await rebuild.rebuild(views, Balances(), Written(RECORDS), START)

        assert await views.generation(Balances()) == generation
        assert (await everything(views, Tasks()))["task"] == before["task"]
        assert len(await schemas(views)) == 2


async def test_a_rebuild_of_the_log_up_to_where_the_live_view_stands_goes_no_further(database: str) -> None:
    migrate.apply(database)
    async with PostgresViews(database, Events()) as views:
        await runner.run((Events(),), Written(RECORDS[:50]), views, START, follow=False)
        position = (await views.page(Line, limit=1)).position
        rebuilt = await rebuild.rebuild(views, Events(), Written(RECORDS), START)

        assert rebuilt.position == position
        assert (await views.page(Line, limit=1)).position == position
        assert rebuilt.totals == (rebuild.Totals("line", (position,)),)


async def test_two_rebuilds_of_one_view_do_not_meet(database: str) -> None:
    migrate.apply(database)
    async with PostgresViews(database, Events()) as views:
        await runner.run((Events(),), Written(RECORDS), views, START, follow=False)
        async with rebuild.alone(database, Events()):
            with pytest.raises(rebuild.Busy):
                await rebuild.rebuild(views, Events(), Written(RECORDS), START)
        await rebuild.rebuild(views, Events(), Written(RECORDS), START)


async def test_what_a_killed_rebuild_left_is_removed_by_the_next(database: str) -> None:
    from adapters.views import postgres

    migrate.apply(database)
    async with PostgresViews(database, Events()) as views:
        await runner.run((Events(),), Written(RECORDS), views, START, follow=False)
        async with views.pool.connection() as db:
            await postgres.begin(db, Events(), live=False)
        assert len(await schemas(views)) == 2
        await rebuild.rebuild(views, Events(), Written(RECORDS), START)

        assert len(await schemas(views)) == 1


class NewEvents(Events):
    version = 2


async def test_a_new_version_is_filled_beside_the_old_one_which_goes_on_being_read(database: str) -> None:
    migrate.apply(database)
    log = Written(RECORDS)
    async with live(database, log, Events()) as old, PostgresViews(database, NewEvents()) as new:
        await old.reached(Line, SIZE, 20)
        assert (await new.page(Line, limit=1)).position == 0
        rebuilt = await rebuild.rebuild(new, NewEvents(), log, START)

        assert rebuilt.position == SIZE
        assert (await old.page(Line)).rows == (await new.page(Line)).rows
        assert len(await schemas(new)) == 2
        await rebuild.rebuild(new, NewEvents(), log, START)
        assert len(await schemas(new)) == 1


async def test_tables_that_changed_without_a_new_version_are_filled_anew(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from adapters.views import statements

    migrate.apply(database)
    async with PostgresViews(database, Events()) as views:
        await runner.run((Events(),), Written(RECORDS), views, START, follow=False)
    async with PostgresViews(database, Events()) as views:
        assert (await views.page(Line, limit=1)).position == SIZE
    monkeypatch.setattr(statements, "digest", lambda projection: "another")
    async with PostgresViews(database, Events()) as views:
        assert (await views.page(Line, limit=1)).position == 0
        await runner.run((Events(),), Written(RECORDS), views, START, follow=False)
        assert await everything(views, Events()) == await everything(await folded(RECORDS), Events())


async def test_of_two_processes_that_move_one_view_one_stops_and_each_event_is_in_once(database: str) -> None:
    migrate.apply(database)
    log = Written(RECORDS[:30])
    async with PostgresViews(database, Balances(), Events()) as one, PostgresViews(database, Balances(), Events()) as other:
        both = [asyncio.create_task(runner.run((Balances(), Events()), log, views, START)) for views in (one, other)]
        for record in RECORDS[30:]:
            await log.grow(record)
            await asyncio.sleep(0.002)
        await one.reached(Line, SIZE, 20)
        done, running = await asyncio.wait(both, timeout=0.1)
        for task in running:
            task.cancel()
        results = await asyncio.gather(*both, return_exceptions=True)

        assert len(done) == 1
        assert isinstance(next(iter(done)).exception(), Behind), results
        assert await everything(one, Balances(), Events()) == await everything(
            await folded(RECORDS, Balances(), Events()), Balances(), Events()
        )


async def test_when_the_database_ends_every_session_the_views_go_on_where_they_were(database: str) -> None:
    migrate.apply(database)
    log = Written(RECORDS[:30])
    async with live(database, log, Balances(), Events()) as views:
        await views.reached(Line, 1, 10)
        for n, record in enumerate(RECORDS[30:]):
            await log.grow(record)
            if n % 40 == 0:
                async with await AsyncConnection.connect(database, autocommit=True) as db:
                    others = b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = %s"
                    await db.execute(others, (db.info.dbname,))
            await asyncio.sleep(0.002)
        async with PostgresViews(database, Balances(), Events()) as reader:
            assert await reader.reached(Line, SIZE, 20) == SIZE
            assert await everything(reader, Balances(), Events()) == await everything(
                await folded(RECORDS, Balances(), Events()), Balances(), Events()
            )


def test_sweeps_go_by_an_index() -> None:
    """Of all changes that the folds make, those of sets find their rows by an index of the table."""
    swept = set[tuple[type, frozenset[str]]]()
    for projection in catalog.ALL:
        for e in network(9).events:
            swept |= {(change.kind, frozenset(change.where)) for change in projection.fold(e) if isinstance(change, Sweep)}

    assert swept
    assert all((where, "") in shape(kind).indexes for kind, where in swept)
