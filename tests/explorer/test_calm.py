"""Pages keep still while the ledger moves: numbers change where they stand, rows arrive on top of their list and move nothing else, and
what somebody reads stays under their eyes."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.explorer.served import SHOWN_MS_MAX, Served, places, whole

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
FROM_THE_START = WATCH.replace("'layout-shift' }", "'layout-shift', buffered: true }")
FOLLOWS = "() => follow.source?.readyState === EventSource.OPEN"
FAR = {"offline": False, "latency": 50, "downloadThroughput": 20_000, "uploadThroughput": 20_000}
"""A connection of so many bytes a second: every page comes in pieces."""
SHOWN_AND_CAME = """() => {
  const [first] = performance.getEntriesByName('first-paint')
  return first && [first.startTime, performance.getEntriesByType('navigation')[0].responseEnd]
}"""
STRIP = """words => {
  const said = document.querySelector('.fresh .t')
  said.textContent = words
  said.parentNode.querySelector('.live').lastChild.textContent = words.split(' ')[0]
  return [document.querySelector('.fresh').clientHeight, document.documentElement.scrollWidth <= innerWidth]
}"""
SAID = ("Live", "Quiet since 08:00:14.496; the log is healthy", "Behind by 1,234 events, 22.2 s, and catching up")
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


def test_a_page_is_shown_when_it_is_whole_and_nothing_jumps_while_it_comes(explorer: Served, chromium: Browser) -> None:
    page = chromium.new_page(base_url=explorer.url)
    page.add_init_script(f"({FROM_THE_START})()")
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", FAR)
    early, shifts = list[str](), dict[str, list[object]]()
    for path in places():
        page.goto(path)
        page.wait_for_function(SHOWN_AND_CAME)
        shown, came = page.evaluate(SHOWN_AND_CAME)
        if shown < came:
            early.append(path)
        if total(page) > SHIFT_MAX:
            shifts[path] = page.evaluate("shifts")
    page.close()

    assert (early, shifts) == ([], {})


@pytest.mark.parametrize("width", [1280, 1000, 768, 390])
def test_the_strip_is_as_high_whatever_it_says_and_fits(explorer: Served, chromium: Browser, width: int) -> None:
    page = chromium.new_page(base_url=explorer.url, viewport={"width": width, "height": 800})
    page.goto("/events")
    page.wait_for_function(FOLLOWS)
    page.evaluate("follow.source.close()")
    strips = [page.evaluate(STRIP, words) for words in SAID]
    page.close()

    assert strips == [[strips[0][0], True]] * len(SAID)


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
