"""A short run of what `make soak` does by the thousand, and bugs that its checker must find."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.faults.site import ROOT
from tests.soak.writer import BUGS

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def kills(*arguments: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "tests.soak.kills", "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout, done.stderr[-3000:]
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_sixty_writers_and_five_databases_die_and_nothing_is_lost_or_done_twice() -> None:
    status, facts = kills("--writers", "60", "--databases", "5", "--seed", "1")

    assert facts["findings"] == []
    assert status == 0
    assert (facts["writer kills"], facts["PostgreSQL kills"]) == (60, 5)
    assert facts["acknowledged"] > 300
    assert facts["receipts compared"] > facts["acknowledged"], "the same key gives the same receipt"
    assert facts["unknown at least once"] > 20


@pytest.mark.parametrize(
    ("bug", "more", "said"),
    [
        ("answer early", ("--writers", "15", "--databases", "0"), ("acknowledged and is not in the log",)),
        ("forget receipts", ("--writers", "15", "--databases", "0"), ("was done and was refused",)),
        # A writer that finds out that what it led to is not in the log ends.
        ("swallow silence", ("--writers", "0", "--databases", "3"), ("in the log", "ended by itself")),
    ],
)
def test_a_planted_bug_is_found(bug: str, more: tuple[str, ...], said: tuple[str, ...]) -> None:
    assert bug in BUGS
    status, facts = kills("--bug", bug, "--seed", "1", *more)

    assert status == 1
    assert any(each in finding for each in said for finding in facts["findings"]), facts["findings"][:5]
