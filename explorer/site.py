"""The explorer: an application of pages, from its parts. Each page is a function of views and an address; under the same address with
`.json` it says the same as JSON, with `.csv`, where it is a table, its rows.

It answers whatever the API has no route for. Nothing in a page comes from anywhere but this server, and no script or style stands in it.
"""

import csv
import io
import re
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import ClassVar, NamedTuple

from msgspec import structs
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from domain.log import wire
from domain.log.block import Broken
from explorer import assets, look, story, words
from explorer.drawing import pictures
from explorer.look import Later, Look, Missing, Unread, Wrong
from explorer.model import Frame, Model, Table
from explorer.pages import overview
from explorer.pages.money import accounts, explain, market, payouts
from explorer.pages.record import audits, events, search, trail
from explorer.pages.work import job, jobs, network, task, workers
from explorer.parts import Parts
from projections.explorer.events import Line
from projections.explorer.market import Quarters
from projections.past import Crowded, TooMuch
from projections.row import Row, shape
from projections.views import Unavailable

QUIET_US, BEHIND_US = 10_000_000, 2_000_000
THEMES = {"light", "dark"}
QUERY_MAX = 20
RETRY_S = "5"
PLACE = re.compile(r'(<a (?!data-latest)[^>]*?href="/(?!v1/|static/|pictures/))([^"#]*)')
"""A link to another page."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-cache",
    "Vary": "Cookie",
}


class Page(NamedTuple):
    path: str
    model: Callable[[Look], Awaitable[Model]]


PAGES = (
    Page("/", overview.model),
    Page("/jobs", jobs.model),
    Page("/jobs/{job}", job.model),
    Page("/jobs/{job}/{number}", task.model),
    Page("/workers", workers.workers),
    Page("/workers/{worker}", workers.worker),
    Page("/map", network.model),
    Page("/market", market.model),
    Page("/payouts", payouts.payouts),
    Page("/payouts/{payout}", payouts.payout),
    Page("/accounts", accounts.accounts),
    Page("/accounts/{account}", accounts.account),
    Page("/explain/{posting}", explain.model),
    Page("/audits", audits.audits),
    Page("/audits/{audit}", audits.audit),
    Page("/trail", trail.model),
    Page("/events", events.events),
    Page("/events/{position}", events.event),
    Page("/search", search.model),
)


class Fault(Model):
    """Why there is no page."""

    template: ClassVar[str] = "fault.html"
    status: int
    heading: str
    reason: str

    @property
    def title(self) -> str:
        return self.heading

    @property
    def about(self) -> str | None:
        return "" if self.status == 202 else None

    @property
    def problem(self) -> bytes:
        """The same for programs (RFC 9457)."""
        return wire.encode({"type": "about:blank", "title": self.heading, "status": self.status, "detail": self.reason})


class Asked(dict[str, str]):
    """What an address asks for; what it does not is empty."""

    def __missing__(self, _: str) -> str:
        return ""


class Site:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._assets = assets.load()
        self._env, self._pictures, self._quarters = words.environment(), pictures.Pictures(parts), Quarters()
        self._env.globals["static"] = lambda name: f"/static/{name}?{self._assets[name].tag}" if name in self._assets else ""

    def page(self, it: Page) -> Callable[[Request], Awaitable[Response]]:
        async def get(request: Request) -> Response:
            path, form = suffix(request.url.path)
            query = dict(request.query_params)
            try:
                if len(query) > QUERY_MAX or any(len(value) > look.CURSOR_MAX for value in query.values()):
                    raise Wrong("The address is too long.")
                as_of = await look.as_of(self._parts, query.get("as_of", ""))
                looking = Look(self._parts, request.path_params, query, as_of, self._pictures.shows, self._quarters)
                await looking.begin()
                decimals = await looking.decimals()
                model = await it.model(looking)
            except (Wrong, Missing, Unavailable) as reason:
                return await self._fault(request, reason)
            if form == "json":
                return conditional(request, as_json(model, looking))
            if form == "csv" and model.records:
                return conditional(request, as_csv(model.records, looking))
            if form == "csv":
                return await self._fault(request, Missing("a table on this page"))
            if isinstance(model, search.Search) and len(model.found) == 1:
                return RedirectResponse(model.found[0].href, 303, HEADERS)
            return conditional(request, self._html(request, model, await frame(self._parts, looking, model, path, request), decimals, 200))

        return get

    async def _fault(self, request: Request, reason: Exception) -> Response:
        looking = Look(self._parts, {}, {}, None)
        fault = explained(reason, looking)
        path, form = suffix(request.url.path)
        if form != "html":
            answer = Response(fault.problem, fault.status, HEADERS, "application/problem+json")
        else:
            answer = self._html(request, fault, await frame(self._parts, looking, fault, path, request), {}, fault.status)
        if fault.status == 503:
            answer.headers["Retry-After"] = RETRY_S
        return answer

    def _html(self, request: Request, model: Model, its: Frame, decimals: dict[str, int], status: int) -> Response:
        def told(line: Line) -> str:
            try:
                return story.tell(wire.event(str(line.line).encode()).event, decimals)
            except Broken:
                return ""

        query = Asked({name: value for name, value in request.query_params.items() if value})
        text = self._env.get_template(model.template).render(page=model, frame=its, decimals=decimals, query=query, told=told)
        text = text if its.as_of is None else staying(text, its.as_of)
        return Response(text, status, HEADERS | {"Gridledger-Position": str(its.position)}, "text/html")

    async def picture(self, request: Request) -> Response:
        """Of what was delivered at an attempt, or of what an audit looked at: under a name that never means another one."""
        looking, path = Look(self._parts, {}, {}, None), request.path_params
        try:
            if "audit" in path:
                content = await self._pictures.evidence(looking, path["audit"], path["round"], path["place"], path["which"])
            else:
                content = await self._pictures.picture(looking, f"{path['job']}/{path['number']}", path["fence"])
        except (Missing, Unavailable) as reason:
            return await self._fault(request, reason)
        return Response(content, 200, HEADERS | {"Cache-Control": assets.FOR_EVER}, "image/png")

    async def static(self, request: Request) -> Response:
        return assets.answer(self._assets, request)

    async def no_page(self, request: Request, reason: Exception) -> Response:
        answer = await self._fault(request, reason)
        if answer.status_code == 405:
            answer.headers["Allow"] = "GET, HEAD"
        return answer

    def application(self) -> Starlette:
        routes = [
            Route("/static/{name:path}", self.static),
            Route("/pictures/{job}/{number:int}/{fence:int}.png", self.picture),
            Route("/pictures/{audit}/{round:int}/{place:int}/{which}.png", self.picture),
        ]
        for each in PAGES:
            stem = each.path if each.path != "/" else "/index"
            routes += [Route(path, self.page(each)) for path in (f"{stem}.json", f"{stem}.csv", each.path)]
        return Starlette(routes=routes, exception_handlers={404: self.no_page, 405: self.no_page, Exception: self._fault})


def beside(api: ASGIApp, pages: ASGIApp) -> ASGIApp:
    """What answers where the API has no route: the pages, but not below `/v1`."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        is_ours = scope["type"] == "http" and not scope["path"].startswith("/v1/")
        await (pages if is_ours else api)(scope, receive, send)

    return answer


