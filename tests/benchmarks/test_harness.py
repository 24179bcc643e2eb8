"""The harness does not rot: a few figures, at full length in nothing but what they look at."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks import checks, rounds, table, workers
from benchmarks.figures import transfers
from benchmarks.rounds import Figure, Goal, Options, Side

pytestmark = [pytest.mark.checkout]

ROOT = Path(__file__).parents[2]


def figure(*ours: float, peer: tuple[float, ...] = (), fault: str = "", sense: str = "at least") -> Figure:
    values, others = iter(ours), iter(peer)
    goal = Goal(2, 3, sense=sense)  # type: ignore[arg-type]
    other = (lambda _: Side(next(others))) if peer else None
    return rounds.alternate("G0", "nothing", "/s", goal, len(ours), lambda _: Side(next(values), {"a check": fault}), other, "nobody")


def test_a_figure_is_the_median_of_ratios_of_rounds_that_stand_beside_each_other() -> None:
    it = figure(10, 20, 60, peer=(5, 10, 10))

    assert it.ratios == [2, 2, 6]
    assert it.verdict == "must"
    assert "| 2 (2–6)× |" in table.row(it)


def test_a_figure_whose_check_fails_is_no_figure() -> None:
    assert figure(10, fault="a receipt is missing").verdict == "failed"
    assert "failed its checks" in table.row(figure(10, fault="a receipt is missing"))


@pytest.mark.parametrize(("value", "verdict"), [(1, "stretch"), (2, "stretch"), (2.5, "missed")])
def test_at_most_is_the_other_way_round(value: float, verdict: str) -> None:
    it = figure(value, sense="at most")
    it.goal = Goal(2, 2, sense="at most")

    assert it.verdict == verdict


def test_a_receipt_that_the_log_does_not_have_byte_for_byte_is_missed() -> None:
    lines = {7: b'{"pos":7}'}

    assert checks.missing(lines, [b'{"position":7,"events":[{"pos":7}]}']) == ""
    assert "7" in checks.missing(lines, [b'{"position":7,"events":[{"pos":8}]}'])
    assert "8" in checks.missing(lines, [b'{"position":8,"events":[{"pos":7}]}'])


def test_the_table_replaces_what_the_last_run_wrote_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")

    table.write("new", page)

    assert page.read_text() == f"before\n{table.BEGIN}\n\nnew\n\n{table.END}\nafter\n"


def test_a_figure_that_breaks_loses_neither_the_others_nor_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_: Options) -> Iterator[Figure]:
        yield figure(1)
        raise RuntimeError("no\nspace")

    monkeypatch.setattr(bench, "FIGURES", {"G1": breaks, "G2": lambda _: iter([figure(2)])})

    found, broken = bench.measure(["G1", "G2"], Options(rounds=1, quick=True))

    assert [each.ours for each in found] == [[1], [2]]
    assert broken == ["G1 broke: RuntimeError: no space"]
    text = table.table(found, {}, "today", broken)
    assert "* G1 broke: RuntimeError: no space" in text
    assert text.count(": missed") == 1


@pytest.mark.parametrize("asked", [["--rounds", "4"], ["--quick", "--rounds", "0"]])
def test_too_few_rounds_are_refused(asked: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", *asked])

    with pytest.raises(SystemExit, match="2"):
        bench.main()

    assert f"--rounds {asked[-1]}" in capsys.readouterr().err


def test_a_peer_that_dies_says_how_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PEER_PYTHON", Path(sys.executable))

    with pytest.raises(workers.PeerFailed, match=r"status 2.*No such file"):
        workers.run("nobody", [{}, {}], tmp_path)


@pytest.mark.system
@pytest.mark.timeout(120)
def test_figures_come_about_and_their_checks_hold(tmp_path: Path) -> None:
    """Those that need no peer: only `make bench` installs them."""
    found, figures = tmp_path / "figures.json", ["G8", "G15"]
    command = [sys.executable, "-m", "benchmarks", *figures, "--quick", "--rounds", "1", "--json", str(found)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)

    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(found.read_text())
    assert [each["id"] for each in told["figures"]] == figures
    assert all(each["verdict"] != "failed" for each in told["figures"])
    assert told["versions"]["python"]


@pytest.mark.system
@pytest.mark.timeout(120)
def test_a_round_of_transfers_loses_nothing_when_the_server_is_killed() -> None:
    with transfers.bench(Options(rounds=1, quick=True)) as it:
        saw, found = it.ours(4)

    assert saw.done > 0
    assert saw.refusals + saw.retries > 0
    assert {name: fault for name, fault in found.items() if fault} == {}
    assert {checks.BALANCE, checks.DENSE, checks.ACKNOWLEDGED} <= set(found)
