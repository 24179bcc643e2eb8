"""Reads: every answer names its position, a page goes on where it ended, what is past never changes."""

import asyncio
import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, get_args

import msgspec
import pytest

from api.reads import market, pages
from api.reads.pages import Pages
from domain import accounts
from domain.ids import AccountId
from domain.lifecycle import JobStatus
from domain.log import wire
from projections import catalog
from projections.past import Crowded, TooMuch
from projections.row import Plain, Row, Unindexed, shape
from projections.views import Page, Read, Views
from tests.api.house import House, lived, people, problem, running, secret_of, submitted

CREATOR = secret_of(people().creator)


async def walked(house: House, path: str) -> list[dict[str, object]]:
    """All items, by following the links."""
    found, target = list[dict[str, object]](), path
    while True:
        answer = await house.get("", target)
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        link = re.fullmatch('<(.+)>; rel="next"', answer.headers.get("link", ""))
        if link is None:
            assert answer.json()["next"] is None
            return found
        target = link[1]


async def settled(house: House) -> int:
    """Until every view stands at the head."""
    for projection in catalog.ALL:
        await house.parts.views.reached(projection.rows[0], house.follower.head.size, 2)
    return house.follower.head.size


async def test_a_page_goes_on_where_the_one_before_ended() -> None:
    async with running(people()) as house:
        await settled(house)
        for order in ("asc", "desc"):
            small = await walked(house, f"/v1/journal?limit=7&order={order}")
            large = await walked(house, f"/v1/journal?limit=200&order={order}")
            assert len(large) > 20
            assert small == large


async def test_a_page_that_went_on_is_not_moved_by_what_comes_meanwhile() -> None:
    async with running(people()) as house:
        await settled(house)
        first = (await house.get("", "/v1/events", params={"limit": 5, "order": "desc"})).json()
        await submitted(house)
        await settled(house)
        second = (await house.get("", "/v1/events", params={"limit": 5, "order": "desc", "cursor": first["next"]})).json()
        positions = [each["pos"] for each in first["events"] + second["events"]]

        assert positions == list(range(positions[0], positions[0] - 10, -1))


async def test_a_cursor_of_another_question_is_refused() -> None:
    async with running(people()) as house:
        await settled(house)
        cursor = (await house.get("", "/v1/journal", params={"limit": 5})).json()["next"]
        forged = ["", "x", "e30", "WzEsMl0", cursor[:-2], cursor + "AA", "\u00e9"]
        answers = [await house.get("", "/v1/journal", params={"cursor": each}) for each in forged]
        answers.append(await house.get("", "/v1/journal", params={"cursor": cursor, "order": "asc"}))
        answers.append(await house.get("", "/v1/workers", params={"cursor": cursor}))

        assert {problem(each) for each in answers} == {(400, "bad_cursor")}


async def test_what_is_not_reached_yet_is_202_and_comes() -> None:
    async with running(people()) as house:
        head = await settled(house)
        late = await house.get("", "/v1/workers", params={"min_pos": head + 1_000})
        waits = asyncio.create_task(house.get("", "/v1/workers", params={"min_pos": head + 1}))
        answer = await house.post(CREATOR, "/v1/me/account", {"roles_added": ["checker"]})
        assert answer.json()["position"] == head + 1

        assert (late.status_code, late.json()["code"], late.json()["min_pos"]) == (202, "not_reached", head + 1_000)
        assert late.headers["retry-after"] == "1"
        assert (await waits).json()["as_of"] > head


async def test_whoever_was_answered_at_a_position_can_read_at_it() -> None:
    async with running(people()) as house:
        job = await submitted(house)
        found = await house.get("", f"/v1/jobs/{job}", params={"min_pos": house.follower.head.size})

        assert (found.json()["status"], found.json()["width"], found.json()["engine"]) == ("quoted", 16, "mitsuba")


async def test_the_past_stands_still() -> None:
    async with running(people()) as house:
        head = await settled(house)
        before = await house.get("", "/v1/jobs", params={"as_of": head})
        workers = await house.get("", "/v1/workers", params={"as_of": 30})
        await submitted(house)
        await settled(house)
        after = await house.get("", "/v1/jobs", params={"as_of": head})
        to_come = await house.get("", "/v1/jobs", params={"as_of": head + 1_000})

        assert before.content == after.content == b'{"as_of":%d,"items":[],"next":null}' % head
        assert 0 < len(workers.json()["items"]) < len(people().workers)
        assert "immutable" in after.headers["cache-control"]
        assert (problem(to_come), to_come.json()["field"]) == ((422, "invalid"), "as_of")


