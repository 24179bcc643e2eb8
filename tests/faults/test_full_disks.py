"""Disks without room: for the database, for objects, for snapshots. Real ones, small and in memory, in a mount namespace of the test's
own (an ordinary user gets one by way of a user namespace)."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.site import ROOT

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where also whom PostgreSQL runs as may enter."""
    made = Path(tempfile.mkdtemp(prefix="gridledger-full-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def facts(what: str, folder: Path, port: int) -> dict[str, Any]:
    apart = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    command = [*apart, sys.executable, "-m", "tests.faults.full", what, str(folder), str(port)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_without_room_for_the_database_commands_wait_and_none_is_lost(folder: Path, free_port: int) -> None:
    found = facts("database", folder, free_port)

    assert found["findings"] == []
    assert set(found["statuses"]) & {503, 504}
    assert found["alive"] == [200, True]
    assert found["same server"]
    assert found["counts"]["unknown for ever"] == 0
    assert found["back_s"] < 30


def test_without_room_for_objects_uploads_are_refused_and_the_ledger_lives(folder: Path, free_port: int) -> None:
    found = facts("objects", folder, free_port)

    assert found["refusals"] == [[507, "store_full"]] * 2
    assert found["problem"]["media"] == "application/problem+json"
    assert (found["problem"]["status"], found["problem"]["code"], found["problem"]["retryable"]) == (507, "store_full", True)
    assert [name for name in found["left"] if not name.endswith("/about")] == []
    assert found["alive"]
    assert found["small one"]


def test_without_room_for_a_snapshot_the_old_ones_stay_and_the_server_lives(folder: Path, free_port: int) -> None:
    found = facts("snapshot", folder, free_port)

    assert (found["first"], found["again"]) == (0, 0)
    assert found["full"] > 0
    assert found["killed"] == -9
    assert found["unchanged when full"]
    assert found["kept when killed"]
    assert found["findings"] == []
