"""The pages in a real browser: they follow the ledger, check an event by themselves, and ask nobody else for anything."""

import json
import re

import pytest
from playwright.sync_api import Page

from tests.explorer.served import SHOWN_MS_MAX, Served, Watched, browser, served

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def test_a_reader_sees_the_ledger_change_and_can_check_it(free_port: int) -> None:
    with served(free_port) as it, browser() as chromium:
        watched = Watched(chromium.new_page(base_url=it.url))
        page = watched.page
        page.goto("/jobs")
        assert "Nobody has submitted a job yet" in page.inner_text("main")

        job = it.submit()
        page.wait_for_selector(f"text={job}", timeout=SHOWN_MS_MAX)
        follows_and_pauses(page, it)
        searches_and_goes_back_in_time(page, job)
        verifies(page)
        is_read_by_keys_and_in_both_themes(page)

        assert watched.complaints == []
        assert watched.hosts == {f"127.0.0.1:{free_port}"}


def follows_and_pauses(page: Page, it: Served) -> None:
    """What happens appears by itself; while the reader pauses it is counted."""
    page.goto("/events")
    first = page.inner_text("tbody tr:first-child td")
    page.keyboard.press("p")
    it.submit()
    page.wait_for_selector("[data-pause]:has-text('new')", timeout=SHOWN_MS_MAX)
    assert page.inner_text("tbody tr:first-child td") == first
    page.keyboard.press("p")
    page.wait_for_function(
        "first => document.querySelector('tbody tr:first-child td').innerText !== first", arg=first, timeout=SHOWN_MS_MAX
    )


def searches_and_goes_back_in_time(page: Page, job: str) -> None:
    page.keyboard.press("/")
    page.keyboard.type(job)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/jobs/{job}")
    page.fill("#as-of", job.partition("-")[2])
    page.keyboard.press("Enter")
    page.wait_for_url("**as_of=*")
    assert "Past" in page.inner_text(".fresh")
    assert "waits for its quote" in page.inner_text("main")


def verifies(page: Page) -> None:
    """The bytes of an event lead to the root; changed ones do not."""
    page.goto("/events/7")
    page.click("[data-verify]")
    page.wait_for_selector("[data-verified].accepted", timeout=SHOWN_MS_MAX)
    page.evaluate(
        "document.querySelector('[data-line]').textContent = document.querySelector('[data-line]').textContent.replace('pos', 'pus')"
    )
    page.click("[data-verify]")
    page.wait_for_selector("[data-verified].rejected", timeout=SHOWN_MS_MAX)


def is_read_by_keys_and_in_both_themes(page: Page) -> None:
    page.goto("/events")
    page.keyboard.press("j")
    page.keyboard.press("j")
    focused = page.evaluate("document.activeElement.innerText")
    assert focused == page.inner_text("tbody tr:nth-child(2) td")
    grounds = set[str]()
    for _ in range(3):
        page.click("[data-theme-switch]")
        page.reload()
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2
    page.set_viewport_size({"width": 390, "height": 800})
    for path in ("/", "/jobs", "/events", "/events/7"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


def test_pages_are_read_without_script(free_port: int) -> None:
    with served(free_port) as it, browser() as chromium:
        job = it.submit()
        page = chromium.new_context(java_script_enabled=False, base_url=it.url).new_page()
        page.goto("/")
        page.click(f"text={job}")

        assert re.search(r"\d+ frames? in \d+ pieces?", page.inner_text("main"))
        assert json.loads(page.request.get(f"{it.url}/jobs/{job}.json").text())["job"]["job"] == job
