"""A page in a real browser while the real server is killed and comes back: every event of before, while it starts, and after, once."""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters import process
from adapters.client import Client
from domain.treasury import account
from tests.explorer.served import browser
from tests.explorer.test_following import FIRST, NOTES, ROWS
from tests.faults.killing import kill_group
from tests.faults.site import Site

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

KILLS = 2


def opens(site: Site) -> int:
    """Somebody opens an account; the position of that."""

    async def ask() -> int:
        async with Client(site.url, secrets.token_urlsafe(32)) as client:
            return (await client.ask("/v1/accounts", account.Open(roles=("creator",)))).position

    with ThreadPoolExecutor(1) as thread:  # Playwright has a loop of its own in this one
        return thread.submit(asyncio.run, ask()).result()


def test_a_page_shows_each_event_once_while_the_server_is_killed_and_comes_back(site: Site) -> None:
    server = site.begun()
    try:
        with browser() as chromium:
            page = chromium.new_page(base_url=site.url)
            page.add_init_script(NOTES)
            page.goto("/events")
            page.wait_for_function("() => follow.source?.readyState === EventSource.OPEN")
            begin = page.evaluate("follow.position")
            for _ in range(KILLS):
                opens(site)
                kill_group(server.pid)
                server.wait()
                page.wait_for_selector(".fresh [data-cut]")
                server = site.begun()
                opens(site)
            head = opens(site)
            page.wait_for_function(f"head => {FIRST} >= head && heard.at(-1) >= {FIRST}", arg=head, timeout=60_000)
            rows, heard = page.evaluate(ROWS), page.evaluate("heard")
    finally:
        process.stop(server)

    assert rows == list(range(rows[0], rows[0] - len(rows), -1))
    assert heard == list(range(heard[0], heard[0] + len(heard)))
    assert heard[0] <= begin + 1
    assert len(heard) >= 3 * KILLS + 1, "two accounts and an election for each time, and one more"
