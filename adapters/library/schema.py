"""The schema of a library's ledger in PostgreSQL: the tables of a log, as migrations/ makes them, under a name of their own."""

import psycopg
from psycopg import conninfo, sql

from adapters import migrate
from domain.log.log import Unreachable

NAME_BYTES_MAX = 63
HOME = b"""
    SELECT (SELECT system_identifier FROM pg_control_system())::text, d.oid::text, n.oid::text
    FROM pg_database d, pg_namespace n WHERE d.datname = current_database() AND n.nspname = current_schema()"""


class NoSchema(Exception):
    """There is no such schema in the database, or its name cannot be one."""


def within(uri: str, name: str) -> str:
    """The libpq settings under which every unqualified name is of that schema. Raises `NoSchema`."""
    if len(name) > NAME_BYTES_MAX:
        raise NoSchema(f"{name} is longer than PostgreSQL's names, {NAME_BYTES_MAX}")
    options = conninfo.conninfo_to_dict(uri).get("options") or ""
    return conninfo.make_conninfo(uri, options=f"{options} -c search_path={name}".strip())


def make(uri: str, name: str) -> None:
    """With all that a log needs, unless it is there. Raises `Unreachable`, `migrate.Unmigratable`."""
    try:
        with psycopg.connect(uri, autocommit=True) as db:
            db.execute("SET client_min_messages = warning")
            db.execute("SELECT pg_advisory_lock(%s)", (migrate.LOCK,))  # else two that make it at once may both try
            db.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(name)))
        migrate.apply(within(uri, name))
    except psycopg.OperationalError as silence:
        raise Unreachable(str(silence)) from silence


def identity(uri: str) -> str:
    """What no other log has: the identifiers of cluster, database and schema. Raises `Unreachable`, `NoSchema`."""
    try:
        with psycopg.connect(uri) as db:
            row = db.execute(HOME).fetchone()
    except psycopg.OperationalError as silence:
        raise Unreachable(str(silence)) from silence
    if row is None:
        raise NoSchema("the schema is not there")
    return "postgresql:" + ":".join(row)
