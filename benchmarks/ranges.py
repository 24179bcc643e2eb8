"""A replay in ranges, each by a process of its own: every one ends in the head that the next begins with, so that all leaves are verified,
and balances add up."""

import asyncio
import gc
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from multiprocessing import get_context
from typing import NamedTuple

import gridledger
from adapters.log.postgres import PostgresLog
from domain.log.merkle import Head
from projections import runner
from projections.finance.balances import Balance, Balances
from projections.memory import MemoryViews
from projections.row import Tables

BALANCES_MAX = 10_000_000


class Range(NamedTuple):
    """What one process came to; times are the machine's."""

    end: Head
    began: float
    ended: float
    balances: list[Balance]
    """Where they were asked for."""


def replay(uri: str, start: Head, until: int, *, tells: bool = False) -> Range:
    """The product's own loop from a head on, to balances in memory."""

    async def run() -> Range:
        async with PostgresLog(uri) as log:
            views, began = MemoryViews(Balances()), time.monotonic()
            await runner.run((Balances(),), log, views, start, follow=False, until=until)
            end, ended = await views.head(Balances()), time.monotonic()
            assert end
            return Range(end, began, ended, (await views.page(Balance, limit=BALANCES_MAX)).rows if tells else [])

    return asyncio.run(run())


class Pool:
    """Processes that are there before a round begins."""

    def __init__(self, executor: ProcessPoolExecutor, uri: str) -> None:
        self._executor, self._uri = executor, uri

    def replay(self, marks: Sequence[Head], *, tells: bool = False) -> list[Range]:
        """From mark to mark, all at once. Raises `ValueError` if they do not meet."""
        begun = [self._executor.submit(replay, self._uri, start, end.size, tells=tells) for start, end in pairwise(marks)]
        done = [each.result() for each in begun]
        if [each.end for each in done] != list(marks[1:]):
            raise ValueError("a range does not end where the next one begins")
        return done


@contextmanager
def pool(processes: int, uri: str) -> Iterator[Pool]:
    executor = ProcessPoolExecutor(processes, get_context("spawn"), initializer=gc.set_threshold, initargs=gridledger.COLLECT)
    try:
        yield Pool(executor, uri)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def seconds(done: Sequence[Range]) -> float:
    return max(each.ended for each in done) - min(each.began for each in done)


def added(done: Sequence[Range]) -> dict[str, int]:
    """Accounts and their balances, of all ranges together."""
    tables = Tables()
    for each in done:
        for row in each.balances:
            tables.add(row)
    return {row.account: row.amount for row in tables.all(Balance)}
