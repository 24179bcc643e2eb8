"""Several commands in one request: each as if it had come by itself."""

import json
from typing import Any

import httpx2
import pytest

from api import bodies, commands
from tests.api.house import House, people, problem, running, secret_of, submitted
from tests.api.test_commands import log_lines

CREATOR = secret_of(people().creator)
ROLE = {"roles_added": ["provider"]}
ME = "/v1/me/account"


def item(house: House, path: str, body: Any = None, key: str = "") -> dict[str, Any]:
    return {"path": path, "key": key or house.key(), "body": body or {}}


async def ask(house: House, items: Any, secret: str = CREATOR) -> httpx2.Response:
    return await house.post(secret, commands.SEVERAL, items, key="")


async def test_each_has_its_own_outcome_in_the_order_in_which_they_stand_and_all_that_are_done_share_a_block() -> None:
    async with running(people()) as house:
        job = await submitted(house)
        blocks = len(house.log._records)
        asked = [
            item(house, f"/v1/jobs/{job}/open"),
            item(house, f"/v1/jobs/{job}/open"),
            item(house, f"/v1/jobs/{job}/pause"),
            item(house, "/v1/jobs/job-999999/open"),
            item(house, ME, ROLE, key="not a key"),
            item(house, ME, {"role_added": ["provider"]}),
            item(house, "/v1/accounts", {"roles": ["creator"]}),
            item(house, f"/v1/jobs/{job}/pause", {"job": "job-1"}),
        ]
        answer = await ask(house, asked)
        found, lines = answer.json(), await log_lines(house)

        assert answer.status_code == 200
        codes = ["not_allowed", None, "not_found", "key_missing", "invalid", "path_unknown", "invalid"]
        assert [each.get("problem", {}).get("code") for each in found] == [None, *codes]
        assert [each["status"] for each in found] == [201, 409, 201, 404, 400, 422, 404, 422]
        assert all(each["problem"]["status"] == each["status"] for each in found if "problem" in each)
        done = [each for each in found if each["status"] == 201]
        assert [each["events"] for each in done] == [[json.loads(lines[each["position"] - 1])] for each in done]
        assert all(
            b'{"status":201,"position":%d,"events":[%b]}' % (each["position"], lines[each["position"] - 1]) in answer.content
            for each in done
        )
        assert answer.headers["gridledger-position"] == str(done[-1]["position"])
        assert len(house.log._records) == blocks + 1


async def test_what_came_with_others_may_be_asked_for_again_alone_and_the_other_way_round() -> None:
    async with running(people()) as house:
        first, second = item(house, ME, ROLE), item(house, ME, {"roles_added": ["checker"]})
        together = (await ask(house, [first])).json()
        alone = await house.post(CREATOR, ME, ROLE, key=first["key"])
        other = await house.post(CREATOR, ME, second["body"], key=second["key"])
        size = house.follower.head.size
        again = (await ask(house, [second, first])).json()
        reused = (await ask(house, [first | {"body": second["body"]}])).json()

        assert {"status": alone.status_code} | alone.json() == together[0] == again[1]
        assert {"status": 201} | other.json() == again[0]
        assert reused[0]["problem"]["code"] == "command_id_reused"
        assert house.follower.head.size == size


async def test_each_needs_the_scope_that_it_needs_alone() -> None:
    async with running(people()) as house:
        narrow = secret_of(f"{people().creator} narrow")
        found = (await ask(house, [item(house, ME, ROLE), item(house, "/v1/payouts/payout-7/cancel")], narrow)).json()

        assert [each["problem"]["code"] for each in found] == ["scope_missing", "not_live"]


async def test_a_body_may_be_as_large_as_alone() -> None:
    async with running(people()) as house:
        large = {"roles_added": ["x" * bodies.BODY_BYTES_MAX]}
        found = (await ask(house, [item(house, ME, large), item(house, ME, ROLE)])).json()

        assert [each["status"] for each in found] == [413, 201]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", (422, "invalid")),
        (b"[]", (422, "invalid")),
        (b"", (400, "malformed")),
        (b"[", (400, "malformed")),
        (b'[{"path":"/v1/me/account","key":"1"}]', (422, "invalid")),
        (b'[{"path":"/v1/me/account","key":"1","body":[]}]', (422, "invalid")),
        (b'[{"path":"/v1/me/account","key":"1","body":{},"more":1}]', (422, "invalid")),
        (b'[{"path":"/v1/me/account","key":"1","key":"2","body":{}}]', (400, "malformed")),
        (b'[{"path":"/v1/me/account","key":"1","body":{"a":1,"a":2}}]', (400, "malformed")),
        (b'[{"path":"\\ud800","key":"1","body":{}}]', (422, "invalid")),
        (b'[{"path":"/v1/me/account","key":"1","body":' + b'{"a":' * 40 + b"1" + b"}" * 41 + b"]", (400, "malformed")),
        (b"[" + b",".join([b'{"path":"/","key":"","body":{}}'] * (commands.SEVERAL_MAX + 1)) + b"]", (422, "invalid")),
        (b'["' + b"x" * commands.SEVERAL_BYTES_MAX + b'"]', (413, "too_large")),
    ],
    ids=lambda it: str(it)[:60],
)
async def test_what_is_no_list_of_commands_is_refused_as_a_whole(body: bytes, expected: tuple[int, str]) -> None:
    async with running(people()) as house:
        size = house.follower.head.size
        answer = await ask(house, body)

        assert problem(answer) == expected
        assert house.follower.head.size == size


async def test_nobody_asks_without_a_key() -> None:
    async with running(people()) as house:
        assert problem(await ask(house, [item(house, ME, ROLE)], "")) == (401, "api_key_missing")
