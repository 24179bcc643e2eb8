"""The feeds for clients of Socket.IO, with the payloads and positions of the server-sent ones: a message `event` is
`{"id": POSITION, "data": LINE}`, the line byte for byte as the log has it.

Namespace `/explorer` has all events, or those of some types or streams; `/job` has whatever concerns one job. What is wanted stands in the
connection's `auth`: `after`, `types`, `streams`, `job`. A message `position` comes first: whoever comes again with the last position as
`after` goes on without gap or repetition. A slow client is dropped and does just that.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated, Any

import msgspec
import socketio
import structlog
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema
from socketio.exceptions import ConnectionRefusedError  # noqa: A004 - its name for it

from api.live import FILTER_MAX
from api.parts import Item, Parts
from api.reads.query import NO_NAME, POSITION_MAX
from domain import body
from domain.log import wire

QUEUE_MAX = 64
"""What waits for a client in its connection; behind it the reader keeps a little more, and then drops it."""
SLOW_S, LOOK_S = 10.0, 0.02
"""How long a full connection may take nothing, and how often one looks."""
MESSAGE_BYTES_MAX = 16_384
logger = structlog.get_logger()

Position = Annotated[int, Field(ge=0, le=POSITION_MAX)]
Names = Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=FILTER_MAX // 2)]


def stored(name: str) -> str:
    if name not in wire.NAMES:
        raise ValueError(NO_NAME)
    return name


Types = list[Annotated[str, AfterValidator(stored), WithJsonSchema({"enum": sorted(wire.NAMES)})]]


class Wanted(BaseModel):
    """What a client of `/explorer` asks for; without a position what comes next."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    after: Position | None = None
    types: Annotated[Types, Field(max_length=FILTER_MAX // 2)] = []
    streams: Names = []


class OfJob(BaseModel):
    """What a client of `/job` asks for."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    job: body.Job
    after: Position | None = None


class Json:
    """How messages are written and read."""

    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        return msgspec.json.encode(value).decode()

    @staticmethod
    def loads(text: str | bytes, **_: Any) -> Any:
        return msgspec.json.decode(text)


class Feed(socketio.AsyncNamespace):  # type: ignore[misc]
    """One namespace: for each client a task that reads on for it."""

    def __init__(self, namespace: str, wanted: type[Wanted | OfJob], parts: Parts, open: dict[object, None]) -> None:
        """`open` are all live connections, whatever they speak."""
        super().__init__(namespace)
        self._wanted, self._parts, self._open = wanted, parts, open
        self._pumps: dict[str, asyncio.Task[None]] = {}

    async def on_connect(self, sid: str, _: Mapping[str, Any], auth: Any = None) -> None:
        if len(self._open) >= self._parts.limits.live_max:
            raise ConnectionRefusedError({"code": "too_many_live"})
        try:
            asked = self._wanted.model_validate(auth or {})
        except ValidationError as wrong:
            first = wrong.errors(include_url=False, include_input=False)[0]
            field = ".".join(str(step) for step in first["loc"]) or "auth"
            raise ConnectionRefusedError({"code": "invalid", "field": field, "reason": first["msg"]}) from None
        self._open[sid] = None
        self._pumps[sid] = asyncio.create_task(self._pump(sid, asked))

    async def on_disconnect(self, sid: str, _: str = "") -> None:
        self._open.pop(sid, None)
        if pump := self._pumps.pop(sid, None):
            pump.cancel()

    async def _pump(self, sid: str, asked: Wanted | OfJob) -> None:
        """From the log's reader to the client, at the client's pace."""
        after = self._parts.reader.head.size if asked.after is None else asked.after
        try:
            await self.emit("position", after, to=sid)
            async with aclosing(self._items(after, asked)) as items:
                async for recorded, line in items:
                    await self.emit("event", {"id": str(recorded.pos), "data": line.decode()}, to=sid)
                    await self._taken(sid)
        except Exception as reason:
            logger.info("live feed ended", why=type(reason).__name__)
        self._pumps.pop(sid, None)
        await self.disconnect(sid)

    def _items(self, after: int, asked: Wanted | OfJob) -> AsyncGenerator[Item, None]:
        if isinstance(asked, OfJob):
            return self._parts.reader.events(after, about=(asked.job,))
        return self._parts.reader.events(after, types=asked.types, streams=asked.streams)

    async def _taken(self, sid: str) -> None:
        """Returns when the connection has room. Raises `TimeoutError` for a client that takes nothing."""
        queue = self.server.eio.sockets[self.server.manager.eio_sid_from_sid(sid, self.namespace)].queue
        least, since = queue.qsize(), time.monotonic()
        while queue.qsize() >= QUEUE_MAX:
            await asyncio.sleep(LOOK_S)
            if queue.qsize() < least:
                least, since = queue.qsize(), time.monotonic()
            elif time.monotonic() - since > SLOW_S:
                raise TimeoutError


def application(parts: Parts, path: str, open: dict[object, None]) -> Any:
    """What answers at this path; `open` are all live connections. Clients may begin with requests, and go on with a websocket."""
    server = socketio.AsyncServer(
        async_mode="asgi",
        json=Json,
        max_http_buffer_size=MESSAGE_BYTES_MAX,
        ping_interval=parts.limits.keep_alive_s,
        monitor_clients=False,
        cors_credentials=False,
        logger=False,
        engineio_logger=False,
    )
    server.register_namespace(Feed("/explorer", Wanted, parts, open))
    server.register_namespace(Feed("/job", OfJob, parts, open))
    return socketio.ASGIApp(server, socketio_path=path)
