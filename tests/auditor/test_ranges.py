"""Ranges side by side: several processes say of a log what one says, of an honest one and of every forgery and damage that is tried."""

import inspect
from collections import Counter
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path
from random import Random

import pytest

from auditor import ranges
from auditor.bundle import Bundle
from auditor.ranges import Outcome, Range
from auditor.reading import Reader
from auditor.report import CHECKS, Findings
from auditor.state import State
from auditor.verify import verify
from domain.log.merkle import Head
from tests import deeds, network
from tests.auditor import (
    forging,
    sides,
    test_bundle,
    test_damage,
    test_every_field,
    test_evidence,
    test_forgeries,
    test_forms,
    test_heads,
    test_lives,
    test_offices,
    test_verify,
)
from tests.auditor.forging import Blocks
from tests.auditor.served import served
from tests.network import LOG

pytestmark = pytest.mark.system

WAYS = (test_forgeries, test_forms, test_damage)
TRIED = [
    each
    for module in WAYS
    for name, each in vars(module).items()
    if name.startswith("test_") and [*inspect.signature(each).parameters] == ["tmp_path"]
]


def handed_out(monkeypatch: pytest.MonkeyPatch) -> list[Range]:
    """The ranges that workers are given from now on."""
    given, submit = list[Range](), ranges.Line._submit

    def noted(line: ranges.Line, range_: Range) -> "Future[Outcome]":
        given.append(range_)
        return submit(line, range_)

    monkeypatch.setattr(ranges.Line, "_submit", noted)
    return given


def test_many_ranges_of_an_honest_life_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = handed_out(monkeypatch)
    life = network.life(frames=24)
    path = forging.bundle(tmp_path / "b", of=life)
    with served([], {}, forging.facts(life)) as url:
        report = sides.both(path, url)

    assert (report.exit, report.findings) == (0, ())
    assert len(given) > 10
    assert [it.until for it in given].count(0) == 1, "nobody had to go on alone"


@pytest.mark.parametrize("policy", ["demo", "standard"])
def test_many_ranges_of_a_random_life_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str) -> None:
    monkeypatch.setattr(deeds, "Network", test_lives.Signing)
    given = handed_out(monkeypatch)
    path = forging.bundle(tmp_path / "b", of=test_lives.random_life(11, 400, policy))

    assert sides.both(path).findings == ()
    assert [it.until for it in given].count(0) == 1


@pytest.mark.parametrize("row", test_forgeries.FORGERIES, ids=[row[0] for row in test_forgeries.FORGERIES])
def test_a_forgery_is_found_by_several_as_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: test_forgeries.Row) -> None:
    monkeypatch.setattr(test_forgeries, "verify", sides.both)
    test_forgeries.test_a_forgery_is_found_where_it_is(tmp_path, *row[1:])

    assert (tmp_path / "b").exists()


@pytest.mark.parametrize("test", TRIED, ids=lambda it: it.__name__.removeprefix("test_"))
def test_whatever_was_done_to_a_bundle_several_say_what_one_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, test: Callable[[Path], None]
) -> None:
    for module in WAYS:
        monkeypatch.setattr(module, "verify", sides.both)
    test(tmp_path)

    assert any(tmp_path.iterdir())


def test_a_ruined_log_is_the_same_ruin_for_several(tmp_path: Path) -> None:
    chance, exits = Random(5), set[int]()
    for number in range(40):
        path = forging.bundle(tmp_path / f"{number}", records=forging.sealed(test_every_field.ruined(chance)))
        exits.add(sides.both(path).exit)

    assert 1 in exits


def test_who_gets_lost_where_the_fold_does_not_goes_on_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forged log on which the house cannot go on: to fold it is no trouble, to ask what is due is."""
    given = handed_out(monkeypatch)

    def lose(blocks: Blocks) -> None:
        forging.find(blocks, "job.submitted")["event"]["build"] = "nobody-knows"

    report = sides.both(forging.bundle(tmp_path / "b", records=forging.forged(lose)))
    again = Counter(it.since for it in given)

    assert report.exit == 1
    assert "lifecycles" in {it.check for it in report.findings}
    assert [count for count in again.values() if count > 1] == [2]


def test_a_state_in_the_midst_of_things_goes_through_bytes_unchanged(tmp_path: Path) -> None:
    frozen = list[bytes]()
    with Bundle(forging.bundle(tmp_path / "b")) as bundle:
        state = State(Head(LOG))
        for taken in Reader(bundle, Findings()).blocks():
            state.fold(taken)
            frozen.append(state.freeze())

    assert [State.thaw(each).freeze() for each in frozen] == frozen
    assert any(State.thaw(each).regions.reveals for each in frozen)
    assert any(len(State.thaw(each).seals.heads) > 1 for each in frozen)


def test_a_small_log_is_not_worth_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "workers", lambda _: pytest.fail("a process was started"))

    assert verify(forging.bundle(tmp_path / "b"), jobs=8).found == 0


def test_every_check_finds_something_somewhere() -> None:
    """Of each check there is a fraud or a damage in these tests that it finds."""
    tables = {row[4] for row in test_forgeries.FORGERIES} | {row[2] for row in test_verify.CHAINS}
    elsewhere = {
        "manifest": test_damage.test_a_changed_hash_in_the_manifest_is_found_in_the_manifest,
        "files": test_bundle.test_a_link_out_of_the_bundle_is_not_followed,
        "heads": test_heads.test_a_log_that_was_cut_is_found_by_whoever_noted_a_head,
        "records": test_damage.test_a_byte_of_an_event_is_found_in_its_line,
        "lines": test_damage.test_a_line_that_nobody_understands_does_not_accuse_what_the_bundle_says_of_the_chain,
        "positions": test_forgeries.test_a_dropped_event_is_found,
        "times": test_forgeries.test_a_time_that_does_not_rise_is_found,
        "commands": test_forms.test_a_key_that_is_used_twice_is_found,
        "entries": test_forgeries.test_an_entry_that_its_event_does_not_make_is_found,
        "balances": test_forgeries.test_an_entry_that_does_not_balance_is_found,
        "invariants": test_forgeries.test_money_that_an_entry_moves_elsewhere_is_missed_where_the_world_says_it_is,
        "lifecycles": test_who_gets_lost_where_the_fold_does_not_goes_on_alone,
        "freezes": test_offices.test_money_that_moves_while_it_is_frozen_is_found,
        "evidence": test_evidence.test_checkers_who_did_not_look_are_found,
        "receipts": test_verify.test_what_the_bundle_says_of_the_chain_is_checked_against_the_chain,
    }

    assert tables | elsewhere.keys() == CHECKS.keys()
    assert all(map(callable, elsewhere.values()))


def test_an_audit_whose_process_is_killed_does_not_end_as_if_nothing_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = forging.bundle(tmp_path / "b")
    submit = ranges.Line._submit

    def fatal(line: ranges.Line, range_: Range) -> "Future[Outcome]":
        given = submit(line, range_)
        for process in list(killed._processes.values()):
            process.kill()
        return given

    monkeypatch.setattr(ranges.Line, "_submit", fatal)
    with sides.small_ranges(), ProcessPoolExecutor(1, get_context("spawn")) as killed:
        monkeypatch.setattr(ranges, "workers", lambda _: nullcontext(killed))
        with pytest.raises(BrokenExecutor):
            verify(path, jobs=2)
