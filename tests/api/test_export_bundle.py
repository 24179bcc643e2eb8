"""The bundle over HTTP: what the auditor's own exporter makes, in one answer."""

import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from auditor import bundle as bundles
from auditor.verify import verify
from domain.log import listing
from domain.log.block import read_header
from exports import bundle
from tests.api.house import House, lived, problem, running
from tests.api.test_exports import exported


async def filled(house: House) -> None:
    """Its store has what the life's workers and checkers stored."""

    async def chunks(content: bytes) -> AsyncIterator[bytes]:
        yield content

    for content in lived().network.objects.values():
        await house.store.put(chunks(content))


def members(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {each.name: archive.extractfile(each).read() for each in archive.getmembers()}  # type: ignore[union-attr]


async def test_the_bundle_is_clean_and_holds_the_files_of_one_that_the_auditor_wrote(tmp_path: Path) -> None:
    async with running(lived()) as house:
        await filled(house)
        content = await exported(house, "bundle.tar")
        records = [record async for record in house.log.read()]
    (tmp_path / "bundle.tar").write_bytes(content)
    report = verify(tmp_path / "bundle.tar", jobs=1)
    mine, theirs = members(content), tmp_path / "theirs"
    bundles.write(theirs, records, {name: lived().network.objects[name] for name in names(mine)})

    assert report.findings == ()
    assert names(mine) != set()
    assert {name: data for name, data in mine.items() if name != listing.MANIFEST} == {
        name: (theirs / name).read_bytes() for name in mine if name != listing.MANIFEST
    }


def names(files: dict[str, bytes]) -> set[str]:
    return {name.removeprefix("evidence/") for name in files if name.startswith("evidence/")}


async def test_every_region_that_the_auditor_looks_at_is_in_it(tmp_path: Path) -> None:
    async with running(lived()) as house:
        await filled(house)
        content = await exported(house, "bundle.tar")
    (tmp_path / "bundle.tar").write_bytes(content)
    evidence = next(check for check in verify(tmp_path / "bundle.tar", jobs=1).checks if check.name == "evidence")

    assert evidence.status == "passed"


async def test_the_same_bundle_has_the_same_bytes_also_when_the_log_has_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(lived()) as house:
        await filled(house)
        size = house.follower.head.size
        first = await exported(house, "bundle.tar")
        again = await exported(house, "bundle.tar", as_of=size)
        early = [header.next_size for record in lived().network.records if (header := read_header(record))][20]
        small = await exported(house, "bundle.tar", as_of=early)
        monkeypatch.setattr(bundle, "SEGMENT_BYTES", 20_000)
        pieces = members(await exported(house, "bundle.tar"))

    assert first == again
    assert len(small) < len(first)
    segments = [data for name, data in sorted(pieces.items()) if name.startswith("log/segment")]
    assert len(segments) > 3
    assert b"".join(segments) == members(first)[listing.segment(0)]


async def test_a_bundle_ends_where_a_block_ends() -> None:
    async with running(lived()) as house:
        ends = {header.next_size for record in lived().network.records if (header := read_header(record))}
        inside = next(size for size in range(1, house.follower.head.size) if size not in ends)
        for path in (f"bundle.tar?as_of={inside}", "bundle.tar?as_of=0", "bundle.tar?as_of=999999", "bundle.csv", "bundle.tar?account=x"):
            assert problem(await house.get("", f"/v1/exports/{path}")) == (422, "invalid")
