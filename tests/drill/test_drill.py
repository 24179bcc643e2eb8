"""The drill: every fraud is caught with a hundred seeds, by the check that should; without that check the drill fails."""

import json
import os
from pathlib import Path

import msgspec
import pytest

from auditor.bundle import BadBundle
from auditor.drill import drill as drills
from auditor.drill.desk import NoPlace, Original, Shelf
from auditor.drill.drill import FRAUDS, Bench, Drilled, commit
from auditor.drill.fraud import Fraud, Mark, catches
from auditor.report import CHECKS, Report
from auditor.verify import verify
from tests.auditor import forging
from tests.auditor.served import served
from tests.drill import lives

SEEDS = 100
LIMIT_S = 1_800
"""It takes less than three minutes where nothing else runs."""
NAMED = {fraud.name: fraud for fraud in FRAUDS}


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lives.bundle(tmp_path_factory.mktemp("drill") / "honest")


@pytest.fixture(scope="module")
def original(honest: Path) -> Original:
    return Original(honest)


@pytest.fixture(scope="module")
def whole(honest: Path) -> Drilled:
    """The whole drill, as people run it."""
    return drills.drill(honest, range(SEEDS), jobs=os.cpu_count() or 1)


def committed(original: Original, fraud: Fraud, seed: int, folder: Path) -> tuple[Report, Mark]:
    bench = Bench(original, folder)
    draft, mark = commit(original, fraud, seed)
    draft.publish(bench.shelf)
    return bench.look(draft, fraud), mark


def without(report: Report, check: str) -> Report:
    """What an auditor says who does not make this check."""
    checks = tuple(it for it in report.checks if it.name != check)
    return msgspec.structs.replace(report, findings=tuple(it for it in report.findings if it.check != check), checks=checks)


def test_the_life_is_honest(honest: Path) -> None:
    assert verify(honest, told=forging.facts(lives.life())).exit == 0


def test_a_log_that_nobody_forged_comes_from_the_desk_as_it_was(original: Original, tmp_path: Path) -> None:
    draft = original.draft()
    draft.publish(Shelf(tmp_path / "again"))

    assert draft.seal() == original.records
    assert (tmp_path / "again" / "manifest.json").read_bytes() == (original.path / "manifest.json").read_bytes()


@pytest.mark.system
@pytest.mark.timeout(LIMIT_S)
def test_every_fraud_is_caught_with_every_seed_by_the_check_that_should(whole: Drilled) -> None:
    missed = {row.fraud: row.missed for row in whole.rows if row.missed}

    assert missed == {}
    assert {row.seeds for row in whole.rows} == {SEEDS}
    assert whole.passed


FEW = {"hide a payout from its batch", "lose a slash", "move frozen money", "override by one person", "reorder leases", "turn a payout"}
"""There are few places for these in the life."""


@pytest.mark.system
@pytest.mark.timeout(LIMIT_S)
def test_a_hundred_seeds_are_many_different_frauds(whole: Drilled) -> None:
    ways = {row.fraud: row.different for row in whole.rows}

    assert {name for name, count in ways.items() if count < 10} <= FEW
    assert all(count > 1 for count in ways.values())


@pytest.mark.system
@pytest.mark.timeout(LIMIT_S)
def test_what_is_said_to_be_hidden_is_not_seen_without_what_shows_it(whole: Drilled) -> None:
    hidden = {row.fraud: row.unseen for row in whole.rows if row.shown_by}

    assert hidden == dict.fromkeys(hidden, SEEDS)
    assert len(hidden) > 10


OVERLAPPING = {"balances", "invariants", "lifecycles", "limits"}
"""What is wrong in these is wrong elsewhere as well. Balances and what must hold of the world follow from entries and events, which are
recomputed themselves; what a lifecycle forbids and what is beyond a limit, no command could ask for, and no money moves so."""


