"""A byte flipped anywhere in a bundle is found, and said where: file, record, position, expected, actual."""

import random
from pathlib import Path

import msgspec
import pytest

from auditor import bundle as bundles
from auditor.bundle import Bundle
from auditor.report import Finding, Report
from auditor.verify import verify
from domain.log import listing
from domain.log.merkle import leaf_hash
from tests.auditor import forging
from tests.auditor.served import served

SEGMENT = "log/segment-000000.ndjson"


def flipped(path: Path, name: str, offset: int, bit: int = 1) -> None:
    data = bytearray((path / name).read_bytes())
    data[offset] ^= bit
    (path / name).write_bytes(data)


def line_at(position: int) -> tuple[int, int, bytes]:
    """(record number, offset of the line in the segment, line) of an event."""
    offset = 0
    for number, record in enumerate(forging.life().records, 1):
        inner = record.index(b"\n") + 1
        for line in record.split(b"\n")[1:-1]:
            if msgspec.json.decode(line)["pos"] == position:
                return number, offset + inner, line
            inner += len(line) + 1
        offset += len(record)
    raise LookupError(position)


def beside_the_chain(path: Path) -> Report:
    """Verified with a node that says what is true."""
    with served([], {}, forging.facts(forging.life())) as url:
        return verify(path, url)


def of_receipts(report: Report) -> tuple[str, list[Finding]]:
    """The check's status and its findings."""
    status = next(it.status for it in report.checks if it.name == "receipts")
    return status, [it for it in report.findings if it.check == "receipts"]


def of_records(findings: tuple[Finding, ...]) -> Finding:
    return next(it for it in findings if it.check == "records")


@pytest.mark.parametrize("position", [1, 13, 14, 107, 128, 218])
def test_a_byte_of_an_event_is_found_in_its_line(tmp_path: Path, position: int) -> None:
    path = forging.bundle(tmp_path / "b")
    number, offset, line = line_at(position)
    flipped(path, SEGMENT, offset + len(line) // 2)

    report = verify(path)
    finding = of_records(report.findings)

    assert (report.exit, finding.file, finding.record, finding.offset, finding.position) == (1, SEGMENT, number, offset, position)
    assert finding.expected == f"leaf {leaf_hash(line).hex()}"
    assert finding.actual.startswith("leaf ")
    assert ("files", SEGMENT) in {(it.check, it.file) for it in report.findings}


@pytest.mark.parametrize("where", [2, 20, 30, 70, 150, 180, 250])
def test_a_byte_of_a_header_is_found_in_its_record(tmp_path: Path, where: int) -> None:
    path = forging.bundle(tmp_path / "b")
    number = 50
    offset = sum(map(len, forging.life().records[: number - 1]))
    flipped(path, SEGMENT, offset + where)

    report = verify(path)
    finding = of_records(report.findings)

    at = {(number, offset)} if where > 14 else {(number - 1, offset)}
    assert report.exit == 1
    assert (finding.record, finding.offset) in at


def test_a_line_feed_that_is_none_is_found(tmp_path: Path) -> None:
    path = forging.bundle(tmp_path / "b")
    number, offset, line = line_at(100)
    flipped(path, SEGMENT, offset + len(line), 2)

    finding = of_records(verify(path).findings)

    assert (finding.record, finding.position) == (number, 100)


@pytest.mark.system
@pytest.mark.parametrize("seed", range(60))
def test_a_byte_flipped_anywhere_is_found_in_its_file(tmp_path: Path, seed: int) -> None:
    path = forging.bundle(tmp_path / "b")
    chance = random.Random(seed)
    names = sorted(it.relative_to(path).as_posix() for it in path.rglob("*") if it.is_file())
    name = names[seed % len(names)] if seed % 3 else chance.choice([SEGMENT, listing.MANIFEST, listing.LEAVES, listing.RECEIPTS])
    flipped(path, name, chance.randrange((path / name).stat().st_size), 1 << chance.randrange(8))

    report = verify(path)

    assert report.exit in ({1, 3} if name == listing.MANIFEST else {1})
    assert name in {it.file for it in report.findings} or listing.MANIFEST in report.error


def test_a_changed_hash_in_the_manifest_is_found_in_the_manifest(tmp_path: Path) -> None:
    path = forging.bundle(tmp_path / "b")
    data = (path / listing.MANIFEST).read_bytes()
    at = data.index(b'"root": "') + 9
    flipped(path, listing.MANIFEST, at)

    findings = verify(path).findings

    assert [(it.check, it.file) for it in findings] == [("manifest", listing.MANIFEST)] * 2
    assert forging.life().ledger.head.root in findings[1].expected


def test_a_missing_segment_is_found(tmp_path: Path) -> None:
    path = forging.bundle(tmp_path / "b")
    (path / SEGMENT).unlink()

    report = verify(path)

    assert (report.exit, next((it.check, it.file) for it in report.findings)) == (1, ("files", SEGMENT))


def test_a_log_that_was_cut_is_found(tmp_path: Path) -> None:
    path = forging.bundle(tmp_path / "b")
    data = (path / SEGMENT).read_bytes()
    (path / SEGMENT).write_bytes(data[:-100])

    report = verify(path)

    assert of_records(report.findings).position == 218


def test_what_comes_after_the_damage_is_still_looked_at(tmp_path: Path) -> None:
    path = forging.bundle(tmp_path / "b")
    flipped(path, SEGMENT, line_at(20)[1] + 30)
    region = min((path / "evidence").iterdir()).relative_to(path).as_posix()
    flipped(path, region, 7)

    assert {SEGMENT, region} <= {it.file for it in verify(path).findings}


def test_a_stale_record_is_counted_and_no_more(tmp_path: Path) -> None:
    records = [*forging.life().records]
    report = verify(forging.bundle(tmp_path / "b", records=[*records[:40], records[10], *records[40:]]))

    assert (report.void, report.findings) == ({"stale": 1}, ())


def test_a_record_of_another_log_is_counted_and_told(tmp_path: Path) -> None:
    records = [*forging.life().records]
    other = records[0].replace(b"a" * 32, b"b" * 32)
    report = verify(forging.bundle(tmp_path / "b", records=[*records[:40], other, *records[40:]]))

    assert (report.void, [(it.check, it.record) for it in report.findings]) == ({"alien": 1}, [("records", 41)])


def test_a_record_that_runs_ahead_stops_the_reader(tmp_path: Path) -> None:
    path = forging.bundle(tmp_path / "b")
    records = forging.life().records
    (path / SEGMENT).write_bytes(b"".join([*records[:40], *records[41:]]))

    finding = of_records(verify(path).findings)

    assert (finding.record, finding.message) == (41, "the record builds on another head than the log's")


def test_leaf_hashes_that_lie_accuse_no_line(tmp_path: Path) -> None:
    """They are believed only where they fold to the root that the header names."""
    path = forging.bundle(tmp_path / "b")
    flipped(path, SEGMENT, line_at(100)[1] + 30)
    flipped(path, listing.LEAVES, 99 * 32)

    finding = of_records(verify(path).findings)

    assert (finding.position, finding.message) == (100, "the record is broken")


def test_segments_are_read_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "SEGMENT_BYTES_MAX", 20_000)
    path = forging.bundle(tmp_path / "b")

    with Bundle(path) as bundle:
        assert len({record.file for record in bundle.records()}) > 3
        assert [record.data for record in bundle.records()] == forging.life().records
    assert verify(path).findings == ()


