"""Views in memory."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from projections.memory import MemoryViews
from projections.row import Projection
from tests.contracts.views import *  # noqa: F403
from tests.contracts.views import NewViews


@pytest.fixture
def new_views() -> NewViews:
    @asynccontextmanager
    async def empty(*projections: Projection) -> AsyncGenerator[MemoryViews, None]:
        yield MemoryViews(*projections)

    return empty
