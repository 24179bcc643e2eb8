"""The feeds by Socket.IO, with its own client against a server on a socket: whole, in order, and going on where it ended."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
import socketio

from adapters.server import http
from api.parts import Limits
from api.sockets import server
from tests.api.house import House, people, running, submitted

LIMITS = Limits(read_wait_s=0.05, wait_s=1.0, keep_alive_s=5.0)


class Heard(NamedTuple):
    positions: list[int]
    """Said at the beginning of each connection."""
    events: list[dict[str, str]]
    came: asyncio.Condition
    ended: asyncio.Event

    async def take(self, event: dict[str, str]) -> None:
        async with self.came:
            self.events.append(event)
            self.came.notify_all()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5), self.came:
            await self.came.wait_for(lambda: len(self.events) >= count)


@asynccontextmanager
async def served(limits: Limits = LIMITS) -> AsyncIterator[tuple[House, str]]:
    async with running(people(), limits) as house:
        listener, stopping = socket.create_server(("127.0.0.1", 0)), asyncio.Event()
        serving = asyncio.create_task(http.serve(house.app, listener, stopping))
        try:
            yield house, f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stopping.set()
            await serving


@asynccontextmanager
async def listening(url: str, namespace: str, auth: dict[str, Any], *transports: str) -> AsyncIterator[Heard]:
    """The library's client that needs nothing else, in a thread."""
    heard, loop = Heard([], [], asyncio.Condition(), asyncio.Event()), asyncio.get_running_loop()
    client = socketio.Client(reconnection=False)
    client.on("position", lambda at: loop.call_soon_threadsafe(heard.positions.append, at), namespace=namespace)
    client.on("event", lambda event: asyncio.run_coroutine_threadsafe(heard.take(event), loop), namespace=namespace)
    client.on("disconnect", lambda *_: loop.call_soon_threadsafe(heard.ended.set), namespace=namespace)
    more = {"transports": list(transports)} if transports else {}
    await asyncio.to_thread(client.connect, url, namespaces=[namespace], auth=auth, wait_timeout=5, **more)
    try:
        yield heard
    finally:
        await asyncio.to_thread(client.disconnect)


def ids(heard: Heard) -> list[int]:
    return [int(each["id"]) for each in heard.events]


@pytest.mark.system
async def test_a_client_goes_on_after_the_last_event_that_it_saw() -> None:
    async with served() as (house, url):
        size = house.follower.head.size
        async with listening(url, "/explorer", {"after": 0}, "websocket") as first:
            await first.until(size)
        job = await submitted(house)
        async with listening(url, "/explorer", {"after": ids(first)[-1]}) as rest, listening(url, "/job", {"job": job, "after": 0}) as its:
            await rest.until(2)
            await its.until(2)
        line = (await house.get("", "/v1/events/7")).text

        assert (first.positions, rest.positions) == ([0], [size])
        assert ids(first) + ids(rest) == list(range(1, house.follower.head.size + 1))
        assert first.events[6]["data"] == line
        assert ids(its) == [size + 1, size + 2]


@pytest.mark.system
async def test_a_client_has_what_it_asks_for_and_what_nobody_could_is_refused() -> None:
    async with served(LIMITS) as (_, url):
        async with listening(url, "/explorer", {"after": 0, "types": ["worker.registered.v1"]}, "websocket") as heard:
            await heard.until(6)
        types = {json.loads(each["data"])["event"]["type"] for each in heard.events}
        wrong: list[tuple[str, Any]] = [
            ("/explorer", {"after": -1}),
            ("/explorer", {"types": ["task.leased.v1"] * 26}),
            ("/explorer", {"types": ["task.leased"]}),
            ("/job", {}),
            ("/job", {"job": "worker-1"}),
            ("/job", {"job": "job-1", "x": 1}),
        ]
        for namespace, auth in wrong:
            with pytest.raises(socketio.exceptions.ConnectionError):
                async with listening(url, namespace, auth, "websocket"):
                    pass

        assert types == {"worker.registered.v1"}


@pytest.mark.system
async def test_a_socket_outlives_the_time_for_headers_and_the_application_answers_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "HEADERS_S_MAX", 0.3)
    async with served() as (house, url), listening(url, "/explorer", {}, "websocket") as heard:
        await asyncio.sleep(0.6)
        await submitted(house)
        await heard.until(2)

        assert not heard.ended.is_set()
        assert (await house.get("", "/v1/overview")).status_code == 200


class Full:
    """A connection whose client takes nothing."""

    def qsize(self) -> int:
        return server.QUEUE_MAX


async def test_a_client_that_takes_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SLOW_S", 0.05)
    async with running(people()) as house:
        feed = server.Feed("/explorer", server.Wanted, house.parts, {})
        dropped = asyncio.Event()

        class Server:
            class manager:  # noqa: N801
                eio_sid_from_sid = staticmethod(lambda *_: "a")

            class eio:  # noqa: N801
                sockets = {"a": type("Connection", (), {"queue": Full()})}

        async def emit(*_: Any, **__: Any) -> None:
            pass

        async def disconnect(*_: Any, **__: Any) -> None:
            dropped.set()

        monkeypatch.setattr(feed, "server", Server)
        monkeypatch.setattr(feed, "emit", emit)
        monkeypatch.setattr(feed, "disconnect", disconnect)
        await feed.on_connect("s", {}, {"after": 0})
        async with asyncio.timeout(2):
            await dropped.wait()


async def test_connections_are_counted_and_one_too_many_is_refused() -> None:
    async with running(people(), Limits(live_max=1)) as house:
        open: dict[object, None] = {}
        feed = server.Feed("/explorer", server.Wanted, house.parts, open)
        await feed.on_connect("s", {}, {})
        assert list(open) == ["s"]
        with pytest.raises(socketio.exceptions.ConnectionRefusedError):
            await feed.on_connect("another", {}, {})

        await feed.on_disconnect("s")
        assert open == {}
