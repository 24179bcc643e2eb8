"""The explorer beside the API, served to a real browser; the server can go, come back and cut its readers off while the house works on."""

import asyncio
import shutil
import socket
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from domain.ids import JobId
from domain.proof import audit
from domain.treasury import account
from explorer.parts import Parts
from explorer.site import Site, beside
from projections import catalog
from projections.past import Past
from tests import network
from tests.api.house import SCOPES, House, People, api_key, people, running, submitted
from tests.api.test_over_sockets import Telling
from tests.explorer.fresh import once, scene_of

SHOWN_MS_MAX = 40_000
DONE_S_MAX = 20
HOLDS = "() => !follow.timer && !follow.fetching"
"""Of a page that is paused: nothing more comes."""
T = TypeVar("T")


class Served:
    """A house with the explorer beside the API, on a port, in a thread of its own."""

    def __init__(self, port: int, of: People) -> None:
        self.port, self.url, self.people = port, f"http://127.0.0.1:{port}", of
        self.loop, self.up, self.over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
        self.house: House | None = None
        self._server: tuple[Telling, asyncio.Task[None]] | None = None

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Done in the house's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(DONE_S_MAX)

    def submit(self) -> JobId:
        assert self.house is not None
        return self.call(submitted(self.house))

    async def run(self) -> None:
        async with running(self.people) as house:
            parts = house.parts
            for content in (*self.people.network.objects.values(), *(scene_of(pictures=each).encode() for each in (True, False))):
                await parts.objects.put(once(content))
            self.house = await with_pages(house)
            await self._listen()
            await self.over.wait()
            await self._leave()

    async def _listen(self) -> None:
        assert self.house is not None
        self.up.clear()
        config = uvicorn.Config(
            self.house.app, port=self.port, log_config=None, lifespan="off", access_log=False, timeout_graceful_shutdown=1
        )
        server = Telling(config, self.up)
        self._server = server, asyncio.create_task(server.serve())

    async def _leave(self) -> None:
        if self._server:
            server, task = self._server
            self._server, server.should_exit = None, True
            await self._cut(server)
            await task

    async def _cut(self, server: uvicorn.Server) -> None:
        for each in list(server.server_state.connections):
            each.transport.abort()

    def cut(self) -> None:
        """All connections break; whoever comes again is served."""
        assert self._server
        self.call(self._cut(self._server[0]))

    def stop(self) -> None:
        """The server goes; the ledger does not."""
        self.call(self._leave())

    def start(self) -> None:
        """It is back, on its port."""
        self.call(self._listen())
        assert self.up.wait(DONE_S_MAX)


async def with_pages(house: House) -> House:
    """The explorer answers where its API has no route, and has read what there is."""
    parts = house.parts
    for each in catalog.ALL:
        await parts.views.reached(each.rows[0], len(house.network.events), DONE_S_MAX)
    site = Site(Parts(parts.reader, parts.views, Past(parts.log, catalog.ALL), parts.objects, parts.now_us))
    house.app.router.default = beside(house.app.router.default, site.application())
    return house


def guarded(headers: Mapping[str, str]) -> bool:
    """Whether a browser takes the answer for nothing but what it is, and lets nobody frame it or put script into it."""
    policy = headers.get("content-security-policy", "")
    sources = {each.split()[0]: each.split()[1:] for each in policy.split(";") if each.strip()}
    strict = sources.get("default-src") == ["'none'"] and sources.get("frame-ancestors") == ["'none'"]
    own = all(set(values) <= {"'none'", "'self'"} for values in sources.values())
    return strict and own and headers.get("x-content-type-options") == "nosniff" and "referrer-policy" in headers


@contextmanager
def served(port: int, of: People | None = None) -> Iterator[Served]:
    it = Served(port, of or people())
    thread = threading.Thread(target=it.loop.run_until_complete, args=(it.run(),))
    thread.start()
    try:
        assert it.up.wait(30)
        yield it
    finally:
        it.loop.call_soon_threadsafe(it.over.set)
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


@cache
def whole() -> People:
    """People whose ledger has a page of every kind: a job that was done, checked and paid, and one that is half done, with pictures."""
    it, creator, workers = network.populated()
    for id in (creator, *(it.world.workers[worker].owner for worker in workers.values())):
        it.do(id, account.Change(keys_added=(api_key(id, SCOPES),)), keyed=True)
    network.life(of=(it, creator, workers))
    job = it.submit(creator, 4, scene=scene_of(pictures=True).sha256())
    it.open(job)
    for _ in range(3):
        network.work(it, workers)
    return People(it, creator, workers)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def places() -> list[str]:
    """A page of each kind of the whole ledger; the first job is done and paid, the second half done."""
    it = whole().network
    first = {e.event.verb(): e.stream for e in reversed(it.events)}
    last = {e.event.verb(): e.stream for e in it.events}
    task = next(e.stream for e in it.events if e.event.verb() == "task.rejected")
    caught = next(e for e in it.events if isinstance(e.event, audit.Closed) and e.event.result == "invalid")
    paid = next(e for e in it.events if e.event.verb() == "payout.requested")
    lists = ("/", "/jobs", "/workers", "/map", "/market", "/payouts", "/accounts", "/audits", "/trail", "/events", "/search", "/search?q=x")
    works = [f"/jobs/{each['job.submitted']}" for each in (first, last)] + [f"/jobs/{task}"]
    owner = it.world.workers[whole().workers["fast"]].owner
    people = [f"/workers/{whole().workers['fast']}", f"/accounts/{owner}"]
    money = [f"/payouts/{first['batch.signed']}", f"/payouts/{paid.stream}", f"/explain/{paid.pos}-1"]
    return [*lists, *works, *people, *money, f"/audits/{caught.stream}", "/events/7", f"/events/{paid.pos}"]
