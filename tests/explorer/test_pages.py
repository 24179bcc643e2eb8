"""Pages: what they say is what the ledger has, every link leads somewhere, nothing in them is anybody else's markup."""

import gzip
import json
import re
from datetime import UTC, datetime
from functools import cache
from html import unescape

import pytest

from domain.treasury import batch
from domain.units import Units
from domain.work import job
from explorer import assets
from explorer.drawing import charts
from explorer.pages.work import job as job_page
from explorer.site import HEADERS, PAGES
from projections import catalog
from projections.explorer.jobs import Job, Jobs
from projections.past import Crowded, TooMuch
from projections.row import Batch
from projections.views import Move
from tests import network
from tests.explorer.fresh import opened
from tests.network import Network
from tests.projections import lives

WEIGHT_MAX = 60_000
HOSTILE = "<script>alert(1)</script>\"'"


@cache
def lived() -> Network:
    return network.life(signs=False)


@cache
def working(attempts: int = 3) -> Network:
    """A job that is half done: some piece is accepted, one is wrong, one is leased."""
    it, creator, workers = network.populated(signs=False)
    id = it.submit(creator, 4)
    it.open(id)
    for _ in range(attempts):
        network.work(it, workers)
    return it


def links(text: str) -> set[str]:
    return {unescape(each) for each in re.findall(r'(?:href|src|action)="(/[^"]*)"', text)}


async def test_every_page_that_a_reader_can_reach_is_there() -> None:
    explorer, seen, waiting = await opened(lived()), set[str](), ["/"]
    while waiting and len(seen) < 250:
        path = waiting.pop(0)
        seen.add(path)
        answer = await explorer.get(path)
        assert answer.status_code == 200, path
        if answer.headers["content-type"].startswith("text/html"):
            waiting += {each.split("#")[0] for each in links(answer.text) if not each.startswith("/v1/")} - seen - set(waiting)

    assert {"/jobs", "/events", "/search"} <= seen
    assert len(seen) > 100


async def test_a_page_and_its_twin_stand_at_the_same_position() -> None:
    explorer = await opened(lived())
    for path in ("/", "/jobs", "/events", f"/events/{len(lived().events)}"):
        page, twin = await explorer.get(path), await explorer.get(f"{'/index' if path == '/' else path}.json")
        assert json.loads(twin.text)["as_of"] == int(page.headers["gridledger-position"]) == lived().ledger.head.size


async def test_the_script_and_style_of_all_pages_are_light() -> None:
    files = assets.load()
    assert {"explorer.css", "explorer.js", "vendor/htmx.min.js"} <= set(files)
    assert sum(len(gzip.compress(each.plain)) for each in files.values()) <= WEIGHT_MAX


async def test_no_script_or_style_stands_in_a_page_and_none_comes_from_elsewhere() -> None:
    explorer = await opened(working())
    for path in (
        "/",
        "/jobs",
        "/events",
        "/search?q=x",
        "/nothing",
        f"/jobs/{job_of(working())}",
        f"/jobs/{job_of(working())}/1",
        "/events/40",
    ):
        answer = await explorer.get(path)
        assert re.findall(r"<style|\sstyle=|\son[a-z]+=|<script(?! src=\"/static/)|https?://", answer.text) == [], path
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS


async def test_hostile_names_are_text() -> None:
    it = working()
    views = await lives.folded(it.records)
    batch = Batch()
    batch.add(Job(job_of(it), engine=HOSTILE, build=HOSTILE, reason=HOSTILE))
    evil = Job("job-9999999")
    for name in ("status", "creator", "kind", "engine", "build", "outcome"):
        setattr(evil, name, HOSTILE)
    evil.samples = evil.width = evil.height = evil.groups = evil.frames = evil.columns = evil.rows = evil.group = evil.seed = 1
    evil.asset, evil.submitted_us, evil.limit_price = "usdc", 1, Units(1)
    batch.add(evil)
    head = await views.head(catalog.of(Job))
    assert head is not None
    views.take(Move(Jobs(), batch, head, head), head.size)
    explorer = await opened(it, views=views)
    paths = (
        "/",
        "/jobs",
        "/jobs/job-9999999",
        f"/search?q={HOSTILE}",
        f"/jobs?status={HOSTILE}",
        f"/events?stream={HOSTILE}",
        f"/{HOSTILE}",
    )
    pages = [(await explorer.get(path)).text for path in paths]

    assert [path for path, text in zip(paths, pages, strict=True) if "<script>alert" in text] == []
    assert "&lt;script&gt;alert" in pages[2]


async def test_the_wall_shows_each_piece_in_its_state() -> None:
    it = working()
    text = await (await opened(it)).text(f"/jobs/{job_of(it)}")
    shown = re.findall(r'class="cell (\w+)" id="t(\d+)"', text)
    world = it.world
    states = {int(number): look for look, number in shown}

    assert len(states) == 16
    for task in world.tasks.values():
        if task.job and task.status in {"leased", "committed", "auditing", "accepted"}:
            assert states[int(task.id.partition("/")[2])] in {str(task.status), "overdue"}
    assert "accepted" in states.values()


