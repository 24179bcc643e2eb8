"""A second verifier, in another language, finds the same heads, balances and draws; and says where a forged log goes wrong."""

import json
import re
from pathlib import Path

import pytest

from auditor.drill.desk import Original
from auditor.drill.drill import FRAUDS, Bench, commit
from tests import second, vectors
from tests.auditor import forging
from tests.drill import lives
from tests.network import Network, life, populated

pytestmark = [pytest.mark.system, pytest.mark.checkout]

RECORDS = {"lose a record": "diverged", "cut a record": "broken", "edit a line": ""}
EVENTS = {
    "drop an event": "positions are not dense",
    "reorder events": "positions are not dense",
    "set back a clock": "time does not rise from block to block",
    "cut a command": "a command is not whole",
    "cook an entry": "the entry does not balance",
    "draw another number": "u is .*|drawn against .*",
    "skip an audit": "u is .*|drawn against .*",
    "forge a beacon": "u is .*",
}
"""What the second verifier knows enough to find with every seed, or with some; and what it says."""
SOME = {"cook an entry", "draw another number", "cut a command", "forge a beacon", "skip an audit"}
SEEDS = 6


@pytest.mark.parametrize(
    "make", [lives.life, lambda: life(frames=24), lambda: populated("standard")[0]], ids=["rich", "waived", "second looks"]
)
def test_it_finds_what_the_ledger_has(tmp_path: Path, make: type[Network]) -> None:
    network = make()
    found = second.verify(forging.bundle(tmp_path / "b", of=network))
    balances = {str(name): str(int(amount)) for name, amount in sorted(network.world.balances.items())}
    draws = [
        it
        for it in network.events
        if it.event.verb() in {"audit.opened", "audit.second_look"} or getattr(it.event, "basis", "") == "waived"
    ]

    assert (found["size"], found["root"]) == (network.ledger.head.size, network.ledger.head.root)
    assert found["balances"] == balances
    assert found["draws"] == len(draws)
    assert set(found["trial"].values()) == {"0"}


@pytest.mark.parametrize("name", RECORDS | EVENTS)
def test_it_says_where_a_forged_log_goes_wrong(tmp_path: Path, name: str) -> None:
    original = Original(lives.bundle(tmp_path / "honest"))
    fraud, found = next(fraud for fraud in FRAUDS if fraud.name == name), 0
    for seed in range(SEEDS):
        bench = Bench(original, tmp_path / f"{seed}")
        draft, mark = commit(original, fraud, seed)
        draft.publish(bench.shelf)
        done = second.node("verify.mjs", str(bench.shelf.path))
        said = re.fullmatch(r"position ([0-9]+): (.*)\n", done.stderr)
        if done.returncode and name in RECORDS:
            assert RECORDS[name] in done.stderr
            found += 1
        elif done.returncode:
            assert mark.line is not None
            assert said is not None, done.stderr
            found += re.fullmatch(EVENTS[name], said[2]) is not None and int(said[1]) == mark.line["pos"]

    assert found == SEEDS or (name in SOME and found)


def test_it_counts_what_is_void(tmp_path: Path) -> None:
    records = lives.life().records
    noisy = [*records[:40], records[10], records[11].replace(b"a" * 32, b"b" * 32), *records[40:]]
    found = second.verify(forging.bundle(tmp_path / "b", of=lives.life(), records=noisy))

    assert found["void"] == {"alien": 1, "stale": 1}


def test_it_agrees_with_the_vectors() -> None:
    done = second.node("vectors.mjs", str(vectors.FOLDER))

    assert (done.returncode, done.stdout, done.stderr) == (0, "all as they should be\n", "")


@pytest.mark.parametrize(
    ("name", "right", "wrong"), [("heads", '"leaf": "', '"leaf": "0'), ("records", '"verdict": "stale"', '"verdict": "alien"')]
)
def test_it_does_not_agree_with_other_vectors(tmp_path: Path, name: str, right: str, wrong: str) -> None:
    for file in vectors.FOLDER.iterdir():
        text = file.read_text(encoding="utf-8")
        (tmp_path / file.name).write_text(text.replace(right, wrong, 1) if file.stem == name else text, encoding="utf-8")

    assert json.loads((tmp_path / f"{name}.json").read_text()) != json.loads((vectors.FOLDER / f"{name}.json").read_text())
    assert second.node("vectors.mjs", str(tmp_path)).returncode == 1


def test_it_is_short_and_needs_no_package() -> None:
    text = (second.VERIFIER / "verify.mjs").read_text()

    assert text.count("\n") <= 150
    assert {name for name in re.findall(r'from "([^"]+)"', text) if not name.startswith("node:")} == set()
