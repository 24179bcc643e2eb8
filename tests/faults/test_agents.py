"""Workers and checkers are killed at each phase of their work, in a whole network of real processes: the work goes on by itself, and ends
as the demo does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.agent import AFTER, BEFORE
from tests.faults.site import ROOT
from tests.faults.tragedy import FATES

pytestmark = [pytest.mark.system, pytest.mark.timeout(260)]


def test_the_work_of_agents_that_die_at_each_phase_goes_on_by_itself(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.faults.tragedy", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])

    assert found["missing"] == []
    assert found["honest convicted"] == []
    assert {name: sorted(places) for name, places in found["deaths"].items()} == {name: sorted(places) for name, places in FATES.items()}
    assert sorted(place for fate in FATES.values() for place in fate) == sorted([*BEFORE, *AFTER]), "somebody dies at every phase"
