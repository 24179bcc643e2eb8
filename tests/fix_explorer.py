"""One browser, and one server of the explorer with a page of every kind, for all tests of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.explorer.served import Served


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    from tests.explorer.served import browser

    with browser() as launched:
        yield launched


@pytest.fixture(scope="module")
def explorer() -> Iterator[Served]:
    """Of a ledger on which a job was done, checked and paid, and another is half done."""
    from tests.explorer.served import free_port, served, whole

    with served(free_port(), whole()) as it:
        yield it
