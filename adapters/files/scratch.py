"""A database of one's own on somebody's PostgreSQL server, for as long as it is needed."""

import contextlib
import secrets
from collections.abc import Iterator

import psycopg
from psycopg import conninfo, sql


@contextlib.contextmanager
def database(url: str, *, keep: bool = False) -> Iterator[tuple[str, str]]:
    """Makes an empty database on the server of `url` and yields (its URI, its name); drops it at the end unless told to keep it.

    Raises `psycopg.Error` if the user may not make one.
    """
    name = f"gridledger_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield conninfo.make_conninfo(url, dbname=name), name
    finally:
        if not keep:
            with psycopg.connect(url, autocommit=True) as server:
                server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
