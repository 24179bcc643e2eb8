"""What the market says of a class, and what waits."""

import random
from collections import Counter
from statistics import median_low
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.policy import DAY, HOUR, MINUTE
from domain.units import Units
from domain.work import task
from projections import catalog
from projections.explorer import market
from projections.explorer.market import Market, Sold
from projections.explorer.workers import Standing
from projections.memory import MemoryViews
from projections.row import Batch, Row
from projections.views import Move
from tests.network import CLASS, ENGINE
from tests.projections.lives import START, folded, network

NOW_US = 1_800_000_000_000_000


async def views_with(*rows: Row) -> MemoryViews:
    views, batch = MemoryViews(*catalog.ALL), Batch()
    for row in rows:
        batch.add(row)
    for projection in catalog.ALL:
        if any(type(row) in projection.rows for row in rows):
            await views.write(Move(projection, batch, START, START.extend([b""])))
    return views


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=30))
def test_the_weighted_median_is_that_of_values_repeated_by_their_weights(weighted: list[tuple[int, int]]) -> None:
    repeated = [value for value, weight in weighted for _ in range(weight)]

    assert market.median(weighted) == (median_low(repeated) if repeated else None)


async def test_the_average_bid_is_the_median_of_what_was_sold_in_24_hours_by_work() -> None:
    def sold(price: int, wu_milli: int, age_us: int, cls: str = CLASS) -> Sold:
        return Sold(cls, (NOW_US - age_us) // market.SLOT_US, price, 1, wu_milli, 1)

    rows = [sold(100, 5_000, 2 * HOUR), sold(170, 6_000, 20 * HOUR), sold(200, 7_000, MINUTE), sold(1, 90_000, DAY + HOUR)]
    other = sold(9, 90_000, HOUR, "another/cpu")
    found = await market.quotation(await views_with(*rows, other), CLASS, NOW_US)

    assert (found.average_bid, found.sold_wu_milli) == (Units(170), 18_000)


async def test_the_open_bid_is_the_median_of_those_that_stand() -> None:
    def bid(n: int, price: int, expires_us: int = 0) -> Standing:
        return Standing(f"worker-{n}", CLASS, n, "account-1", "cpu", Units(price), 1, expires_us)

    rows = [bid(1, 300), bid(2, 100), bid(3, 0), bid(4, 50, NOW_US), bid(5, 200, NOW_US + 1), bid(6, 400)]
    found = await market.quotation(await views_with(*rows), CLASS, NOW_US)

    assert (found.open_bid, found.open_bids) == (Units(200), 4)
    assert (found.average_bid, found.sold_wu_milli) == (None, 0)


async def test_a_price_per_unit_is_the_bid_that_won() -> None:
    """As far as whole minor units tell."""
    it = network(2)
    views = await folded(it.records, Market())
    rows = (await views.page(Sold, limit=10_000)).rows
    leases = [e.event for e in it.events if isinstance(e.event, task.Leased)]

    assert sum(row.leases for row in rows) == len(leases) > 0
    assert sum(row.wu_milli for row in rows) == sum(each.wu_milli for each in leases)
    assert sum(row.amount for row in rows) == sum(each.price for each in leases)
    assert {row.price_per_kwu for row in rows} <= {150_000_000 + 10_000_000 * n for n in range(4)} | {140_000_000, 190_000_000}


async def test_open_demand_is_what_the_open_jobs_have_ready_and_leased() -> None:
    for seed in range(6):
        it = network(seed)
        found = await market.demand(await folded(it.records))
        waits = Counter[str]()
        for each in it.world.tasks.values():
            if each.job and it.world.jobs[each.job].status == "open":
                waits[each.status] += each.wu_milli
        jobs = sum(job.status == "open" for job in it.world.jobs.values())

        assert found == ([market.Demand(ENGINE, jobs, waits["ready"], waits["leased"])] if jobs else [])


async def test_more_rows_than_a_page_are_all_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market, "PAGE", 100)
    draw = random.Random(1)
    prices = [draw.randint(1, 10**6) for _ in range(2 * market.PAGE + 7)]
    rows = [Standing(f"worker-{n}", CLASS, n, "account-1", "cpu", Units(price), 1, 0) for n, price in enumerate(prices)]
    found = await market.quotation(await views_with(*rows), CLASS, NOW_US)

    assert (found.open_bid, found.open_bids) == (Units(median_low(prices)), len(prices))


async def test_quarters_that_are_known_say_what_reading_all_of_them_says() -> None:
    for seed in range(20):
        draw, kept, now_us = random.Random(seed), market.Quarters(), NOW_US
        sold, past = list[tuple[int, int, int]](), list[tuple[MemoryViews, int]]()
        for _ in range(30):
            now_us += draw.choice((0, MINUTE, market.SLOT_US, 5 * market.SLOT_US, DAY, 3 * DAY))
            sold += [(now_us // market.SLOT_US, draw.randint(1, 9), draw.randint(1, 99)) for _ in range(3)]
            past.append((await views_with(*(Sold(CLASS, slot, price, 1, wu, 1) for slot, price, wu in sold)), now_us))
            for views, at_us in (past[-1], draw.choice(past), past[-1]):
                assert await kept.sales(views, CLASS, at_us) == await market.Quarters().sales(views, CLASS, at_us)


async def test_a_quarter_that_is_over_is_not_read_again() -> None:
    rows = [Sold(CLASS, NOW_US // market.SLOT_US - n, 100 + n, 1, 5, 1) for n in range(90)]
    kept, views, taken = market.Quarters(), await views_with(*rows), list[int]()
    page = views.page

    async def counted(*args: Any, **kwargs: Any) -> Any:
        found = await page(*args, **kwargs)
        taken.append(len(found.rows))
        return found

    views.page = counted  # type: ignore[method-assign]
    first, again = [await kept.sales(views, CLASS, NOW_US) for _ in range(2)]

    assert first == again
    assert taken == [90, 1]
