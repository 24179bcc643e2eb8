"""Groups of rows are what counting all rows would say, whatever happened; one without rows is gone."""

from collections import Counter

import pytest

from projections import runner
from projections.explorer.jobs import Job, Waiting
from projections.explorer.workers import Level, Standing
from projections.network.map import Crowd, Machine
from projections.row import Row, shape
from projections.tally import Tally, counter
from tests.projections.lives import ALL_ROWS, folded, network

SEEDS = (1, 2, 5)


@pytest.fixture(autouse=True)
def block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a row is written once, and is never in another group before."""
    monkeypatch.setattr(runner, "EVENTS_PER_BATCH_MAX", 1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("kind", "of"), [(Crowd, Machine), (Level, Standing), (Waiting, Job)])
async def test_a_group_counts_the_rows_that_are_in_it_now(seed: int, kind: type[Tally], of: type[Row]) -> None:
    views, keys = await folded(network(seed).records), shape(kind).key
    rows = (await views.page(of, limit=ALL_ROWS)).rows
    groups = (await views.page(kind, limit=ALL_ROWS)).rows
    counted = Counter(tuple(getattr(row, name) or "" for name in keys) for row in rows)

    assert {tuple(getattr(each, name) or "" for name in keys): getattr(each, counter(kind)) for each in groups} == counted
    assert len(rows) > 0


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_a_group_adds_up_is_the_sum_over_its_rows(seed: int) -> None:
    views = await folded(network(seed).records)
    rows = (await views.page(Job, limit=ALL_ROWS)).rows
    groups = (await views.page(Waiting, limit=ALL_ROWS)).rows

    assert sum(each.ready_wu_milli for each in groups) == sum(row.ready * (row.task_wu_milli or 0) for row in rows)
    assert sum(each.leased_wu_milli for each in groups) == sum(row.leased * (row.task_wu_milli or 0) for row in rows)


def test_rows_move_from_group_to_group_in_these_lives() -> None:
    happened = {type(e.event).__qualname__ for seed in SEEDS for e in network(seed).events}

    assert {"Online", "Offline", "Set", "Changed", "Closed"} <= happened