async def test_the_parts_of_the_escrow_add_up_to_it() -> None:
    it = working()
    explorer = await opened(it)
    money = json.loads(await explorer.text(f"/jobs/{job_of(it)}.json"))["money"]

    assert money["spent"] + money["locked"] + money["free"] == money["hold"] > money["kept"] > 0
    assert sum(part["width"] for part in money["bar"]) == pytest.approx(100, abs=1)


async def test_the_strip_tells_live_quiet_behind_and_past_apart() -> None:
    it = lived()
    assert ">Live<" in await (await opened(it)).text("/")
    assert ">Quiet<" in await (await opened(it, later_us=60_000_000)).text("/")
    assert ">Past<" in await (await opened(it)).text("/?as_of=50")
    behind = await opened(it, later_us=60_000_000, views=await lives.folded(it.records[:20]))
    assert ">Behind<" in await behind.text("/jobs")


async def test_a_past_page_shows_the_past_by_position_and_by_time() -> None:
    it = lived()
    explorer = await opened(it)
    opened_at = next(e for e in it.events if isinstance(e.event, job.Opened))
    before = await explorer.get(f"/jobs/{opened_at.stream}.json?as_of={opened_at.pos - 1}")
    after = await explorer.get(f"/jobs/{opened_at.stream}.json?as_of={opened_at.pos}")
    timed = await explorer.get(f"/jobs/{opened_at.stream}.json?as_of={iso(it.events[opened_at.pos - 2].at_us)}")

    assert (before.json()["state"], after.json()["state"]) == ("quoted", "open")
    assert timed.json()["as_of"] < opened_at.pos or timed.json()["state"] == "open"
    assert (await explorer.get(f"/?as_of={len(it.events) + 1}")).status_code == 400
    assert (await explorer.get("/?as_of=yesterday")).status_code == 400


@pytest.mark.parametrize("path", ["/", "/index.json", "/jobs", "/jobs.json", "/jobs.csv", "/events", "/events.csv", "/jobs?as_of=90"])
async def test_who_has_the_page_is_told_so_until_it_says_something_else(path: str) -> None:
    it = lived()
    explorer, earlier = await opened(it), await opened(it, views=await lives.folded(it.records[:-5]))
    first, other = await explorer.get(path), await earlier.get(path)
    known = {"If-None-Match": f'W/"x", {first.headers["etag"]}'}
    same = await explorer.get(path, **known)

    assert (first.status_code, same.status_code, same.content) == (200, 304, b"")
    assert first.headers["etag"].startswith(f'W/"{first.headers["gridledger-position"]}-')
    assert {name: same.headers[name] for name in ("etag", "cache-control", "vary", "gridledger-position")} == {
        name: first.headers[name] for name in ("etag", "cache-control", "vary", "gridledger-position")
    }
    is_same = (other.content, other.headers["gridledger-position"]) == (first.content, first.headers["gridledger-position"])
    assert (await earlier.get(path, **known)).status_code == (304 if is_same else 200)
    assert is_same is ("as_of" in path)


async def test_what_tells_a_time_that_went_on_is_another_page() -> None:
    it = lived()
    quiet = await opened(it, later_us=60_000_000)
    live = await (await opened(it)).get("/jobs")

    assert (await quiet.get("/jobs", **{"If-None-Match": live.headers["etag"]})).status_code == 200


async def test_a_twin_of_the_past_is_kept_for_ever_but_not_one_of_a_time_that_more_may_come_at() -> None:
    it = lived()
    explorer = await opened(it, later_us=60_000_000)
    last_us = it.events[-1].at_us
    asked = {"90": True, iso(it.events[40].at_us): True, iso(last_us + 1_000_000): False}
    for form in ("json", "csv"):
        found = {text: await explorer.get(f"/workers.{form}?as_of={text}") for text in asked}
        assert {text: "immutable" in each.headers["cache-control"] for text, each in found.items()} == asked
        assert found[iso(last_us + 1_000_000)].headers["gridledger-position"] == str(len(it.events))
    assert (await explorer.get(f"/workers.json?as_of={iso(last_us + 120_000_000)}")).status_code == 400


async def test_pages_of_events_have_no_gap_and_no_repetition() -> None:
    it = lived()
    explorer, path, seen = await opened(it), "/events.json", list[int]()
    while path:
        page = (await explorer.get(path)).json()
        seen += [row["position"] for row in page["rows"]]
        path = f"/events.json?after={page['next']}" if page["next"] else ""

    assert seen == [*range(len(it.events), 0, -1)]


@pytest.mark.parametrize("query", ["after=x", "after=e30", "after=WzEsMl0", "after=WyJ4Il0", "order=up", "by=house&type=job.opened.v1"])
async def test_what_no_page_could_answer_is_refused_in_a_sentence(query: str) -> None:
    answer = await (await opened(lived())).get(f"/events?{query}")

    assert answer.status_code == 400
    assert "That cannot be answered" in answer.text


