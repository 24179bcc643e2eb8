"""A page in a real browser follows the ledger whatever becomes of its connection: each event once, nothing left out, and nothing said to be
live that is not."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route

from explorer.look import LIMIT
from tests.explorer.served import HOLDS, SHOWN_MS_MAX, Served

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

NOTES = """const Plain = EventSource
window.heard = []
window.EventSource = class extends Plain {
  constructor (...asked) {
    super(...asked)
    this.addEventListener('message', (message) => heard.push(Number(message.lastEventId)))
  }
}"""
FIRST = "Number(document.querySelector('tbody tr td').innerText.slice(1))"
ROWS = "[...document.querySelectorAll('tbody tr')].map((row) => Number(row.cells[0].innerText.slice(1)))"
SEEN = """seen => {
  Object.defineProperty(document, 'hidden', { value: !seen, configurable: true })
  document.dispatchEvent(new Event('visibilitychange'))
}"""
EARLY = 3
"""How often the views are behind."""
CUT_OFF, PROBLEM = ".fresh [data-cut]", "application/problem+json"


@pytest.fixture
def events(explorer: Served, chromium: Browser) -> Iterator[Page]:
    """The page of events, and what its feed said to it."""
    page = chromium.new_page(base_url=explorer.url)
    page.add_init_script(NOTES)
    page.goto("/events")
    page.wait_for_function("() => follow.source?.readyState === EventSource.OPEN")
    yield page
    page.close()


def catches_up(page: Page, it: Served) -> None:
    assert it.house
    page.wait_for_function(f"head => {FIRST} >= head && heard.at(-1) >= {FIRST}", arg=it.house.follower.head.size, timeout=SHOWN_MS_MAX)


def shows_each_once(page: Page, before: int) -> None:
    """Whatever was heard and is shown since then: dense, in order, no position twice."""
    rows, heard = page.evaluate(ROWS), page.evaluate("heard")
    assert rows == list(range(rows[0], rows[0] - len(rows), -1))
    assert heard == list(range(heard[0], heard[0] + len(heard)))
    assert heard[0] <= before + 1, "a feed may have begun before one looked where the page stood"
    assert heard[-1] >= rows[0] > before


def test_events_of_before_while_and_after_a_server_was_away_are_shown_once(explorer: Served, events: Page) -> None:
    before = events.evaluate("follow.position")
    explorer.submit()
    catches_up(events, explorer)
    explorer.stop()
    explorer.submit()
    events.wait_for_selector(CUT_OFF)
    assert not events.is_visible(".fresh .live:not([data-cut])")
    explorer.submit()
    explorer.start()
    explorer.submit()
    catches_up(events, explorer)

    shows_each_once(events, before)
    events.wait_for_selector(CUT_OFF, state="hidden")
    assert events.is_visible(".fresh .live:not([data-cut])")


def test_a_connection_that_breaks_again_and_again_loses_nothing(explorer: Served, events: Page) -> None:
    before = events.evaluate("follow.position")
    for _ in range(3):
        explorer.submit()
        explorer.cut()
    catches_up(events, explorer)

    shows_each_once(events, before)


def test_whoever_was_refused_the_feed_asks_again_from_where_it_was(explorer: Served, events: Page) -> None:
    """A browser comes again by itself when a connection breaks, but never when it is told no."""
    before = events.evaluate("follow.position")
    events.route("**/v1/live*", lambda route: route.fulfill(status=503, content_type=PROBLEM, body="{}"))
    explorer.cut()
    events.wait_for_function("() => follow.source.readyState === EventSource.CLOSED")
    explorer.submit()
    events.unroute("**/v1/live*")
    catches_up(events, explorer)

    shows_each_once(events, before)


def test_a_page_that_nobody_sees_holds_no_connection_and_catches_up_when_it_is_seen(explorer: Served, events: Page) -> None:
    """A browser opens six connections to one server: with seven pages that each hold one, the seventh would never load."""
    before = events.evaluate("follow.position")
    events.evaluate(SEEN, False)
    assert events.evaluate("follow.source.readyState") == 2
    explorer.submit()
    events.evaluate(SEEN, True)
    catches_up(events, explorer)

    shows_each_once(events, before)


@pytest.mark.parametrize("status", [0, 503])
def test_what_could_not_be_fetched_is_fetched_later_and_until_then_the_page_stays(explorer: Served, events: Page, status: int) -> None:
    asked = list[str]()

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        if status:
            route.fulfill(status=status, content_type=PROBLEM, body='{"title": "not now"}')
        else:
            route.abort()

    def refused(times: int) -> bool:
        for _ in range(200):
            if len(asked) >= times:
                return True
            events.wait_for_timeout(100)
        return False

    events.route("**/events", refuse)
    explorer.submit()
    assert refused(1)
    rows = events.evaluate(ROWS)
    assert len(rows) == LIMIT
    assert refused(2)
    assert events.evaluate(ROWS) == rows
    head = events.evaluate("() => { follow.source.close(); return heard.at(-1) }")
    events.unroute("**/events")
    events.wait_for_function(f"head => {FIRST} >= head", arg=head, timeout=SHOWN_MS_MAX)

    assert events.evaluate(ROWS)[-1] > rows[-1]


def test_a_page_that_was_fetched_before_the_views_had_the_event_is_fetched_again(explorer: Served, events: Page) -> None:
    old, early = events.request.get(f"{explorer.url}/events"), list[str]()

    def answer(route: Route) -> None:
        early.append(route.request.url)
        if len(early) > EARLY:
            route.continue_()
        else:
            headers = {"content-type": "text/html", "gridledger-position": old.headers["gridledger-position"]}
            route.fulfill(headers=headers, body=old.body())

    events.route("**/events", answer)
    explorer.submit()
    assert explorer.house
    head = explorer.house.follower.head.size
    events.wait_for_function("head => heard.at(-1) >= head", arg=head)
    events.evaluate("follow.source.close()")
    events.wait_for_function(f"head => {FIRST} >= head", arg=head)

    assert len(early) > EARLY


def test_what_was_due_when_a_page_was_paused_is_fetched_when_it_goes_on(explorer: Served, events: Page) -> None:
    asked = list[str]()
    events.wait_for_function(HOLDS)
    events.on("request", lambda request: asked.append(request.url) if request.url.endswith("/events") else None)
    events.evaluate("() => { follow.next = performance.now() + 500; follow.due(); follow.pause(true) }")
    assert events.evaluate("follow.timer") != 0
    events.wait_for_function(HOLDS)
    assert asked == []
    events.evaluate("follow.pause(false)")
    events.wait_for_function("() => follow.missed === 0")

    assert asked != []


def test_rows_that_are_paused_stay_and_are_counted_until_they_may_come(explorer: Served, events: Page) -> None:
    events.click("[data-pause]")
    events.wait_for_function(HOLDS)
    rows = events.evaluate(ROWS)
    assert events.get_attribute("[data-pause]", "aria-pressed") == "true"
    explorer.submit()
    events.wait_for_selector("[data-pause]:has-text('new')")
    assert events.evaluate(ROWS) == rows
    events.keyboard.press("p")
    events.mouse.move(0, 0)
    events.evaluate("document.activeElement.blur()")
    catches_up(events, explorer)

    assert events.evaluate("document.querySelector('[data-pause]').innerText") == "Pause"
