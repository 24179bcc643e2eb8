"""`gridledger drill`, as people run it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from auditor.drill.drill import FRAUDS
from tests.auditor import forging
from tests.drill import lives

pytestmark = pytest.mark.system


def drill(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gridledger", "drill", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


def test_one_seed_of_every_fraud_is_a_table_and_a_verdict(tmp_path: Path) -> None:
    done = drill(str(lives.bundle(tmp_path / "b")), "--seed", "7", "--jobs", "2")
    lines = done.stdout.splitlines()

    assert (done.returncode, done.stderr) == (0, "")
    assert [line[:32].rstrip() for line in lines[1:-2]] == [fraud.name for fraud in FRAUDS]
    assert lines[-2].startswith(f"{len(FRAUDS)} of {len(FRAUDS)} frauds")
    assert "the scene" in lines[-1]


def test_a_log_without_a_place_for_some_is_drilled_with_the_others(tmp_path: Path) -> None:
    path = str(forging.bundle(tmp_path / "b"))
    done, shown = drill(path, "--seeds", "1", "--json"), drill(path, "--seeds", "1")
    drilled = json.loads(done.stdout)

    assert done.returncode == 0
    assert drilled["tried"] == drilled["caught"]
    assert {row["fraud"] for row in drilled["rows"] if not row["seeds"]} == {
        "pay a late proof",
        "override by one person",
        "move frozen money",
    }
    assert "3 kinds had no place in this log" in shown.stdout


@pytest.mark.parametrize("what", ["nothing", "forged"])
def test_what_is_no_honest_bundle_is_refused_in_one_line(tmp_path: Path, what: str) -> None:
    if what == "forged":
        blocks = forging.opened(forging.life().records)
        forging.find(blocks, "task.leased")["event"]["candidates"] = 9
        forging.bundle(tmp_path / what, records=forging.sealed(blocks))
    done = drill(str(tmp_path / what))

    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
