"""Charts in a real browser: they answer to the pointer, zoom, follow the ledger, and move nothing on the page."""

import pytest
from playwright.sync_api import Page

from tests.explorer.served import Served, Watched, browser, served

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
SHIFTS = """() => { window.shifts = 0; new PerformanceObserver((list) => {
  for (const each of list.getEntries()) if (!each.hadRecentInput) window.shifts += each.value
}).observe({ type: 'layout-shift', buffered: true }) }"""


def test_charts_answer_zoom_and_follow_without_moving_the_page(free_port: int) -> None:
    with served(free_port) as it, browser() as chromium:
        watched = Watched(chromium.new_page(base_url=it.url))
        page = watched.page
        it.submit()
        page.goto("/?by=10s")
        page.evaluate(SHIFTS)
        answers(page)
        answers_keys(page)
        follows(page, it)
        page.hover("h1")
        zooms(page)
        names_a_country(page)

        assert watched.complaints == []
        assert watched.hosts == {f"127.0.0.1:{free_port}"}


def answers(page: Page) -> None:
    """The pointer reads a period; what it reads goes when it leaves. Until then nothing was asked for that draws."""
    assert page.locator(".uplot").count() == 0
    box = page.locator("[data-plot]").nth(1)
    box.hover(position={"x": 2, "y": 5}, force=True)
    page.wait_for_selector(".box .uplot canvas")
    box.hover(position={"x": 4, "y": 5}, force=True)
    page.wait_for_function("document.querySelector('[data-at]:not(:empty)')")
    assert "events " in page.inner_text("[data-at]:not(:empty)")
    page.hover("h1")
    page.wait_for_function("!document.querySelector('[data-at]:not(:empty)')")


def answers_keys(page: Page) -> None:
    """The same without a pointer."""
    box, said, shown = page.locator(".box[data-plot]").nth(1), "[data-at]:not(:empty)", "(box) => drawn.get(box).plot.scales.x"
    box.focus()
    box.press("ArrowRight")
    page.wait_for_selector(said, state="attached")
    first = page.inner_text(said)
    assert "events " in first
    box.press("ArrowRight")
    assert page.inner_text(said) != first
    box.press("ArrowLeft")
    assert page.inner_text(said) == first
    whole = box.evaluate(shown)
    box.press("+")
    zoomed = box.evaluate(shown)
    assert zoomed["max"] - zoomed["min"] == pytest.approx((whole["max"] - whole["min"]) / 2)
    box.press("Escape")
    assert box.evaluate(shown) == whole
    box.evaluate("(box) => box.blur()")
    assert page.locator(said).count() == 0


def follows(page: Page, it: Served) -> None:
    text = "document.querySelectorAll('[data-plot]')[1].dataset.plot"
    before = page.evaluate(text)
    it.submit()
    page.wait_for_function(f"before => {text} !== before", arg=before, timeout=10_000)
    assert page.locator(".box .uplot").count() == page.locator("[data-plot]").count() == 4
    assert page.evaluate("window.shifts") < 0.01


def zooms(page: Page) -> None:
    """A drag over some of the chart makes it all of the chart: the same place then reads another period."""
    box = page.locator("[data-plot]").nth(1).bounding_box()
    assert box is not None
    y = box["y"] + 10

    def reads() -> str:
        page.mouse.move(box["x"] + 3, y)
        page.wait_for_function("document.querySelector('[data-at]:not(:empty)')")
        return page.inner_text("[data-at]:not(:empty)")

    first = reads()
    page.mouse.move(box["x"] + 0.5 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], y, steps=4)
    page.mouse.up()
    assert reads() != first
    page.mouse.dblclick(box["x"] + 0.5 * box["width"], y)
    assert reads() == first


def names_a_country(page: Page) -> None:
    page.goto("/map")
    page.hover("[data-country='CH']", force=True)
    assert page.text_content("[data-country='CH'] title") == "Switzerland"
