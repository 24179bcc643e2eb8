"""The client against a server that fails in every way: nothing is done twice, nothing is lost, and no other bytes are taken."""

import asyncio
import time
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest

from adapters import client, signer
from adapters.client import Client
from domain.accounts import USDC
from domain.ids import AccountId, LogId, TaskId, WorkerId
from domain.log import receipts, wire
from domain.log.answers import Answer, Problem, Unanswered
from domain.market import bid, worker
from domain.signing import Claim, typed_data
from domain.treasury import stake
from domain.units import Units
from domain.work import task
from tests.agents import made
from tests.agents.site import HANG_UP, Asked, Say, Site, document, feed

pytestmark = pytest.mark.system

ME = WorkerId(AccountId("worker-5"))  # type: ignore[arg-type]
LINE = wire.encode(made.recorded(made.event(worker.Offline, worker=ME, reason="silent")))
DONE = Say(201, b'{"position":9,"events":[' + LINE + b"]}")
LOCK = stake.Lock(asset=USDC, amount=Units(5), number=1, signature="0x" + "00" * 65)
BUSY = document({"code": "busy"}, 503)
BIG = bytes(range(256)) * (20 << 12)
"""20 MiB: three pieces."""


async def test_a_command_is_asked_again_with_the_same_key_until_it_is_answered() -> None:
    site = Site(BUSY, HANG_UP, document({}, 504), document({}, 429), DONE)
    async with site.running() as url, Client(url, "secret") as ledger:
        answer = await ledger.ask("/v1/stakes/lock", LOCK)
    assert answer == Answer(9, (LINE,))
    assert len({asked.headers["idempotency-key"] for asked in site.asked}) == 1
    assert len({asked.body for asked in site.asked}) == 1
    assert [asked.headers["authorization"] for asked in site.asked] == ["Bearer secret"] * 5


async def test_whoever_cannot_be_reached_is_passed_over_for_another_server_with_the_same_key() -> None:
    gone, there = Site(HANG_UP, HANG_UP), Site(DONE)
    async with gone.running() as first, there.running() as second, Client(f"{first} {second}", "secret") as ledger:
        answers = [await ledger.ask("/v1/stakes/lock", LOCK), await ledger.ask("/v1/stakes/lock", LOCK)]
    assert answers == [Answer(9, (LINE,))] * 2
    assert [len(site.asked) for site in (gone, there)] == [1, 2], "and stays with who answers"
    assert gone.asked[0].headers["idempotency-key"] == there.asked[0].headers["idempotency-key"]


async def test_requests_that_fail_together_go_on_to_the_next_server_once() -> None:
    gone, there = Site(HANG_UP), Site(DONE)
    async with gone.running() as first, there.running() as second, Client(f"{first} {second}", "secret") as ledger:
        answers = await asyncio.gather(*(ledger.ask("/v1/stakes/lock", LOCK) for _ in range(4)))
    assert answers == [Answer(9, (LINE,))] * 4
    assert len(gone.asked) <= 4, "in step they would come back to it"


async def test_a_problem_that_says_it_is_final_is_final_whatever_its_status() -> None:
    site = Site(Say(503, b'{"code":"money_frozen","retryable":false}', {"Content-Type": "application/problem+json"}))
    async with site.running() as url, Client(url, "secret") as ledger:
        with pytest.raises(Problem, match="money_frozen"):
            await ledger.ask("/v1/stakes/lock", LOCK)
    assert len(site.asked) == 1


async def test_another_command_has_another_key_and_a_given_key_is_used() -> None:
    site = Site(DONE)
    async with site.running() as url, Client(url) as ledger:
        await ledger.ask("/v1/stakes/lock", LOCK)
        await ledger.ask("/v1/stakes/lock", LOCK)
        await ledger.ask("/v1/stakes/lock", LOCK, "01890a5d-ac96-774b-bcce-b302099a8057")
    first, second, third = (asked.headers["idempotency-key"] for asked in site.asked)
    assert first != second
    assert third == "01890a5d-ac96-774b-bcce-b302099a8057"


