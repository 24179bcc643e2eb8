"""Payouts: all of them, one, and the batch in which it went to the chain."""

from collections.abc import Sequence
from typing import ClassVar

from explorer.look import Look, Missing, encode
from explorer.model import Model
from projections.explorer.events import Line
from projections.explorer.house import Asset, Reconciliation
from projections.explorer.overview import Volume
from projections.explorer.payouts import Batch, Payout

FILTERS = ("account", "status", "batch")
BATCHES, ITEMS = 12, 100


class Payouts(Model):
    template: ClassVar[str] = "payouts.html"
    section: ClassVar[str] = "Payouts"
    rows: Sequence[Payout]
    next: str | None
    batches: Sequence[Batch]
    volumes: Sequence[Volume]

    @property
    def title(self) -> str:
        return "Payouts"

    @property
    def records(self) -> Sequence[Payout]:
        return self.rows


async def payouts(look: Look) -> Payouts:
    found = await look.list(Payout, FILTERS)
    batches = (await look.page(Batch, limit=BATCHES)).rows
    return Payouts(found.rows, encode(found.next) if found.next else None, batches, (await look.page(Volume, newest=False)).rows)


class Page(Model):
    template: ClassVar[str] = "payout.html"
    section: ClassVar[str] = "Payouts"
    batch: Batch | None
    """None: it is not signed yet, or was cancelled before."""
    rows: Sequence[Payout]
    """Of the batch."""
    asset: Asset | None
    reconciled: Reconciliation | None
    """The first one after it was final."""
    lines: Sequence[Line]
    id: str

    @property
    def title(self) -> str:
        return self.id

    @property
    def about(self) -> str:
        return self.id

    @property
    def records(self) -> Sequence[Payout]:
        return self.rows


async def payout(look: Look) -> Page:
    """Of a batch, or of a payout with the batch that it is in."""
    id = look.path["payout"]
    if id.startswith("batch-"):
        return await of_batch(look, await look.need(Batch, id), id, [])
    if not id.startswith("payout-"):
        raise Missing(id)
    row = await look.need(Payout, id)
    batch = await look.get(Batch, row.batch) if row.batch else None
    return await of_batch(look, batch, id, [row])


async def of_batch(look: Look, batch: Batch | None, id: str, rows: Sequence[Payout]) -> Page:
    if batch is not None and not rows:
        rows = (await look.page(Payout, {"batch": batch.batch}, limit=ITEMS, newest=False)).rows
    asset = await look.get(Asset, str(batch.asset if batch else rows[0].asset))
    lines = (await look.page(Line, {"stream": id})).rows
    reconciled = None
    if batch is not None and batch.final_us:
        found = (await look.page(Reconciliation, {"asset": str(batch.asset)}, after=(batch.position or 0,), limit=1, newest=False)).rows
        reconciled = found[0] if found else None
    return Page(batch, rows, asset, reconciled, lines, id)
