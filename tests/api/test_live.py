"""Live feeds: no gap, no repetition, whatever broke in between; an agent is told what concerns it, and what is still open first."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from copy import copy
from typing import Any, NamedTuple

from api import live
from api.parts import Item, Limits
from tests.api.house import House, owner, people, problem, running, secret_of, submitted

CREATOR = secret_of(people().creator)


class Message(NamedTuple):
    id: str
    event: str
    data: str


@asynccontextmanager
async def listening(house: House, path: str, secret: str = "", **headers: str) -> AsyncIterator[AsyncGenerator[Message, None]]:
    """The messages of a feed as they come. The application is called directly: the test client's transport waits for the end."""
    pipe: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    gone = asyncio.Event()
    target, _, query = path.partition("?")
    bearer = [(b"authorization", f"Bearer {secret}".encode())] if secret else []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": target,
        "raw_path": target.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [*bearer, *((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    task = asyncio.create_task(house.app(scope, receive, pipe.put))  # type: ignore[arg-type]
    start = await pipe.get()
    assert start["status"] == 200, start
    try:
        async with aclosing(messages(pipe)) as found:
            yield found
    finally:
        gone.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def messages(pipe: "asyncio.Queue[dict[str, Any]]") -> AsyncGenerator[Message, None]:
    text = ""
    while True:
        async with asyncio.timeout(5):
            part = await pipe.get()
        text += part.get("body", b"").decode()
        while "\n\n" in text:
            block, _, text = text.partition("\n\n")
            fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
            yield Message(fields.get("id", ""), fields.get("event", ""), fields.get("data", ""))
        if not part.get("more_body", False):
            return


async def take(found: AsyncGenerator[Message, None], count: int) -> list[Message]:
    """So many with a position; what only keeps the connection alive is passed over."""
    seen = list[Message]()
    async for message in found:
        if message.id:
            seen.append(message)
        if len(seen) == count:
            break
    return seen


async def test_a_feed_goes_on_after_the_last_event_that_was_seen() -> None:
    async with running(people()) as house:
        size = house.follower.head.size
        async with listening(house, "/v1/live?after=0") as found:
            first = await take(found, 40)
        job = await submitted(house)
        await house.follower.reached(size + 2, 1)
        async with listening(house, "/v1/live", last_event_id=first[-1].id) as found:
            rest = await take(found, house.follower.head.size - 40)

        assert [int(each.id) for each in first + rest] == list(range(1, house.follower.head.size + 1))
        assert rest[-2].data.startswith(f'{{"pos":{size + 1},"stream":"{job}"')


async def test_a_feed_goes_on_at_the_server_that_comes_after() -> None:
    async with running(people()) as house:
        await submitted(house)
        async with listening(house, "/v1/live?after=0") as found:
            first = await take(found, house.follower.head.size - 1)
        network = copy(house.network)
        async with aclosing(house.log.read(0)) as records:
            network.records = [record async for record in records]
    async with running(people()._replace(network=network)) as house:
        await house.follower.reached(len(first) + 2, 2)
        async with listening(house, "/v1/live", last_event_id=first[-1].id) as found:
            rest = await take(found, house.follower.head.size - len(first))

    assert [int(each.id) for each in first + rest] == list(range(1, len(first) + len(rest) + 1))
    assert len(rest) >= 2


async def test_the_data_of_a_message_is_the_line_of_the_log() -> None:
    async with running(people()) as house, listening(house, "/v1/live?after=6") as found:
        (message,) = await take(found, 1)

        assert message.data.encode() == (await house.get("", "/v1/events/7")).content


async def test_a_feed_without_a_position_begins_now() -> None:
    async with running(people()) as house, listening(house, "/v1/events", accept="text/event-stream") as found:
        assert (await anext(found)).id == ""
        size = house.follower.head.size
        await submitted(house)

        assert [int(each.id) for each in await take(found, 2)] == [size + 1, size + 2]


async def test_a_feed_of_some_types_or_streams_has_only_those() -> None:
    async with running(people()) as house:
        job = await submitted(house)
        async with listening(house, "/v1/live?after=0&type=worker.registered.v1&type=job.quoted.v1") as found:
            types = {message.data.split('"type":"')[1].split('"')[0] for message in await take(found, 8)}
        async with listening(house, f"/v1/live?after=0&stream={job}") as found:
            streams = {message.data.split('"stream":"')[1].split('"')[0] for message in await take(found, 2)}

        assert (types, streams) == ({"worker.registered.v1", "job.quoted.v1"}, {job})


async def test_a_silent_feed_says_that_it_is_alive() -> None:
    limits = Limits(keep_alive_s=0.01)
    async with running(people(), limits) as house, listening(house, "/v1/live") as found:
        assert [(await anext(found)).id for _ in range(5)] == [""] * 5


async def test_a_client_that_leaves_is_forgotten() -> None:
    async with running(people(), Limits(live_max=1)) as house:
        for _ in range(3):
            async with listening(house, "/v1/live?after=0") as found:
                await take(found, 1)
                assert problem(await house.get("", "/v1/live")) == (503, "too_many_live")
            await asyncio.sleep(0.01)


async def test_a_feed_that_the_reader_drops_ends_and_says_nothing_wrong() -> None:
    class TooSlow(Exception): ...

    async def dropping() -> AsyncGenerator[Item, None]:
        async with running(people()) as other, aclosing(other.follower.events(0)) as items:
            yield await anext(items)
        raise TooSlow

    async with running(people()) as house:
        feeds = live.Live(house.parts)
        answer = feeds.answer(dropping(), lambda _: True)
        sent = [part async for part in answer.body_iterator]  # type: ignore[attr-defined]

        assert [lines for part in sent if (lines := part.count(b"id: "))] == [1], "beside what keeps a slow connection alive"


async def test_progress_is_shown_to_who_asks_and_has_no_position() -> None:
    async with running(people()) as house:
        job = await submitted(house)
        opened = await house.post(CREATOR, f"/v1/jobs/{job}/open")
        await house.follower.reached(opened.json()["position"] + 1, 1)
        task = next(each for each in house.world.tasks.values() if each.status == "leased")
        size = house.follower.head.size
        async with listening(house, "/v1/live?progress=true") as found:
            await anext(found)
            fields = {"task": task.id, "fence": task.fence, "tile": 2, "tiles": 4}
            sent = await house.post(secret_of(task.owner), f"/v1/agents/{task.worker}/progress", fields, key="")
            shown = await anext(found)

        assert (sent.status_code, shown.id, shown.event) == (204, "", "progress")
        assert shown.data == f'{{"worker":"{task.worker}","task":"{task.id}","fence":{task.fence},"tile":2,"tiles":4}}'
        assert house.follower.head.size == size


async def test_a_heartbeat_is_passed_on_and_never_an_event() -> None:
    async with running(people()) as house:
        worker, size = people().workers["fast"], house.follower.head.size
        answer = await house.post(secret_of(owner(people(), worker)), f"/v1/agents/{worker}/presence", {"session": "0" * 8}, key="")

        assert (answer.status_code, house.beats, house.follower.head.size) == (204, [(worker, "0" * 8)], size)


async def test_an_agent_that_starts_again_is_told_of_its_open_leases_and_then_of_what_comes() -> None:
    async with running(people()) as house:
        job = await submitted(house)
        opened = await house.post(CREATOR, f"/v1/jobs/{job}/open")
        await house.follower.reached(opened.json()["position"] + 4, 1)
        task = next(each for each in house.world.tasks.values() if each.status == "leased")
        secret, path = secret_of(task.owner), f"/v1/agents/{task.worker}"
        async with listening(house, f"{path}/tasks", secret) as found:
            (lease,) = await take(found, 1)
            fields = {"task": task.id, "fence": task.fence, "outcome": "error", "code": "engine"}
            ended = await house.post(secret, f"{path}/end", fields, key="")
            following = await take(found, 1)
        async with listening(house, f"{path}/tasks", secret, last_event_id=lease.id) as found:
            resumed = await take(found, 1)

        assert '"type":"task.leased.v1"' in lease.data
        assert f'"worker":"{task.worker}"' in lease.data
        assert [int(following[0].id), resumed] == [ended.json()["position"], following]


async def test_an_agents_feed_is_for_its_owner_alone() -> None:
    async with running(people()) as house:
        path = f"/v1/agents/{people().workers['fast']}/tasks"

        assert problem(await house.get("", path)) == (401, "api_key_missing")
        assert problem(await house.get(CREATOR, path)) == (404, "not_yours")


async def test_a_checker_hears_of_everything_in_its_audits_and_of_no_other_audit() -> None:
    async with running(people()) as house:
        log, checker = people().network.events, people().workers["checker 0"]
        mine = {each.stream for each in log if checker in getattr(each.event, "checkers", ())}
        expected = [each.pos for each in log if each.stream in {*mine, checker} and each.event.verb() != "worker.registered"]
        secret = secret_of(owner(people(), checker))
        async with listening(house, f"/v1/agents/{checker}/tasks", secret, last_event_id=str(expected[0] - 1)) as found:
            heard = await take(found, len(expected))
            await house.post(secret, f"/v1/agents/{checker}/offline", {}, key="")
            left = await take(found, 1)

        # Audits of benches that are over have left the world: what was drawn is learnt from the feed itself.
        assert [int(each.id) for each in heard] == expected
        assert len(mine) < len({each.stream for each in log if each.stream.startswith("audit-")})
        assert '"type":"worker.offline.v1"' in left[0].data
