"""The example runs on each ledger by changing one variable."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BANK = Path(__file__).parents[2] / "examples" / "bank" / "bank.py"
ALL = "Ann 70.00, Bob 30.00, 27 events\n"


def bank(**environment: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(BANK.parents[2]), **environment}
    done = subprocess.run([sys.executable, str(BANK)], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.checkout
def test_the_example_is_short_and_runs_in_memory() -> None:
    assert len(BANK.read_text().splitlines()) <= 60
    assert bank(PERSISTENCE_MODULE="adapters.library.memory") == ALL


@pytest.mark.checkout
@pytest.mark.system
def test_it_runs_on_postgresql_and_kafka_again_and_again(database: str, kafka: str, topic: str) -> None:
    where = {"GRIDLEDGER_DATABASE_URL": database, "GRIDLEDGER_KAFKA_BOOTSTRAP": kafka, "GRIDLEDGER_PREFIX": f"{topic}_"}
    for module in ("adapters.library.postgres", "adapters.library.kafka"):
        assert [bank(PERSISTENCE_MODULE=module, **where) for _ in range(2)] == [ALL, ALL]
