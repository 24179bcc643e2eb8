"""What the views say of the money, for the live watch: the port of domain/house/books.py over that of projections/views.py."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from domain.accounts import Asset
from domain.house.books import Shown, Stopped
from domain.log.log import Unreachable
from projections.explorer.house import Override, Reconciliation
from projections.finance.balances import Balance, TrialLine
from projections.views import Unavailable, Views

CODES_MAX, OVERRIDES_MAX = 1_000, 100


class Books:
    def __init__(self, views: Views) -> None:
        self._views = views

    async def trial(self) -> Shown:
        async with reached():
            page = await self._views.page(TrialLine, limit=CODES_MAX)
        return Shown(page.position, {f"{row.asset}:{row.code}": int(row.amount) for row in page.rows})

    async def page(self, after: str, limit: int) -> Shown:
        async with reached():
            page = await self._views.page(Balance, after=(after,) if after else None, limit=limit)
        return Shown(page.position, {row.account: int(row.amount) for row in page.rows}, page.rows[-1].account if page.more else "")

    async def breaks(self, asset: Asset) -> int:
        async with reached():
            page = await self._views.page(Reconciliation, where={"asset": asset}, limit=1, descending=True)
        return next((int(row.breaks or 0) for row in page.rows), 0)

    async def stopped(self) -> Stopped:
        async with reached():
            rows = (await self._views.page(Override, limit=OVERRIDES_MAX, descending=True)).rows
        alone = (row.evidence_sha256 for row in rows if row.action == "freeze" and not row.approver)
        evidence = next((each for each in alone if each), "")
        return Stopped(rows[0].number or 0 if rows else 0, evidence)


@asynccontextmanager
async def reached() -> AsyncGenerator[None, None]:
    try:
        yield
    except Unavailable as silence:
        raise Unreachable(f"the views: {silence}") from silence
