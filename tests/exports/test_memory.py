"""A million lines are exported in the memory of a thousand."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

MILLION, SOME = 1_000_000, 100_000
PEAK_MB_MAX, PLAIN_MB_MAX = 200, 100
"""Of a process that exports; of one that needs no library for that."""
MEASURE = """
import asyncio, json, sys
from tests.exports.made import Journal, written

async def measured(form, count, kept):
    rows, size = [], 0
    view = Journal(count)
    if kept:
        page = view.page
        async def keeping(*asked, **more):
            found = await page(*asked, **more)
            rows.extend(found.rows)
            return found
        view.page = keeping
    last = b""
    async for part in written(form, view, count // 2):
        size, last = size + len(part), part
    return size, last

size, last = asyncio.run(measured(sys.argv[1], int(sys.argv[2]), sys.argv[3:] == ["keeping"]))
[peak] = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:")]
print(json.dumps({"bytes": size, "peak_mb": peak // 1024, "last": last.decode(errors="replace")[-400:]}))
"""


def measured(form: str, count: int, *how: str) -> dict[str, Any]:
    """Exported by a process of its own, with the most memory that it ever had."""
    command = [sys.executable, "-c", MEASURE, form, str(count), *how]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_million_lines_take_no_more_memory_than_a_page() -> None:
    found = measured("csv", MILLION)

    assert found["peak_mb"] <= PLAIN_MB_MAX
    assert "#rows,1000000\n" in found["last"]


def test_parquet_takes_no_more_for_its_library_and_a_row_group() -> None:
    assert measured("parquet", 3 * SOME)["peak_mb"] <= PEAK_MB_MAX


@pytest.mark.parametrize("form", ["jsonl", "beancount", "hledger", "xlsx"])
def test_many_lines_take_as_much_in_each_other_format(form: str) -> None:
    assert measured(form, SOME)["peak_mb"] <= PLAIN_MB_MAX


def test_the_measure_sees_who_keeps_the_rows() -> None:
    assert measured("csv", 3 * SOME, "keeping")["peak_mb"] > PLAIN_MB_MAX