async def test_the_market_and_the_network_can_be_seen_as_they_were() -> None:
    async with running(people()) as house:
        head = await settled(house)
        await submitted(house)
        await settled(house)
        market = (await house.get("", "/v1/market", params={"as_of": head})).json()
        network = (await house.get("", "/v1/overview", params={"as_of": head})).json()
        places = (await house.get("", "/v1/map", params={"as_of": head})).json()
        first = (await house.get("", "/v1/market", params={"as_of": 0})).json()

        assert (market["as_of"], market["classes"][0]["open_bids"], market["demand"]) == (head, 4, [])
        assert (network["as_of"], network["network"]["events"], network["network"]["jobs"]) == (head, head, 0)
        assert (network["head"], first["classes"]) == (None, [])
        assert places == {"as_of": head, "places": [{"country": "", "model": "CPU", "workers": 4, "checkers": 3, "online": 7}]}


async def test_who_has_it_already_is_told_so_until_it_changes() -> None:
    async with running(people()) as house:
        job = await submitted(house)
        path, params = f"/v1/jobs/{job}", {"min_pos": house.follower.head.size}
        first = await house.get("", path, params=params)
        same = await house.get("", path, headers={"If-None-Match": first.headers["etag"]})
        opened = await house.post(CREATOR, f"{path}/open")
        params = {"min_pos": opened.json()["position"]}
        changed = await house.get("", path, params=params, headers={"If-None-Match": first.headers["etag"]})

        assert (same.status_code, same.content, changed.status_code) == (304, b"", 200)


async def test_a_stream_is_read_byte_for_byte_and_a_task_without_events_is_there() -> None:
    async with running(people()) as house:
        job = await submitted(house)
        opened = await house.post(CREATOR, f"/v1/jobs/{job}/open")
        await house.follower.reached(opened.json()["position"] + 1, 1)
        await settled(house)
        worker = people().workers["fast"]
        lines = [wire.encode(each) for each in people().network.events if each.stream == worker]
        waiting = next(id for id, task in house.world.tasks.items() if task.status == "ready")
        found = await house.get("", f"/v1/streams/{worker}", params={"limit": 200})
        never = await house.get("", "/v1/streams/worker-99999")

        assert found.content == b'{"as_of":%d,"events":[%b],"next":null}' % (house.follower.head.size, b",".join(lines))
        assert (await house.get("", f"/v1/streams/{waiting}")).json()["events"] == []
        assert problem(never) == (404, "not_found")


async def test_a_stream_is_read_as_it_was_at_any_version() -> None:
    async with running(people()) as house:
        await settled(house)
        id = max(people().workers.values(), key=lambda worker: sum(each.stream == worker for each in people().network.events))
        lines = [wire.encode(each) for each in people().network.events if each.stream == id]
        assert len(lines) > 1
        for version in range(len(lines) + 2):
            for order in ("asc", "desc"):
                found, cursor = list[bytes](), ""
                while True:
                    params = {"version": version, "order": order, "limit": 1, **({"cursor": cursor} if cursor else {})}
                    page = (await house.get("", f"/v1/streams/{id}", params=params)).content
                    body = msgspec.json.decode(page, type=dict[str, msgspec.Raw])
                    found += [bytes(line) for line in msgspec.json.decode(body["events"], type=list[msgspec.Raw])]
                    if not (cursor := msgspec.json.decode(body["next"], type=str | None) or ""):
                        break

                assert found == lines[:version][:: 1 if order == "asc" else -1]
        assert problem(await house.get("", f"/v1/streams/{id}", params={"version": "x"})) == (422, "invalid")
        assert problem(await house.get("", "/v1/events", params={"version": "1"})) == (422, "invalid")


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("/v1/jobs", {"limit": "0"}, "invalid"),
        ("/v1/jobs", {"limit": "201"}, "invalid"),
        ("/v1/jobs", {"limit": "1e2"}, "invalid"),
        ("/v1/jobs", {"order": "up"}, "invalid"),
        ("/v1/jobs", {"min_pos": "-1"}, "invalid"),
        ("/v1/jobs", {"as_of": "9" * 40}, "invalid"),
        ("/v1/market", {"as_of": "999999"}, "invalid"),
        ("/v1/map", {"as_of": "999999"}, "invalid"),
        ("/v1/overview", {"as_of": "999999"}, "invalid"),
        ("/v1/jobs", {"status": "\x00"}, "invalid"),
        ("/v1/jobs", {"drop": "table"}, "invalid"),
        ("/v1/jobs", {"status": "opne"}, "invalid"),
        ("/v1/history", {"unit": "week"}, "invalid"),
        ("/v1/events", {"type": "task.leased"}, "invalid"),
        ("/v1/streams/job-1", {"type": "task.leased"}, "invalid"),
        ("/v1/live", {"type": "task.leased"}, "invalid"),
        ("/v1/live", {"types": "task.leased.v1"}, "invalid"),
        ("/v1/live", {"progress": "yes"}, "invalid"),
        ("/v1/jobs", [("limit", "1"), ("limit", "2")], "invalid"),
        ("/v1/jobs", {"status": "open", "creator": "account-10"}, "invalid"),
        ("/v1/jobs/job-1'--", {}, "not_found"),
        ("/v1/jobs/job-99999", {}, "not_found"),
        ("/v1/accounts/%00/balance", {}, "invalid"),
        ("/v1/live", {"after": "last"}, "invalid"),
        ("/v1/proof/0", {}, "not_found"),
        ("/v1/proof/1", {"size": "999999"}, "not_found"),
        ("/v1/proof/1x", {}, "invalid"),
        ("/v1/consistency", {}, "invalid"),
        ("/v1/log", {"after": "x"}, "invalid"),
        ("/v1/events/0", {}, "not_found"),
        ("/v1/evidence/" + "0" * 64, {}, "not_found"),
    ],
)
async def test_a_question_that_cannot_be_understood_is_refused(path: str, params: dict[str, str], code: str) -> None:
    async with running(people()) as house:
        assert problem(await house.get("", path, params=params))[1] == code


