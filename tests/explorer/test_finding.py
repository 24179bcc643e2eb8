"""A reader with an id, a hash or a time in hand, in a real browser: the box leads to its page, and what a page was asked for stands in its
address: filters, order, where it goes on, and the position or time that it looks at."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page

from domain.proof import beacon
from domain.treasury import account, anchor, batch, deposit, payout
from domain.work import job
from tests.explorer.served import Served, whole
from tests.explorer.test_pages import iso

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture
def page(explorer: Served, chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page(base_url=explorer.url)
    yield page
    page.close()


def things() -> dict[str, str]:
    """Whatever somebody may have in hand, and the page that it leads to."""
    recorded = whole().network.events
    events = [e.event for e in recorded]
    submitted = next(each for each in events if isinstance(each, job.Submitted))
    signed = next(each for each in events if isinstance(each, batch.Signed))
    asked = next(each for each in events if isinstance(each, payout.Requested))
    seen = next(each for each in events if isinstance(each, deposit.Seen))
    anchored = next(e for e in recorded if isinstance(e.event, anchor.Anchored))
    drawn = next(e for e in recorded if isinstance(e.event, beacon.Drawn))
    paid_to = next(each for each in events if isinstance(each, account.Changed) and each.payout_address)
    assert isinstance(anchored.event, anchor.Anchored)
    assert isinstance(drawn.event, beacon.Drawn)
    audit = next(e.stream for e in recorded if e.stream.startswith("audit-"))
    worker = whole().workers["fast"]
    ids = {each: f"/jobs/{each}" for each in (submitted.job, f"{submitted.job}/2")}
    ids |= {worker: f"/workers/{worker}", whole().creator: f"/accounts/{whole().creator}", audit: f"/audits/{audit}"}
    ids |= {signed.batch: f"/payouts/{signed.batch}", asked.payout: f"/payouts/{asked.payout}"}
    ids |= {f"#{drawn.pos}": f"/events/{drawn.pos}", str(drawn.pos): f"/events/{drawn.pos}"}
    ids |= {seen.deposit: f"/events/{seen.deposit.partition('-')[2]}", drawn.stream: f"/events/{drawn.stream.partition('-')[2]}"}
    hashes = {submitted.spec_sha256: f"/jobs/{submitted.job}", signed.tx_hash: f"/payouts/{signed.batch}"}
    hashes |= {anchored.event.tx: f"/events/{anchored.pos}", anchored.event.root: f"/events/{anchored.pos}"}
    hashes |= {drawn.event.block_hash: f"/events/{drawn.pos}", seen.tx: f"/events/{seen.deposit.partition('-')[2]}"}
    hashes |= {paid_to.payout_address: f"/accounts/{paid_to.account}"}
    return ids | hashes | {f"  {submitted.job.upper()} ": f"/jobs/{submitted.job}"}


def test_the_box_leads_from_anything_in_hand_to_its_page(page: Page) -> None:
    wrong = list[str]()
    page.goto("/trail")
    for text, place in things().items():
        page.keyboard.press("/")
        page.fill(".find input", text)
        page.press(".find input", "Enter")
        page.wait_for_load_state()
        page.wait_for_url(lambda url: urlsplit(url).path != "/trail")
        if urlsplit(page.url).path == "/search" and page.locator(f"main a[href='{place}']").count():
            page.click(f"main a[href='{place}']")
            page.wait_for_load_state()
        if urlsplit(page.url).path != place:
            wrong.append(f"{text}: {page.url}")
        page.goto("/trail")

    assert wrong == []


def asked(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def column(page: Page, n: int) -> list[str]:
    found: list[str] = page.eval_on_selector_all("main tbody tr", "(rows, n) => rows.map((row) => row.cells[n].innerText.trim())", n)
    return found


def test_filters_order_and_the_next_page_stand_in_the_address_and_say_the_same_when_it_is_opened_again(page: Page) -> None:
    page.goto("/audits")
    page.click(".filters >> text=invalid")
    page.wait_for_url("**result=invalid*")
    assert set(column(page, 1)) == {"invalid"}
    page.goto("/workers")
    page.click(".filters >> text=checker")
    page.wait_for_url("**kind=checker*")
    page.click(".filters >> text=online")
    page.wait_for_url("**presence=online*")
    page.click(".sec .sp a")
    page.wait_for_url("**order=desc*")
    assert asked(page) == {"kind": ["checker"], "presence": ["online"], "order": ["desc"]}
    rows = column(page, 0)
    assert rows == sorted(rows, key=lambda id: -int(id.partition("-")[2]))
    assert set(column(page, 2)) == {"checker"}

    page.goto("/events?type=audit.opened.v1&order=asc")
    first = column(page, 0)
    page.goto("/events?order=asc")
    page.click("[rel=next]")
    page.wait_for_url("**after=*")
    second, address = column(page, 0), page.url
    page.goto(address)
    assert column(page, 0) == second == [f"#{n}" for n in range(51, 101)]
    assert first == sorted(first, key=lambda each: int(each[1:]))
    page.click(".filters >> text=newest first")
    page.wait_for_url("**/events")
    assert asked(page) == {}


def test_a_page_of_the_past_is_asked_for_by_position_and_by_time_and_leads_back(page: Page) -> None:
    it = whole().network
    opened = next(e for e in it.events if isinstance(e.event, job.Opened))
    before = next(e for e in reversed(it.events[: opened.pos - 1]) if e.at_us < opened.at_us)
    path = f"/jobs/{opened.stream}"
    for text, state in (
        (str(opened.pos), "open"),
        (f"#{opened.pos - 1}", "quoted"),
        (iso(opened.at_us), "open"),
        (iso(before.at_us), "quoted"),
    ):
        page.goto(path)
        page.fill("#as-of", text)
        page.press("#as-of", "Enter")
        page.wait_for_url("**as_of=*")
        assert asked(page) == {"as_of": [text]}
        assert (page.inner_text(".fresh .live"), page.inner_text("h1").split()[-1]) == ("Past", state), text
    page.click("main a:has-text('Jobs') >> nth=0")
    page.wait_for_url("**/jobs?as_of=*")
    page.click("text=return to latest")
    page.wait_for_url("**/jobs")

    assert page.inner_text(".fresh .live") != "Past"
