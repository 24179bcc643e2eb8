"""The drill on other logs than its own: another policy, second looks, elections, changed rules."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from auditor.drill import drill as drills
from tests import network
from tests.auditor import forging, test_lives
from tests.domain import test_ends
from tests.network import Network

pytestmark = pytest.mark.system

LOGS: dict[str, Callable[[], Network]] = {
    "by the standard policy": lambda: network.populated("standard")[0],
    "with an election": test_ends.elected,
    "with changed rules": lambda: test_lives.ruled("standard"),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", LOGS)
def test_whatever_has_a_place_in_a_log_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(test_ends, "Network", test_lives.Signing)
    done = drills.drill(forging.bundle(tmp_path / "b", of=LOGS[name]()), range(1), jobs=os.cpu_count() or 1)

    assert {row.fraud: row.missed for row in done.rows if row.missed} == {}
    assert {row.fraud for row in done.rows if row.shown_by and row.unseen < row.seeds} == set()
    assert done.tried > 20
