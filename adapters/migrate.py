"""Brings a database to the shape that this code expects: plain SQL files, in the order of their names, each once.

A file that was applied is never edited; a test and `apply` itself compare its checksum. Processes that start together take turns.
"""

from hashlib import sha256
from pathlib import Path

import psycopg

MIGRATIONS = Path(__file__).parent.parent / "migrations"

DatabaseError = psycopg.Error
"""Whatever the database, or the way to it, says no with."""

_APPLIED = """
    CREATE TABLE IF NOT EXISTS migration (
        name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
    )"""
LOCK = 0x67_72_69_64
"""Key of the advisory lock: "grid"."""


class Unmigratable(Exception):
    """The database was migrated by other files than these: it is newer than this code, or a file was edited."""


def apply(uri: str, folder: Path = MIGRATIONS) -> list[str]:
    """Applies the `*.sql` files of `folder` that the database does not have yet, and returns their names. All of them or none.

    Raises `Unmigratable`, having changed nothing.
    """
    files = {file.name: file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.sql"))}
    checksums = {name: sha256(text.encode()).hexdigest() for name, text in files.items()}
    with psycopg.connect(uri) as db, db.transaction():
        db.execute("SET LOCAL client_min_messages = warning")
        db.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        db.execute(_APPLIED)
        applied: dict[str, str] = dict(db.execute("SELECT name, sha256 FROM migration ORDER BY name").fetchall())
        _compare(applied, checksums)
        missing = [name for name in files if name not in applied]
        for name in missing:
            db.execute(files[name].encode())
            db.execute("INSERT INTO migration (name, sha256) VALUES (%s, %s)", (name, checksums[name]))
    return missing


def _compare(applied: dict[str, str], checksums: dict[str, str]) -> None:
    for name, checksum in applied.items():
        if name not in checksums:
            raise Unmigratable(f"{name} was applied to the database, and this code does not have it")
        if checksums[name] != checksum:
            raise Unmigratable(f"{name} was edited after it was applied")
    if applied and (early := [name for name in checksums if name not in applied and name < max(applied)]):
        raise Unmigratable(f"{early[0]} comes before {max(applied)}, which was applied already")
