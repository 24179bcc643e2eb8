"""A server's directory from its beginning: init, serve, look, rebuild, stop, start again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

GRIDLEDGER = [sys.executable, "-m", "gridledger"]
START_S_MAX = 60


def gridledger(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*GRIDLEDGER, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **environment})


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """The server as a process; its address. Ends by SIGTERM, and must end well."""
    with (directory.parent / "serve.log").open("ab") as output:
        server = subprocess.Popen([*GRIDLEDGER, "serve", str(directory), "--port", "0"], stdout=output, stderr=output)
        until, file = time.monotonic() + START_S_MAX, directory / "server.url"
        while not file.is_file() and server.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        try:
            yield file.read_text().strip()
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(30) == 0, (directory.parent / "serve.log").read_text()[-3000:]


def head(url: str) -> dict[str, int | str]:
    for _ in range(100):
        done = gridledger("log", "head", "--json", "--server", url)
        if done.returncode == 0:
            facts: dict[str, int | str] = json.loads(done.stdout)
            return facts
        time.sleep(0.1)
    raise AssertionError(done.stderr)


def test_a_ledger_outlives_its_server_and_a_view_is_rebuilt_while_it_serves(tmp_path: Path) -> None:
    directory = tmp_path / "ledger"
    assert gridledger("init", str(directory), "--policy", "demo").returncode == 0
    with serving(directory) as url:
        first, address = head(url), url
        told = [json.loads(line) for line in (tmp_path / "serve.log").read_text().splitlines()]
        rebuilt = gridledger("projection", "rebuild", "balances", "--directory", str(directory), "--json")
        unknown = gridledger("projection", "rebuild", "nothing", "--directory", str(directory))
        again = gridledger("init", str(directory))
        second_server = gridledger("serve", str(directory), "--port", "0")
    with serving(directory) as url:
        second = head(url)

    assert f"all serves at {address}" in [each["event"] for each in told]
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert json.loads(rebuilt.stdout)["projection"] == "balances"
    assert (unknown.returncode, len(unknown.stderr.splitlines())) == (3, 1)
    assert (second_server.returncode, len(second_server.stderr.splitlines())) == (3, 1), "one server for a directory"
    assert (again.returncode, len(again.stderr.splitlines())) == (3, 1)
    assert int(second["size"]) == int(first["size"]) + 1, "an election, and nothing else"


@pytest.mark.parametrize("url", ["postgresql://127.0.0.1:1/nothing", "nonsense"])
def test_a_ledger_that_could_not_begin_leaves_a_directory_in_which_one_can(tmp_path: Path, url: str) -> None:
    directory = tmp_path / "ledger"
    failed = gridledger("init", str(directory), "--database-url", url)
    again = gridledger("init", str(directory))

    assert (failed.returncode, len(failed.stderr.splitlines())) == (3, 1)
    assert again.returncode == 0, again.stderr


def test_keys_and_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "ledger"
    assert gridledger("init", str(directory)).returncode == 0

    assert {file.stat().st_mode & 0o777 for file in (directory / "keys").iterdir()} == {0o600}
    assert len(list((directory / "keys").iterdir())) == 14
