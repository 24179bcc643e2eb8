"""Reading views at a position: now, at `min_pos` or later, or `as_of` one in the past."""

from collections.abc import Mapping
from contextlib import aclosing
from typing import TypeVar

from fastapi import Request, Response

from api.parts import Parts, Reader
from api.problems import Invalid, problem
from api.reach import Reach
from api.reads.query import Query
from api.traffic import conditional
from domain.errors import NotFound
from domain.log import wire
from domain.log.log import Busy
from domain.log.merkle import Head
from projections.past import TooMuch
from projections.row import Cursor, Plain, Row
from projections.views import Page, Read, Views

TOLD_WAIT_S = 0.25
PAST_RETRY_S = "5"
T = TypeVar("T", bound=Row)


class NotReached(Exception):
    """The view is not there yet."""

    def __init__(self, position: int, min_pos: int) -> None:
        super().__init__(position)
        self.position, self.min_pos = position, min_pos


class Past:
    """Views as they stood."""

    def __init__(self, parts: Parts, reach: Reach) -> None:
        self._parts, self._reach = parts, reach
        self._past = parts.past

    async def at(self, kind: type[Row], query: Query) -> Views:
        """The views to read the kind from. Raises `NotReached`, and `Invalid` for a position that is to come."""
        if query.as_of is None:
            await self._settle(kind, query.min_pos)
            views: Views = self._parts.views
            return views
        if query.as_of > self._parts.reader.head.size:
            raise Invalid(field="as_of", pointer="", reason="the log is not there yet")
        return await self._past.at(kind, query.as_of, Head(self._parts.reader.head.log))

    def missing(self, id: str, position: int, query: Query, *, made: int | None = None) -> Exception:
        """Why a view that stands at this position has no such thing: the log may have made it since, and then it comes. `made`: by which
        event, where the id does not say."""
        if made is None:
            number = id.partition("-")[2].partition("/")[0]
            made = int(number) if number.isdecimal() else 0
        if query.as_of is None and position < made <= self._parts.reader.head.size:
            return NotReached(position, made)
        return NotFound(id=id)

    async def _settle(self, kind: type[Row], min_pos: int) -> None:
        """What a caller asks for must be there; what this process told somebody should be, so it is waited for a moment."""
        views, told = self._parts.views, self._reach.told
        if min_pos:
            stands = await views.reached(kind, min_pos, self._parts.limits.read_wait_s)
            if stands < min_pos:
                raise NotReached(stands, min_pos)
        elif told:
            await views.reached(kind, told, TOLD_WAIT_S)


async def read_on(parts: Parts, min_pos: int, as_of: int | None = None) -> int:
    """Where the log stands for who asks so: at `as_of`, or where this process has read it to, at `min_pos` or beyond. Raises `NotReached`,
    and `Invalid` for a position that is to come."""
    reader = parts.reader
    try:
        await reader.reached(min_pos, parts.limits.read_wait_s)
    except TimeoutError:
        raise NotReached(reader.head.size, min_pos) from None
    except Exception as reason:
        raise Busy from reason
    if as_of is not None and as_of > reader.head.size:
        raise Invalid(field="as_of", pointer="", reason="the log is not there yet")
    return reader.head.size if as_of is None else as_of


async def time_of(reader: Reader, position: int) -> int:
    """Ledger time of an event that the log has."""
    if not position:
        return 0
    async with aclosing(reader.events(position - 1)) as items:
        return (await anext(items))[0].at_us


class Several:
    """Views of several projections, each read at the position that a query asks for."""

    def __init__(self, past: Past, asked: Query) -> None:
        self._past, self._asked = past, asked

    async def get(self, kind: type[T], *key: Plain) -> Read[T]:
        return await (await self._past.at(kind, self._asked)).get(kind, *key)

    async def page(
        self,
        kind: type[T],
        *,
        where: Mapping[str, Plain] | None = None,
        by: str = "",
        after: Cursor | None = None,
        limit: int = 100,
        descending: bool = False,
    ) -> Page[T]:
        views = await self._past.at(kind, self._asked)
        return await views.page(kind, where=where, by=by, after=after, limit=limit, descending=descending)

    async def reached(self, kind: type[Row], position: int, timeout_s: float) -> int:
        return await (await self._past.at(kind, self._asked)).reached(kind, position, timeout_s)


async def crowded(_: Request, reason: Exception) -> Response:
    if isinstance(reason, TooMuch):
        return problem("too_far")
    return problem(
        "busy", "Too many ask for the past, or this takes long. Nothing was lost: ask again.", headers={"Retry-After": PAST_RETRY_S}
    )


async def not_reached(_: Request, reason: Exception) -> Response:
    assert isinstance(reason, NotReached)
    facts = {"position": reason.position, "min_pos": reason.min_pos}
    return problem("not_reached", facts=facts, headers={"Retry-After": "1"})


def answer(
    request: Request, body: object, position: int, *, changed: str | int, past: bool, headers: dict[str, str] | None = None
) -> Response:
    """`changed` is the position since which the answer is what it is, or all of those."""
    headers = conditional.tagged(changed, immutable=past) | {"Gridledger-Position": str(position)} | (headers or {})
    return conditional.unchanged(request, headers) or Response(wire.encode(body), 200, headers, "application/json")
