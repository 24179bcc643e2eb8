"""Bundles: what is written is read back, from a directory or a tar, and what is none is refused."""

import tarfile
from pathlib import Path

import pytest

from auditor import bundle as bundles
from auditor.bundle import BadBundle, Bundle
from auditor.verify import verify
from domain.log import listing
from domain.log.block import seal
from tests.log.ledgers import opened


def small(out: Path) -> Path:
    """A bundle of a log's first block."""
    bundles.write(out, [opened()[1].record], {})
    return out


def test_records_are_read_back_byte_for_byte(tmp_path: Path) -> None:
    first = opened()[1]
    second = seal(first.after, [b'{"pos":%d}' % (first.after.size + 1)])
    bundles.write(tmp_path / "b", [first.record, second.record], {})

    with Bundle(tmp_path / "b") as bundle:
        assert [record.data for record in bundle.records()] == [first.record, second.record]
        assert [record.offset for record in bundle.records()] == [0, len(first.record)]
        assert (bundle.manifest.size, bundle.manifest.root) == (second.after.size, second.after.root)


def test_a_tar_of_a_bundle_is_a_bundle(tmp_path: Path) -> None:
    small(tmp_path / "b")
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        tar.add(tmp_path / "b", arcname=".")

    assert verify(tmp_path / "b.tar") == verify(tmp_path / "b")


def test_a_bundle_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def failing() -> list[bytes]:
        raise ValueError

    with pytest.raises(ValueError):
        bundles.write(tmp_path / "b", (failing() for _ in range(1)), {})  # type: ignore[misc]

    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    small(tmp_path / "b")
    with pytest.raises(FileExistsError):
        small(tmp_path / "b")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"gridledger_bundle":2}', b"\xff" * 10, b'{"a":' * 5_000])
def test_what_has_no_manifest_is_bad_input(tmp_path: Path, data: bytes) -> None:
    (small(tmp_path / "b") / listing.MANIFEST).write_bytes(data)

    report = verify(tmp_path / "b")

    assert (report.exit, bool(report.error)) == (3, True)


def test_a_truncated_manifest_is_bad_input(tmp_path: Path) -> None:
    manifest = small(tmp_path / "b") / listing.MANIFEST
    manifest.write_bytes(manifest.read_bytes()[:-20])

    assert verify(tmp_path / "b").exit == 3


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "log/../manifest.json", "evidence/x", "log/segment-0.ndjson"])
def test_a_manifest_cannot_name_files_elsewhere(tmp_path: Path, path: str) -> None:
    manifest = small(tmp_path / "b") / listing.MANIFEST
    manifest.write_bytes(manifest.read_bytes().replace(b'"log/leaves"', b'"%b"' % path.encode()))

    assert verify(tmp_path / "b").exit == 3


def test_garbage_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 100)

    assert [verify(tmp_path / name).exit for name in ("noise", "nothing there")] == [3, 3]


def test_a_link_out_of_the_bundle_is_not_followed(tmp_path: Path) -> None:
    leaves = small(tmp_path / "b") / listing.LEAVES
    (tmp_path / "elsewhere").write_bytes(leaves.read_bytes())
    leaves.unlink()
    leaves.symlink_to(tmp_path / "elsewhere")

    report = verify(tmp_path / "b")

    assert [(it.check, it.file) for it in report.findings] == [("files", listing.LEAVES)]


def test_a_log_without_its_beginning_makes_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BadBundle):
        bundles.write(tmp_path / "b", [seal(opened()[1].after, [b"{}"]).record], {})

    assert list(tmp_path.iterdir()) == []
