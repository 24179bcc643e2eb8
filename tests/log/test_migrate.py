"""A database comes to the shape that the code expects, once, and nothing is guessed."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from adapters import migrate

pytestmark = pytest.mark.system


def tables(uri: str) -> list[str]:
    with psycopg.connect(uri) as db:
        rows = db.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
    return [name for (name,) in rows]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE one (n int); INSERT INTO one VALUES (1);")
    (tmp_path / "0002_two.sql").write_text("CREATE TABLE two (n int);")
    return tmp_path


def test_files_are_applied_in_order_and_once(database: str, folder: Path) -> None:
    assert migrate.apply(database, folder) == ["0001_one.sql", "0002_two.sql"]
    assert migrate.apply(database, folder) == []
    (folder / "0003_three.sql").write_text("CREATE TABLE three (n int)")
    assert migrate.apply(database, folder) == ["0003_three.sql"]
    assert tables(database) == ["migration", "one", "three", "two"]


def test_processes_that_start_together_take_turns(database: str, folder: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(lambda _: migrate.apply(database, folder), range(4)))

    assert sorted(applied) == [[], [], [], ["0001_one.sql", "0002_two.sql"]]


def test_a_file_that_fails_leaves_nothing(database: str, folder: Path) -> None:
    (folder / "0003_bad.sql").write_text("CREATE TABLE three (n int); SELECT 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate.apply(database, folder)

    assert tables(database) == []


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("0001_one.sql", "CREATE TABLE one (n bigint)", "edited"),
        ("0001_one.sql", None, "does not have it"),
        ("0001_a_zero.sql", "CREATE TABLE zero (n int)", "comes before"),
    ],
)
def test_a_database_of_other_files_is_refused(database: str, folder: Path, file: str, text: str | None, says: str) -> None:
    migrate.apply(database, folder)
    if text is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(text)

    with pytest.raises(migrate.Unmigratable, match=says):
        migrate.apply(database, folder)