def test_a_check_that_was_not_finished_is_not_passed(tmp_path: Path) -> None:
    path = forging.bundle(tmp_path / "b")
    flipped(path, SEGMENT, line_at(100)[1] + 30)

    statuses = {check.name: check.status for check in verify(path).checks}

    assert {statuses[name] for name in ("records", "files")} == {"failed"}
    assert {status for name, status in statuses.items() if name not in {"records", "files", "manifest"}} == {"skipped"}


@pytest.mark.parametrize("position", [1, 14, 20, 107, 218])
def test_a_damaged_log_does_not_accuse_what_the_bundle_says_of_the_chain(tmp_path: Path, position: int) -> None:
    path = forging.bundle(tmp_path / "b")
    flipped(path, SEGMENT, line_at(position)[1] + 30)

    report = beside_the_chain(path)

    assert (report.exit, of_receipts(report)) == (1, ("skipped", []))


def test_a_log_that_lost_its_last_records_does_not_accuse_what_the_bundle_says_of_the_chain(tmp_path: Path) -> None:
    """What is left of it is whole: only the manifest tells that there was more."""
    path = forging.bundle(tmp_path / "b")
    (path / SEGMENT).write_bytes(b"".join(forging.life().records[:40]))

    report = beside_the_chain(path)

    assert (report.exit, of_receipts(report)) == (1, ("skipped", []))


def test_a_line_that_nobody_understands_does_not_accuse_what_the_bundle_says_of_the_chain(tmp_path: Path) -> None:
    blocks = forging.opened(forging.life().records)
    blocks[40][0]["event"]["type"] = "nothing.known.v1"
    path = forging.bundle(tmp_path / "b", records=forging.sealed(blocks))

    report = beside_the_chain(path)

    assert "lines" in {it.check for it in report.findings}
    assert of_receipts(report) == ("skipped", [])
