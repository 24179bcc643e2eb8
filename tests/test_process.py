"""Children end with us, whether we end them, are interrupted or are killed."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from adapters import postgres_server, process

FOR_EVER = [sys.executable, "-c", "import time; time.sleep(600)"]


def gone(pid: int, within_s: float = 10.0) -> bool:
    """Whether the process ends in time. One that nobody waited for yet has ended, too."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def parent_of(program: str, output: Path) -> subprocess.Popen[str]:
    """A process of its own that runs `program`; its first line is read by the caller."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(output)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def first_line(parent: subprocess.Popen[str]) -> str:
    assert parent.stdout is not None
    return parent.stdout.readline().strip()


def test_what_a_child_prints_is_in_its_file(tmp_path: Path) -> None:
    child = process.start(
        [sys.executable, "-c", "import sys; print('out', flush=True); print('err', file=sys.stderr)"], output=tmp_path / "log"
    )

    assert child.wait(20) == 0
    assert (tmp_path / "log").read_text() == "out\nerr\n"


def test_a_child_leads_a_group_of_its_own(tmp_path: Path) -> None:
    child = process.start(FOR_EVER, output=tmp_path / "log")

    assert os.getpgid(child.pid) == child.pid != os.getpgid(0)
    assert process.stop(child) == -signal.SIGTERM


def test_stopping_again_is_harmless(tmp_path: Path) -> None:
    child = process.start(FOR_EVER, output=tmp_path / "log")

    assert process.stop(child) == process.stop(child) == -signal.SIGTERM


def test_a_child_that_does_not_listen_is_killed_with_its_own_children(tmp_path: Path) -> None:
    program = """
        import signal, subprocess, sys
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid, flush=True)
        signal.pause()
    """
    child = process.start([sys.executable, "-c", textwrap.dedent(program)], output=tmp_path / "log")
    while not (tmp_path / "log").read_text().endswith("\n"):
        time.sleep(0.02)
    grandchild = int((tmp_path / "log").read_text())

    assert process.stop(child, grace_s=0.2) == -signal.SIGKILL
    assert gone(grandchild)


def test_a_killed_parent_takes_its_children_along(tmp_path: Path) -> None:
    parent = parent_of(
        f"""
        import importlib, sys, time
        from pathlib import Path
        process = importlib.import_module({process.__name__!r})
        print(process.start([sys.executable, "-c", "import time; time.sleep(600)"], output=Path(sys.argv[1])).pid, flush=True)
        time.sleep(600)
        """,
        tmp_path / "log",
    )
    child = int(first_line(parent))
    parent.kill()
    parent.communicate()

    assert gone(child)


SERVER = f"""
    import importlib, sys, time
    from pathlib import Path
    postgres_server = importlib.import_module({postgres_server.__name__!r})
    with postgres_server.running(Path(sys.argv[1])) as uri:
        print(uri, flush=True)
        time.sleep(600)
"""


@pytest.mark.system
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_database_outlives_who_started_it_and_its_data_stays(tmp_path: Path, how: signal.Signals) -> None:
    parent = parent_of(SERVER, tmp_path / "data")
    uri = first_line(parent)
    with psycopg.connect(uri, autocommit=True) as session:
        session.execute("CREATE TABLE mark AS SELECT 7 AS number")
    postmaster = int((tmp_path / "data" / "postmaster.pid").read_text().split()[0])
    parent.send_signal(how)
    parent.communicate()

    assert gone(postmaster)
    with (
        postgres_server.running(tmp_path / "data", postgres_server.FORGETFUL, keep=False) as again,
        psycopg.connect(again) as session,
    ):
        assert session.execute("SELECT number FROM mark").fetchall() == [(7,)]
    assert not (tmp_path / "data").exists()


@pytest.mark.system
def test_the_database_listens_on_no_network_address_and_lets_nobody_else_in(tmp_path: Path) -> None:
    with postgres_server.running(tmp_path / "data", postgres_server.FORGETFUL, keep=False) as uri, psycopg.connect(uri) as session:
        (addresses,) = session.execute("SHOW listen_addresses").fetchall()
        sockets = Path(session.info.host)

        assert addresses == ("",)
        assert sockets.stat().st_mode & 0o077 == 0
        assert session.info.server_version // 10000 == postgres_server.VERSION


@pytest.mark.system
def test_programs_that_their_user_cannot_reach_run_from_a_shelter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_server, "_reachable", lambda _: False)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    for _ in range(2):
        programs = postgres_server._programs(os.getuid())
        version = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True).stdout

        assert programs.is_relative_to(tmp_path)
        assert version.startswith(f"postgres (PostgreSQL) {postgres_server.VERSION}.")


@pytest.mark.system
def test_a_shelter_that_anybody_can_fill_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_server, "_reachable", lambda _: False)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    made = tmp_path / f"gridledger-postgres-{postgres_server.installed()}"
    made.mkdir()
    made.chmod(0o777)
    with pytest.raises(postgres_server.Unavailable, match="is not ours"):
        postgres_server._programs(os.getuid())


@pytest.mark.system
def test_the_path_of_the_data_may_be_long(tmp_path: Path) -> None:
    data = tmp_path / ("x" * 100) / "data"
    with postgres_server.running(data, postgres_server.FORGETFUL, keep=False) as uri, psycopg.connect(uri) as session:
        assert session.execute("SELECT 1").fetchall() == [(1,)]


@pytest.mark.system
def test_a_database_that_does_not_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(postgres_server.Unavailable, match="no_such_setting"),
        postgres_server.running(tmp_path / "data", {"no_such_setting": "1"}, keep=False),
    ):
        pass


def test_what_a_child_leaves_behind_is_ours_and_is_buried() -> None:
    program = f"""
import os, subprocess, time, psutil
from {process.__name__.rpartition(".")[0]} import process
process.adopt_orphans()
subprocess.run(["sh", "-c", "sleep 0.1 & exit 0"], check=True)
assert len(psutil.Process().children()) == 1
time.sleep(0.3)
assert [each.status() for each in psutil.Process().children()] == [psutil.STATUS_ZOMBIE]
process.bury()
assert psutil.Process().children() == []
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30, env=environment)
