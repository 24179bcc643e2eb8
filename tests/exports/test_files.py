"""Workbook and Parquet, read by libraries that are not ours: they say what the CSV says, are equal for equal questions, and show damage."""

import csv
import io
import json
import os
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet

from exports import check, export, sheets
from tests.exports.made import PLACES, START_US, Journal, rows_of, whole, written

FILES = export.BINARY
LINES = 5_000
AGAIN = """
import asyncio, sys
from tests.exports.made import Journal, whole, written
sys.stdout.buffer.write(asyncio.run(whole(written(sys.argv[1], Journal(5_000), 2_500))))
"""


async def made(form: str) -> bytes:
    return await whole(written(form, Journal(LINES), LINES // 2))


async def rows_of_csv() -> tuple[list[dict[str, str]], str]:
    """Its rows, and its last line's hash."""
    text = (await made("csv")).decode()
    lines = text.splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#"))), lines[-1].partition(",")[2]


def table(content: bytes) -> pa.Table:
    return parquet.ParquetFile(io.BytesIO(content), page_checksum_verification=True).read()


def book(content: bytes) -> Any:
    return openpyxl.load_workbook(io.BytesIO(content), read_only=True)


async def test_parquet_has_the_rows_of_the_csv_with_exact_amounts_and_times() -> None:
    rows, digest = await rows_of_csv()
    content = await made("parquet")
    found = table(content).to_pylist()
    (said,) = [json.loads(value) for name, value in parquet.read_metadata(io.BytesIO(content)).metadata.items() if name == b"gridledger"]

    assert len(found) == LINES
    for one, other in zip(found, rows, strict=True):
        assert [one["id"], one["account"], str(one["position"])] == [other["id"], other["account"], other["position"]]
        assert [one["debit"] or 0, one["credit"] or 0] == [Decimal(other["debit"] or 0), Decimal(other["credit"] or 0)]
        assert one["time"].astimezone(UTC) == datetime.fromisoformat(other["time"])
    assert (said["rows"], said["csv_sha256"]) == (LINES, digest)
    assert {"asset": "usdc", "of": "net", "amount": "0.000000"} in said["totals"]
    assert said["head"] == {"log": "a" * 32, "size": LINES // 2, "root": "0" * 64}


@pytest.mark.system
async def test_a_workbook_has_the_rows_of_the_csv_and_its_end_on_a_sheet_of_its_own() -> None:
    rows, digest = await rows_of_csv()
    it = book(await made("xlsx"))
    heading, *found = it["rows"].values
    end = {row[:3]: row[3] for row in it["end"].values}

    assert list(heading) == list(rows[0])
    for one, other in zip(found, rows, strict=True):
        assert [str(cell or "") for cell in one[:11]] == list(other.values())[:11]
        assert [Decimal(str(cell or 0)) for cell in one[11:]] == [Decimal(amount or 0) for amount in list(other.values())[11:]]
    assert end["rows", "", ""] == str(LINES)
    assert end["total", "usdc", "net"] == "0.000000"
    assert end["sha256 of the CSV", "", ""] == digest


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("5.500000", True),
        ("-999999999.999999", True),
        ("1234567890.123456", False),
        ("0.000000000000000007", True),
        ("0.123456789012345678", False),
        ("100000000000000000000", False),
        ("0", True),
    ],
)
def test_an_amount_is_a_number_only_if_a_spreadsheet_keeps_all_its_digits(amount: str, expected: bool) -> None:
    assert sheets.is_exact(amount) is expected
    assert not expected or Decimal(repr(float(amount))) == Decimal(amount)


@pytest.mark.system
async def test_more_rows_than_a_sheet_takes_go_on_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "ROWS_MAX", 2_222)
    it = book(await made("xlsx"))
    ids = [row[0] for name in it.sheetnames[:-1] for row in list(it[name].values)[1:]]

    assert it.sheetnames == ["rows", "rows 2", "rows 3", "end"]
    assert ids == [row["id"] for row in (await rows_of_csv())[0]]


async def test_hostile_text_is_text_in_a_workbook() -> None:
    hostile = 'usdc:2110.available.=1+1<&"\x01'
    content = await whole(written("xlsx", rows_of((1, START_US, hostile, 5), (1, START_US, "usdc:4110.fee", -5)), 1))
    cell = list(book(content)["rows"].rows)[1][7]

    assert (cell.value, cell.data_type) == (hostile.replace("\x01", " "), "s")


@pytest.mark.system
@pytest.mark.parametrize("form", FILES)
async def test_equal_questions_have_equal_files_also_from_another_process(form: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7"}
    again = subprocess.run([sys.executable, "-c", AGAIN, form], capture_output=True, env=environment, timeout=60, check=True)  # noqa: ASYNC221

    assert await made(form) == again.stdout


@pytest.mark.parametrize("form", FILES)
async def test_a_file_that_is_cut_is_found(form: str, tmp_path: Path) -> None:
    content, file = await made(form), tmp_path / "export"
    file.write_bytes(content)
    assert len(check.check(file, form)) == 64
    for cut in (b"", content[:3], content[: len(content) // 2], content[:-1]):
        file.write_bytes(cut)
        with pytest.raises(check.Cut):
            check.check(file, form)


async def test_a_changed_workbook_is_found(tmp_path: Path) -> None:
    content, file = bytearray(await made("xlsx")), tmp_path / "export"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = archive.getinfo("xl/worksheets/sheet1.xml").header_offset
    content[start + 2_000] ^= 1
    file.write_bytes(content)
    with pytest.raises(check.Cut):
        check.check(file, "xlsx")


def test_parquet_is_refused_for_an_asset_with_more_decimals_than_its_columns_have() -> None:
    with pytest.raises(export.TooFine) as refused:
        export.form_of("parquet", {**PLACES, "fine": 24})  # type: ignore[dict-item]

    assert refused.value.facts == {"form": "parquet", "maximum": 18, "asset": "fine"}


def test_a_server_without_the_package_says_which_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "exports.parquet", raising=False)
    monkeypatch.delattr("exports.parquet", raising=False)
    with pytest.raises(export.FormMissing, match=r"gridledger\[parquet\]"):
        export.form_of("parquet", PLACES)
