"""Every page by keyboard alone: each thing that can be done is come by once, in the order of the page, is seen to be there, and is left."""

from io import BytesIO

import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Browser, Page

from tests.explorer.served import HOLDS, Served, places

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

TWINS = {"/events", "/events/7", "/search?q=x"}
"""Like others, or much more of the same."""
STOPS = """() => {
  const list = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]:not([tabindex="-1"])'
  window.stops = [...document.querySelectorAll(list)].filter((each) => each.getClientRects().length && !each.disabled)
  window.walked = []
  document.addEventListener('focusin', (event) => walked.push(event.target))
  return stops.length
}"""
WALK = """() => {
  const told = (each) => each ? each.outerHTML.slice(0, 160) : 'nothing'
  const known = walked.filter((each) => stops.includes(each))
  const at = stops.findIndex((each, n) => known[n] !== each)
  const astray = at < 0 ? [] : [`${told(stops[at])} was due, ${told(known[at])} came`]
  const back = known.length > stops.length && known[stops.length] === stops[0]
  const mouse = [...document.querySelectorAll('body *')].filter((each) => /pointer|crosshair|resize/.test(getComputedStyle(each).cursor))
    .filter((each) => !each.closest('a[href], button, input, label, summary, [tabindex="0"]'))
  return [...astray, ...(back ? [] : ['it does not come round']), ...mouse.map((each) => `by mouse only: ${told(each)}`)]
}"""
KINDS = """() => {
  const named = (each) => `${each.localName}.${each.getAttribute('class') || each.getAttribute('type') || ''}`
  const kind = (each) => `${named(each.parentNode.parentNode)} ${named(each.parentNode)} ${named(each)}`
  return stops.map((each) => [kind(each), each.closest('.skip') ? '' : each.localName])
}"""


def shot(page: Page, n: int) -> Image.Image:
    """What is to be seen of a stop, and around it."""
    box = page.evaluate(
        """n => { stops[n].scrollIntoView({ block: 'center', inline: 'center' }); const it = stops[n].getBoundingClientRect()
        const size = [Math.min(it.width, innerWidth) + 12, Math.min(it.height, innerHeight) + 12]
        return { x: Math.max(0, it.x - 6), y: Math.max(0, it.y - 6), width: size[0], height: size[1] } }""",
        n,
    )
    return Image.open(BytesIO(page.screenshot(clip=box, animations="disabled"))).convert("RGB")


def test_every_page_is_walked_in_its_order_by_the_tabulator_and_nothing_is_for_the_mouse_alone(explorer: Served, chromium: Browser) -> None:
    page = chromium.new_page(base_url=explorer.url, reduced_motion="reduce")
    wrong, seen = list[str](), set[str]()
    for path in [*(each for each in places() if each not in TWINS), "/events?type=batch.signed.v1"]:
        page.goto(path)
        page.evaluate("follow.pause(true)")
        page.wait_for_function(HOLDS)
        for _ in range(page.evaluate(STOPS) + 2):
            page.keyboard.press("Tab")
        wrong += [f"{path}: {each}" for each in page.evaluate(WALK)]
        for n, (kind, tag) in enumerate(page.evaluate(KINDS)):
            if tag and kind not in seen:
                seen.add(kind)
                wrong += [f"{path}: {each}" for each in unseen(page, n)]
    page.close()

    assert wrong == []


def unseen(page: Page, n: int) -> list[str]:
    """Of a stop that does not show that it is the one: focus has to change at least as much as a line around it would."""
    page.evaluate("n => stops[n].focus()", n)
    there = shot(page, n)
    page.evaluate("document.activeElement.blur()")
    different = ImageChops.difference(there, shot(page, n)).convert("L").point(lambda value: 255 if value else 0)
    changed = different.histogram()[255]
    least = there.width + there.height - 24
    return [] if changed >= least else [f"{page.evaluate('n => stops[n].outerHTML.slice(0, 160)', n)} changes {changed} pixels of {least}"]


def test_the_first_stop_leads_past_the_head_of_the_page(explorer: Served, chromium: Browser) -> None:
    page = chromium.new_page(base_url=explorer.url)
    page.goto("/jobs")
    page.keyboard.press("Tab")
    box = page.locator(".skip").bounding_box()
    assert box
    assert box["x"] >= 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    inside = page.evaluate("document.getElementById('main').contains(document.activeElement)")
    page.close()

    assert inside
