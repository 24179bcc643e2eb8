"""Live feeds: server-sent events whose id is the log's position and whose data is the event line, byte for byte.

Whoever comes again with `Last-Event-ID` goes on without gap or repetition. A slow client is dropped and does just that. Progress of
tiles goes by in the same stream, without an id: it is nowhere kept.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from api.parts import Item, Parts
from api.problems import Invalid, TooManyLive
from api.reads import query

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
QUEUE_MAX = 64
"""What waits for a client here; behind it the reader keeps a little more, and then drops it."""
RETRY_MS = 1_000
POSITION = re.compile(r"0|[1-9]\d{0,15}", re.ASCII)
FILTER_MAX = 50
PARAMETERS = {"type", "stream", "after", "progress"}

Wants = Callable[[Item], bool]
logger = structlog.get_logger()


class Live:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._watching: dict[asyncio.Queue[bytes], None] = {}
        self.open: dict[object, None] = {}
        """Live connections, those of Socket.IO too."""

    async def events(self, request: Request) -> Response:
        """All events, or those of some types or streams, from a position on and for ever."""
        asked = request.query_params
        if unknown := {*asked} - PARAMETERS:
            raise Invalid(field=min(unknown), pointer="", reason=f"known parameters are {', '.join(sorted(PARAMETERS))}")
        types, streams = asked.getlist("type"), asked.getlist("stream")
        if len(types) + len(streams) > FILTER_MAX:
            raise Invalid(field="stream", pointer="", reason=f"at most {FILTER_MAX} types and streams")
        for each in types:
            query.stored(each)
        if asked.get("progress", "false") not in {"true", "false"}:
            raise Invalid(field="progress", pointer="", reason="expected true or false")
        after = position(request, self._parts.reader.head.size)
        items = self._parts.reader.events(after, types=types, streams=streams)
        return self.answer(items, lambda _: True, progress=asked.get("progress") == "true")

    def progress(self, data: str) -> None:
        """Show it to whoever watches now and keeps up."""
        message = format_sse_event(event="progress", data_str=data)
        for queue in self._watching:
            if queue.qsize() < QUEUE_MAX // 2:
                queue.put_nowait(message)

    def answer(self, items: AsyncGenerator[Item, None], wants: Wants, *, progress: bool = False) -> Response:
        if len(self.open) >= self._parts.limits.live_max:
            raise TooManyLive
        return StreamingResponse(self._stream(items, wants, progress=progress), 200, HEADERS, "text/event-stream")

    async def _stream(self, items: AsyncGenerator[Item, None], wants: Wants, *, progress: bool) -> AsyncGenerator[bytes, None]:
        queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_MAX)
        pump = asyncio.create_task(self._pump(items, wants, queue))
        self.open[queue] = None
        if progress:
            self._watching[queue] = None
        try:
            yield format_sse_event(retry=RETRY_MS)
            while True:
                try:
                    async with asyncio.timeout(self._parts.limits.keep_alive_s):
                        message = await queue.get()
                except TimeoutError:
                    message = format_sse_event(comment="")
                if not message:
                    return
                yield message
        finally:
            self.open.pop(queue, None)
            self._watching.pop(queue, None)
            pump.cancel()
            with suppress(asyncio.CancelledError):
                await pump

    async def _pump(self, items: AsyncGenerator[Item, None], wants: Wants, queue: asyncio.Queue[bytes]) -> None:
        """From the log's reader to the client, at the client's pace; nothing is the end."""
        try:
            async with aclosing(items):
                async for recorded, line in items:
                    if wants((recorded, line)):
                        await queue.put(format_sse_event(data_str=line.decode(), id=str(recorded.pos)))
        except Exception as reason:
            logger.info("live feed ended", why=type(reason).__name__)
        await queue.put(b"")


def position(request: Request, otherwise: int) -> int:
    """Where to go on: `Last-Event-ID`, or `after`."""
    given = request.headers.get("last-event-id") or request.query_params.get("after", "")
    if not given:
        return otherwise
    if not POSITION.fullmatch(given):
        raise Invalid(field="after", pointer="", reason="expected a position")
    return int(given)


def router(live: Live) -> APIRouter:
    routes = APIRouter()
    routes.add_api_route("/v1/live", live.events, methods=["GET"], operation_id="live.events")
    return routes
