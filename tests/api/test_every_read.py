"""What holds for every read, shown by walking all that the OpenAPI document has: a new route is held to it as well."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from api.parts import Limits
from projections.explorer.jobs import Job
from projections.finance.journal import JournalLine
from tests.api.house import House, alive, problem, running, submitted
from tests.api.test_reads import settled

OTHER = (
    *("/v1/tlog/checkpoint", "/v1/tlog/key", "/v1/tlog/tile/{tile}"),  # C2SP fixes what they take
    *("/v1/log", "/v1/live", "/v1/evidence/{sha256}", "/v1/status"),  # bytes, feeds, and what is of this process
)
"""Public reads that stand at no position that one could ask for."""
BEYOND = 1_000


class Route(NamedTuple):
    path: str
    """With something that there is in its place."""
    template: str
    takes: frozenset[str]
    """Names of its parameters."""
    says: frozenset[str]
    """What its answer is, by media type."""


async def routes(house: House) -> list[Route]:
    """All that everybody may read."""
    things = await found(house)
    known = list[Route]()
    for template, methods in house.app.openapi()["paths"].items():
        it = methods.get("get")
        if it is None or not template.startswith("/v1/") or "security" in it or template in OTHER:
            continue
        takes = frozenset(each["name"] for each in it.get("parameters", ()) if each["in"] == "query")
        path = filled(template, things)
        known.append(Route(path, template, takes, frozenset(it["responses"]["200"]["content"])))
    return known


def filled(template: str, things: dict[str, str]) -> str:
    path = template.replace("{what}.{format}", "journal.csv").replace("{posting}", things["posting"]).replace("{position}", "7")
    path = path.replace("{id}", things.get(template.split("/")[2], things["jobs"]))
    needed = {"/v1/search": "?q=job", "/v1/proof/consistency": "?first=3", "/v1/consistency": "?first=3"}
    return path + needed.get(template, "?")


async def found(house: House) -> dict[str, str]:
    """One thing of each kind: where such things are listed -> its id."""
    things = dict[str, str]()
    for kind in ("jobs", "tasks", "workers", "audits", "payouts", "batches", "accounts"):
        (item,) = (await house.get("", f"/v1/{kind}?limit=1")).json()["items"]
        things[kind] = next(iter(item.values()))
    (line,) = (await house.parts.views.page(JournalLine, limit=1)).rows
    return things | {"posting": f"{line.position}-{line.line}"}


def also(path: str, **asked: object) -> str:
    return "&".join([path, *(f"{name}={value}" for name, value in asked.items())]).replace("?&", "?")


@asynccontextmanager
async def walked(limits: Limits | None = None) -> AsyncIterator[tuple[House, int, list[Route]]]:
    async with running(alive(), limits) as house:
        head = await settled(house)
        known = await routes(house)
        assert len(known) > 45
        yield house, head, known


async def test_each_takes_a_position_and_says_where_it_stands() -> None:
    async with walked() as (house, head, known):
        assert [each.template for each in known if not {"min_pos", "as_of"} <= each.takes] == []
        for each in known:
            answer = await house.get("", also(each.path, min_pos=head))
            assert answer.status_code == 200, (each.path, answer.text)
            assert int(answer.headers["gridledger-position"]) >= head, each.path
            assert int(answer.headers["gridledger-head"]) >= head, each.path
            described = house.app.openapi()["paths"][each.template]["get"]["responses"]["200"]["headers"]
            assert set(described) - {"Link"} <= {name for name in described if name in answer.headers}, each.path
            assert ("Link" in described) is ("cursor" in each.takes), each.path
            if "application/json" in each.says and each.template not in BARE:
                body = answer.json()
                assert body.get("as_of", body.get("size", body.get("second"))) >= head, each.path


BARE = {"/v1/events/{position}"}
"""Whose body is a line of the log, byte for byte."""


async def test_each_is_202_with_its_position_for_one_that_is_to_come_and_refuses_to_tell_the_future() -> None:
    async with walked() as (house, head, known):
        asked = [each for each in known if "{what}" not in each.template]
        late = await asyncio.gather(*(house.get("", also(each.path, min_pos=head + BEYOND)) for each in known))
        future = await asyncio.gather(*(house.get("", also(each.path, as_of=head + BEYOND)) for each in asked))
        for each, answer in zip(known, late, strict=True):
            assert problem(answer) == (202, "not_reached"), each.path
            assert answer.json()["min_pos"] == head + BEYOND > answer.json()["position"] >= head, each.path
            assert answer.headers["retry-after"] == "1", each.path
        for each, answer in zip(asked, future, strict=True):
            assert (problem(answer), answer.json()["field"]) == ((422, "invalid"), "as_of"), each.path


async def test_each_waits_for_a_position_that_comes() -> None:
    async with walked(Limits(read_wait_s=60.0)) as (house, head, known):
        asked = [asyncio.create_task(house.get("", also(each.path, min_pos=head + 1))) for each in known]
        await submitted(house)
        for each, answer in zip(known, await asyncio.gather(*asked), strict=True):
            assert (answer.status_code, int(answer.headers["gridledger-position"]) > head) == (200, True), each.path


async def test_each_is_for_ever_as_of_the_past_and_asked_again_costs_nothing() -> None:
    async with walked() as (house, head, known):
        before = {each.path: await house.get("", also(each.path, as_of=head)) for each in known}
        now = {each.path: await house.get("", each.path) for each in known}
        await submitted(house)
        await settled(house)
        for each in known:
            then = before[each.path]
            assert (then.status_code, then.headers["gridledger-position"]) == (200, str(head)), each.path
            assert "immutable" in then.headers["cache-control"], each.path
            assert (await house.get("", also(each.path, as_of=head))).content == then.content, each.path
            for answer, target in ((then, also(each.path, as_of=head)), (now[each.path], each.path)):
                tag = answer.headers["etag"]
                for known_by in (tag, f'"other", {tag}', "*"):
                    again = await house.get("", target, headers={"If-None-Match": known_by})
                    changed = again.status_code == 200 and target == each.path and tag != again.headers["etag"] and known_by != "*"
                    assert changed or (again.status_code, again.content) == (304, b""), (target, known_by)
                    assert "etag" in again.headers
            other = await house.get("", each.path, headers={"If-None-Match": '"other"'})
            assert other.status_code == 200, each.path


async def test_each_page_has_an_opaque_cursor_and_a_link_that_goes_on() -> None:
    async with walked() as (house, _, known):
        pages = [each for each in known if "cursor" in each.takes]
        went_on = 0
        for each in pages:
            assert {"limit", "order"} <= each.takes, each.path
            first = await house.get("", also(each.path, limit=1))
            cursor, link = first.json()["next"], re.fullmatch('<(.+)>; rel="next"', first.headers.get("link", ""))
            assert (cursor is None) is (link is None), each.path
            if link:
                second = await house.get("", link[1])
                went_on += 1
                assert re.fullmatch("[A-Za-z0-9_-]+", cursor)
                assert base64.urlsafe_b64decode(cursor + "==")
                assert second.status_code == 200
                (one,), (other,) = (next(value for value in page.json().values() if isinstance(value, list)) for page in (first, second))
                assert one != other, each.path
            assert problem(await house.get("", also(each.path, cursor="e30"))) == (400, "bad_cursor"), each.path

        assert len(pages) > 25
        assert went_on > 20


async def test_each_refuses_what_it_does_not_know_by_a_problem() -> None:
    async with walked() as (house, _, known):
        for each in known:
            answer = await house.get("", also(each.path, drop="table"))
            assert problem(answer) == (422, "invalid"), each.path
            if each.template.endswith("{id}"):
                path = each.path.rpartition("/")[0].removesuffix("/" + each.path.split("/")[3]) + "/job-99999"
                assert problem(await house.get("", path)) == (404, "not_found"), path


async def test_what_is_wrong_is_refused_before_anything_is_waited_for() -> None:
    """Else an answer would say that the question is in order, and only early."""
    async with walked() as (house, head, known):
        things, tried = await found(house), 0
        for each in known:
            for it in house.app.openapi()["paths"][each.template]["get"]["parameters"]:
                if it["name"] == "min_pos":
                    continue
                wrong = {it["name"]: WRONG} if it["in"] == "query" else {}
                path = filled(each.template.replace(f"{{{it['name']}}}", WRONG), things) if it["in"] == "path" else each.path
                if f"?{it['name']}=" in path:
                    path = path.partition("?")[0] + "?"
                target = also(path, min_pos=head + BEYOND, **wrong)
                answer = await house.get("", target)
                tried += 1
                assert 400 <= answer.status_code < 500, target
                problem(answer)

        assert tried > 150


WRONG = "%01"
"""What no parameter takes."""


@pytest.mark.system
async def test_nothing_that_the_log_has_and_a_view_has_not_yet_is_404(monkeypatch: pytest.MonkeyPatch) -> None:
    async with walked() as (house, head, known):
        nobody = asyncio.Event()

        async def never(*_: Any) -> None:
            await nobody.wait()

        monkeypatch.setattr(house.parts.views, "write", never)
        job = await submitted(house)
        number = house.follower.head.size
        assert (await house.parts.views.get(Job, job)).position == head
        for each in known:
            if "{" not in each.template:
                continue
            kind = {"batches": "batch"}.get(each.template.split("/")[2], each.template.split("/")[2].removesuffix("s"))
            late = f"{kind}-{number}" if kind not in {"stream", "task"} else job if kind == "stream" else f"{job}/1"
            things = {each.template.split("/")[2]: late, "jobs": job, "posting": f"{number}-1"}
            path = filled(each.template, things).replace("/7", f"/{number}")
            answer = await house.get("", path)
            assert answer.status_code != 404, path
            if answer.status_code == 202:
                assert problem(answer) == (202, "not_reached")
                assert answer.json()["position"] == head
            else:
                assert answer.status_code == 200, path
                assert int(answer.headers["gridledger-position"]) in {head, number}, path
        search = await house.get("", f"/v1/search?q={job}")
        assert problem(search) == (202, "not_reached")
