"""Earlier heads: whoever wrote one down sees that a log was cut or changed before it, though every hash in the log is right."""

from pathlib import Path

import msgspec
import pytest

from auditor.bundle import Bundle
from auditor.checks import heads
from auditor.checks.heads import Heads, Noted
from auditor.reading import Reader
from auditor.report import Findings, Report
from auditor.verify import verify
from domain.log.merkle import leaf_hash, tree_hash
from tests.auditor import forging, sides
from tests.auditor.forging import Blocks, find


def root(size: int) -> str:
    lines = [line for record in forging.life().records for line in record.split(b"\n")[1:-1]]
    return tree_hash([*map(leaf_hash, lines[:size])]).hex()


def of_heads(report: Report) -> list[tuple[int, str]]:
    return [(it.position, it.expected) for it in report.findings if it.check == "heads"]


def test_a_log_goes_on_from_its_own_heads_wherever_they_are(tmp_path: Path) -> None:
    sizes = [0, 1, 7, 100, 101, 216, forging.life().ledger.head.size]
    report = verify(forging.bundle(tmp_path / "b"), heads=[Noted(size, root(size)) for size in sizes])

    assert of_heads(report) == []
    assert next(it.seen for it in report.checks if it.name == "heads") == len(sizes)


def test_a_report_says_what_to_note_for_the_next_time(tmp_path: Path) -> None:
    path = forging.bundle(tmp_path / "b")
    size, _, noted = verify(path).head.partition(":")

    assert (int(size), noted) == (forging.life().ledger.head.size, forging.life().ledger.head.root)
    assert of_heads(verify(path, heads=[Noted(int(size), noted)])) == []


def test_a_past_that_was_changed_and_sealed_again_is_found_by_whoever_noted_a_head(tmp_path: Path) -> None:
    """What a worker says of its memory nobody can check, and before the next anchor nothing else tells."""

    def change(blocks: Blocks) -> None:
        find(blocks, "worker.registered")["event"]["ram_mib"] = 4_711
        del blocks[next(n for n, block in enumerate(blocks) if block[0]["event"]["type"] == "checkpoint.anchored.v1") :]

    true = forging.facts(forging.life())
    chain = msgspec.structs.replace(true, logs=tuple(log for log in true.logs if log.kind != "Anchored"))
    path = forging.bundle(tmp_path / "b", records=forging.forged(change), chain=chain)
    kept = Noted(100, root(100))

    assert verify(path).found == 0
    assert of_heads(verify(path, heads=[kept])) == [(100, f"100:{root(100)}")]


def test_a_log_that_was_cut_is_found_by_whoever_noted_a_head(tmp_path: Path) -> None:
    path = forging.bundle(tmp_path / "b", records=forging.life().records[:40])
    size = forging.life().ledger.head.size

    assert verify(path).found == 0
    report = verify(path, heads=[Noted(size, root(size))])
    assert (report.exit, of_heads(report)) == (1, [(size, f"{size}:{root(size)}")])


def test_a_log_that_cannot_be_read_so_far_says_so(tmp_path: Path) -> None:
    path, size = forging.bundle(tmp_path / "b"), forging.life().ledger.head.size
    segment = path / "log" / "segment-000000.ndjson"
    segment.write_bytes(segment.read_bytes().replace(b'"task.leased.v1"', b'"task.leased.v2"', 1))
    report = verify(path, heads=[Noted(size, root(size))])

    assert [(it.status, bool(it.note)) for it in report.checks if it.name == "heads"] == [("skipped", True)]


@pytest.mark.system
def test_several_processes_see_the_same_heads(tmp_path: Path) -> None:
    kept = [Noted(100, root(100)), Noted(150, "0" * 64), Noted(10**6, "1" * 64)]

    assert len(of_heads(sides.both(forging.bundle(tmp_path / "b"), heads=kept))) == 2


def test_the_root_at_every_size_is_found_again_from_few_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "MARKS_MAX", 5)
    monkeypatch.setattr(heads, "APART", 3)
    monkeypatch.setattr(heads, "RECENT_MAX", 1)
    with Bundle(forging.bundle(tmp_path / "b")) as bundle:
        own = Heads(bundle, Findings())
        for taken in Reader(bundle, Findings()).blocks():
            own.take(taken)

        size = forging.life().ledger.head.size
        assert len(own._marks) <= 5
        assert [own.root(each) for each in range(1, size + 1)] == [root(each) for each in range(1, size + 1)]
        assert (own.root(0), own.root(size + 1)) == (None, None)
