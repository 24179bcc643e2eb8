"""Events as they stand in the log, byte for byte: by position, by stream, by stored name, by actor."""

from contextlib import aclosing

from fastapi import APIRouter, Request, Response
from msgspec import Raw

from api.live import Live
from api.parts import Parts
from api.problems import Invalid
from api.reads import query
from api.reads.pages import link
from api.reads.views import Past, answer, read_on
from api.traffic import conditional
from domain.errors import NotFound
from projections.explorer.events import Line
from projections.row import ID, Plain, Unindexed


class Lines:
    def __init__(self, parts: Parts, past: Past, feeds: Live) -> None:
        self._parts, self._past, self._feeds = parts, past, feeds

    async def events(self, request: Request) -> Response:
        """Events by stream, stored name, actor or command, the oldest first; as a live feed for who accepts `text/event-stream`."""
        if "text/event-stream" in request.headers.get("accept", ""):
            return await self._feeds.events(request)
        return await self._page(request, ("stream", "type", "by", "cmd"), {})

    async def stream(self, request: Request) -> Response:
        """The events of one stream, the oldest first; with `version`, as the stream was at that version."""
        return await self._page(request, ("type",), {"stream": request.path_params["id"]}, ("version",))

    async def event(self, request: Request) -> Response:
        """One event: the line that is a leaf of the log's tree."""
        asked, text = query.one(request), request.path_params["position"]
        if not query.POSITION.fullmatch(text) or not 1 <= int(text) <= query.POSITION_MAX:
            raise NotFound(id="event at this position")
        size = await read_on(self._parts, asked.min_pos, asked.as_of)
        if int(text) > size:
            raise NotFound(id="event at this position")
        headers = conditional.tagged(text, immutable=True, weak=False) | {"Gridledger-Position": str(size)}
        if known := conditional.unchanged(request, headers):
            return known
        async with aclosing(self._parts.reader.events(int(text) - 1)) as items:
            _, line = await anext(items)
        return Response(line, headers=headers, media_type="application/json")

    async def _page(self, request: Request, filters: tuple[str, ...], fixed: dict[str, Plain], more: tuple[str, ...] = ()) -> Response:
        for name, value in fixed.items():
            query.plain(Line, name, str(value))
        asked = query.page(request, Line, filters, fixed=fixed, by="", descending=False, more=more)
        if "type" in asked.where:
            query.stored(str(asked.where["type"]))
        version = query.optional(request.query_params, "version") if more else None
        views = await self._past.at(Line, asked)
        try:
            found = await views.page(Line, where=asked.where, after=asked.after, limit=asked.limit, descending=asked.descending)
        except Unindexed:
            raise Invalid(field="query", pointer="", reason="these filters cannot be combined") from None
        if fixed and not found.rows and asked.after is None and not await self._known(str(fixed["stream"])):
            raise NotFound(id=f"stream {fixed['stream']}")
        of = query.binding(Line, asked.where, "", "desc" if asked.descending else "asc")
        cursor = query.encode(found.next, of) if found.next else None
        rows = [row for row in found.rows if version is None or (isinstance(row.ver, int) and row.ver <= version)]
        if len(rows) < len(found.rows) and not asked.descending:
            cursor = None
        lines = [Raw(row.line.encode()) for row in rows if isinstance(row.line, str)]
        links = {"Link": link(request, cursor)} if cursor else {}
        body = {"as_of": found.position, "events": lines, "next": cursor}
        return answer(request, body, found.position, changed=found.position, past=asked.as_of is not None, headers=links)

    async def _known(self, id: str) -> bool:
        """A stream may be without events of a type, or not have begun yet: a task that nobody leased."""
        return ID.fullmatch(id) is not None and id in {*self._parts.reader.world.tasks, *self._parts.reader.world.versions}


def router(parts: Parts, past: Past, feeds: Live) -> APIRouter:
    routes, lines = APIRouter(), Lines(parts, past, feeds)
    routes.add_api_route("/v1/events", lines.events, methods=["GET"], operation_id="events.page")
    routes.add_api_route("/v1/events/{position}", lines.event, methods=["GET"], operation_id="events.one")
    routes.add_api_route("/v1/streams/{id:path}", lines.stream, methods=["GET"], operation_id="streams.events")
    return routes
