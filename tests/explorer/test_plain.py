"""Every page without script: it is read, searched, filtered, turned and looked at in the past, and nothing stands there that would not
answer."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.explorer.served import Served, places

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

DUMB = """() => [...document.querySelectorAll('button, input, [aria-live], [data-at]')].filter((each) => each.checkVisibility()
  && each.getClientRects().length && !each.closest('form') && each.textContent + (each.ariaLabel || '') !== '')
  .map((each) => each.outerHTML.slice(0, 120))"""


@pytest.fixture
def plain(explorer: Served, chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(java_script_enabled=False, base_url=explorer.url)
    yield context.new_page()
    context.close()


def test_every_page_is_read_without_script_and_has_no_button_that_does_nothing(plain: Page) -> None:
    for path in places():
        answer = plain.goto(path)
        assert answer
        assert answer.status == 200, path
        assert len(plain.inner_text("main")) > 40, path
        assert plain.locator("h1").is_visible(), path
        assert plain.evaluate(DUMB) == [], path


def test_forms_and_links_do_without_script(plain: Page) -> None:
    plain.goto("/jobs")
    plain.fill(".find input", "#7")
    plain.press(".find input", "Enter")
    plain.wait_for_url("**/events/7")
    plain.click("[rel=next] >> nth=0")
    plain.wait_for_url("**/events/8")
    plain.goto("/jobs")
    plain.click(".filters >> text=closed")
    plain.wait_for_url("**/jobs?status=closed")
    plain.fill("#as-of", "100")
    plain.press("#as-of", "Enter")
    plain.wait_for_url("**/jobs?status=closed&as_of=100")

    assert plain.inner_text(".fresh .live") == "Past"