async def test_a_word_that_a_column_never_holds_is_refused_with_those_that_it_does() -> None:
    async with running(people()) as house:
        answer = (await house.get("", "/v1/jobs", params={"status": "opne"})).json()

        assert (answer["field"], answer["reason"].split("expected one of ")[1].split(", ")) == ("status", list(get_args(JobStatus)))


async def test_every_page_and_every_thing_can_be_read() -> None:
    async with running(people()) as house:
        await submitted(house)
        await settled(house)
        worker = next(iter(house.follower.world.workers))
        paths = [each.path.replace("{id}", worker if "/workers/" in each.path else people().creator) for each in pages.PAGES]
        answers = {path: await house.get("", path) for path in (*paths, "/v1/overview", "/v1/market", "/v1/map")}
        items = {path: answers[path].json()["items"] for path in paths}

        assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(answers, 200)
        empty = {path for path, found in items.items() if not found}
        assert empty == {"/v1/payouts", "/v1/batches", "/v1/checkpoints", "/v1/reconciliations"}
        for it in pages.SINGLES:
            path = it.path.partition("/{")[0]
            for row in items[path][:3]:
                found = await house.get("", f"{path}/{row[it.kind.__struct_fields__[0]]}")
                assert {name: found.json()[name] for name in row} == row


def test_every_filter_has_an_index_alone_or_with_another() -> None:
    for each in pages.PAGES:
        fixed = [name for name, _ in each.fixed]
        for name in each.filters:
            ways = [[*fixed, name], *([*fixed, with_, name] for with_ in each.filters if with_ != name)]
            assert any(can(each, way) for way in ways), (each.path, name)


def can(each: Pages, where: list[str]) -> bool:
    try:
        return bool(shape(each.kind).sorted_by(where, each.by))
    except Unindexed:
        return False


async def test_one_sees_what_ones_next_signed_command_needs() -> None:
    async with running(people()) as house:
        worker = people().workers["fast"]
        it = house.world.workers[worker].owner
        me = (await house.get(secret_of(it), "/v1/me")).json()

        assert (me["account"], me["payouts"], me["stakes"], me["chain_id"]) == (it, 0, 1, 31337)
        assert me["workers"] == [{"worker": worker, "bids": 1}]
        assert me["balances"] == {f"usdc:2110.available.{it}": "-5000000", f"usdc:2310.stake.{it}": "-5000000"}
        assert problem(await house.get("", "/v1/me")) == (401, "api_key_missing")


async def test_ones_balances_are_all_that_the_ledger_has_under_ones_name() -> None:
    of = lived()
    seen = set[str]()
    async with running(of) as house:
        for person in house.world.people.values():
            found = market.me(house.world, person, [], 0).balances
            assert found == {str(name): str(amount) for name, amount in house.world.balances.items() if name.endswith(f".{person.id}")}
            seen |= {name.partition(".")[0] for name in found}

    assert len(seen) > 1
    assert set(accounts.OF_PEOPLE) == {
        each for each in vars(accounts).values() if inspect.isfunction(each) and each.__annotations__.get("owner") is AccountId
    }


