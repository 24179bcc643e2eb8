"""Brokers for development, by their commands."""

import json
from pathlib import Path

import pytest

from tests.system.test_server import gridledger
from tests.test_process import gone

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def test_brokers_are_started_told_of_and_stopped(tmp_path: Path) -> None:
    place = ("--directory", str(tmp_path / "brokers"))
    nothing = gridledger("kafka", "status", *place)
    started = gridledger("kafka", "start", *place, "--json")
    first = json.loads(gridledger("kafka", "status", *place, "--json").stdout)
    again = gridledger("kafka", "start", *place, "--json")
    other = gridledger("kafka", "start", "--brokers", "3", *place)
    same = json.loads(gridledger("kafka", "status", *place, "--json").stdout)
    stopped = gridledger("kafka", "stop", *place, "--json")
    after = gridledger("kafka", "status", *place)
    twice = gridledger("kafka", "stop", *place, "--json")

    assert (nothing.returncode, nothing.stdout) == (1, f"there is no cluster in {tmp_path / 'brokers'}\n")
    assert started.returncode == 0, started.stderr
    assert json.loads(started.stdout) == {"bootstrap": first[0]["address"], "brokers": 1}
    assert again.stdout == started.stdout
    assert same == first, "who runs is left alone"
    assert (other.returncode, other.stderr.count("\n")) == (3, 1)
    assert "holds a cluster of 1 brokers, not of 3: name another folder with --directory" in other.stderr
    assert json.loads(stopped.stdout) == {"stopped": 1}
    assert gone(first[0]["pid"])
    assert (after.returncode, after.stdout) == (1, f"broker 1 at {first[0]['address']} does not run\n")
    assert json.loads(twice.stdout) == {"stopped": 0}
