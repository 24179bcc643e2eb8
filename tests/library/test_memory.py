"""The library's own cases, on a ledger in memory."""

import pytest

from tests.contracts.library import *  # noqa: F403
from tests.contracts.recording import *  # noqa: F403

pytestmark = pytest.mark.system


@pytest.fixture
def library_env() -> dict[str, str]:
    return {"PERSISTENCE_MODULE": "adapters.library.memory"}
