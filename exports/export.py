"""An export: rows from a view, page by page by key, written down as they come. What it holds at a time is one page, however long it gets.

It ends at a position of the log, so the same question is answered by the same bytes whenever it is asked.
"""

from collections.abc import AsyncGenerator, Mapping
from hashlib import sha256

from domain.accounts import Asset
from domain.log.merkle import Mark
from domain.value import Value
from exports import forms
from exports.forms import Text, Trailer
from exports.lines import Journal, Payouts, Statement, Table, Totals
from projections.row import Row
from projections.views import Views

PAGE_ROWS = 1_000

TABLES: dict[str, type[Table]] = {"journal": Journal, "statement": Statement, "payouts": Payouts}
FORMS: dict[str, type[Text]] = {"csv": forms.Csv, "jsonl": forms.JsonLines}


class Broken(Exception):
    """The export cannot be finished: a file that ends here has no end."""


class Export(Value):
    """What is asked for."""

    what: str
    form: str
    head: Mark
    """It goes up to here."""
    account: str = ""
    """Whose statement or payouts; of the journal, the ledger's account. Empty: all."""


async def pages(views: Views, table: Table, size: int) -> AsyncGenerator[list[Row], None]:
    """Rows up to the event at position `size`. Raises `Broken` where the view is not there."""
    after = None
    while True:
        found = await views.page(table.kind, where=table.where, after=after, limit=PAGE_ROWS)
        if found.position < size:
            raise Broken(f"the view stands at {found.position}")
        rows = [row for row in found.rows if row.position <= size]  # type: ignore[attr-defined] # the kinds of the tables have it
        yield rows
        if found.next is None or len(rows) < len(found.rows):
            return
        after = found.next


async def stream(it: Export, views: Views, places: Mapping[Asset, int]) -> AsyncGenerator[bytes, None]:
    """The bytes of the export. Raises `Broken`."""
    table, totals = TABLES[it.what](places, it.account), Totals(places)
    form = FORMS[it.form](table.columns)
    hashed = sha256(start := form.begin())
    yield start
    async for rows in pages(views, table, it.head.size):
        entries = [entry for row in rows for entry in table.entries(row)]
        totals.add(entries)
        hashed.update(part := form.page(entries))
        if part:
            yield part
    if table.balanced and any(totals.nets().values()):
        raise Broken("debits and credits do not come to zero")
    trailer = Trailer(totals.rows, totals.texts(net=it.what != "payouts"), it.head.log, it.head.size, it.head.root)
    hashed.update(end := form.end(trailer))
    yield end + form.seal(hashed.hexdigest())
