"""What nobody may go on after stops a real server: one line that names it and its remedy, exit status 4, and nothing written."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from adapters import migrate, postgres_server
from domain.ids import LogId
from domain.log.block import Sealed, accept, seal
from domain.log.merkle import Head
from tests.system.test_server import GRIDLEDGER, gridledger, head, serving

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
STOPPED = 4


@contextmanager
def lived(tmp_path: Path, uri: str) -> Iterator[Path]:
    """A server's directory whose ledger has an election behind its first block."""
    directory = tmp_path / "ledger"
    assert gridledger("init", str(directory), "--policy", "demo", "--database-url", uri).returncode == 0
    with serving(directory) as url:
        assert int(head(url)["size"]) >= 13
    yield directory


def tampered(uri: str, *statements: str) -> None:
    """What no user of the database can do who is not its owner."""
    with psycopg.connect(uri, autocommit=True) as db:
        db.execute("ALTER TABLE block DISABLE TRIGGER ALL")
        for statement in statements:
            db.execute(statement.encode())
        db.execute("ALTER TABLE block ENABLE TRIGGER ALL")


def blocks(uri: str) -> list[tuple[int, bytes]]:
    with psycopg.connect(uri) as db:
        return [(size, bytes(record)) for size, record in db.execute("SELECT size, record FROM block ORDER BY size").fetchall()]


def refused(directory: Path, **environment: str) -> str:
    """The one line with which the server ends."""
    command = [*GRIDLEDGER, "serve", str(directory), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment})
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert (done.returncode, len(lines)) == (STOPPED, 1), done.stderr + done.stdout[-2000:]
    return lines[0]


LAST = "(SELECT max(size) FROM block)"
STOPS: list[tuple[str, tuple[str, ...], str, str]] = [
    (
        "a byte of a block was changed",
        (f"UPDATE block SET record = overlay(record PLACING 'x' FROM octet_length(record) - 5) WHERE size = {LAST}",),
        "the lines at size 12 do not fold to",
        "restore the log from a copy",
    ),
    ("the log lost its end", (f"DELETE FROM block WHERE size = {LAST}",), "the log ends at size 12", "reaches that position"),
    (
        "the log lost its end, and the views with it, but there is a snapshot",
        (f"DELETE FROM block WHERE size = {LAST}", "DELETE FROM projection"),
        "a snapshot stands at position 13",
        "reaches that position",
    ),
]


@pytest.mark.parametrize(("statements", "says", "remedy"), [row[1:] for row in STOPS], ids=[row[0] for row in STOPS])
def test_a_log_that_is_not_whole_stops_the_server(
    tmp_path: Path, database: str, statements: tuple[str, ...], says: str, remedy: str
) -> None:
    with lived(tmp_path, database) as directory:
        made = gridledger("snapshot", str(directory), "--json")
        if "snapshot" not in says:
            for file in (directory / "snapshots").iterdir():
                file.unlink()
        tampered(database, *statements)
        before = blocks(database)
        line = refused(directory)

        assert json.loads(made.stdout)["size"] == 13
        assert says in line
        assert remedy in line
        assert "docs/reliability.md" in line
        assert blocks(database) == before, "and nothing was written"


def test_a_copy_of_the_log_is_not_led(tmp_path: Path, database: str) -> None:
    """The same rows in another PostgreSQL."""
    another = postgres_server.running(tmp_path / "other", postgres_server.FORGETFUL, keep=False)
    with lived(tmp_path, database) as directory, another as other:
        migrate.apply(other)
        with psycopg.connect(database) as source, psycopg.connect(other, autocommit=True) as target:
            rows = source.execute("SELECT size, root, next_size, next_root, record FROM block WHERE size >= 0 ORDER BY size").fetchall()
            for row in rows:
                target.execute("INSERT INTO block VALUES (%s, %s, %s, %s, %b)", row)
        before = blocks(other)
        line = refused(directory, GRIDLEDGER_DATABASE_URL=other)

        assert "lives in postgresql:" in line
        assert "Serve the ledger where it lives" in line
        assert blocks(other) == before


def lying(sealed: Sealed) -> bytes:
    """A header that promises another root than its lines have."""
    return sealed.record.replace(sealed.after.root.encode(), b"0" * 64)


def unknown(sealed: Sealed) -> bytes:
    """A block of an event that no version of this code knows."""
    return sealed.record


@pytest.mark.parametrize(("forge", "says"), [(lying, "do not fold to"), (unknown, "Invalid value")])
def test_a_server_that_runs_stops_at_a_record_that_counts_and_cannot_be_understood(
    tmp_path: Path, database: str, forge: Callable[[Sealed], bytes], says: str
) -> None:
    with lived(tmp_path, database) as directory:
        command = [*GRIDLEDGER, "serve", str(directory), "--port", "0"]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        url = directory / "server.url"
        wait_for(url.is_file)
        head(url.read_text().strip())
        at = Head(LogId(json.loads(blocks(database)[1][1].split(b"\n")[0])["log"]))
        for _, record in blocks(database)[1:]:
            at = accept(at, record).after
        line = b'{"pos":%d,"stream":"x-1","ver":1,"at_us":1,"cmd":"","of":[1,1],"by":"house","event":{"type":"x.y.v9"}}' % (at.size + 1)
        record = forge(seal(at, [line]))
        with psycopg.connect(database, autocommit=True) as db:
            root = json.loads(record.split(b"\n")[0])["next_root"]
            db.execute("INSERT INTO block VALUES (%s, %s, %s, %s, %b)", (at.size, at.root, at.size + 1, root, record))
            db.execute("NOTIFY block")
        _, said = server.communicate(timeout=60)

    assert server.returncode == STOPPED
    assert says in said.splitlines()[-1]
    assert "restore the log from a copy, or upgrade" in said.splitlines()[-1]


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    assert condition()