async def test_what_the_log_has_and_a_view_has_not_yet_is_202_and_what_never_was_is_404() -> None:
    async with running(people()) as house:
        head = await settled(house)
        job = await submitted(house)
        standing = house.parts.views
        late = f"/v1/jobs/{job}"
        with held_back(standing, head):
            answers = [await house.get("", path) for path in (late, f"/v1/tasks/{job}/1", f"/v1/search?q={job}")]
        await settled(house)

        assert [problem(each) for each in answers] == [(202, "not_reached")] * 3
        assert answers[0].json()["min_pos"] == head + 1
        assert (await house.get("", late)).status_code == 200
        assert problem(await house.get("", "/v1/jobs/job-999999")) == (404, "not_found")
        assert problem(await house.get("", late, params={"as_of": head})) == (404, "not_found")


@contextmanager
def held_back(views: Views, position: int) -> Iterator[None]:
    """The views say what they would if they stood at a position before the newest things."""
    get, page = type(views).get, type(views).page

    async def no_row(_: Views, kind: type[Row], *__: Plain) -> Read[Row]:
        return Read(None, position)

    async def no_rows(_: Views, kind: type[Row], **__: object) -> Page[Row]:
        return Page([], position, None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(views), "get", no_row)
        patch.setattr(type(views), "page", no_rows)
        yield
    assert (type(views).get, type(views).page) == (get, page)


async def test_a_search_takes_positions_and_kinds_of_events() -> None:
    async with running(people()) as house:
        await settled(house)
        paths = set[str]()
        for word in ("#7", "worker.registered", "worker.registered.v1"):
            (found,) = (await house.get("", "/v1/search", params={"q": word})).json()["found"]
            paths.add(found["path"])
            assert (await house.get("", found["path"])).status_code == 200

        assert paths == {"/v1/events/7", "/v1/events?type=worker.registered.v1"}


async def test_a_search_takes_ids_commands_and_keys_and_what_it_names_can_be_read() -> None:
    async with running(people()) as house:
        await settled(house)
        line = (await house.get("", "/v1/events/30")).json()
        block_hash = (await house.get("", "/v1/beacons")).json()["items"][0]["block_hash"]
        words = [line["cmd"], sha256(CREATOR.encode()).hexdigest(), people().creator, *people().workers.values()]
        words += [block_hash, block_hash.removeprefix("0x").upper()]
        for word in words:
            found = (await house.get("", "/v1/search", params={"q": word})).json()["found"]
            assert found, word
            assert [(await house.get("", each["path"])).status_code for each in found] == [200] * len(found)
        nothing = await house.get("", "/v1/search", params={"q": "job-1"})
        refused = [await house.get("", "/v1/search", params=each) for each in ({}, {"q": ""}, {"q": "x" * 201}, {"q": "a\x00"}, {"r": "1"})]

        assert nothing.json()["found"] == []
        assert {problem(each) for each in refused} == {(422, "invalid")}


async def test_every_amount_of_the_journal_is_explained_by_earlier_events_and_adds_up() -> None:
    async with running(lived()) as house:
        await settled(house)
        sums = 0
        lines = await walked(house, "/v1/journal?limit=200")
        for row in lines:
            posting = f"{row['position']}-{row['line']}"
            found = (await house.get("", f"/v1/explain/{posting}")).json()
            assert (found["account"], found["amount"]) == (row["account"], row["amount"])
            assert sum(int(each["amount"]) for each in found["entry"]) == 0
            assert found["event"]["pos"] == row["position"]
            assert all(each["pos"] < row["position"] for each in found["rests_on"])
            if found["sum_of"]:
                sums += 1
                assert sum(int(each["amount"]) for each in found["sum_of"]) == int(found["amount"]), posting
        refused = [await house.get("", f"/v1/explain/{each}") for each in ("x", "1-0", "1", "1-1", "999999-1")]

        assert len(lines) > 20
        assert sums > 0
        assert [problem(each)[1] for each in refused] == ["invalid", "invalid", "invalid", "not_found", "not_found"]


@pytest.mark.parametrize(("reason", "code"), [(Crowded, "busy"), (TooMuch, "too_far")])
async def test_whoever_asks_for_more_of_the_past_than_there_is_room_for_is_told_when_to_come_back(
    reason: type[Exception], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(*_: Any) -> None:
        raise reason

    async with running(people()) as house:
        monkeypatch.setattr(house.parts.past, "at", refuses)
        for path in ("/v1/jobs", "/v1/market", "/v1/events", "/v1/search"):
            answer = await house.get("", path, params={"as_of": 5} | ({"q": "7"} if path.endswith("search") else {}))
            assert problem(answer) == (503, code)
            assert int(answer.headers["retry-after"]) > 0
        asked = {"query": "{ jobs(asOf: 5) { position } }"}
        async with house.client() as http:
            assert (await http.post("/graphql", json=asked)).json()["errors"][0]["extensions"] == {"code": code}
