"""Pages keep still while the ledger moves: numbers change where they stand, rows arrive on top of their list and move nothing else, and
what somebody reads stays under their eyes."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.explorer.served import SHOWN_MS_MAX, Served, whole

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

SHIFT_MAX = 0.01
"""Of the cumulative layout shift; 0.1 is what browsers' makers call good."""
WATCH = """() => {
  window.shifts = []
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) {
      if (!each.hadRecentInput) shifts.push([each.value, each.sources.map(({ node }) => node?.parentElement?.closest('tbody, footer')
        || node?.nodeName === 'FOOTER' ? '' : (node?.outerHTML || '').slice(0, 120)).filter(Boolean)])
    }
  }).observe({ type: 'layout-shift' })
  const row = [...document.querySelectorAll('tbody tr')].find((each) => each.getBoundingClientRect().top > 0)
  window.tops = []
  const note = () => { tops.push(row?.isConnected ? row.getBoundingClientRect().top : null); requestAnimationFrame(note) }
  note()
}"""
FOLLOWS = "() => follow.source?.readyState === EventSource.OPEN"
STILL, ROWS = ("/", "/workers", "/market", "/trail"), ("/events", "/jobs")


Opens = Callable[..., Page]


@pytest.fixture
def opens(explorer: Served, chromium: Browser) -> Iterator[Opens]:
    """A page that is watched, each as of a browser of its own: in one, each would hold one of the six connections to a server."""
    pages = list[Page]()

    def opened(path: str, down_px: int = 0, over: str = "") -> Page:
        pages.append(chromium.new_page(base_url=explorer.url, viewport={"width": 1280, "height": 900}))
        watched(pages[-1], path, down_px, over)
        return pages[-1]

    yield opened
    for page in pages:
        page.close()


def watched(page: Page, path: str, down_px: int, over: str) -> None:
    page.goto(path)
    page.wait_for_function(FOLLOWS)
    page.evaluate("down => scrollTo({ top: down, behavior: 'instant' })", down_px)
    if over:
        page.hover(over)
    page.wait_for_timeout(700)
    page.evaluate(WATCH)


def grows(it: Served, *pages: Page) -> None:
    """Something happens a few times, and each page shows it."""
    for _ in range(3):
        it.submit()
        assert it.house
        for page in pages:
            told = "head => Number(document.querySelector('#live [data-latest]').innerText.slice(1)) >= head"
            page.wait_for_function(told, arg=it.house.follower.head.size, timeout=SHOWN_MS_MAX)


def test_where_no_row_arrives_nothing_moves(explorer: Served, opens: Opens) -> None:
    pages = {path: opens(path) for path in (*STILL, f"/jobs/{next(iter(whole().network.world.jobs))}")}
    grows(explorer, *(pages[path] for path in STILL))

    assert {path: page.evaluate("shifts") for path, page in pages.items() if total(page) > SHIFT_MAX} == {}


def total(page: Page) -> float:
    found: float = page.evaluate("shifts.reduce((sum, [value]) => sum + value, 0)")
    return found


def test_rows_that_arrive_move_nothing_but_the_rows_of_their_list(explorer: Served, opens: Opens) -> None:
    pages = {path: opens(path) for path in ROWS}
    grows(explorer, *pages.values())

    assert all(total(page) > 0 for page in pages.values())
    assert {path: page.evaluate("shifts.flatMap(([, moved]) => moved)") for path, page in pages.items()} == {path: [] for path in ROWS}


def test_the_row_that_somebody_reads_further_down_stays_under_his_eyes(explorer: Served, opens: Opens) -> None:
    page = opens("/events", 450)
    grows(explorer, page)
    tops = page.evaluate("tops")

    assert None not in tops
    assert max(tops) - min(tops) < 2


def test_rows_under_the_pointer_wait_and_come_when_it_leaves(explorer: Served, opens: Opens) -> None:
    page = opens("/events", over="tbody tr:nth-child(3)")
    first = page.inner_text("tbody tr td")
    explorer.submit()
    page.wait_for_function("() => follow.missed > 0")
    page.wait_for_timeout(1_000)
    assert (page.inner_text("tbody tr td"), total(page)) == (first, 0)
    page.mouse.move(0, 0)
    page.wait_for_function("first => document.querySelector('tbody tr td').innerText !== first", arg=first, timeout=SHOWN_MS_MAX)