@pytest.mark.parametrize("folder", ["accounts", "workers", "jobs"])
@pytest.mark.parametrize(
    "query", ["after=WyJ4IiwxXQ", "after=WyJ4IiwieCIsMV0", "from=0", "from=x", "as_of=-1", "as_of=9999999999999999", "x=1"]
)
async def test_no_query_breaks_a_page(folder: str, query: str) -> None:
    it = lived()
    ids = {"accounts": next(iter(it.world.people)), "workers": next(iter(it.world.workers)), "jobs": job_of(it)}
    answer = await (await opened(it)).get(f"/{folder}/{ids[folder]}?{query}")

    assert answer.status_code == 200 or (answer.status_code == 400 and "That cannot be answered" in answer.text)


async def test_what_is_not_read_yet_is_told_from_what_never_was() -> None:
    it = lived()
    late = await opened(it, views=await lives.folded(it.records[:4]))
    known, size = job_of(it), len(it.events)

    assert (await late.get(f"/jobs/{known}")).status_code == 202
    assert (await late.get(f"/events/{size}")).status_code == 202
    assert [(await late.get(path)).status_code for path in (f"/jobs/job-{size + 1}", "/jobs/x", f"/events/{size + 1}", "/x")] == [404] * 4


async def test_what_came_later_than_the_past_of_a_page_never_comes_to_it() -> None:
    it = lived()
    explorer, job = await opened(it), job_of(it)
    made = int(job.partition("-")[2])

    for path, what in ((f"/jobs/{job}", job), (f"/events/{made}", f"event #{made}")):
        answer = await explorer.get(f"{path}?as_of={made - 1}")

        assert (answer.status_code, (await explorer.get(path)).status_code) == (404, 200)
        assert f"{what} came after #{made - 1}" in answer.text


async def test_an_empty_network_invites() -> None:
    text = await (await opened(Network())).text("/")

    assert "waiting for its first frame" in text
    assert "gridledger demo" in text


async def test_the_search_goes_to_whatever_it_is_given() -> None:
    it = lived()
    explorer, id = await opened(it), job_of(it)
    paid = next(e.event for e in it.events if isinstance(e.event, batch.Finalised))
    places = [(await explorer.get(f"/search?q={text}")).headers.get("location") for text in (id, "%2312", "12", f"{id}/2", paid.tx_hash)]
    line = next(f"{e.pos}-1" for e in it.events if isinstance(e.event, batch.Finalised))
    assert (await explorer.get(f"/search?q={line}")).headers["location"] == f"/explain/{line}"
    assert places[:4] == [f"/jobs/{id}", "/events/12", "/events/12", f"/jobs/{id}/2"]
    assert places[4] is not None
    assert "Nothing on the ledger" in await explorer.text("/search?q=job-999999")


async def test_a_table_is_a_file_of_the_same_rows() -> None:
    explorer = await opened(lived())
    rows = (await explorer.text("/events.csv")).splitlines()
    none = await explorer.text("/jobs.csv?status=paused")

    assert rows[0].startswith("position,at_us,type,stream")
    assert len(rows) == 51
    assert none == (await explorer.text("/jobs.csv")).splitlines(keepends=True)[0], "what is filtered by, and is not there, has columns"
    assert (await explorer.get("/search.csv?q=job")).status_code == 404, "a page without a table"


def test_a_chart_of_much_is_a_chart_of_few_bars() -> None:
    counts = charts.buckets([n * n for n in range(1_000)], 40)

    assert sum(counts) == 1_000
    assert len(charts.heights(counts)) == 40
    assert max(each.width for each in charts.heights(counts)) == 100


async def test_a_job_of_many_frames_is_shown_without_pictures_a_part_at_a_time() -> None:
    it, creator, _ = network.populated(signs=False)
    it.deposit(creator, 200_000_000)
    id = it.submit(creator, 300)
    it.open(id)
    explorer = await opened(it)
    text = await explorer.text(f"/jobs/{id}")
    rest = await explorer.text(f"/jobs/{id}?from={job_page.PIECES + 1}")

    assert text.count('title="Frame ') == rest.count('title="Frame ') == job_page.PIECES // 4
    assert f'href="/jobs/{id}?from={job_page.PIECES + 1}"' in text


def test_each_page_has_an_address_of_its_own() -> None:
    assert len({page.path for page in PAGES}) == len(PAGES)


def job_of(it: Network) -> str:
    return next(e.stream for e in it.events if e.stream.startswith("job-") and "/" not in e.stream)


def iso(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize("reason", [Crowded, TooMuch])
async def test_a_page_of_the_past_that_there_is_no_room_for_says_so_and_when_to_come_back(
    reason: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(*_: object) -> None:
        raise reason

    explorer = await opened(lived())
    monkeypatch.setattr(explorer.parts.past, "at", refuses)
    for path in ("/jobs?as_of=5", "/jobs.json?as_of=5"):
        answer = await explorer.get(path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
