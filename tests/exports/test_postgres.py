"""Exports from PostgreSQL have the bytes of those from memory, and go on while its views do."""

import pytest

from adapters import migrate
from adapters.views.postgres import PostgresViews
from domain.log.merkle import Mark
from exports import export, lines
from exports.export import Export
from projections import catalog, runner
from projections.finance.balances import parts
from projections.views import Views
from tests import network as lives_of
from tests.exports.made import whole
from tests.network import LOG, Network
from tests.projections.lives import START, Written, folded, network

pytestmark = pytest.mark.system


async def files(it: Network, views: Views, size: int) -> dict[tuple[str, str], bytes]:
    """Every export in every form, statements of two owners."""
    owners = sorted({parts(account).owner for account in it.world.balances if ".account-" in account})
    asked = [("journal", ""), ("payouts", ""), ("statement", owners[0]), ("statement", owners[-1])]
    places, mark = lines.decimals(it.world), Mark(LOG, size, "0" * 64, sealed=False)
    return {
        (f"{what} {account}", form): await whole(export.stream(Export(what, form, mark, account), views, places))
        for what, account in asked
        for form in export.forms_of(what, account)
    }


@pytest.mark.parametrize("it", [network(1), lives_of.life()], ids=["by chance", "a life"])
async def test_an_export_is_the_same_as_from_memory(database: str, it: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages end within entries; the log has grown beyond what is asked for."""
    migrate.apply(database)
    monkeypatch.setattr(lines, "PAGE_ROWS", 7)
    size = it.ledger.head.size * 2 // 3
    expected = await files(it, await folded(it.records), size)
    async with PostgresViews(database, *catalog.ALL) as views:
        await runner.run(catalog.ALL, Written(it.records), views, START, follow=False)

        assert await files(it, views, size) == expected


async def test_a_view_that_is_not_there_yet_ends_an_export_without_an_end(database: str) -> None:
    it = network(1)
    migrate.apply(database)
    async with PostgresViews(database, *catalog.ALL) as views:
        await runner.run(catalog.ALL, Written(it.records[:20]), views, START, follow=False)
        with pytest.raises(lines.Broken, match="stands at"):
            await files(it, views, it.ledger.head.size)
