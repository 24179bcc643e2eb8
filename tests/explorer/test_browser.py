"""The pages in a real browser: they follow the ledger, check an event by themselves, and ask nobody else for anything."""

import asyncio
import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from explorer.parts import Parts
from explorer.site import Site, beside
from projections import catalog
from projections.past import Past
from tests.api.house import House, people, running, submitted
from tests.api.test_over_sockets import Telling

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

SHOWN_MS_MAX = 40_000


class Served:
    """A house with the explorer beside the API, on a port, in a thread of its own."""

    def __init__(self, port: int) -> None:
        self.url, self.house, self.loop = f"http://127.0.0.1:{port}", None, asyncio.new_event_loop()

    def submit(self) -> str:
        assert self.house is not None
        return asyncio.run_coroutine_threadsafe(submitted(self.house), self.loop).result(20)

    house: House | None


@contextmanager
def served(port: int) -> Iterator[Served]:
    it, up = Served(port), threading.Event()
    server: list[uvicorn.Server] = []

    async def serve() -> None:
        async with running(people()) as house:
            parts = house.parts
            site = Site(Parts(parts.reader, parts.views, Past(parts.log, catalog.ALL), parts.objects, parts.now_us))
            house.app.router.default = beside(house.app.router.default, site.application())
            config = uvicorn.Config(house.app, port=port, log_config=None, lifespan="off", access_log=False, timeout_graceful_shutdown=1)
            server.append(Telling(config, up))
            it.house = house
            await server[0].serve()

    thread = threading.Thread(target=it.loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert up.wait(30)
        yield it
    finally:
        server[0].should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@contextmanager
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "Debian's chromium is missing: tools/setup test"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield launched
        finally:
            launched.close()


class Watched:
    """A page, and all that it complained of or asked for."""

    def __init__(self, page: Page) -> None:
        self.page, self.complaints, self.hosts = page, list[str](), set[str]()
        page.on("console", lambda said: self.complaints.append(said.text) if said.type in {"error", "warning"} else None)
        page.on("pageerror", lambda failure: self.complaints.append(str(failure)))
        page.on("request", lambda asked: self.hosts.add(urlsplit(asked.url).netloc))


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
