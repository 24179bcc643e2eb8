"""The harness does not rot: a few figures, at full length in nothing but what they look at."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks import checks, rounds, table, workers
from benchmarks.figures import transfers
from benchmarks.results import Results, Run
from benchmarks.rounds import Figure, Goal, Options, Side
from domain.log.block import Sealed, accept
from domain.log.log import MemoryLog
from domain.log.merkle import Head
from domain.units import Units
from tests import network
from tests.network import Network

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
    assert "| 2 (2–6)× |" in table.row(it, "a")


def test_a_figure_whose_check_fails_is_no_figure() -> None:
    assert figure(10, fault="a receipt is missing").verdict == "failed"
    assert "failed its checks" in table.row(figure(10, fault="a receipt is missing"), "a")


@pytest.mark.parametrize(("value", "verdict"), [(1, "stretch"), (2, "stretch"), (2.5, "missed")])
def test_at_most_is_the_other_way_round(value: float, verdict: str) -> None:
    it = figure(value, sense="at most")
    it.goal = Goal(2, 2, sense="at most")

    assert it.verdict == verdict


def test_a_receipt_that_the_log_does_not_have_byte_for_byte_is_missed() -> None:
    lines = {7: b'{"pos":7}', 9: b'{"pos":9}', 10: b'{"pos":10}'}

    assert checks.missing(lines, [b'{"position":7,"events":[{"pos":7}]}', b'{"position":9,"events":[{"pos":9},{"pos":10}]}']) == ""
    assert "8" in checks.missing(lines, [b'{"position":7,"events":[{"pos":7},{"pos":8}]}']), "each of its events is looked for"
    assert "10" in checks.missing(lines, [b'{"position":9,"events":[{"pos":9},{"pos":11}]}'])
    assert "7" in checks.missing(lines, [b'{"position":7,"events":[{"pos":8}]}'])
    assert "8" in checks.missing(lines, [b'{"position":8,"events":[{"pos":7}]}'])


def test_the_table_replaces_what_the_last_run_wrote_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")

    table.write("new", page)

    assert page.read_text() == f"before\n{table.BEGIN}\n\nnew\n\n{table.END}\nafter\n"


def named(id: str, *ours: float) -> Figure:
    it = figure(*ours)
    it.id = id
    return it


def measured(
    found: Results, when: str, names: list[str], row_s_max: float = 10.0, run_s_max: float = 20.0, kept: list[str] | None = None
) -> bool:
    found.begin(Run(when, {"commit": f"of-{when}"}))
    allowed = bench.Time(row_s_max, run_s_max)
    return bench.measure(
        names, Options(rounds=1, quick=True), allowed, found, when, lambda: None if kept is None else kept.append(table.table(found))
    )


def test_a_figure_that_breaks_loses_neither_the_others_nor_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_: Options) -> Iterator[Figure]:
        yield named("G1", 1)
        raise RuntimeError("no\nspace")

    monkeypatch.setattr(bench, "FIGURES", {"G1": breaks, "G2": lambda _: iter([named("G2", 2)])})
    found, kept = Results(), list[str]()

    assert not measured(found, "today", ["G1", "G2"], kept=kept)

    assert [each.figure.ours for each in found.rows] == [[1], [2]]
    assert "* G1 broke in run a: RuntimeError: no space" in table.table(found)
    assert table.table(found).count(": missed") == 1
    assert "| G1 |" in kept[0], "a row is kept as soon as it is there"
    assert "| G2 |" not in kept[0]


def test_a_run_of_some_figures_keeps_the_rows_of_the_others_with_their_own_date_and_commit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    values, file = iter([[2, 3], [4]]), tmp_path / "results.json"
    monkeypatch.setattr(
        bench,
        "FIGURES",
        {"G2": lambda _: (named("G2", each) for each in next(values)), "G10": lambda _: iter([named("G10", 1)])},
    )
    found = Results()
    assert measured(found, "monday", ["G10", "G2"])
    found.save(file)

    again = Results.load(file)
    assert measured(again, "tuesday", ["G2"])
    again.save(file)

    rows = [(each.figure.id, each.figure.ours, each.when) for each in Results.load(file).rows]
    assert rows == [("G2", [4], "tuesday"), ("G10", [1], "monday")]
    text = table.table(again)
    assert "* Run a: monday, 1 rows, 1 rounds or more each" in text
    assert "commit of-monday" in text
    assert "commit of-tuesday" in text


def test_what_broke_is_named_until_it_is_whole_again_and_earlier_rows_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    lives = iter([[named("G2", 1)], None, [named("G2", 2)]])

    def now(_: Options) -> Iterator[Figure]:
        if (figures := next(lives)) is None:
            raise RuntimeError("no peer")
        yield from figures

    monkeypatch.setattr(bench, "FIGURES", {"G2": now})
    found = Results()
    for day, whole, values in (("monday", True, [[1]]), ("tuesday", False, [[1]]), ("wednesday", True, [[2]])):
        assert measured(found, day, ["G2"]) is whole
        assert [each.figure.ours for each in found.rows] == values
        assert ("G2 broke in run b: RuntimeError: no peer" in table.table(found)) is not whole
    assert [run.when for run in found.shown()] == ["wednesday"]


def test_a_figure_that_hangs_ends_at_its_limit_is_named_and_cleans_up(monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned = list[bool]()

    def hangs(_: Options) -> Iterator[Figure]:
        try:
            threading.Event().wait()
        except Exception:
            pytest.fail("no `except Exception` on the way may take it")
        finally:
            cleaned.append(True)
        yield named("G1", 1)

    monkeypatch.setattr(bench, "FIGURES", {"G1": hangs, "G2": lambda _: iter([named("G2", 2)])})
    found, began = Results(), time.monotonic()

    assert not measured(found, "today", ["G1", "G2"], row_s_max=0.1)

    assert time.monotonic() - began < 5
    assert cleaned == [True]
    assert [each.figure.id for each in found.rows] == ["G2"]
    assert "G1 broke in run a: TooLong: it was not done within 0 s" in table.table(found)


def test_what_is_not_measured_when_the_runs_time_is_over_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def takes_long(_: Options) -> Iterator[Figure]:
        time.sleep(0.1)
        yield named("G1", 1)
        time.sleep(0.2)

    monkeypatch.setattr(bench, "FIGURES", {"G1": takes_long, "G2": lambda _: iter([named("G2", 2)])})
    found = Results()

    assert not measured(found, "today", ["G1", "G2"], run_s_max=0.2)

    assert [each.figure.id for each in found.rows] == ["G1"]
    assert "G2 broke in run a: TooLong: not measured: the run's time was over" in table.table(found)


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


async def test_a_log_that_lost_its_end_is_not_what_was_acknowledged() -> None:
    it = Network("demo", signs=False)
    it.person("creator", funds=10)
    log, head = MemoryLog(), Head(network.LOG)
    for record in it.records[:-1]:
        before, head = head, accept(head, record).after
        await log.append(Sealed(before, head, record))

    found = await checks.folds(log, network.LOG, it.ledger.head)

    assert found[checks.BALANCE] == ""
    assert "which was acknowledged" in found[checks.ACKNOWLEDGED]


def test_accounts_that_do_not_sum_to_zero_are_found() -> None:
    it = Network("demo", signs=False)
    it.person("creator", funds=10)
    assert checks.unbalanced(it.ledger) == ""

    it.world.balances[next(iter(it.world.balances))] = Units(11)

    assert "usdc sums to" in checks.unbalanced(it.ledger)


FAKE_UMADB = """
import time
class Event:
    def __init__(self, *of): self.of = of
