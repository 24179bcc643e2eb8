"""Bytes in and out: only what was announced is kept, only who may read does, and no name becomes a path."""

from collections.abc import AsyncIterator
from hashlib import sha256

import pytest

from api.document import examples
from api.objects.downloads import span
from api.parts import Limits
from api.problems import RangeNotSatisfiable
from domain.ids import AuditId, TaskId
from domain.parts import Audit, Round
from domain.proof import verdict
from tests.api.house import House, job_fields, owner, people, problem, running, scene, secret_of, submitted
from tests.api.test_commands import leased

CONTENT = bytes(range(256)) * 64
NAME = sha256(CONTENT).hexdigest()
CREATOR = secret_of(people().creator)
OTHER = secret_of(owner(people(), people().workers["fast"]))


async def begun(house: House, size: int = len(CONTENT), name: str = NAME) -> str:
    async with house.client(CREATOR) as http:
        answer = await http.post("/v1/uploads", json={"sha256": name, "bytes": size})
    assert (answer.status_code, answer.json()["offset"]) == (201, 0)
    return str(answer.json()["upload"])


async def test_an_upload_goes_on_where_it_broke_off() -> None:
    async with running(people()) as house, house.client(CREATOR) as http:
        path = f"/v1/uploads/{await begun(house)}"
        first = await http.patch(path, content=CONTENT[:5_000], headers={"Upload-Offset": "0"})
        assert (first.json()["offset"], first.json()["complete"]) == (5_000, False)
        far = int((await http.head(path)).headers["upload-offset"])
        wrong = await http.patch(path, content=CONTENT, headers={"Upload-Offset": "0"})
        last = await http.patch(path, content=CONTENT[far:], headers={"Upload-Offset": str(far)})

        assert (far, problem(wrong), last.json()["complete"]) == (5_000, (409, "wrong_offset"), True)
        assert await house.store.size(NAME) == len(CONTENT)


async def test_bytes_of_another_hash_leave_nothing() -> None:
    async with running(people()) as house, house.client(CREATOR) as http:
        put = await http.put(f"/v1/objects/{NAME}", content=CONTENT[:-1])
        path = f"/v1/uploads/{await begun(house)}"
        piece = await http.patch(path, content=CONTENT[1:] + b"\xff\x00"[:1], headers={"Upload-Offset": "0"})

        assert [problem(put), problem(piece)] == [(422, "wrong_hash")] * 2
        assert not await house.store.exists(NAME)
        assert problem(await http.get(path)) == (405, "method_unknown")
        assert (await http.head(path)).status_code == 404


async def test_a_truncated_object_leaves_nothing() -> None:
    async def half() -> AsyncIterator[bytes]:
        yield CONTENT[:100]

    async with running(people()) as house, house.client(CREATOR) as http:
        answer = await http.put(f"/v1/objects/{NAME}", content=half(), headers={"Content-Length": str(len(CONTENT))})

        assert problem(answer) == (422, "object_truncated")
        assert not await house.store.exists(NAME)


async def test_bytes_beyond_what_was_announced_or_allowed_are_refused() -> None:
    async with running(people(), Limits(object_bytes_max=1_000)) as house, house.client(CREATOR) as http:
        put = await http.put(f"/v1/objects/{NAME}", content=CONTENT)
        begin = await http.post("/v1/uploads", json={"sha256": NAME, "bytes": 1_001})
        path = f"/v1/uploads/{await begun(house, 10, '0' * 64)}"
        longer = await http.patch(path, content=b"x" * 11, headers={"Upload-Offset": "0"})

        assert [problem(each) for each in (put, begin, longer)] == [(413, "object_too_large")] * 3


async def test_an_account_has_its_share_of_an_hour() -> None:
    async with running(people(), Limits(account_bytes_max=20_000, account_uploads_max=1)) as house, house.client(CREATOR) as http:
        assert (await http.put(f"/v1/objects/{NAME}", content=CONTENT)).status_code == 201
        much = await http.put(f"/v1/objects/{NAME}", content=CONTENT)
        await begun(house)
        many = await http.post("/v1/uploads", json={"sha256": NAME, "bytes": 5})

        assert [problem(each) for each in (much, many)] == [(429, "upload_limit")] * 2
        assert much.headers["retry-after"] == "1"


