"""A ledger's journal as long as one likes, made while it is read."""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from domain.accounts import ETH, USDC, Account, Asset
from domain.ids import LogId
from domain.log.merkle import Mark
from domain.policy import DAY
from domain.units import Units
from exports import export
from exports.export import Export
from projections.finance.journal import JournalLine
from projections.row import Cursor, Plain, Row
from projections.views import Page

PLACES: dict[Asset, int] = {USDC: 6, ETH: 18, Asset("usd2"): 2}
START_US = 1_800_000_000_000_000


class Journal:
    """A view of `count` lines, two an event, `per_day` events a day. Only pages are read of it."""

    def __init__(self, count: int, per_day: int = 40_000) -> None:
        self._count, self._step_us = count, DAY // per_day

    async def page(
        self,
        kind: type[Row],
        *,
        where: Mapping[str, Plain] | None = None,
        by: str = "",
        after: Cursor | None = None,
        limit: int = 100,
        **_: Any,
    ) -> Page[Any]:
        first = (int(after[0]) - 1) * 2 + int(after[1]) if after else 0
        rows = [self._line(number) for number in range(first, min(first + limit, self._count))]
        return Page(rows, self._count, (rows[-1].position, rows[-1].line) if first + limit < self._count else None)

    def _line(self, number: int) -> JournalLine:
        event, line = divmod(number, 2)
        task, amount = f"job-{event // 50}/{event}", Units((event % 1000 + 1) * 1001)
        account = Account(f"usdc:2120.task.{task}" if line else f"usdc:2210.accrued.account-{event % 5000}")
        at_us = START_US + event * self._step_us
        return JournalLine(event + 1, line + 1, at_us, "task.accepted", task, "house", account, amount if line else -amount)


def written(form: str, views: Any, size: int) -> AsyncIterator[bytes]:
    head = Mark(LogId("a" * 32), size, "0" * 64, sealed=False)
    return export.stream(Export("journal", form, head), views, PLACES)


def rows_of(*lines: tuple[int, int, str, int]) -> "Listed":
    """Of (position, time, account, amount)."""
    return Listed(
        JournalLine(position, number, at_us, "task.accepted", "job-1", "house", account, Units(amount))
        for number, (position, at_us, account, amount) in enumerate(lines, 1)
    )


class Listed:
    """A view of these lines."""

    def __init__(self, rows: Iterator[JournalLine]) -> None:
        self._rows = list(rows)

    async def page(self, kind: type[Row], *, after: Cursor | None = None, limit: int = 100, **_: Any) -> Page[Any]:
        left = [row for row in self._rows if after is None or (row.position, row.line) > after]
        rows = left[:limit]
        return Page(rows, 10**9, (rows[-1].position, rows[-1].line) if len(left) > limit else None)


async def whole(parts: AsyncIterator[bytes]) -> bytes:
    return b"".join([part async for part in parts])