AppendCondition = Query = QueryItem = lambda *_, **__: None
class IntegrityError(Exception): pass
class Client:
    made = 0
    def __init__(self, url):
        Client.made += 1
        self.number = Client.made
    def head(self): return 0
    def append(self, events, condition):
        time.sleep(0.01)
        if self.number == {bad}: raise RuntimeError("this client lost its server")
"""


@pytest.mark.parametrize("bad", [0, 2])
def test_one_client_of_umadb_that_fails_fails_the_round(bad: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "umadb.py").write_text(FAKE_UMADB.replace("{bad}", str(bad)))
    monkeypatch.setattr(workers, "PEER_PYTHON", Path(sys.executable))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    plan = {"port": 1, "clients": 3, "seconds": 0.1, "warm_up_s": 0.05, "events": 1, "again": 0.05}

    if bad:
        with pytest.raises(workers.PeerFailed, match="this client lost its server"):
            workers.run("umadb_load", [plan], tmp_path)
    else:
        (saw,) = workers.run("umadb_load", [plan], tmp_path)
        assert saw["done"] > 3


@pytest.mark.system
@pytest.mark.timeout(120)
def test_figures_come_about_and_their_checks_hold(tmp_path: Path) -> None:
    """Those that need no peer: only `make bench` installs them."""
    found, figures = tmp_path / "figures.json", ["G8", "G15", "G22"]
    command = [sys.executable, "-m", "benchmarks", *figures, "--quick", "--rounds", "1", "--json", str(found)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)

    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(found.read_text())
    assert [each["figure"]["id"] for each in told["rows"]] == figures
    assert all(each["verdict"] != "failed" for each in told["rows"])
    assert told["runs"][0]["versions"]["python"]


@pytest.mark.system
@pytest.mark.timeout(120)
def test_a_round_of_transfers_loses_nothing_when_the_server_is_killed() -> None:
    with transfers.bench(Options(rounds=1, quick=True)) as it:
        saw, found = it.ours(4)

    assert saw.done > 0
    assert saw.refusals + saw.retries > 0
    assert {name: fault for name, fault in found.items() if fault} == {}
    assert {checks.BALANCE, checks.DENSE, checks.ACKNOWLEDGED} <= set(found)
