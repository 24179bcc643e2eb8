"""What a reader goes by: links of the past stay in it, lists are turned in their address, quiet and behind are told in words, an empty
network invites, and keys copy and turn pages."""

import re

import pytest

from domain.proof import beacon
from domain.treasury import account
from domain.work import job
from explorer.site import staying
from tests.explorer.fresh import opened
from tests.explorer.served import SHOWN_MS_MAX, browser, served
from tests.explorer.test_pages import job_of, links, lived, working
from tests.network import Network
from tests.projections import lives


async def test_links_of_a_past_page_stay_in_the_past_but_for_those_back() -> None:
    it = lived()
    explorer = await opened(it)
    position = len(it.events) - 5
    for path in ("/", "/jobs", f"/jobs/{job_of(it)}", f"/events/{position}", "/audits?result=valid"):
        text = await explorer.text(f"{path}{'&' if '?' in path else '?'}as_of={position}")
        main = text[text.index("<nav") :]
        pages = {each for each in links(main) if not each.startswith(("/v1/", "/static/", "/pictures/", "/search"))} - {
            path.partition("?")[0]
        }
        assert pages, path
        away = {each for each in pages if f"as_of={position}" not in each}
        assert away <= {f"/events/{len(it.events)}", path}, away
        assert f'data-latest href="{path.replace("&", "&amp;")}"' in text


async def test_whatever_is_linked_from_a_past_page_was_there_then() -> None:
    it = lived()
    explorer = await opened(it)
    position = next(e.pos for e in it.events if e.event.verb() == "task.accepted") + 3
    for path in ("/", f"/jobs/{job_of(it)}", "/workers", "/events"):
        for each in links(await explorer.text(f"{path}?as_of={position}")):
            if f"as_of={position}" in each and not each.endswith(".csv"):
                assert (await explorer.get(each)).status_code == 200, each


async def test_how_long_something_took_is_told_as_of_the_past() -> None:
    it = working()
    id, opened_at = job_of(it), next(e for e in it.events if e.event.verb() == "job.opened")
    text = await (await opened(it, later_us=3_600_000_000)).text(f"/jobs?as_of={opened_at.pos}")

    assert re.search(rf">{id}</a>.*>0\.0 s</td>", text, re.DOTALL)


def test_only_links_to_pages_are_kept_in_the_past() -> None:
    kept = staying('<a class="m" href="/jobs/job-1#f0">', 7), staying('<svg><a href="/map?country=CH">', 7)
    same = ['<a href="/v1/log">', '<a data-latest href="/">', '<link href="/static/x.css">', '<a href="/jobs?as_of=3">', '<a href="#x">']

    assert kept == ('<a class="m" href="/jobs/job-1?as_of=7#f0">', '<svg><a href="/map?country=CH&amp;as_of=7">')
    assert [staying(each, 7) for each in same] == same


@pytest.mark.parametrize("path", ["/jobs", "/workers", "/accounts", "/audits", "/payouts", "/events"])
async def test_a_list_is_turned_by_its_address(path: str) -> None:
    explorer = await opened(lived())
    text = await explorer.text(path)
    order = re.search(r'href="([^"]*order=(?:asc|desc)[^"]*)"', text)
    assert order is not None
    rows = [(await explorer.text(each)).split("<tbody>")[1].count("<tr") for each in (path, order[1])]
    first = [
        re.findall(r'<td[^>]*><a class="m" href="([^"]+)"', (await explorer.text(each)).rpartition("<thead>")[2])[0]
        for each in (path, order[1])
    ]

    assert rows[0] == rows[1]
    assert first[0] != first[1] or rows[0] == 1
    assert re.search(r'href="[^"]*"[^>]*>(?:newest|oldest) first<', await explorer.text(order[1]))


async def test_the_strip_says_that_quiet_is_healthy_and_behind_is_being_mended() -> None:
    it = working()
    quiet = await (await opened(it, later_us=60_000_000)).text("/jobs")
    behind = await (await opened(it, later_us=60_000_000, views=await lives.folded(it.records[:20]))).text("/jobs")

    assert "the log is healthy" in quiet
    assert "catching up" in behind
    assert "the log is healthy" not in behind


