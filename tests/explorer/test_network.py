"""The network over time and on a map: charts add up to what the ledger has, the market says what would help, a worker's days are his."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.market import worker
from domain.policy import DAY, HOUR
from domain.units import Units
from domain.work import task
from explorer import words
from explorer.drawing import tiles
from explorer.drawing.history import UNITS, Window
from explorer.drawing.plots import Line, Plot
from explorer.look import Look
from projections.explorer.market import SLOT_US, Market, Sold
from projections.row import Batch
from projections.views import Move
from tests import network
from tests.explorer.fresh import opened
from tests.explorer.test_pages import job_of, lived, working
from tests.explorer.test_pictures import showing
from tests.network import CLASS, Network
from tests.projections import lives


def line(plots: list[dict[str, Any]], title: str, name: str) -> list[float]:
    """The values of one line of a chart, as the page's JSON has them."""
    lines = next(each["lines"] for each in plots if each["title"] == title)
    return next(each["values"] for each in lines if each["name"] == name)


@pytest.mark.parametrize("unit", [each.name for each in UNITS])
async def test_the_charts_of_the_network_add_up_to_what_the_ledger_has(unit: str) -> None:
    it = lived()
    page = json.loads(await (await opened(it)).text(f"/index.json?by={unit}"))
    plots, volume = page["history"]["plots"], page["volumes"][-1]

    assert page["history"]["unit"] == unit
    assert sum(line(plots, "Ledger growth", "events")) == len(it.events)
    assert sum(line(plots, "Pay", "earned")) == int(volume["earned"])
    assert sum(line(plots, "Pay", "paid out")) == int(volume["paid"]) > 0
    assert line(plots, "Treasury and debts", "treasury")[-1] == page["treasury"]
    assert max(line(plots, "At work", "at work")) > 0


async def test_history_by_what_is_no_unit_is_refused() -> None:
    answer = await (await opened(lived())).get("/?by=week")

    assert answer.status_code == 400
    assert "10s, minute, hour, day" in answer.text


