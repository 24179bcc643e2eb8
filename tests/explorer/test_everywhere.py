"""Every page that Overview leads to, in a real browser: no dead link, fit for a phone, and nothing that axe calls serious."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page

from tests.explorer.test_browser import Watched, browser, served

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

AXE = Path(__file__).parents[2] / ".tools/anvil/node_modules/axe-core/axe.min.js"
WIDTHS_PX = (390, 1280)
CLICKS_MAX = 3
# Of a house in memory: it has no batch, and its job waits for its quote, so there is no task.
KINDS = {"/", "/map", "/market", "/payouts", "/trail", "/workers", "/workers/*", "/accounts", "/accounts/*", "/audits", "/audits/*"}
KINDS |= {"/events", "/events/*", "/jobs", "/jobs/*"}


def kind(path: str) -> str:
    """One page of each kind stands for all: `/jobs/job-1` is of the kind `/jobs/*`."""
    first, *rest = path.strip("/").split("/")
    return "/" + "/".join([first, *("*" for _ in rest)])


def links(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all("a[href]", "all => all.map(each => new URL(each.getAttribute('href'), location).href)")
    return found


def walk(page: Page) -> Iterator[str]:
    """The first page of each kind, at most so many clicks from Overview, each opened once."""
    seen, due = {"/"}, ["/"]
    for _ in range(CLICKS_MAX + 1):
        found: list[str] = []
        for path in due:
            answer = page.goto(path)
            assert answer is not None
            assert answer.status == 200, path
            if not answer.headers.get("content-type", "").startswith("text/html"):
                continue
            assert "default-src" in answer.headers["content-security-policy"], path
            assert answer.headers["x-content-type-options"] == "nosniff", path
            found += [urlsplit(each).path for each in links(page)]
            yield path
        due = []
        for path in found:
            if kind(path) not in seen and not path.startswith("/v1") and path.rpartition(".")[2] not in {"json", "csv"}:
                seen.add(kind(path))
                due.append(path)


def findings(page: Page) -> list[str]:
    """What axe calls serious or critical, each with the first element that it names."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found if each["impact"] in {"serious", "critical"}]


def test_every_page_from_overview_is_alive_fits_a_phone_and_can_be_read_by_everybody(free_port: int) -> None:
    wrong: list[str] = []
    kinds: set[str] = set()
    with served(free_port) as it, browser() as chromium:
        it.submit()
        watched = Watched(chromium.new_page(base_url=it.url))
        page = watched.page
        dead: list[str] = []
        page.on("response", lambda answer: dead.append(answer.url) if answer.status >= 400 else None)
        for path in walk(page):
            kinds.add(kind(path))
            for width in WIDTHS_PX:
                page.set_viewport_size({"width": width, "height": 900})
                for theme in ("dark", "light"):
                    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
                    wrong += [f"{path} {width} {theme}: {each}" for each in findings(page)]
                if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                    wrong.append(f"{path} {width}: scrolls sideways")
        assert wrong == []
        assert kinds >= KINDS
        # The pixels of the house's audits were never stored: of these pictures, and of nothing else, the browser says 404.
        assert [each for each in dead if "/pictures/audit-" not in each] == []
        missing = [each for each in watched.complaints if "404" in each]
        assert watched.complaints == missing
        assert len(missing) == len(dead)
        assert watched.hosts == {f"127.0.0.1:{free_port}"}