async def test_every_list_of_an_empty_network_says_what_will_be_there() -> None:
    explorer = await opened(Network())
    said = {path: await explorer.text(path) for path in ("/jobs", "/workers", "/payouts", "/audits", "/market", "/map")}

    assert [path for path, text in said.items() if "None is like that" in text] == []
    for path, text in said.items():
        assert re.search("The first|first worker|first tile|Nobody bids", text), path
    assert "None is like that now" in await explorer.text("/workers?kind=gpu")


async def test_an_event_leads_to_those_beside_it() -> None:
    it = lived()
    explorer, size = await opened(it), len(it.events)

    assert re.search(r'rel="prev" href="/events/6".*rel="next" href="/events/8"', await explorer.text("/events/7"))
    assert 'rel="next"' not in await explorer.text(f"/events/{size}")
    assert 'rel="prev"' not in await explorer.text("/events/1")


@pytest.mark.system
@pytest.mark.timeout(120)
def test_keys_copy_an_id_and_turn_the_page_and_a_pause_by_click_ends(free_port: int) -> None:
    with served(free_port) as it, browser() as chromium:
        page = chromium.new_page(base_url=it.url)
        page.goto("/events/7")
        page.keyboard.press("n")
        page.wait_for_url("**/events/8")
        page.goto("/events")
        page.keyboard.press("j")
        page.keyboard.press("c")
        assert page.inner_text(".toast").startswith("Copied ")
        newest = page.inner_text("tbody tr:first-child td")
        page.click("[data-pause]")
        it.submit()
        page.wait_for_selector("[data-pause]:has-text('new')", timeout=SHOWN_MS_MAX)
        page.click("[data-pause]")
        page.mouse.move(0, 0)
        page.wait_for_function("old => document.querySelector('tbody tr td').innerText !== old", arg=newest, timeout=SHOWN_MS_MAX)


async def test_the_search_knows_hashes_addresses_and_transactions_of_all_kinds() -> None:
    it = lived()
    explorer = await opened(it)
    events = [e.event for e in it.events]
    submitted = next(each for each in events if isinstance(each, job.Submitted))
    drawn = next(e for e in it.events if isinstance(e.event, beacon.Drawn))
    assert isinstance(drawn.event, beacon.Drawn)
    address = next(each for each in events if isinstance(each, account.Changed) and each.payout_address)
    asked = {
        submitted.manifest_sha256: f"/jobs/{submitted.job}",
        submitted.spec_sha256.upper(): f"/jobs/{submitted.job}",
        drawn.event.block_hash: f"/events/{drawn.pos}",
        drawn.event.block_hash.removeprefix("0x"): f"/events/{drawn.pos}",
        address.payout_address: f"/accounts/{address.account}",
    }
    for text, place in asked.items():
        answer = await explorer.get(f"/search?q={text}")
        found = [answer.headers.get("location")] if answer.status_code == 303 else links(answer.text)
        assert place in found, text


@pytest.mark.system
@pytest.mark.timeout(120)
def test_without_script_there_is_no_button_that_does_nothing(free_port: int) -> None:
    with served(free_port) as it, browser() as chromium:
        dumb, clever = (chromium.new_context(java_script_enabled=each, base_url=it.url).new_page() for each in (False, True))
        seen = []
        for page in (dumb, clever):
            page.goto("/events/7")
            seen.append([page.is_visible(each) for each in ("[data-verify]", "[data-theme-switch]", "h1 .cp", "h1")])

    assert seen == [[False, False, False, True], [True, True, True, True]]


async def test_a_chart_of_nothing_says_so() -> None:
    it = Network(signs=False)
    it.worker(it.person("provider"))
    idle, busy = await (await opened(it)).text("/"), await (await opened(lived())).text("/")

    for said in ("nobody was at work", "each lease will be a dot", "none in this time", "nothing in this time"):
        assert said in idle
    assert 'class="none"' not in busy
