"""A short run of what `make chaos` does for as long as one likes, and bugs that its checks must find."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.chaos import bugs, deeds, planted
from tests.faults.site import ROOT

pytestmark = [pytest.mark.system, pytest.mark.alone, pytest.mark.timeout(600)]
WAIT_S_MAX = 480.0


def started(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str]) -> Any:
    said, complaint = process.communicate(timeout=WAIT_S_MAX)
    assert said, complaint[-3000:]
    return json.loads(said.splitlines()[-1])


def test_rivals_brokers_and_topics_suffer_and_nothing_is_lost_or_done_twice() -> None:
    short = ("tests.chaos", "--minutes", "0", "--seed", "1")
    one = started(*short, "--brokers", "1", "--faults", str(len(deeds.DRAWN)), "--endings", "deleted")
    three = started(*short, "--brokers", "3", "--faults", "4", "--endings", "compacted")
    try:
        with_one, with_three = told(one), told(three)
    finally:
        for each in (one, three):
            each.terminate()
            each.wait(30)

    for facts, process in ((with_one, one), (with_three, three)):
        assert facts["findings"] == []
        assert process.returncode == 0
        assert facts["acknowledged"] > 100
        assert facts["blocks answered lost"] > 0, "rivals are in each other's way"
        assert facts["void records, stale"] > 0
        assert facts["records compared"] > 5 * facts["blocks in the log"]
    assert set(deeds.DRAWN) <= set(with_one), "each kind of fault"
    assert with_one["brokers that went down without room"] == 1, with_one["full disks are"]


def test_each_planted_bug_is_found() -> None:
    hunt = started("tests.chaos.bugs", "--json")
    try:
        caught = told(hunt)
    finally:
        hunt.terminate()
        hunt.wait(30)

    assert {each["name"] for each in caught} == {*planted.BUGS}
    assert [each for each in caught if not each["found"]] == []
    assert max(each["seconds"] for each in caught) < bugs.CAUGHT_S_MAX
    assert hunt.returncode == 0