def test_keys_are_of_now_and_ever_new() -> None:
    keys = [client.uuid7() for _ in range(100)]
    assert len(set(keys)) == 100
    assert all(abs(receipts.uuid7_us(key) - time.time_ns() // 1_000) < 5_000_000 for key in keys)
    assert all(before[:13] <= after[:13] for before, after in pairwise(keys))


async def test_a_problem_is_raised_with_its_facts_and_not_asked_again() -> None:
    site = Site(document({"status": 409, "code": "number_used", "detail": "The next number is 4.", "expected": 4}, 409))
    async with site.running() as url, Client(url) as ledger:
        with pytest.raises(Problem) as raised:
            await ledger.ask("/v1/stakes/lock", LOCK)
    problem = raised.value
    assert (problem.status, problem.code, problem.facts, problem.detail) == (409, "number_used", {"expected": 4}, "The next number is 4.")
    assert len(site.asked) == 1


async def test_what_is_no_problem_document_is_a_problem_by_its_status() -> None:
    async with Site(Say(418, b"<html>")).running() as url, Client(url) as ledger:
        with pytest.raises(Problem, match="http_418"):
            await ledger.get("/v1/me")


@pytest.mark.parametrize("answer", [BUSY, HANG_UP], ids=["busy", "hang up"])
async def test_patience_ends(answer: Say) -> None:
    site = Site(answer)
    async with site.running() as url, Client(url, "topsecret", patience_s=0.3) as ledger:
        with pytest.raises(Unanswered) as raised:
            await ledger.ask("/v1/stakes/lock", LOCK)
    assert "topsecret" not in repr(raised.value)
    assert len(site.asked) > 1


async def test_nobody_there_is_silence(free_port: int) -> None:
    async with Client(f"http://127.0.0.1:{free_port}", patience_s=0.1) as ledger:
        with pytest.raises(Unanswered):
            await ledger.get("/v1/me")


async def test_a_read_waits_for_its_position() -> None:
    site = Site(document({"code": "not_reached"}, 202), document({"row": 1}))
    async with site.running() as url, Client(url) as ledger:
        assert await ledger.get("/v1/jobs/job-1", min_pos=7) == {"row": 1}
    assert [asked.path for asked in site.asked] == ["/v1/jobs/job-1?min_pos=7"] * 2


async def test_an_agent_s_command_goes_where_it_belongs_without_a_key() -> None:
    site = Site(DONE)
    async with site.running() as url, Client(url) as ledger:
        await ledger.send(ME, worker.GoOnline(worker=ME, session="ab" * 8))
        await ledger.send(ME, task.End(task=TaskId("job-1/2"), fence=3, outcome="error", code="scene"))
    online, end = site.asked
    assert (online.path, online.body) == ("/v1/agents/worker-5/online", b'{"worker":"worker-5","session":"abababababababab"}')
    assert end.path == "/v1/agents/worker-5/end"
    assert "idempotency-key" not in online.headers


async def test_a_bid_is_its_owner_s_and_amounts_are_strings() -> None:
    facts = {"worker": ME, "class": "mitsuba-3.9.1/cpu", "price_per_kwu": "180000000", "number": 1, "signature": "0x" + "00" * 65}
    site = Site(DONE)
    async with site.running() as url, Client(url) as ledger:
        await ledger.send(ME, bid.Bid.model_validate(facts))
    (asked,) = site.asked
    assert asked.path == "/v1/workers/worker-5/bid"
    assert b'"class":"mitsuba-3.9.1/cpu","price_per_kwu":"180000000"' in asked.body
    assert "idempotency-key" in asked.headers


async def test_a_stream_is_read_page_by_page() -> None:
    pages = Say(200, b'{"events":[%b],"next":"abc"}' % LINE), Say(200, b'{"events":[%b],"next":null}' % LINE)
    site = Site(*pages)
    async with site.running() as url, Client(url) as ledger:
        found = await ledger.stream("worker-5", 8)
    assert [recorded.event for recorded in found] == [wire.event(LINE).event] * 2
    assert site.asked[1].path == "/v1/streams/worker-5?min_pos=8&limit=200&cursor=abc"


async def test_a_live_feed_goes_on_where_it_broke_off() -> None:
    site = Site(
        feed("retry: 1000", "id: 7\ndata: seven", "event: progress\ndata: a tile", "id: 9\ndata: nine"),
        BUSY,
        HANG_UP,
        feed(": still there", "id: 12\ndata: twelve", cut=False),
    )
    seen = []
    async with site.running() as url, Client(url) as ledger:
        async for line in ledger.follow("/v1/live", type="task.leased.v1"):
            seen.append(tuple(line))
            if line.position == 12:
                break
    assert seen == [(7, b"seven", "message"), (0, b"a tile", "progress"), (9, b"nine", "message"), (12, b"twelve", "message")]
    assert [asked.headers.get("last-event-id") for asked in site.asked] == [None, "9", "9", "9"]
    assert {asked.path for asked in site.asked} == {"/v1/live?type=task.leased.v1"}


async def test_a_live_feed_that_is_refused_ends() -> None:
    async with Site(document({"code": "not_yours"}, 404)).running() as url, Client(url) as ledger:
        with pytest.raises(Problem, match="not_yours"):
            await anext(ledger.agent_events(ME))


async def test_an_agent_is_not_told_of_events_that_it_does_not_know() -> None:
    unknown = LINE.replace(b"worker.offline.v1", b"worker.eclipsed.v7").decode()
    site = Site(feed(f"id: 8\ndata: {unknown}", f"id: 9\ndata: {LINE.decode()}"))
    async with site.running() as url, Client(url) as ledger:
        recorded = await anext(ledger.agent_events(ME))
    assert isinstance(recorded.event, worker.Offline)


class Uploads:
    """The upload routes, over one upload."""

    def __init__(self) -> None:
        self.kept = b""
        self.begun = 0
        self.losses: list[str] = []

    def __call__(self, asked: Asked) -> Say:
        offset = {"upload-offset": str(len(self.kept))}
        if asked.method == "POST":
            self.begun, self.kept = self.begun + 1, b""
            return document({"upload": "u1", "sha256": "", "bytes": 0, "offset": 0, "complete": False}, 201)
        if asked.method == "HEAD":
            return Say(404) if len(self.kept) == len(BIG) else Say(204, headers=offset)
        assert int(asked.headers["upload-offset"]) == len(self.kept)
        loss = self.losses.pop(0) if self.losses else ""
        if loss == "before":
            return HANG_UP
        self.kept += asked.body[:1_000] if loss == "half" else asked.body
        return HANG_UP if loss in {"half", "after"} else document({}, 200, **{"upload-offset": str(len(self.kept))})


@pytest.mark.parametrize("losses", [[], ["before"], ["half", "after"], ["after", "before", "half"]], ids=["none", "one", "two", "three"])
async def test_a_large_upload_goes_on_where_it_broke_off(losses: list[str]) -> None:
    uploads = Uploads()
    uploads.losses = losses
    async with Site(uploads).running() as url, Client(url) as ledger:
        assert await ledger.store(BIG) == sha256(BIG).hexdigest()
    assert uploads.kept == BIG
    assert uploads.begun == 1


async def test_an_upload_whose_completion_was_not_heard_of_is_done_over() -> None:
    uploads = Uploads()
    uploads.losses = ["", "", "after"]
    async with Site(uploads).running() as url, Client(url) as ledger:
        await ledger.store(BIG)
    assert uploads.kept == BIG
    assert uploads.begun == 2


async def test_an_upload_that_is_refused_is_a_problem() -> None:
    answers = document({"upload": "u1", "offset": 0}, 201), document({"code": "upload_limit"}, 422)
    async with Site(*answers).running() as url, Client(url) as ledger:
        with pytest.raises(Problem, match="upload_limit"):
            await ledger.store(BIG)


async def test_a_small_object_goes_in_one_request_from_memory_and_from_a_file(tmp_path: Path) -> None:
    (file := tmp_path / "mesh.ply").write_bytes(b"ply")
    site = Site(Say(201, b"{}"))
    async with site.running() as url, Client(url) as ledger:
        assert await ledger.store(b"ply") == await ledger.store_file(file) == sha256(b"ply").hexdigest()
    expected = ("PUT", f"/v1/objects/{sha256(b'ply').hexdigest()}", b"ply")
    assert [(asked.method, asked.path, asked.body) for asked in site.asked] == [expected] * 2


async def test_a_large_file_is_uploaded_piece_by_piece(tmp_path: Path) -> None:
    (file := tmp_path / "mesh.ply").write_bytes(BIG)
    uploads = Uploads()
    async with (site := Site(uploads)).running() as url, Client(url) as ledger:
        assert await ledger.store_file(file) == sha256(BIG).hexdigest()
    assert uploads.kept == BIG
    assert max(len(asked.body) for asked in site.asked) == client.PIECE_BYTES


RAW = bytes(range(200))
NAME = sha256(RAW).hexdigest()


async def test_a_download_goes_on_where_it_broke_off_and_is_hashed() -> None:
    site = Site(Say(200, RAW[:50], cut=True), BUSY, Say(206, RAW[50:90], cut=True), HANG_UP, Say(206, RAW[90:]))
    async with site.running() as url, Client(url) as ledger:
        assert await ledger.raw(TaskId("job-1/2"), 3, NAME, "ab" * 32) == RAW
    assert [asked.headers.get("range") for asked in site.asked] == [None, "bytes=50-", "bytes=50-", "bytes=90-", "bytes=90-"]
    assert {asked.path for asked in site.asked} == {f"/v1/tasks/job-1/2/raw/3?evidence={'ab' * 32}"}


async def test_a_server_that_knows_no_ranges_is_read_from_the_start() -> None:
    async with Site(Say(200, RAW[:50], cut=True), Say(200, RAW)).running() as url, Client(url) as ledger:
        assert await ledger.fetch("/v1/x", NAME, 200) == RAW


@pytest.mark.parametrize(
    ("body", "size_max", "code"), [(RAW[:-1] + b"!", 200, "wrong_hash"), (RAW[:-1], 200, "wrong_hash"), (RAW, 199, "object_too_large")]
)
async def test_other_bytes_than_those_that_were_named_are_not_taken(body: bytes, size_max: int, code: str) -> None:
    async with Site(Say(200, body)).running() as url, Client(url) as ledger:
        with pytest.raises(Problem, match=code):
            await ledger.fetch("/v1/x", NAME, size_max)


async def test_a_download_that_never_comes_is_silence() -> None:
    async with Site(HANG_UP).running() as url, Client(url, patience_s=0.2) as ledger:
        with pytest.raises(Unanswered):
            await ledger.fetch("/v1/x", NAME, 200)


def test_a_claim_is_signed_for_one_log_and_chain() -> None:
    key, log = signer.generate(), LogId("ab" * 16)
    claim = Claim("Bid", (("worker", ME), ("number", 4)), AccountId(ME), "agent", "")
    signature = client.signing(key, log, 31337)(claim)
    assert signer.recover_typed(typed_data(log, 31337, claim), signature) == key.address
    assert signer.recover_typed(typed_data(LogId("cd" * 16), 31337, claim), signature) != key.address
