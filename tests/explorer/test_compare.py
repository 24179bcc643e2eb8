"""The pixels that an audit was decided by: what was delivered over what was rendered again, as much of either as the reader asks for."""

from collections.abc import Iterator
from io import BytesIO

import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Browser, Locator, Page

from tests.explorer.served import Served, places

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

LINE_PX = 4
"""On either side of where the pictures meet."""
EDGES_MAX = 0.05
NAMES = ("worker", "checker", "difference")


@pytest.fixture
def caught(explorer: Served, chromium: Browser) -> Iterator[Page]:
    """The page of the audit that convicted a worker."""
    page = chromium.new_page(base_url=explorer.url, reduced_motion="reduce")
    page.goto(next(each for each in places() if each.startswith("/audits/")))
    page.wait_for_function("() => [...document.querySelectorAll('.cmp img')].every((each) => each.complete && each.naturalWidth)")
    yield page
    page.close()


def shown(it: Locator) -> Image.Image:
    return Image.open(BytesIO(it.screenshot())).convert("RGB")


def same(one: Image.Image, other: Image.Image, left: int, right: int) -> bool:
    """But for the edges of the large pixels, which a browser may round to either side."""
    part = (left, 2, right, min(one.height, other.height) - 2)
    different = ImageChops.difference(one.crop(part), other.crop(part)).convert("L").point(lambda value: 255 if value else 0)
    return different.histogram()[255] <= EDGES_MAX * (part[2] - part[0]) * (part[3] - part[1])


def share(page: Page) -> float:
    """Of the slider's width at which the pictures meet."""
    text: str = page.evaluate("getComputedStyle(document.querySelector('.sl')).getPropertyValue('--x')")
    return float(text.strip().removesuffix("%")) / 100


def meets(page: Page, whole: tuple[Image.Image, Image.Image]) -> None:
    """Left of there it is the worker's picture, right of there the checker's."""
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    now = shown(page.locator(".sl").first)
    at = round(share(page) * now.width)
    assert same(now, whole[0], LINE_PX, at - LINE_PX)
    assert same(now, whole[1], at + LINE_PX, now.width - LINE_PX)


def test_the_slider_is_drawn_by_mouse_and_keys_and_shows_what_it_says(caught: Page) -> None:
    slider, hand = caught.locator(".sl").first, caught.locator(".sl input").first
    pictures = list[Image.Image]()
    for key, end in (("End", 1), ("Home", 0)):
        hand.press(key)
        assert share(caught) == end
        caught.evaluate("document.activeElement.blur()")
        pictures.append(shown(slider))
    worker, checker = pictures
    assert not same(worker, checker, LINE_PX, worker.width // 2)
    assert same(checker, shown(caught.locator(".cmp figure:nth-child(2) img").first), LINE_PX, checker.width - LINE_PX)

    hand.press("PageUp")
    hand.press("ArrowRight")
    assert 0 < share(caught) < 0.5
    meets(caught, (worker, checker))
    box = slider.bounding_box()
    assert box
    y = box["y"] + box["height"] / 2
    caught.mouse.move(box["x"] + share(caught) * box["width"], y)
    caught.mouse.down()
    caught.mouse.move(box["x"] + 0.7 * box["width"], y, steps=5)
    caught.mouse.up()
    assert share(caught) == pytest.approx(0.7, abs=0.02)
    meets(caught, (worker, checker))
    caught.evaluate("follow.fetch()")
    caught.wait_for_function("() => !follow.fetching")
    assert share(caught) == pytest.approx(0.7, abs=0.02)
    assert float(hand.input_value()) == pytest.approx(100 * share(caught))


def test_the_difference_shows_where_two_pictures_differ_and_nothing_where_they_do_not(caught: Page) -> None:
    differs = list[bool]()
    for path in caught.evaluate("[...document.querySelectorAll('.cmp figure:nth-child(3) img')].map((each) => each.src)"):
        each = [Image.open(BytesIO(caught.request.get(path.replace("difference", name)).body())).convert("RGB") for name in NAMES]
        differs.append(each[2].getbbox() is not None)
        assert (each[2].getbbox() is not None) == (each[0].tobytes() != each[1].tobytes())

    assert any(differs)
