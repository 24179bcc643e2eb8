"""Every page, in a real browser: at most three clicks from Overview, no dead link, no answer without its headers, fit for a phone, and
nothing that axe calls serious."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from explorer.site import PAGES
from tests.explorer.served import Served, Watched, guarded, places

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

AXE = Path(__file__).parents[2] / ".tools/anvil/node_modules/axe-core/axe.min.js"
CLICKS_MAX = 3
LINKS = """() => [...document.querySelectorAll('a[href], form[action], img[src]')]
  .map(it => new URL(it.getAttribute('href') || it.getAttribute('action') || it.getAttribute('src'), location).href)"""
STATUSES = """all => Promise.all(all.map(async each => {
  const answer = await fetch(each)
  await answer.body?.cancel()
  return [each, answer.status]
}))"""
AT_ONCE_MAX = 20
RULES = """async only => (await axe.run(document, {
  resultTypes: ['violations'], preload: false, ...only ? { runOnly: { type: 'rule', values: only } } : {},
})).violations.filter(each => ['serious', 'critical'].includes(each.impact))
  .map(each => `${each.id}: ${each.nodes[0].html.slice(0, 200)}`)"""
DESK_PX = 1280
CUT_OFF = "[...document.querySelectorAll('.tw')].some(each => each.scrollWidth > each.clientWidth)"
LOOKS: tuple[tuple[int, Literal["dark", "light"], list[str] | None], ...] = ((DESK_PX, "dark", None), (390, "light", ["color-contrast"]))
"""Width in pixels, theme, and the rules of axe; none: all of them."""


def kind(path: str) -> str:
    """One page of each kind stands for all: `/jobs/job-1` is of the kind `/jobs/*`."""
    first, *rest = path.strip("/").split("/")
    return "/" + "/".join([first, *("*" for _ in rest)])


KINDS = {"/" + "/".join("*" if each.startswith("{") else each for each in page.path.strip("/").split("/")) for page in PAGES}


class Walk:
    """From Overview on, the first page of each kind; every link of it is asked for."""

    def __init__(self, page: Page) -> None:
        self.page, self.asked = page, set[str]()
        self.dead, self.bare, self.kinds = list[str](), list[str](), {"/": 0}
        page.on("response", lambda answer: self.bare.append(answer.url) if not guarded(answer.headers) else None)

    def go(self) -> None:
        due = ["/"]
        for clicks in range(1, CLICKS_MAX + 1):
            found = [each for path in due for each in self.links(path)]
            due = []
            for path in found:
                if kind(path) in KINDS and kind(path) not in self.kinds and path.rpartition(".")[2] not in {"json", "csv"}:
                    self.kinds[kind(path)] = clicks
                    due.append(path)
        for path in due:
            self.links(path)

    def links(self, path: str) -> list[str]:
        self.page.goto(path)
        found: list[str] = self.page.evaluate(LINKS)
        fresh = [each for each in dict.fromkeys(each.partition("#")[0] for each in found) if each not in self.asked]
        self.asked |= set(fresh)
        for n in range(0, len(fresh), AT_ONCE_MAX):
            self.dead += [f"{each} {status}" for each, status in self.page.evaluate(STATUSES, fresh[n : n + AT_ONCE_MAX]) if status >= 400]
        return [urlsplit(each).path for each in found]


def test_every_page_is_three_clicks_away_no_link_is_dead_and_every_answer_is_guarded(explorer: Served, chromium: Browser) -> None:
    watched = Watched(chromium.new_page(base_url=explorer.url))
    walk = Walk(watched.page)
    walk.go()
    watched.page.close()

    assert set(walk.kinds) == KINDS
    assert walk.dead == []
    assert walk.bare == []
    assert len(walk.asked) > 300
    assert watched.complaints == []
    assert watched.hosts == {f"127.0.0.1:{explorer.port}"}


def test_every_page_fits_a_phone_and_can_be_read_by_everybody(explorer: Served, chromium: Browser) -> None:
    wrong: list[str] = []
    page = chromium.new_page(base_url=explorer.url)
    for path in places():
        page.goto(path)
        page.evaluate(AXE.read_text())
        for width, theme, rules in LOOKS:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            wrong += [f"{path} {width} {theme}: {each}" for each in page.evaluate(RULES, rules)]
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wrong.append(f"{path} {width}: scrolls sideways")
            if width == DESK_PX and page.evaluate(CUT_OFF):
                wrong.append(f"{path} {width}: a table is wider than its place")
    page.close()

    assert wrong == []
