"""Two ways to verify: by one process, and by several that have a log in small ranges. They must say the same, whatever is in it."""

from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

from auditor import ranges
from auditor.report import Report
from auditor.verify import verify


@cache
def pool() -> Executor:
    """Two processes for all tests; they end with this one."""
    return ProcessPoolExecutor(2, get_context("spawn"))


@contextmanager
def small_ranges(events: int = 40) -> Iterator[None]:
    """However small a log is, processes share it."""
    with patch.multiple(ranges, SMALL_BYTES=0, RANGE_EVENTS=events, workers=lambda _: nullcontext(pool())):
        yield


def both(path: Path, rpc_url: str | None = None, **more: Any) -> Report:
    alone = verify(path, rpc_url, jobs=1, **more)
    with small_ranges():
        together = verify(path, rpc_url, jobs=2, **more)
    assert together == alone
    return alone
