"""Bad input, case by case: a clear error that names the field or the rule; nothing changed, nothing secret told or logged."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha256
from typing import Any

import httpx2
import pytest
import structlog

from api import problems
from domain import errors
from domain.errors import Refused
from domain.treasury import stake
from domain.units import Units
from domain.work import manifest, objects
from domain.work.manifest import Manifest
from exports import export
from tests.api.house import DUMMY, House, owner, people, problem, running, secret_of, submitted
from tests.gpu.test_scene import HOSTILE
from tests.log.ledgers import uuid7
from tests.network import CLASS
from worker_runtime.gpu import scene as real

CANARY = "hunter2-this-must-not-be-repeated"
AMOUNTS = [
    12,
    12.0,
    True,
    "1e3",
    "012",
    " 12",
    "12 ",
    "",
    "0",
    "-5",
    "+5",
    "12.0",
    "0x12",
    "１２",
    "12\n",
    None,
    ["12"],
    {"a": 1},
    "9" * 32,
]
COUNTS = ["12", 12.0, 12.5, True, 0, -1, 2**53, None, [1], 10**400]
Call = Callable[[House], Awaitable[httpx2.Response]]


async def refused(house: House, call: Call) -> tuple[int, str]:
    """What became of it; and that it changed nothing and that nobody was told a secret."""
    size = house.follower.head.size
    with structlog.testing.capture_logs() as lines:
        answer = await call(house)
    await asyncio.sleep(0)
    assert house.follower.head.size == size
    told = answer.text + json.dumps(lines, default=str)
    assert CANARY not in told
    assert not any(secret_of(id) in told for id in house.world.people)
    return problem(answer)


def posts(path: str, fields: Any, *, by: str = "", **more: Any) -> Call:
    return lambda house: house.post(by or secret_of(people().creator), path, fields, **more)


def lock(**fields: Any) -> dict[str, Any]:
    return {"asset": "usdc", "amount": "5", "number": 1, "signature": DUMMY} | fields


FAST = people().workers["fast"]
FAST_OWNER = secret_of(owner(people(), FAST))
CREATOR = people().creator


@pytest.mark.parametrize("amount", AMOUNTS, ids=repr)
async def test_an_amount_that_is_no_decimal_string_names_its_field(amount: object) -> None:
    async with running(people()) as house:
        call = posts("/v1/stakes/lock", json.dumps(lock(amount=amount)).encode())

        assert await refused(house, call) == (422, "invalid")
        assert (await call(house)).json()["pointer"] == "/amount"


@pytest.mark.parametrize("count", COUNTS, ids=lambda count: repr(count)[:10])
async def test_a_count_that_is_no_positive_integer_names_its_field(count: object) -> None:
    async with running(people()) as house:
        answer = await posts("/v1/stakes/lock", json.dumps(lock(number=count)).encode())(house)

        assert problem(answer) == (422, "invalid")
        assert answer.json()["pointer"] == "/number"


MALFORMED = {
    "not JSON": (posts("/v1/jobs", b"{"), 400, "malformed"),
    "two objects": (posts("/v1/jobs", b"{}{}"), 400, "malformed"),
    "an array": (posts("/v1/jobs", b"[]"), 400, "malformed"),
    "a key twice": (posts("/v1/workers", b'{"kind":"cpu","kind":"gpu"}'), 400, "malformed"),
    "deeply nested": (posts("/v1/workers", b'{"kind":' + b"[" * 1_000 + b"]" * 1_000 + b"}"), 400, "malformed"),
    "not UTF-8": (posts("/v1/workers", b'{"kind":"\xff"}'), 400, "malformed"),
    "oversized": (posts("/v1/workers", b'{"kind":"' + b"x" * 65_536 + b'"}'), 413, "too_large"),
    "a form": (posts("/v1/workers", b"kind=cpu", headers={"Content-Type": "application/x-www-form-urlencoded"}), 415, "not_json"),
    "a field too many": (posts("/v1/jobs/job-9/open", {CANARY: CANARY}), 422, "invalid"),
    "a field too few": (posts("/v1/workers", {}), 422, "invalid"),
    "a secret in the wrong field": (posts("/v1/workers", {"kind": CANARY, "classes": [CLASS]}), 422, "invalid"),
    "a secret as a tag": (posts("/v1/me/account", {"keys_added": [{"alg": CANARY}]}), 422, "invalid"),
    "a lone surrogate": (posts("/v1/workers", b'{"kind":"\\ud800","\\ud800":1}'), 422, "invalid"),
    "a tuple too short": (posts("/v1/jobs", {"size": [320]}), 422, "invalid"),
    "no class": (posts("/v1/workers", {"kind": "cpu", "classes": []}), 422, "invalid"),
    "an unknown class": (posts("/v1/workers", {"kind": "cpu", "classes": ["other-1/cpu"]}, by=FAST_OWNER), 422, "unknown_engine"),
    "an address in capitals": (posts("/v1/me/account", {"payout_address": "0x" + "A" * 40}), 422, "invalid"),
}
IDS = {
    "a job to come": (posts("/v1/jobs/job-999999999/open", {}), 404, "not_found"),
    "a job that never was": (posts("/v1/jobs/job-1/open", {}), 410, "not_live"),
    "a job with a zero before": (posts("/v1/jobs/job-01/open", {}), 422, "invalid"),
    "a worker to come": (posts("/v1/agents/worker-999999/online", {"session": "0" * 8}), 404, "not_yours"),
    "somebody's worker": (posts(f"/v1/agents/{FAST}/online", {"session": "0" * 8}), 404, "not_yours"),
    "somebody's worker's settings": (posts(f"/v1/workers/{FAST}/change", {"mode": "retired"}), 404, "not_yours"),
    "somebody's presence": (posts(f"/v1/agents/{FAST}/presence", {"session": "0" * 8}), 404, "not_yours"),
    "somebody's progress": (posts(f"/v1/agents/{FAST}/progress", {"task": "job-1/1", "fence": 1, "tile": 0, "tiles": 4}), 404, "not_yours"),
    "a path in an id": (posts("/v1/jobs/..%2f..%2fetc/open", {}), 404, "path_unknown"),
    "dots for an id": (posts("/v1/jobs/%2e%2e/open", {}), 422, "invalid"),
    "a NUL in an id": (posts("/v1/jobs/job-1%00/open", {}), 422, "invalid"),
    "nowhere": (posts("/v1/nowhere", {}), 404, "path_unknown"),
    "another method": (lambda house: house.get(FAST_OWNER, "/v1/stakes/lock"), 405, "method_unknown"),
}
WHO = {
    "nobody": (posts("/v1/jobs", {}, by=" "), 401, "api_key_missing"),
    "an unknown key": (posts("/v1/jobs", {}, by=CANARY), 401, "api_key_unknown"),
    "an expired key": (posts("/v1/jobs", {}, by=secret_of(f"{CREATOR} expired")), 401, "api_key_expired"),
    "a key for something else": (posts("/v1/jobs", {}, by=secret_of(f"{CREATOR} narrow")), 403, "scope_missing"),
    "another scheme": (posts("/v1/jobs", {}, by=" ", headers={"Authorization": f"Basic {CANARY}"}), 401, "api_key_missing"),
    "a weak secret": (posts("/v1/accounts", {}, by="hunter2"), 422, "api_key_weak"),
    "a key that somebody has": (posts("/v1/accounts", {}, by=FAST_OWNER), 409, "duplicate"),
    "a role for the asking": (posts("/v1/me/account", {"roles_added": ["admin"]}), 422, "invalid"),
    "the house's business": (posts("/internal/v1/policies", {"policy": "demo"}, by=secret_of(f"{CREATOR} narrow")), 403, "scope_missing"),
    "no role for it": (posts("/v1/workers", {"kind": "cpu", "classes": [CLASS]}), 403, "role_missing"),
}
KEYS = {
    "no key": (posts("/v1/me/account", {}, key=""), 400, "key_missing"),
    "a UUIDv4": (posts("/v1/me/account", {}, key="5f2b9c0d-11aa-43e7-8000-000000000001"), 400, "key_missing"),
    "a key in capitals": (posts("/v1/me/account", {}, key="019A9F60-7C00-7000-8000-000000000001"), 400, "key_missing"),
    "no UUID": (posts("/v1/me/account", {}, key="../../etc/passwd"), 400, "key_missing"),
    "yesterday's": (posts("/v1/me/account", {}, key=uuid7(people().network.now_us - 25 * 3_600_000_000)), 422, "key_expired"),
    "tomorrow's": (posts("/v1/me/account", {}, key=uuid7(people().network.now_us + 3_600_000_000)), 422, "key_from_future"),
}


@pytest.mark.parametrize("group", [MALFORMED, IDS, WHO, KEYS], ids=["malformed", "ids", "who", "keys"])
async def test_a_bad_request_has_its_code_and_changes_nothing(group: dict[str, tuple[Call, int, str]]) -> None:
    async with running(people()) as house:
        found = {name: await refused(house, call) for name, (call, _, _) in group.items()}

        assert found == {name: (status, code) for name, (_, status, code) in group.items()}


async def test_what_is_not_there_and_what_is_anothers_read_the_same() -> None:
    async with running(people()) as house:
        foreign = await posts(f"/v1/agents/{FAST}/online", {"session": "0" * 8})(house)
        missing = await posts("/v1/agents/worker-999999/online", {"session": "0" * 8})(house)

        assert foreign.content == missing.content


async def test_what_the_state_does_not_allow_names_it() -> None:
    async with running(people()) as house:
        job, secret = await submitted(house), secret_of(CREATOR)
        early = await house.post(secret, f"/v1/jobs/{job}/resume")
        assert (await house.post(secret, f"/v1/jobs/{job}/open")).status_code == 201
        twice = await house.post(secret, f"/v1/jobs/{job}/open")
        stale = await house.post(FAST_OWNER, f"/v1/agents/{FAST}/end", {"task": f"{job}/1", "fence": 99, "outcome": "error", "code": "x"})

        assert [problem(each) for each in (early, twice)] == [(409, "not_allowed")] * 2
        assert (early.json()["what"], early.json()["its_status"]) == (job, "quoted")
        assert problem(stale) in {(409, "stale_fence"), (404, "not_yours")}


async def test_money_that_is_not_there_is_counted_out() -> None:
    async with running(people()) as house:
        it = owner(people(), FAST)
        number = house.world.people[it].stakes + 1
        command = stake.Lock(asset="usdc", amount=Units(10**30), number=number, signature=DUMMY)  # type: ignore[arg-type]
        answer = await house.post(FAST_OWNER, "/v1/stakes/lock", house.signed(command, it))

        assert problem(answer) == (402, "insufficient_funds")
        assert (answer.json()["available"], answer.json()["needed"]) == ("5000000", str(10**30))


def test_every_refusal_has_one_status() -> None:
    known = [each for module in (errors, objects, problems, export) for each in vars(module).values()]
    codes = {each.code for each in known if isinstance(each, type) and issubclass(each, Refused) and each is not Refused}

    assert codes - set(problems.STATUS) == set()
    assert set(problems.STATUS) - codes == {"busy", "unreachable", "outcome_unknown", "not_reached", "too_far", "fault"}


async def test_a_fault_of_ours_says_nothing_of_itself() -> None:
    async with running(people()) as house:

        def broken(_: object, __: str) -> str:
            raise KeyError(CANARY)

        house.recover = broken
        with structlog.testing.capture_logs() as lines:
            answer = await house.post(FAST_OWNER, "/v1/stakes/lock", lock())

        assert problem(answer) == (500, "fault")
        assert CANARY not in answer.text
        assert [line["why"] for line in lines if line["event"] == "request failed"] == ["KeyError"]


async def test_every_hostile_scene_is_refused_by_name_before_the_ledger_hears_of_it() -> None:
    async with running(people()) as house:
        house.check_scene = real.fault
        found = {case: await refused(house, submission(text)) for case, (text, _) in HOSTILE.items()}

        assert found == dict.fromkeys(HOSTILE, (422, "scene_refused"))


@pytest.mark.parametrize(
    "name", ["../frame.xml", "/etc/passwd", "a/b.xml", ".xml", "frame\n.xml", "x" * 101 + ".xml", "..", "frame.xml\x00"]
)
async def test_a_name_that_is_a_path_is_refused_in_a_manifest(name: str) -> None:
    async with running(people()) as house:
        assert await refused(house, submission(b"<scene/>", name)) == (422, "scene_refused")


@pytest.mark.parametrize(
    "described",
    [
        b'{"salt":"%b","salt":"%b","assets":[],"frames":[]}' % (b"0" * 32, b"0" * 32),
        b'{"salt":"%b","assets":[],"frames":[]}' % (b"0" * 32),
        b'{"salt":"","assets":[],"frames":["frame.xml"]}',
        b"[" * 1_000,
        b"not a manifest",
    ],
)
async def test_a_manifest_that_breaks_its_form_is_refused(described: bytes) -> None:
    async with running(people()) as house:
        await house.put(secret_of(CREATOR), described)
        fields = {"engine": "mitsuba", "frames": 1, "size": [16, 16], "samples": 1, "limit_price": "200000000"}
        fields["manifest_sha256"] = sha256(described).hexdigest()

        assert await refused(house, posts("/v1/jobs", fields)) == (422, "scene_refused")


def submission(text: bytes, name: str = "frame.xml") -> Call:
    """A job of one frame with this text; its bytes are in the store, whatever they are."""
    described = Manifest("0" * 32, [manifest.describe(name, text)], [name])
    fields = {"engine": "mitsuba", "frames": 1, "size": [16, 16], "samples": 1, "limit_price": "200000000"}

    async def call(house: House) -> httpx2.Response:
        await house.store.put(once(text))
        await house.put(secret_of(CREATOR), described.encode())
        return await house.post(secret_of(CREATOR), "/v1/jobs", fields | {"manifest_sha256": described.sha256()})

    return call


async def once(content: bytes) -> AsyncIterator[bytes]:
    yield content