async def test_nobody_touches_anothers_upload() -> None:
    async with running(people()) as house, house.client(OTHER) as http:
        path = f"/v1/uploads/{await begun(house)}"
        answers = [await http.patch(path, content=b"x", headers={"Upload-Offset": "0"}), await http.delete(path)]

        assert [problem(each) for each in answers] == [(404, "not_yours")] * 2
        assert (await http.head(path)).status_code == 404


@pytest.mark.parametrize("name", ["..%2f..%2fetc%2fpasswd", "%2e%2e", NAME.upper(), NAME[:-1], "0" * 63 + "%00", "a/b"])
async def test_a_name_that_is_no_hash_never_reaches_the_store(name: str) -> None:
    async with running(people()) as house, house.client(CREATOR) as http:
        answer = await http.put(f"/v1/objects/{name}", content=CONTENT)

        assert problem(answer) in {(422, "invalid"), (404, "path_unknown")}


@pytest.mark.parametrize("offset", ["", "-1", "1e3", "0x1", "１", " ", "9" * 30])
async def test_an_offset_that_is_no_number_is_refused(offset: str) -> None:
    async with running(people()) as house, house.client(CREATOR) as http:
        path = f"/v1/uploads/{await begun(house)}"
        answer = await http.patch(path, content=b"x", headers=[(b"Upload-Offset", offset.encode())])

        assert problem(answer) == (422, "invalid")


async def test_a_scene_is_for_its_creator_and_for_who_renders_it() -> None:
    async with running(people()) as house:
        described, files = scene()
        job = await submitted(house)
        asset = described.assets[0]
        path = f"/v1/jobs/{job}/assets/{asset.sha256}"
        before = await house.get(OTHER, path)
        mine = await house.get(CREATOR, f"/v1/jobs/{job}/manifest"), await house.get(CREATOR, path)
        opened = await house.post(CREATOR, f"/v1/jobs/{job}/open")
        await house.follower.reached(opened.json()["position"] + 1, 1)
        holder = next(each for each in house.world.tasks.values() if each.status == "leased" and each.job == job).owner
        lent = await house.get(secret_of(holder), path)
        checker = await house.get(secret_of(owner(people(), people().workers["checker 0"])), path)

        assert [each.content for each in mine] == [described.encode(), files[asset.name]]
        assert (lent.content, problem(before), problem(checker)) == (files[asset.name], (404, "not_yours"), (404, "not_yours"))
        assert problem(await house.get("", path)) == (401, "api_key_missing")
        assert problem(await house.get(CREATOR, f"/v1/jobs/{job}/assets/{NAME}")) == (404, "not_found")
        assert problem(await house.get(CREATOR, f"/v1/jobs/{job}/assets/..%2f..%2fmanifest")) == (404, "path_unknown")
        assert problem(await house.get(CREATOR, "/v1/jobs/job-999999/manifest")) == (404, "not_yours")


async def committed(house: House) -> TaskId:
    task, fields, secret = await leased(house)
    answer = await house.post(secret, f"/v1/agents/{fields['worker']}/commit", fields, key="")
    await house.follower.reached(answer.json()["position"], 1)
    return task


def drawn(house: House, task: TaskId, *rounds: list[str]) -> Audit:
    """As if the lottery had chosen: one region per round."""
    it = house.world.tasks[task]
    checkers = [Round([n], [people().workers[name] for name in names]) for n, names in enumerate(rounds)]
    audit = Audit(AuditId("audit-9"), task, it.fence, it.worker, it.cls, "lottery", 1, "beacon-1", "0x", 1, "1", checkers, 2**60)  # type: ignore[arg-type]
    house.world.audits[audit.id] = audit
    it.status, it.audit = "auditing", audit.id
    return audit


