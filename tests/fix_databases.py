"""A second database beside the test's first."""

from collections.abc import Iterator

import pytest


@pytest.fixture
def another(postgres: str, database: str) -> Iterator[str]:
    """As empty as the first."""
    import psycopg
    from psycopg import conninfo, sql

    name = f"{conninfo.conninfo_to_dict(database)['dbname']}_b"
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield conninfo.make_conninfo(postgres, dbname=name)
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
