"""A ledger's directory of the test's own, and the real server on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.faults.site import Site


@pytest.fixture
def site(tmp_path: Path, database: str, free_port: int) -> Site:
    """A new ledger in the test's own database."""
    from tests.faults.site import Site

    return Site(tmp_path / "ledger", free_port, database)
