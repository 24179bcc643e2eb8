"""The payouts: what became final, by batch, and then whatever was on its way out at the position of the export."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import ClassVar

from msgspec import structs

from domain.accounts import ETH, Asset
from domain.ids import position as position_of
from domain.log import wire
from domain.treasury import batch
from exports.lines import Column, Entry, decimal, walk
from projections.explorer import payouts
from projections.explorer.events import Line
from projections.explorer.payouts import Payout
from projections.row import Row
from projections.views import Views

FINAL = str(batch.Finalised.__struct_config__.tag)
ENDED = {"final", "cancelled"}


class Payouts:
    """Of every batch whose transaction is final: what was paid, what failed and is payable again, and the gas. Then each payout that was
    asked for and neither final nor taken back, with how far it had come. Or one account's part."""

    kinds: ClassVar[tuple[type[Row], ...]] = (Line, Payout)
    balanced: bool = False
    columns: ClassVar[tuple[Column, ...]] = (
        Column("id"),
        Column("position", "count"),
        Column("time", "time"),
        Column("batch"),
        Column("status"),
        Column("outcome"),
        Column("payout"),
        Column("account"),
        Column("asset"),
        Column("amount", "amount"),
        Column("transaction"),
        Column("block", "count"),
        Column("back_to"),
    )

    def __init__(self, places: Mapping[Asset, int], account: str = "") -> None:
        self._places, self._account = places, account

    async def pages(self, views: Views, size: int) -> AsyncGenerator[list[Entry], None]:
        async for rows in walk(views, Line, {"type": FINAL}, size, attrgetter("position")):
            yield [entry for row in rows for entry in self._landed(row)]
        whose = {"account": self._account} if self._account else {}
        async for waiting in walk(views, Payout, whose, size, lambda row: position_of(row.payout)):
            stood = [await as_of(views, row, size) for row in waiting]
            yield [self._waiting(row) for row in stood if row.status not in ENDED]

    def _landed(self, row: Line) -> Iterator[Entry]:
        it = wire.event(str(row.line).encode()).event
        assert isinstance(it, batch.Finalised)
        lines: Sequence[tuple[str, batch.Item | None]] = (
            *(("paid", item) for item in it.paid),
            *(("failed", item) for item in it.failed),
            ("gas", None),
        )
        for number, (outcome, item) in enumerate(lines, 1):
            if self._account and not (item and item.account == self._account):
                continue
            asset, units = (it.asset, item.amount) if item else (ETH, it.gas)
            whose = (item.payout, item.account) if item else (None, None)
            amount = decimal(units, self._places[asset])
            back_to = item.back_to if item and outcome == "failed" else None
            what = row.position, row.at_us, it.batch, "final", outcome, *whose, asset, amount, it.tx_hash, it.block, back_to
            yield Entry((f"{row.position}-{number}", *what), asset, units, outcome)

    def _waiting(self, row: Payout) -> Entry:
        """It stands at the event that asked for it: the position and time since when it waits."""
        made, asset, units, status = position_of(row.payout), Asset(str(row.asset)), row.amount, str(row.status)
        amount = decimal(units, self._places[asset])  # type: ignore[arg-type] # set whenever a row begins
        where = made, row.requested_us, row.batch or None, status, None
        what = row.payout, row.account, asset, amount, row.tx_hash or None, row.block or None, None
        return Entry((f"{made}-1", *where, *what), asset, units, status)  # type: ignore[arg-type]


async def as_of(views: Views, row: Payout, size: int) -> Payout:
    """The payout as it was after the event at `size`, by which it had been asked for: what the last event of its batch, or else of its
    own, had made of it."""
    if row.position <= size:  # type: ignore[operator] # set whenever a row begins
        return row
    for stream in (row.batch, row.payout):
        if stream and (found := await last(views, str(stream), size)):
            fold = payouts.Payouts().fold(wire.event(found.encode()))
            change = next(each for each in fold if isinstance(each, Payout) and each.payout == row.payout)
            batch_ = row.batch if stream == row.batch else ""
            return structs.replace(row, status=change.status, batch=batch_, tx_hash=change.tx_hash, block=change.block)
    raise AssertionError(f"{row.payout} was not asked for")


async def last(views: Views, stream: str, size: int) -> str:
    """The line of the stream's last event up to `size`; empty if there is none."""
    found = (await views.page(Line, where={"stream": stream}, after=(size + 1,), limit=1, descending=True)).rows
    return str(found[0].line) if found else ""
