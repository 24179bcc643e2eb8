"""A server that stands by: what changes something is decided by the leader, whoever is asked; what is read is answered where it is
asked, and never behind what its caller was told."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import httpx2
import msgspec
import pytest

from adapters import remote
from adapters.log.follower import Follower
from adapters.remote import Leader
from api.app import create_app
from domain.log.ledger import Ledger
from domain.log.merkle import Head
from domain.market import worker
from tests.api.house import House, job_fields, owner, people, problem, running, secret_of
from tests.network import LOG


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIND_S", 0.2)
    monkeypatch.setattr(remote, "PAUSES_S", (0.01, 0.01))


class Both(NamedTuple):
    """One ledger, two servers: `house` leads."""

    house: House
    beside: House
    """The same, asked through the one that stands by."""


async def stays(_: str) -> None:
    await asyncio.Event().wait()


@asynccontextmanager
async def two(*, address: str = "http://leader", transport: httpx2.AsyncBaseTransport | None = None) -> AsyncIterator[Both]:
    async def found(_: float) -> str:
        return address

    async with running(people()) as house:
        leader = Leader(found, stays, transport=transport or httpx2.ASGITransport(house.app, raise_app_exceptions=False))
        follower = Follower(house.log, Ledger(Head(LOG)))
        following = asyncio.create_task(follower.run())
        await follower.reached(house.follower.head.size, 10.0)
        beside = House(house.network, house.app, follower, house.store, house.log)
        beside.ahead_us = house.ahead_us
        parts = msgspec.structs.replace(house.parts, reader=follower, leads=lambda: False, leader=leader)
        beside.parts, beside.app = parts, create_app(parts)
        try:
            yield Both(house, beside)
        finally:
            await leader.aclose()
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following


async def test_a_command_is_decided_by_the_leader_whoever_is_asked() -> None:
    async with two() as (house, beside):
        secret, key = secret_of(people().creator), house.key()
        fields = await job_fields(beside)
        first = await beside.post(secret, "/v1/jobs", fields, key=key)
        again = await house.post(secret, "/v1/jobs", fields, key=key)
        read = await beside.get(secret, f"/v1/streams/{first.json()['events'][0]['event']['job']}")

        assert (first.status_code, first.json()) == (again.status_code, again.json())
        assert read.status_code == 200, "whoever was told of it finds it, here too"


async def test_refusals_and_bad_input_come_back_as_they_are() -> None:
    async with two() as (house, beside):
        secret = secret_of(people().creator)
        for path, fields in (("/v1/jobs/job-999999/open", {}), ("/v1/jobs", b"{"), ("/v1/nothing", {})):
            theirs, mine = await beside.post(secret, path, fields), await house.post(secret, path, fields)
            assert problem(theirs) == problem(mine)
            assert json.loads(theirs.content).keys() == json.loads(mine.content).keys()


async def test_heartbeats_reach_the_process_that_listens_for_them() -> None:
    async with two() as (house, beside):
        id = people().workers["fast"]
        secret, session = secret_of(owner(people(), id)), house.world.workers[id].session
        answer = await beside.post(secret, f"/v1/agents/{id}/presence", {"session": session})

        assert answer.status_code == 204
        assert house.beats == [(id, session)]


async def test_reads_are_answered_without_the_leader() -> None:
    class Gone(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            raise httpx2.ConnectError("gone")

    async with two(transport=Gone()) as (house, beside):
        overview, theirs = await beside.get("", "/v1/overview"), await house.get("", "/v1/overview")
        command = await beside.post(secret_of(people().creator), "/v1/jobs", {})

        assert (overview.status_code, overview.json()) == (200, theirs.json())
        assert (problem(command), command.headers["retry-after"]) == ((503, "busy"), "1")


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (httpx2.ConnectError, (503, "busy")),
        (httpx2.ConnectTimeout, (503, "busy")),
        (httpx2.ReadTimeout, (504, "outcome_unknown")),
        (httpx2.RemoteProtocolError, (504, "outcome_unknown")),
        (httpx2.WriteError, (504, "outcome_unknown")),
    ],
)
async def test_what_was_not_sent_is_busy_and_what_may_have_arrived_is_unknown(
    failure: Callable[[str], Exception], expected: tuple[int, str]
) -> None:
    class Fails(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            raise failure("so")

    async with two(transport=Fails()) as (_, beside):
        assert problem(await beside.post(secret_of(people().creator), "/v1/jobs", {})) == expected


async def test_who_waits_for_a_leader_that_was_stopped_waits_no_longer_than_it_leads() -> None:
    class Stopped(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            await asyncio.Event().wait()
            raise AssertionError

    async def found(_: float) -> str:
        return "http://leader"

    async def leaves(_: str) -> None:
        await asyncio.sleep(0.05)

    async with two() as (_, beside):
        leader = Leader(found, leaves, transport=Stopped())
        beside.app = create_app(msgspec.structs.replace(beside.parts, leader=leader))
        answer = await beside.post(secret_of(people().creator), "/v1/jobs", {})
        await leader.aclose()

    assert problem(answer) == (504, "outcome_unknown")


class Going(httpx2.AsyncBaseTransport):
    """A leader that hands over: it says that it is busy, or breaks off, and is gone; the next one decides."""

    def __init__(self, end: Callable[[], httpx2.Response]) -> None:
        self.end, self.asked = end, list[str]()
        self.next: httpx2.AsyncBaseTransport | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.url.host)
        if request.url.host == "leader":
            return self.end()
        assert self.next is not None
        return await self.next.handle_async_request(request)


def stopping() -> httpx2.Response:
    return httpx2.Response(503, json={"code": "busy"})


def breaks_off() -> httpx2.Response:
    raise httpx2.RemoteProtocolError("gone")


@pytest.mark.parametrize("end", [stopping, breaks_off])
@pytest.mark.parametrize("next_leads_here", [False, True])
async def test_whoever_asks_while_the_leader_hands_over_is_answered_by_the_next_one(
    end: Callable[[], httpx2.Response], next_leads_here: bool
) -> None:
    going = Going(end)

    async def found(_: float) -> str:
        return "http://leader" if not going.asked else "" if next_leads_here else "http://next"

    async def leaves(_: str) -> None:
        await asyncio.sleep(0.005)

    async with two() as (house, beside):
        going.next = httpx2.ASGITransport(house.app, raise_app_exceptions=False)
        leader = Leader(found, leaves, transport=going)
        parts = house.parts if next_leads_here else beside.parts
        beside.app = create_app(msgspec.structs.replace(parts, leader=leader, leads=lambda: next_leads_here and bool(going.asked)))
        id = people().workers["fast"]
        secret, key, fields = secret_of(owner(people(), id)), house.key(), worker.Change(worker=id, slots=2).model_dump(exclude_none=True)
        answer = await beside.post(secret, f"/v1/workers/{id}/change", fields, key=key)
        again = await house.post(secret, f"/v1/workers/{id}/change", fields, key=key)
        await leader.aclose()

    assert answer.status_code == 201
    assert answer.json()["events"] == again.json()["events"]
    assert going.asked[-1] == ("leader" if next_leads_here else "next")


async def test_a_leader_that_is_busy_and_stays_is_asked_a_few_times() -> None:
    going = Going(stopping)
    async with two(transport=going) as (_, beside):
        answer = await beside.post(secret_of(people().creator), "/v1/jobs", {})

    assert (answer.status_code, going.asked) == (503, ["leader"] * 3)


async def test_a_leader_that_came_a_moment_ago_and_does_not_lead_yet_is_asked_again() -> None:
    going = Going(stopping)

    async def stays(_: str) -> None:
        await asyncio.Event().wait()

    async def found(_: float) -> str:
        return "http://leader" if len(going.asked) < 2 else "http://next"  # the same server, as it says at last

    async with two() as (house, beside):
        going.next = httpx2.ASGITransport(house.app, raise_app_exceptions=False)
        leader = Leader(found, stays, transport=going)
        beside.app = create_app(msgspec.structs.replace(beside.parts, leader=leader))
        id = people().workers["fast"]
        fields = worker.Change(worker=id, slots=2).model_dump(exclude_none=True)
        answer = await beside.post(secret_of(owner(people(), id)), f"/v1/workers/{id}/change", fields)
        await leader.aclose()

    assert (answer.status_code, going.asked) == (201, ["leader", "leader", "next"])


async def test_who_comes_to_lead_denies_nobody_that_another_leader_knew() -> None:
    """Its reader is a moment behind what it leads from."""
    async with running(people()) as house:
        follower = Follower(house.log, Ledger(Head(LOG)))

        async def follow() -> None:
            await asyncio.sleep(0.05)
            await follower.run()

        following = asyncio.create_task(follow())
        led = House(house.network, house.app, follower, house.store, house.log)
        led.ahead_us = house.ahead_us
        led.app = create_app(msgspec.structs.replace(house.parts, reader=follower, begun=lambda: house.follower.head.size))
        id = people().workers["fast"]
        answer = await led.post(secret_of(owner(people(), id)), f"/v1/workers/{id}/change", {"worker": id, "slots": 2})
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    assert answer.status_code == 201, answer.text


async def test_while_nobody_leads_commands_are_told_to_come_back() -> None:
    async with two(address="") as (_, beside):
        assert problem(await beside.post(secret_of(people().creator), "/v1/jobs", {})) == (503, "busy")


async def test_a_request_is_handed_on_once() -> None:
    """Two servers that each take the other for the leader send nothing round in circles."""
    asked = list[Any]()

    class Standby(httpx2.AsyncBaseTransport):
        def __init__(self) -> None:
            self.inner: httpx2.AsyncBaseTransport | None = None

        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            asked.append(request.headers["gridledger-forwarded"])
            assert self.inner is not None
            return await self.inner.handle_async_request(request)

    transport = Standby()
    async with two(transport=transport) as (_, beside):
        transport.inner = httpx2.ASGITransport(beside.app, raise_app_exceptions=False)
        answer = await beside.post(secret_of(people().creator), "/v1/jobs", {})

        assert problem(answer) == (503, "busy")
        assert asked == ["1"] * 3, "a few times to the leader, and by nobody further"


async def test_large_bodies_pass_through_whole() -> None:
    async with two() as (_, beside):
        content = bytes(range(256)) * 4_096
        name = await beside.put(secret_of(people().creator), content)

        assert await beside.store.size(name) == len(content)


async def test_a_leader_that_waits_to_be_found_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = list[float]()
    monkeypatch.setattr(remote, "FIND_S", 0.25)

    async def found(timeout_s: float) -> str:
        waits.append(timeout_s)
        return "http://leader"

    async with two() as (house, beside):
        leader = Leader(found, stays, transport=httpx2.ASGITransport(house.app, raise_app_exceptions=False))
        beside.app = create_app(msgspec.structs.replace(beside.parts, leader=leader))
        id = people().workers["fast"]
        command = worker.Change(worker=id, slots=2)
        answer = await beside.post(secret_of(owner(people(), id)), f"/v1/workers/{id}/change", command.model_dump(exclude_none=True))
        await leader.aclose()

    assert answer.status_code == 201
    assert waits == [0.25]
