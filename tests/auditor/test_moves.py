"""A log that moved to another home is lawful; a seal or a bind that somebody forged is found."""

from collections.abc import Callable
from pathlib import Path

import pytest

from auditor.verify import verify
from domain.log.block import read_header
from tests.auditor import forging, sides
from tests.auditor.forging import Blocks, find
from tests.domain.test_ends import moved

pytestmark = pytest.mark.system


def at(blocks: Blocks, kind: str) -> int:
    return next(n for n, block in enumerate(blocks) if block[0]["event"]["type"] == f"{kind}.v1")


def elsewhere(blocks: Blocks) -> None:
    """Bound to another home than the seal names."""
    blocks[at(blocks, "ledger.bound")][0]["event"]["home"] = "kafka:cluster:another"


def sealed_elsewhere(blocks: Blocks) -> None:
    find(blocks, "ledger.sealed")["event"]["home"] = "kafka:cluster:another"


def by_another(blocks: Blocks) -> None:
    find(blocks, "ledger.sealed")["event"]["sealer"] = "somebody"


def by_a_person(blocks: Blocks) -> None:
    find(blocks, "ledger.sealed")["by"] = "account-3"


def unsealed(blocks: Blocks) -> None:
    """The seal is left out, and the ledger bound elsewhere all the same."""
    del blocks[at(blocks, "ledger.sealed")]
    del blocks[at(blocks, "ledger.bound") + 1 :]
    forging.renumber(blocks)


def beside(blocks: Blocks) -> None:
    """The seal shares its block with what came before."""
    n = at(blocks, "ledger.sealed")
    blocks[n - 1] += [{**line, "at_us": blocks[n - 1][0]["at_us"]} for line in blocks.pop(n)]
    del blocks[n:]


def test_a_ledger_that_moved_is_verified_and_so_is_what_came_after(tmp_path: Path) -> None:
    life = moved()
    kinds = [header.kind for record in life.records if (header := read_header(record)) and header.kind != "block"]
    report = sides.both(forging.bundle(tmp_path / "b", of=life))

    assert kinds == ["seal", "bind"]
    assert life.ledger.world.home == "kafka:cluster:topic"
    assert (report.findings, report.size) == ((), life.ledger.head.size)


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (elsewhere, "house"),
        (sealed_elsewhere, "house"),
        (by_another, "commands"),
        (by_a_person, "commands"),
        (unsealed, "records"),
        (beside, "records"),
    ],
)
def test_a_forged_seal_or_bind_is_found(tmp_path: Path, change: Callable[[Blocks], None], check: str) -> None:
    life = moved()
    blocks = forging.opened(life.records)
    change(blocks)
    report = verify(forging.bundle(tmp_path / "b", of=life, records=forging.sealed(blocks, life.records)))

    assert report.exit == 1
    assert check in {it.check for it in report.findings}, report.text()


def test_a_block_that_is_said_to_be_no_seal_or_no_bind_is_found(tmp_path: Path) -> None:
    """The kind of a block stands in its header, which is in no leaf."""
    life = moved()
    for number, kind in enumerate([b'"kind":"seal"', b'"kind":"bind"']):
        last = next(n for n, record in enumerate(life.records) if kind in record.partition(b"\n")[0])
        records = [*life.records[:last], life.records[last].replace(kind, b'"kind":"block"', 1)]
        report = verify(forging.bundle(tmp_path / f"{number}", of=life, records=records))

        assert report.exit == 1
        assert "records" in {it.check for it in report.findings}
