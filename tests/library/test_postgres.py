"""The library's own cases, on a ledger in PostgreSQL."""

import pytest
from eventsourcing.postgres import PostgresFactory
from eventsourcing.utils import Environment
from psycopg import connect, conninfo

from tests.contracts.library import *  # noqa: F403
from tests.contracts.recording import *  # noqa: F403
from tests.contracts.sharing import *  # noqa: F403

pytestmark = pytest.mark.system

LATE = """
    CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.005); RETURN NEW; END';
    CREATE TRIGGER late AFTER INSERT ON library_events FOR EACH ROW WHEN (NEW.originator_version = 2) EXECUTE FUNCTION late()"""
"""Some transactions take a moment from the id that they are given to their end, as on a slow disk."""
PARTS = {"DBNAME": "dbname", "HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password"}


@pytest.fixture
def library_env(database: str) -> dict[str, str]:
    return {"PERSISTENCE_MODULE": "adapters.library.postgres", "GRIDLEDGER_DATABASE_URL": database}


@pytest.mark.parametrize("functions", ["n", "y"])
def test_the_librarys_own_module_skips_events_when_its_database_functions_record_them(database: str, functions: str) -> None:
    """The control of `test_ids_are_dense_and_never_visible_out_of_order_under_concurrent_writers`: what it looks for can be found."""
    said = conninfo.conninfo_to_dict(database)
    env = {f"POSTGRES_{name}": str(said.get(key) or "") for name, key in PARTS.items()}
    with PostgresFactory(Environment("Library", {**env, "POSTGRES_ENABLE_DB_FUNCTIONS": functions})) as factory:
        recorder = factory.application_recorder()
        with connect(database) as session:
            session.execute(LATE)
        skipped = 0
        for _ in range(20 if functions == "y" else 1):
            start = recorder.max_notification_id() or 0
            given, seen = missed([recorder] * 6, recorder, 40, start)
            skipped += len(set(given) - set(seen))
            if skipped:
                break
        factory.close()

    assert (skipped > 0) == (functions == "y")
