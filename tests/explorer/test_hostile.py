"""What others may write, as long and as hostile as it can be: it stays text, turns none of ours, and fits a small phone."""

from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser

from domain.ids import JobId, WorkerId
from domain.market import worker
from projections import catalog
from projections.explorer.jobs import Job, Jobs
from projections.memory import MemoryViews
from projections.row import Batch
from projections.views import Move
from tests import network
from tests.api.house import People
from tests.explorer.served import Served, Watched, free_port, served

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

WIDTH_PX = 360
RIGHT_TO_LEFT = "\u202e"
HOSTILE = f"<img src=x onerror=hit()>\"'{RIGHT_TO_LEFT}\u0634\u0643\u0631" + "W" * 100
LONG, MUCH = "W" * 80, 10**29
TURNED = """mark => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  const left = (node, at) => {
    const range = document.createRange()
    range.setStart(node, at)
    range.setEnd(node, at + 1)
    return range.getBoundingClientRect()
  }
  const found = []
  while (walker.nextNode()) {
    const text = walker.currentNode.data
    if (text.includes(mark)) continue
    for (const word of text.matchAll(/[A-Za-z0-9]{2,}/g)) {
      const [first, last] = [left(walker.currentNode, word.index), left(walker.currentNode, word.index + word[0].length - 1)]
      if (first.width && first.y === last.y && first.x > last.x) found.push(word[0])
    }
  }
  return found
}"""
WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('body *')]
  .filter((each) => each.getBoundingClientRect().right > innerWidth && !each.closest('.tw, .nav, svg, .cmd'))
  .slice(0, 3).map((each) => each.outerHTML.slice(0, 120))"""


@cache
def crowded() -> tuple[People, WorkerId, JobId]:
    """A ledger with the longest names and amounts that it takes; the one who has them, and its job."""
    it, creator, workers = network.populated()
    owner = it.person("provider", funds=MUCH, locked=MUCH // 10)
    devices = [{"uuid_sha256": sha256(b"%d" % n).hexdigest(), "model": LONG, "vram_mib": 2**20} for n in range(3)]
    register = worker.Register.model_validate({"kind": "gpu", "classes": (network.CLASS,), "devices": devices, "country": "CH"})
    large = it.do(owner, register, keyed=True)[0].event
    assert isinstance(large, worker.Registered)
    it.bid(large.worker, MUCH)
    it.online(large.worker)
    rich = it.person("creator", funds=MUCH)
    job = it.submit(rich, 2, limit=MUCH // 10**6)
    it.open(job)
    network.work(it, workers)
    return People(it, creator, workers), large.worker, job


@pytest.fixture(scope="module")
def explorer() -> Iterator[Served]:
    with served(free_port(), crowded()[0]) as it:
        assert it.house
        views, batch = it.house.parts.views, Batch()
        assert isinstance(views, MemoryViews)
        batch.add(Job(crowded()[2], engine=HOSTILE, build=HOSTILE, reason=HOSTILE))

        async def say() -> None:
            head = await views.head(catalog.of(Job))
            assert head is not None
            views.take(Move(Jobs(), batch, head, head), head.size)

        it.call(say())
        yield it


def test_nothing_that_others_wrote_escapes_turns_the_text_or_widens_the_page(explorer: Served, chromium: Browser) -> None:
    watched = Watched(chromium.new_page(base_url=explorer.url, viewport={"width": WIDTH_PX, "height": 800}))
    page, text = watched.page, quote(HOSTILE, safe="")
    owner = crowded()[0].network.world.workers[crowded()[1]].owner
    own = ["/", "/jobs", f"/jobs/{crowded()[2]}", f"/jobs/{crowded()[2]}/1", "/workers", f"/workers/{crowded()[1]}", f"/accounts/{owner}"]
    own += ["/map", "/map?country=CH", "/market", "/accounts", "/trail", "/events", f"/events?by={owner}"]
    asked = [f"/search?q={text}", f"/events?stream={text}", f"/jobs?creator={text}", f"/workers?owner={text}", f"/{text}", f"/jobs/{text}"]
    wrong, shown = list[str](), 0
    for path in [*own, *asked, f"/?as_of={text}"]:
        answer = page.goto(path)
        assert answer
        assert (answer.status == 200) == (path in own or "?q=" in path or "?stream=" in path or "?creator=" in path or "?owner=" in path), (
            path
        )
        shown += RIGHT_TO_LEFT in page.inner_text("main")
        wrong += [f"{path}: turns {each}" for each in page.evaluate(TURNED, RIGHT_TO_LEFT)]
        wrong += [f"{path}: wide by {each}" for each in page.evaluate(WIDE)]
        wrong += [f"{path}: took its markup" for _ in range(page.locator("img[src=x]").count())]
    page.close()

    assert wrong == []
    assert shown > 3
    assert [each for each in watched.complaints if "Failed to load resource" not in each] == []
    assert watched.hosts == {f"127.0.0.1:{explorer.port}"}