@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from([-1, 1])), max_size=20), st.integers(0, 99))
def test_levels_and_areas_give_back_the_mean_up_to_now(changes: list[tuple[int, int]], now_us: int) -> None:
    """Ten periods of 10 µs, in twos, against a sum over each microsecond."""
    changes = sorted(each for each in changes if each[0] <= now_us)
    over = Window(0, 10, 2, 10, now_us)
    steps = [sum(change for at, change in changes if at // 10 == n) for n in range(10)]
    areas = [sum(change * (10 - at % 10) for at, change in changes if at // 10 == n) for n in range(10)]
    found = over.areas_us(over.levels(sum(steps), steps), steps, areas)
    level = [sum(change for at, change in changes if at <= us) for us in range(now_us)]
    expected = [sum(level[n : n + 20]) for n in range(0, 100, 20)]

    assert found == expected
    assert over.means(found)[0] == pytest.approx(expected[0] / min(20, max(now_us, 1)), abs=1e-6)


def test_a_chart_of_steps_has_gaps_and_bars_stand_beside_each_other() -> None:
    steps = Plot("x", "", "steps", 0, 1, [Line("a", "c0", [None, 19, 38, None, 0])])
    bars = Plot("x", "", "bars", 0, 1, [Line("a", "c0", [38, 0]), Line("b", "c1", [0, 38])])

    assert steps.path(0) == "M1 21.0H2V2.0H3M4 40.0H5"
    assert (bars.path(0), bars.path(1)) == ("M0.10 40V2.0h0.40V40Z", "M1.50 40V2.0h0.40V40Z")
    assert not steps.filled(0)
    assert json.loads(Plot("x", "", "bars", 0, 1, [Line("a", "c0", [1_500_000])], "usdc").numbers(6))["lines"] == [["a", "c0", [1.5]]]


def test_each_country_is_one_square_of_the_map() -> None:
    places = list(tiles.places())

    assert len({code for code, _, _ in places}) == len({(column, row) for _, column, row in places}) == len(places) > 190
    assert all(re.fullmatch("[A-Z]{2}", code) and column < 28 and row < 16 for code, column, row in places)


async def test_the_map_shows_countries_that_owners_named_and_counts_the_rest() -> None:
    it = Network(signs=False)
    owner = it.person("provider")
    ids = [it.worker(owner) for _ in range(3)]
    it.do(owner, worker.Change(worker=ids[0], country="CH"), keyed=True)
    it.online(ids[0])
    explorer = await opened(it)
    text, one = await explorer.text("/map"), await explorer.text("/map?country=CH")
    page = json.loads(await explorer.text("/map.json"))

    assert (page["machines"], page["online"], page["unsaid"], page["countries"]) == (3, 1, 2, 1)
    assert 'href="/map?country=CH"' in text
    assert re.search(r'aria-label="[A-Z]{2}: 1 of 1 machine online"', text)
    assert not any(id in text for id in ids)
    assert ids[0] in one
    assert ids[1] not in one
    assert (await explorer.text("/map.csv")).splitlines()[0] == "country,model,workers,checkers,online"
    assert "No machine is there now" in await explorer.text("/map?country=%3Cb%3E")
    assert "the whole world is free" in await (await opened(Network())).text("/map")


async def test_the_market_says_what_waits_and_the_cheapest_remedy() -> None:
    it, creator, workers = network.populated(signs=False)
    for id in workers.values():
        if it.world.workers[id].kind != "checker":
            it.bid(id, 300_000_000)
    it.open(it.submit(creator, 1))
    explorer = await opened(it)
    (cls,) = json.loads(await explorer.text("/market.json"))["classes"]
    text = await explorer.text("/market")

    assert (cls["waits"]["pieces"], cls["waits"]["beyond"], cls["waits"]["best"]) == (4, 4, 200_000_000)
    assert "The cheapest remedy for a worker is a bid of" in text
    assert len(cls["asks"]) == 4
    assert cls["depth"]["path"] == "M0 40H50.0V2.00H100", "all four at one price: one step to the top"
    assert "Nobody bids on this class yet" in await (await opened(Network())).text("/market")


async def test_leases_of_the_market_go_on_without_gap_or_repetition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Look.page, "__kwdefaults__", {**(Look.page.__kwdefaults__ or {}), "limit": 3})
    it = lived()
    explorer, path, seen = await opened(it), "/market.json", list[int]()
    while path:
        page = json.loads(await explorer.text(path))
        seen += [row["leased_position"] for row in page["awards"]]
        path = f"/market.json?after={page['next']}" if page["next"] else ""

    assert seen == [e.pos for e in reversed(it.events) if isinstance(e.event, task.Leased)]


async def test_prices_of_a_day_are_drawn_by_quarters_of_an_hour() -> None:
    it = working()
    views = await lives.folded(it.records)
    head, batch = await views.head(Market()), Batch()
    assert head is not None
    slot = it.events[-1].at_us // SLOT_US
    for age, price, wu in ((3, 100, 5_000), (3, 300, 6_000), (60, 200, 1_000)):
        batch.add(Sold(CLASS, slot - age, price, 1, wu, 1, Units(1)))
    views.take(Move(Market(), batch, head, head), head.size)
    (cls,) = json.loads(await (await opened(it, views=views)).text("/market.json"))["classes"]
    median = line(cls["prices"], "Price per kWU", "median")

    assert [median[-61], median[-5], median[-4], median[-3]] == [200, 200, 300, 300]
    assert line(cls["prices"], "Price per kWU", "lowest")[-4:-1] == [100] * 3
    assert line(cls["prices"], "Work sold", "work units")[-4] == 11
    assert len(median) == 61


async def test_the_days_of_a_worker_are_what_it_earned_and_how_busy_it_was() -> None:
    it, creator, workers = network.populated(signs=False)
    it.open(it.submit(creator, 2))
    for _ in range(12):
        network.work(it, workers)
    it.now_us += 3 * DAY
    it.worker(it.person("provider"))
    page = json.loads(await (await opened(it)).text(f"/workers/{workers['fast']}.json"))
    earned = line(page["days"], "Earned by day", "earned")
    online = line(page["days"], "Utilisation by day", "online")

    assert sum(earned) == int(page["worker"]["earned"]) > 0
    assert earned[-1] == 0
    assert online[-2] == 1
    assert 0 < page["strip"]["online_us"] <= page["strip"]["span"]["end_us"] - page["strip"]["span"]["start_us"] <= 7 * DAY
    assert page["strip"]["online_us"] > 2 * DAY + HOUR
    assert len(page["pieces"]) == page["worker"]["attempts"]
    assert "data-plot=" in await (await opened(it)).text(f"/workers/{workers['killed']}")


async def test_overview_shows_small_pictures_of_jobs_that_let_it_and_of_no_others() -> None:
    public, private = await (await showing(pictures=True)).text("/"), await (await showing(pictures=False)).text("/")

    assert re.search(rf'class="thumbs" href="/jobs/{job_of(lived())}"', public)
    assert "/pictures/" in public
    assert "/pictures/" not in private


async def test_no_script_or_style_stands_in_pages_with_charts() -> None:
    explorer = await opened(working())
    for path in ("/", "/market", "/map", f"/workers/{next(iter(working().world.workers))}"):
        assert re.findall(r"<style|\sstyle=|\son[a-z]+=|<script(?! src=\"/static/)|https?://", await explorer.text(path)) == [], path


def test_a_number_on_a_tile_has_four_signs_at_most() -> None:
    assert [words.few(n) for n in (0, 999, 1_000, 9_999, 10_000, 999_999, 1_250_000)] == ["0", "999", "1.0k", "9.9k", "10k", "999k", "1.2M"]
