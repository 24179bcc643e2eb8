"""The command line: one line and a status for each mistake, and nothing done."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

SIGNED = ["--number", "2", "--account", "account-4", "--log", "ab" * 16, "--chain-id", "31337", "--key", "none.key"]
MISTAKES = {
    "no such command": ["frobnicate"],
    "a missing argument": ["verify"],
    "two brokers": ["kafka", "start", "--brokers", "2"],
    "a size that is none": ["demo", "--size", "12"],
    "a number out of bounds": ["demo", "--frames", "0"],
    "a policy that is none": ["init", "ledger", "--policy", "mine"],
    "a chain without contracts": ["init", "ledger", "--rpc-url", "http://127.0.0.1:9"],
    "no ledger there": ["serve", "nowhere"],
    "a role that is none": ["serve", "nowhere", "--role", "boss"],
    "no scene there": ["submit", "none.xml", "--api-key", "x"],
    "a price that is none": ["submit", "none.xml", "--api-key", "x", "--limit-price", "1e3"],
    "a worker that is none": ["worker", "run", "worker-1"],
    "a configuration for everybody": ["worker", "import", "open.toml"],
    "a bundle that is none": ["explain", "job-1", "--bundle", "nowhere"],
    "no admin's key": ["override", "status"],
    "an approval of nobody's": ["override", "release", "--reason", "checked", "--approval", "me", "--directory", "nowhere"],
    "a reason in prose": ["override", "approve", "release", "--reason", "all well", *SIGNED],
    "an approval with no key": ["override", "approve", "release", "--reason", "checked", *SIGNED],
    "a version that is none": ["stream", "job-1", "--version", "0"],
    "no server's address": ["log", "head", "--server", ""],
    "a server without a scheme": ["job", "list", "--server", "127.0.0.1:8080"],
    "an export that is none": ["export", "letters"],
    "a format that is none": ["export", "journal", "--format", "pdf"],
    "a statement of nobody": ["export", "statement"],
    "a bundle up to a position": ["export", "bundle", "--as-of", "5"],
    "no place of a log": ["log", "head", "nonsense:x"],
    "no objects there": ["log", "check", "objects:nowhere"],
    "no database there": ["log", "head", "postgresql://127.0.0.1:9/none"],
    "nobody listens": ["log", "head", "--server", "http://127.0.0.1:9"],
}
UNANSWERED = [["status"], ["stream", "job-1"], ["export", "journal"]]
"""What asks again, as long as a server may need to come back."""


def gridledger(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gridledger", *arguments]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(folder / "config"), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=60, check=False)


def refused(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 3, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("gridledger: ")


@pytest.mark.parametrize("arguments", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_a_status_and_changes_nothing(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "open.toml").write_text("server = 1")
    done = gridledger(*arguments, folder=tmp_path)

    refused(done)
    assert [file.name for file in tmp_path.iterdir()] == ["open.toml"]


def test_who_is_not_answered_says_so(tmp_path: Path) -> None:
    with ThreadPoolExecutor(len(UNANSWERED)) as pool:  # each waits for the same time, and for nothing else
        found = list(pool.map(lambda asked: gridledger(*asked, "--server", "http://127.0.0.1:9", folder=tmp_path), UNANSWERED))

    for done in found:
        refused(done)
        assert "no answer" in done.stderr


def test_what_is_no_bundle_is_bad_input_for_verify(tmp_path: Path) -> None:
    done = gridledger("verify", "nowhere", "--json", folder=tmp_path)

    assert done.returncode == 3
    assert '"error":' in done.stdout


def test_each_command_says_what_it_is_for(tmp_path: Path) -> None:
    commands = (
        "init",
        "serve",
        "demo",
        "submit",
        "job",
        "worker",
        "checker",
        "verify",
        "explain",
        "export",
        "log",
        "override",
        "projection",
        "doctor",
    )
    text = gridledger("--help", folder=tmp_path).stdout

    assert [name for name in commands if f" {name} " not in text] == []
