"""The library's own cases, on a ledger in Kafka."""

import pytest

from tests.contracts.library import *  # noqa: F403
from tests.contracts.recording import *  # noqa: F403
from tests.contracts.sharing import *  # noqa: F403

pytestmark = pytest.mark.system


@pytest.fixture
def library_env(kafka: str, topic: str) -> dict[str, str]:
    return {"PERSISTENCE_MODULE": "adapters.library.kafka", "GRIDLEDGER_KAFKA_BOOTSTRAP": kafka, "GRIDLEDGER_PREFIX": f"{topic}_"}