@pytest.mark.system
@pytest.mark.timeout(LIMIT_S)
def test_nearly_every_check_finds_a_fraud_that_no_other_finds(whole: Drilled) -> None:
    alone = {row.check for row in whole.rows if row.alone}

    assert set(CHECKS) - alone == OVERLAPPING


@pytest.mark.system
@pytest.mark.parametrize("check", CHECKS)
def test_without_a_check_the_drill_fails(original: Original, tmp_path: Path, check: str) -> None:
    """For each check there is a fraud that passes for caught only because of it."""
    fraud = next(fraud for fraud in FRAUDS if fraud.check == check)
    report, mark = committed(original, fraud, 1, tmp_path / "forged")

    assert catches(report, mark, fraud.check)
    assert not catches(without(report, mark.check or check), mark, fraud.check)


def test_a_finding_elsewhere_or_by_another_check_is_no_catch(original: Original, tmp_path: Path) -> None:
    fraud = NAMED["inflate a price"]
    report, mark = committed(original, fraud, 3, tmp_path / "forged")
    assert mark.line is not None

    assert catches(report, mark, fraud.check)
    assert not catches(report, mark, "seals")
    assert not catches(report, mark._replace(line={**mark.line, "pos": mark.line["pos"] - 1}), fraud.check)


@pytest.mark.system
def test_the_same_seed_is_the_same_fraud(original: Original, tmp_path: Path) -> None:
    for fraud in (NAMED["skip an audit"], NAMED["invent a deposit"]):
        one, two = (Bench(original, tmp_path / f"{fraud.name} {n}").attempt(fraud, 5) for n in (1, 2))
        other = Bench(original, tmp_path / f"{fraud.name} 3").attempt(fraud, 6)

        assert (one.did, one.digest) == (two.did, two.digest)
        assert (one.did, one.digest) != (other.did, other.digest)


def test_a_careful_forger_leaves_every_hash_and_number_right(original: Original, tmp_path: Path) -> None:
    """Where a fraud moves positions, ids and commands follow: what is found is the fraud, not its traces."""
    report, _ = committed(original, NAMED["invent a deposit"], 2, tmp_path / "forged")

    assert {"deposits"} <= {it.check for it in report.findings} <= {"deposits", "receipts", "anchors", "treasury"}


def test_what_has_no_place_in_a_log_is_not_tried(tmp_path: Path) -> None:
    original = Original(forging.bundle(tmp_path / "b"))

    with pytest.raises(NoPlace):
        commit(original, NAMED["move frozen money"], 1)
    assert Bench(original, tmp_path / "forged").attempt(NAMED["move frozen money"], 1).did == ""


def test_a_drill_needs_an_honest_bundle(tmp_path: Path) -> None:
    blocks = forging.opened(forging.life().records)
    forging.find(blocks, "task.leased")["event"]["candidates"] = 9
    path = forging.bundle(tmp_path / "b", records=forging.sealed(blocks))

    with pytest.raises(BadBundle, match="begins with an honest bundle"):
        drills.drill(path, range(1))


@pytest.mark.system
def test_a_node_may_be_the_chain(honest: Path) -> None:
    life = lives.life()
    frauds = [NAMED["turn a payout"], NAMED["truncate"]]
    with served([], {}, forging.facts(life)) as url:
        done = drills.drill(honest, range(2), url, frauds=frauds)

    assert done.passed
    assert (done.tried, [row.unseen for row in done.rows]) == (4, [2, 2])


def test_a_drill_in_which_something_is_missed_has_not_passed(original: Original, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drills, "catches", lambda *_: False)
    tried = Bench(original, tmp_path / "forged").attempt(NAMED["flip a verdict"], 4)
    row = drills._row(NAMED["flip a verdict"], [tried])
    done = Drilled(1, "", (row,), 1, 0, 0.0)

    assert (row.caught, row.missed, done.passed) == (0, (4,), False)
    assert "MISSED: flip a verdict: seeds 4" in done.summary()
    assert json.loads(done.json())["rows"][0]["missed"] == [4]