async def test_a_checker_names_its_own_rendering_for_good_before_it_sees_the_workers() -> None:
    async with running(people()) as house:
        task = await committed(house)
        first, second = people().workers["checker 0"], people().workers["checker 1"]
        secret, path = secret_of(owner(people(), first)), f"/v1/tasks/{task}/raw/0"
        audit = drawn(house, task, ["checker 0"])
        lazy = await house.get(secret, path)
        claimed = await house.get(secret, path, params={"evidence": house.world.tasks[task].proof.raw[0]})  # type: ignore[union-attr]
        assert [problem(lazy), problem(claimed)] == [(409, "round_open")] * 2
        assert problem(await house.get(secret_of(owner(people(), second)), path)) == (404, "not_yours")

        own, other = await house.put(secret, b"my own rendering"), await house.put(secret, b"another")
        shown = await house.get(secret, path, params={"evidence": own})
        again = await house.get(secret, path, params={"evidence": own})
        swapped = await house.get(secret, path, params={"evidence": other})
        elsewhere = await house.get(secret, f"/v1/tasks/{task}/raw/1", params={"evidence": own})
        assert [shown.content, again.content] == [b"tile 0"] * 2
        assert [problem(swapped), problem(elsewhere)] == [(422, "evidence_swapped"), (403, "not_drawn")]

        reveal = examples.EXAMPLES[verdict.Reveal] | {"audit": audit.id, "evidence_sha256": [other]}
        reveal["metrics"] = [reveal["metrics"][0] | {"region": 0}]
        answer = await house.post(secret, f"/v1/agents/{first}/reveal", reveal, key="")
        assert problem(answer) == (422, "evidence_swapped")


async def test_what_was_shown_to_an_earlier_round_is_not_shown_to_a_later_one_before_it_sealed() -> None:
    async with running(people()) as house:
        task = await committed(house)
        audit = drawn(house, task, ["checker 0"], ["checker 1"])
        audit.seals[people().workers["checker 0"]] = "0" * 64
        early, late = (secret_of(owner(people(), people().workers[name])) for name in ("checker 0", "checker 1"))
        path = f"/v1/tasks/{task}/raw/0"

        assert (await house.get(early, path)).content == b"tile 0"
        assert problem(await house.get(late, path)) == (409, "round_open")
        audit.seals[people().workers["checker 1"]] = "0" * 64
        assert (await house.get(late, path)).content == b"tile 0"


async def test_a_creator_gets_the_pixels_when_the_work_is_accepted() -> None:
    async with running(people()) as house:
        task = await committed(house)
        path = f"/v1/tasks/{task}/raw/1"
        early = await house.get(CREATOR, path)
        house.world.tasks[task].status = "accepted"
        beyond = await house.get(CREATOR, f"/v1/tasks/{task}/raw/99")

        assert (problem(early), problem(beyond)) == ((409, "not_accepted"), (404, "not_found"))
        assert (await house.get(CREATOR, path)).content == b"tile 1"
        assert problem(await house.get(OTHER, path)) == (404, "not_yours")
        assert problem(await house.get(CREATOR, f"/v1/tasks/{task}/raw/..%2f0")) == (404, "not_found")


async def test_a_range_is_part_of_the_whole() -> None:
    async with running(people()) as house:
        await job_fields(house)
        job = await submitted(house)
        whole = scene()[0].encode()
        part = await house.get(CREATOR, f"/v1/jobs/{job}/manifest", headers={"Range": "bytes=5-9"})
        none = await house.get(CREATOR, f"/v1/jobs/{job}/manifest", headers={"Range": "bytes=9999-"})
        again = await house.get(CREATOR, f"/v1/jobs/{job}/manifest", headers={"If-None-Match": part.headers["etag"]})

        assert (part.status_code, part.content, part.headers["content-range"]) == (206, whole[5:10], f"bytes 5-9/{len(whole)}")
        assert (problem(none), again.status_code) == ((416, "range_not_satisfiable"), 304)


@pytest.mark.parametrize(
    ("header", "expected"),
    [("", (0, 9)), ("bytes=0-", (0, 9)), ("bytes=3-4", (3, 5)), ("bytes=3-99", (3, 9)), ("bytes=-2", (7, 9)), ("bytes=-99", (0, 9)),
     ("bytes=1-2,4-5", (0, 9)), ("items=0-1", (0, 9)), ("bytes=-", (0, 9))],
)  # fmt: skip
def test_a_range_header_is_read_as_http_says(header: str, expected: tuple[int, int]) -> None:
    assert span(header, 9) == expected


@pytest.mark.parametrize("header", ["bytes=9-", "bytes=5-3", "bytes=-0"])
def test_a_range_of_nothing_is_refused(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        span(header, 9)