def staying(text: str, as_of: int) -> str:
    """A page of the past whose links lead to pages of the same past, but for those back to the present."""

    def then(found: re.Match[str]) -> str:
        if "as_of=" in found[2]:
            return found[0]
        return f"{found[1]}{found[2]}{'&amp;' if '?' in found[2] else '?'}as_of={as_of}"

    return PLACE.sub(then, text)


def suffix(path: str) -> tuple[str, str]:
    """The page's own address, and the form that is asked for."""
    for form in ("json", "csv"):
        if path.endswith(f".{form}"):
            stem = path.removesuffix(f".{form}")
            return "/" if stem == "/index" else stem, form
    return path, "html"


def explained(reason: Exception, looking: Look) -> Fault:
    match reason:
        case Unread():
            return Fault(202, "Not here yet", f"The log has {reason.what}; this page stands at #{looking.position} and follows.")
        case Later():
            return Fault(404, "Not there yet", f"{reason.what} came after #{reason.as_of}, the moment that was asked for.")
        case HTTPException(status_code=405):
            return Fault(405, "Pages are read", "A page changes nothing: GET it. Commands have their addresses below /v1.")
        case HTTPException():
            return Fault(404, "Nothing here", "There is no page of this name.")
        case Missing():
            return Fault(404, "Nothing here", f"The ledger does not have {reason.what}, up to #{looking.head.size}.")
        case Wrong():
            return Fault(400, "That cannot be answered", str(reason))
        case Crowded():
            return Fault(
                503,
                "Not folded yet",
                "The past is folded from the log, and that takes a moment, or others wait for it, too. Load the page again.",
            )
        case TooMuch():
            return Fault(503, "Too much to hold", f"{TooMuch.__doc__}")
        case Unavailable():
            return Fault(503, "The views cannot be reached", "The log is safe. Load the page again in a moment.")
    return Fault(500, "A fault of ours", "Nothing of it is told here; the server's log has it. The ledger is safe.")


