"""A PostgreSQL of our own is kept alive by whoever runs it, and nobody trips over what a killed one left."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from adapters import postgres_server
from adapters.postgres_server import FORGETFUL, Unavailable
from tests.faults.killing import kill_database, postmaster, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

KEEPER = f"""
    import importlib, sys, time
    from pathlib import Path
    postgres_server = importlib.import_module({postgres_server.__name__!r})
    with postgres_server.running(Path(sys.argv[1])) as uri:
        print(uri, flush=True)
        time.sleep(600)
"""


def answers(uri: str) -> bool:
    try:
        with psycopg.connect(uri, connect_timeout=2) as session:
            return session.execute("SELECT 1").fetchall() == [(1,)]
    except psycopg.OperationalError:
        return False


def keeper(data: Path) -> tuple[subprocess.Popen[str], str]:
    """A process of its own that keeps a server, and the server's URI."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", textwrap.dedent(KEEPER), str(data)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    with parent.stdout as said:
        return parent, said.readline().strip()


def test_a_killed_database_is_started_again_on_the_same_socket_and_data(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = tmp_path / "data"
    with postgres_server.running(data, keep=False) as uri:
        with psycopg.connect(uri, autocommit=True) as session:
            session.execute("CREATE TABLE mark AS SELECT 7 AS number")
        for _ in range(2):
            before = kill_database(data)
            took_s = until(lambda: answers(uri), "the second life of PostgreSQL")
            assert postmaster(data) != before
            assert took_s < 10
        with psycopg.connect(uri) as session:
            assert session.execute("SELECT number FROM mark").fetchall() == [(7,)]
        last = postmaster(data)

    assert not psutil.pid_exists(last), "it is started again only until it is told to stop"
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert all("started again" in record.getMessage() for record in caplog.records)


def test_what_a_killed_keeper_left_is_outlasted_and_the_data_are_whole(tmp_path: Path) -> None:
    parent, uri = keeper(tmp_path / "data")
    with psycopg.connect(uri, autocommit=True) as session:
        session.execute("CREATE TABLE mark AS SELECT 7 AS number")
        parent.kill()
        with postgres_server.running(tmp_path / "data", FORGETFUL, keep=False) as again, psycopg.connect(again) as fresh:
            assert fresh.execute("SELECT number FROM mark").fetchall() == [(7,)]
    parent.wait(30)


def test_a_killed_database_that_nobody_buried_blocks_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with postgres_server.running(data, FORGETFUL):
        pass
    with subprocess.Popen([sys.executable, "-c", "pass"]) as unburied:
        until(lambda: psutil.Process(unburied.pid).status() == psutil.STATUS_ZOMBIE, "the end of a process")
        (data / "postmaster.pid").write_text(f"{unburied.pid}\n{data}\n0\n5432\n{data}\n\n\nready\n")
        with postgres_server.running(data, FORGETFUL, keep=False) as uri:
            assert answers(uri)


def test_who_comes_second_uses_what_the_first_keeps_and_leaves_it_alone(tmp_path: Path) -> None:
    data = tmp_path / ("x" * 100) / "data"
    parent, uri = keeper(data)
    with postgres_server.running(data, FORGETFUL, keep=False) as second:
        assert second == uri
        kill_database(data)
        until(lambda: answers(second), "the second life of PostgreSQL")
    assert answers(uri), "it is the first one's to stop"
    parent.send_signal(signal.SIGINT)
    parent.wait(30)
    assert not answers(uri)
    shutil.rmtree(data.resolve())


def test_a_server_of_somebody_else_on_the_same_data_is_said_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    monkeypatch.setattr(postgres_server, "_READY_S_MAX", 1.0)
    with postgres_server.running(data, FORGETFUL, keep=False):
        (tmp_path / "data.lock").unlink()
        began = time.monotonic()
        with pytest.raises(Unavailable, match=f"process {postmaster(data)}"), postgres_server.running(data, FORGETFUL):
            pass
        assert time.monotonic() - began < 10
