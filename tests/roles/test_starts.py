"""A process that cannot do its role's work says so in one line, and ends."""

from pathlib import Path

import pytest

from adapters.files.home import Home, Settings
from tests.system.test_server import gridledger

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

NOBODY = "postgresql://127.0.0.1:1/nothing"


def refusal(*arguments: str, **environment: str) -> str:
    done = gridledger("serve", *arguments, "--port", "0", **environment)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert (done.returncode, len(lines)) == (3, 1), done.stderr
    return lines[0]


def test_a_role_needs_a_database_that_others_reach(tmp_path: Path) -> None:
    Home(tmp_path).keep(Settings(log="ab" * 16))

    assert "role projector needs a database that all roles reach" in refusal(str(tmp_path), "--role", "projector")
    assert "refused" in refusal(str(tmp_path), "--role", "api", GRIDLEDGER_DATABASE_URL=NOBODY)
