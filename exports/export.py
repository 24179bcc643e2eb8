"""An export: rows from a view, page by page by key, written down as they come. What it holds at a time is one page, however long it gets.

It ends at a position of the log, so the same question is answered by the same bytes whenever it is asked.
"""

from collections.abc import AsyncGenerator, Mapping
from hashlib import sha256

from msgspec import structs

from domain.accounts import Asset
from domain.errors import Refused
from domain.log.merkle import Mark
from domain.value import Value
from exports import books, forms, sheets
from exports.forms import Form, Text, Trailer
from exports.lines import Broken, Journal, Statement, Table, Totals
from exports.payouts import Payouts
from projections.views import Views

TABLES: dict[str, type[Table]] = {"journal": Journal, "statement": Statement, "payouts": Payouts}
FORMS: dict[str, type[Text]] = {"csv": forms.Csv, "jsonl": forms.JsonLines, "beancount": books.Beancount, "hledger": books.Hledger}
BOOKS = ("beancount", "hledger")
BINARY = ("parquet", "xlsx")
"""These hold the hash of the same export as CSV: no file can hold its own."""
PARQUET_DECIMALS_MAX = 18


class FormMissing(Refused):
    """This server cannot write {form}: it lacks {package} (pip install "gridledger[parquet]")."""


class TooFine(Refused):
    """{form} has amounts of at most {maximum} decimals, and {asset} has more: take another format."""


def forms_of(what: str, account: str = "") -> list[str]:
    """In which forms there is such an export: a book is of the whole journal."""
    return [form for form in (*FORMS, *BINARY) if form not in BOOKS or (what == "journal" and not account)]


def form_of(name: str, places: Mapping[Asset, int]) -> type[Form]:
    """Raises `FormMissing` or `TooFine`."""
    if name in FORMS:
        return FORMS[name]
    if name == "xlsx":
        return sheets.Workbook
    if fine := [asset for asset, count in places.items() if count > PARQUET_DECIMALS_MAX]:
        raise TooFine(form=name, maximum=PARQUET_DECIMALS_MAX, asset=fine[0])
    try:
        from exports import parquet  # noqa: PLC0415 - large, and an extra
    except ImportError as missing:
        raise FormMissing(form=name, package=str(missing.name)) from missing
    return parquet.Parquet


class Export(Value):
    """What is asked for."""

    what: str
    form: str
    head: Mark
    """It goes up to here."""
    account: str = ""
    """Whose statement or payouts; of the journal, the ledger's account. Empty: all."""


async def stream(it: Export, views: Views, places: Mapping[Asset, int]) -> AsyncGenerator[bytes, None]:
    """The bytes of the export. Raises `Broken`, and what `form_of` raises."""
    table, totals = TABLES[it.what](places, it.account), Totals(places)
    form = form_of(it.form, places)(table.columns)
    # What the hash is over: these bytes, or those of the same export as CSV.
    twin = forms.Csv(table.columns) if it.form in BINARY else None
    start = form.begin()
    hashed = sha256(twin.begin() if twin else start)
    yield start
    async for entries in table.pages(views, it.head.size):
        totals.add(entries)
        part = form.page(entries)
        hashed.update(twin.page(entries) if twin else part)
        if part:
            yield part
    if table.balanced and any(totals.nets().values()):
        raise Broken("debits and credits do not come to zero")
    trailer = Trailer(totals.rows, totals.texts(net=it.what != "payouts"), it.head.log, it.head.size, it.head.root)
    if twin:
        hashed.update(twin.end(trailer))
        yield form.end(structs.replace(trailer, sha256=hashed.hexdigest()))
    else:
        hashed.update(end := form.end(trailer))
        assert isinstance(form, Text)
        yield end + form.seal(hashed.hexdigest())
