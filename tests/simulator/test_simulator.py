"""Whatever is lost, doubled, delayed, cut, killed, paused or reorganised: no judge finds anything, and everything settles. Judges that
find nothing are known to be able to find something: planted bugs, one after the other, and each is caught."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.simulator import script as scripts
from tests.simulator.__main__ import Tally
from tests.simulator.bugs.catalog import BUGS
from tests.simulator.bugs.planted import CPU_S_MAX, Bug, hunt
from tests.simulator.play import Result, play
from tests.simulator.script import KINDS, Script, of_seed

# A run collects garbage when it ends, also what tests before it left.
pytestmark = [pytest.mark.system, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]

T = TypeVar("T")
ROOT = Path(__file__).parent.parent.parent
STEPS_MIN, STEPS_PER_S_MIN = 200_000, 5_000
FOUND = sorted((Path(__file__).parent / "found").glob("*.json"))
CLEAN = dict[tuple[int, str, int], Result]()


def clean(bug: Bug) -> Result:
    """A run of the product as it is; each script once."""
    key = bug.seed, bug.also, bug.every_s
    if key not in CLEAN:
        CLEAN[key] = play(bug.script())
    return CLEAN[key]


def test_nothing_is_found_in_two_hundred_thousand_steps_every_fault_fires_and_everything_settles(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tally, seed = Tally(), 1_000
    while tally.steps < STEPS_MIN or not set(KINDS) <= {kind for kind, count in tally.faults.items() if count}:
        tally.add(seed, play(of_seed(seed)))
        seed += 1
        assert seed < 1_100, f"never happened: {set(KINDS) - set(tally.faults)}"
    summary = tally.summary()
    with capsys.disabled():
        sys.stdout.write(f"\nsimulator: {summary}\n")

    assert tally.findings == []
    assert summary["steps_per_s"] >= STEPS_PER_S_MIN
    assert tally.settled["completed"] > tally.seeds / 2
    assert tally.settled["payouts paid"] > tally.seeds


def test_a_seed_does_the_same_twice_and_in_another_process_with_other_hashes() -> None:
    seed = 5
    code = f"from tests.simulator.play import play; from tests.simulator.script import of_seed; print(play(of_seed({seed})).trace)"
    for hashes in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hashes}
        other = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60
        )

        assert other.stdout.strip() == play(of_seed(seed)).trace


@pytest.mark.parametrize("nothing", [("--seconds", "0"), ("--seconds", "-1"), ("--seeds", "-1")])
def test_a_run_of_nothing_is_no_success(nothing: tuple[str, str]) -> None:
    done = subprocess.run([sys.executable, "-m", "tests.simulator", *nothing], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


@pytest.mark.parametrize("file", FOUND, ids=lambda file: file.stem)
def test_what_was_found_once_is_not_found_again(file: Path) -> None:
    assert play(scripts.read(file.read_bytes())).finding == ""


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.patches.__name__)
def test_a_planted_bug_is_caught_by_the_judge_that_is_made_for_it_and_the_product_is_clean(bug: Bug) -> None:
    caught = hunt(bug)

    assert caught.judge, caught.result.finding or "nobody found it"
    assert caught.cpu_s < CPU_S_MAX
    assert clean(caught.bug).finding == ""


def test_there_are_enough_planted_bugs() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 30


def test_a_failing_script_shrinks_to_what_it_takes() -> None:
    whole = of_seed(3)
    needed = (whole.entries[4], whole.entries[-3])
    small = scripts.shrunk(whole, lambda each: set(needed) <= set(each.entries) and each.number == whole.number)

    assert small.entries == needed
    assert (small.lost, small.twice, small.slow) == (0, 0, 0)
    assert scripts.read(scripts.write(small)) == small


class Drawing:
    """`tests.deeds.Draw` by Hypothesis, which then makes what fails smaller."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data

    def choice(self, seq: Sequence[T]) -> T:
        return self.data.draw(st.sampled_from(seq))

    def randint(self, a: int, b: int) -> int:
        return self.data.draw(st.integers(a, b))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
@given(st.data())
def test_hypothesis_draws_the_same_deeds_and_faults_and_finds_nothing(data: st.DataObject) -> None:
    assert play(scripts.drawn(Drawing(data), seconds=20)).finding == ""


def smooth(seed: int) -> Script:
    """Without a fault."""
    whole = of_seed(seed)
    deeds = tuple(each for each in whole.entries if each.what in scripts.DEEDS)
    return Script(whole.number, workers=4, entries=deeds)


def test_without_faults_most_jobs_are_completed_and_nobody_is_convicted() -> None:
    result = play(smooth(4))

    assert result.finding == ""
    assert result.settled["completed"] >= 3
    assert "convictions" not in result.settled
    assert not set(result.fired) & set(scripts.FAULTS)
