"""A database of one's own is there while it is needed, and only then."""

import psycopg
import pytest

from adapters.files import scratch

pytestmark = pytest.mark.system


def names(url: str) -> set[str]:
    with psycopg.connect(url) as server:
        return {row[0] for row in server.execute("SELECT datname FROM pg_database")}


def test_a_scratch_database_is_empty_and_goes(postgres: str) -> None:
    before = names(postgres)
    with scratch.database(postgres) as (url, name), psycopg.connect(url) as inside:
        tables = inside.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert tables == (0,)
        assert names(postgres) - before == {name}

    assert names(postgres) == before


def test_a_scratch_database_can_be_kept(postgres: str) -> None:
    with scratch.database(postgres, keep=True) as (_, name):
        pass

    assert name in names(postgres)