async def frame(parts: Parts, looking: Look, model: Model, path: str, request: Request) -> Frame:
    head, position = looking.head.size, looking.position
    behind_us = 0
    if looking.as_of is None and position < head:
        behind_us = max(0, parts.now_us() - await looking.time_of(position + 1))
    at_us = parts.reader.at_us if looking.as_of is None else looking.now_us
    stem = "/index" if path == "/" else path
    query = f"?{request.url.query}" if request.url.query else ""
    about = model.about if looking.as_of is None else None
    return Frame(
        model.title,
        model.section,
        path,
        strip(looking, behind_us, parts.now_us() - at_us),
        head,
        position,
        at_us,
        looking.now_us,
        head - position,
        behind_us,
        looking.as_of,
        f"{stem}.json{query}",
        f"{stem}.csv{query}" if model.records else "",
        "" if about is None else "/v1/live?after=0" + (f"&stream={about}" if about else ""),
        about or "",
        theme if (theme := request.cookies.get("theme", "")) in THEMES else "",
    )


def strip(looking: Look, behind_us: int, silent_us: int) -> str:
    """A quiet ledger is healthy; a page that is behind is not."""
    if looking.as_of is not None:
        return "past"
    if behind_us > BEHIND_US:
        return "behind"
    return "quiet" if silent_us > QUIET_US else "live"


def standing(looking: Look) -> dict[str, str]:
    """Of what says nothing but what was at its position: what is past never changes."""
    return HEADERS | {"Cache-Control": assets.FOR_EVER if looking.settled else "no-cache", "Gridledger-Position": str(looking.position)}


def conditional(request: Request, answer: Response) -> Response:
    """The answer, or that the caller has it already (RFC 9110 §13). A page says more than what its position gives, as how long something
    takes and where the log is: so its tag has both the position and its content."""
    position = answer.headers["Gridledger-Position"]
    tag = f'"{position}-{sha256(answer.body).hexdigest()[:12]}"'
    answer.headers["ETag"] = f"W/{tag}"
    known = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    if not known & {tag, "*"}:
        return answer
    return Response(None, 304, {name: value for name, value in answer.headers.items() if name not in {"content-length", "content-type"}})


def as_json(model: Model, looking: Look) -> Response:
    content = b'{"as_of":%d,' % looking.position + wire.encode(model)[1:]
    return Response(content, 200, standing(looking), "application/json")


def as_csv(table: Table, looking: Look) -> Response:
    """The rows that the page shows, amounts in minor units; of none the names of their columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.encode_name for field in structs.fields(table.kind)])
    writer.writerows([cell(row, name) for name in shape(table.kind).names] for row in table.rows)
    headers = standing(looking) | {"Content-Disposition": 'attachment; filename="page.csv"'}
    return Response(text.getvalue(), 200, headers, "text/csv")


def cell(row: Row, name: str) -> str:
    """A value as text; what is no plain value as JSON."""
    value = getattr(row, name)
    if isinstance(value, bool | int | str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return "" if not value else wire.encode(value).decode()
