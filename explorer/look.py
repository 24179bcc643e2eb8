"""One look at the ledger: the views that a page is made of, at the newest position or at one of the past.

A page stands at the lowest position of what it read. It reads by key and by pages of a bounded size, never to count.
"""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TypeVar

import msgspec

from domain.ids import position as position_of
from domain.log.merkle import Head
from domain.world import World
from explorer.parts import Item, Parts
from projections import times
from projections.explorer.house import Asset
from projections.explorer.jobs import Job
from projections.explorer.market import Quarters
from projections.row import ID, Cursor, Plain, Row, Unindexed, shape
from projections.times import Moment
from projections.views import Page, Read, Views

POSITION = re.compile(r"0|[1-9]\d{0,15}", re.ASCII)
TEXT_MAX = 200
LIMIT = 50
CURSOR_MAX = 1_000
T = TypeVar("T", bound=Row)


class Wrong(Exception):
    """The address asks for what cannot be answered."""


class Missing(Exception):
    """There is no such thing in the ledger."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Unread(Missing):
    """The log may have it, the views do not have it yet."""


class Later(Missing):
    """It came after the past that the page shows, where it will never be."""

    def __init__(self, what: str, as_of: int) -> None:
        super().__init__(what)
        self.as_of = as_of


Shows = Callable[[Job], Awaitable[bool]]
"""Whether everybody may see pictures of the job."""


async def nothing(_: Job) -> bool:
    return False


class Look:
    def __init__(
        self,
        parts: Parts,
        path: Mapping[str, str],
        query: Mapping[str, str],
        as_of: Moment | None,
        shows: Shows = nothing,
        quarters: Quarters | None = None,
    ) -> None:
        self._parts, self.path, self.query, self.shows = parts, path, query, shows
        self.as_of = None if as_of is None else as_of.position
        self.settled = as_of is not None and as_of.settled
        """Whether the page will be the same for ever."""
        self.quarters = quarters or Quarters()
        self.head: Head = parts.reader.head
        self.positions: list[int] = [] if self.as_of is None else [self.as_of]
        self._now_us = parts.now_us()
        self._as_of_us = 0

    @property
    def position(self) -> int:
        return min(self.positions, default=self.head.size)

    @property
    def now_us(self) -> int:
        """The time at which the page looks: now, or the time of the event that it stands at."""
        return self._now_us if self.as_of is None else self._as_of_us

    async def begin(self) -> None:
        """Raises `Wrong` for a position that is to come."""
        if self.as_of is not None:
            if self.as_of > self.head.size:
                raise Wrong(f"The ledger stands at #{self.head.size}; #{self.as_of} is to come.")
            self._as_of_us = await self.time_of(self.as_of)

    async def time_of(self, position: int) -> int:
        """Ledger time of an event that the log has."""
        return (await event_at(self._parts, position))[0].at_us if position else 0

    async def get(self, kind: type[T], *key: Plain) -> T | None:
        try:
            return (await self.views.get(kind, *key)).row
        except ValueError:
            return None

    async def need(self, kind: type[T], id: str) -> T:
        """Raises what `absent` says."""
        row = await self.get(kind, id) if ID.fullmatch(id) else None
        if row is None:
            raise self.absent(id, position_of(id) if ID.fullmatch(id) else 0)
        return row

    def absent(self, what: str, made: int) -> Missing:
        """Why the page does not have what the event at this position makes: it may only be behind, or show an earlier moment."""
        if not self.position < made <= self.head.size:
            return Missing(what)
        return Unread(what) if self.as_of is None else Later(what, self.as_of)

    async def page(
        self,
        kind: type[T],
        where: Mapping[str, Plain] | None = None,
        *,
        by: str = "",
        after: Cursor | None = None,
        limit: int = LIMIT,
        newest: bool = True,
    ) -> Page[T]:
        """Raises `Wrong` where the address named something that could not be."""
        try:
            return await self.views.page(kind, where=where, by=by, after=after, limit=limit, descending=newest)
        except Unindexed:
            raise Wrong("These filters cannot be combined.") from None
        except ValueError as reason:
            raise Wrong(f"There is nothing of the kind: {reason}.") from None

    async def list(self, kind: type[T], filters: Sequence[str], *, newest: bool = True, limit: int = LIMIT, by: str = "") -> Page[T]:
        """A page of rows by what the address asks for: filters, order, and where to go on. Raises `Wrong`."""
        where: dict[str, Plain] = {name: self.query[name] for name in filters if self.query.get(name)}
        if (order := self.query.get("order", "desc" if newest else "asc")) not in {"asc", "desc"}:
            raise Wrong("The order is asc or desc.")
        return await self.page(kind, where, by=by, after=self.cursor(kind, where, by), limit=limit, newest=order == "desc")

    def cursor(self, kind: type[Row], where: Mapping[str, Plain], by: str) -> Cursor | None:
        """Where the page before ended. Raises `Wrong`; what is none of the columns' values is found out by whoever reads."""
        text = self.query.get("after", "")
        if not text:
            return None
        names = [name for name in ((by, *shape(kind).key) if by else shape(kind).key) if name not in where]
        try:
            values = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (ValueError, binascii.Error):
            values = None
        if not isinstance(values, list) or len(values) != len(names) or not all(type(each) in {str, int} for each in values):
            raise Wrong("This is not where a page ended.")
        return tuple(values)

    @property
    def ledger_us(self) -> int:
        """Time of the newest event that the page may hold."""
        return self._parts.reader.at_us if self.as_of is None else self._as_of_us

    @property
    def world(self) -> World | None:
        """What the ledger decides from, now; none in the past."""
        return self._parts.reader.world if self.as_of is None else None

    @property
    def views(self) -> Views:
        """The same, for what reads views in its own way."""
        return Within(self)

    async def decimals(self) -> dict[str, int]:
        """Of each asset."""
        found = await self.page(Asset, limit=LIMIT, newest=False)
        return {row.asset: row.decimals or 0 for row in found.rows}

    async def at(self, kind: type[Row]) -> Views:
        if self.as_of is None:
            return self._parts.views
        return await self._parts.past.at(kind, self.as_of, Head(self.head.log))


class Within:
    """Views at the position of a look, which takes note of where they stand."""

    def __init__(self, look: Look) -> None:
        self._look = look

    async def get(self, kind: type[T], *key: Plain) -> Read[T]:
        found = await (await self._look.at(kind)).get(kind, *key)
        self._look.positions.append(found.position)
        return found

    async def page(
        self,
        kind: type[T],
        *,
        where: Mapping[str, Plain] | None = None,
        by: str = "",
        after: Cursor | None = None,
        limit: int = LIMIT,
        descending: bool = False,
    ) -> Page[T]:
        found = await (await self._look.at(kind)).page(kind, where=where, by=by, after=after, limit=limit, descending=descending)
        self._look.positions.append(found.position)
        return found

    async def reached(self, kind: type[Row], position: int, timeout_s: float) -> int:
        return await (await self._look.at(kind)).reached(kind, position, timeout_s)


async def event_at(parts: Parts, position: int) -> Item:
    """An event that the log has, and its line."""
    async with aclosing(parts.reader.events(position - 1)) as items:
        return await anext(items)


def encode(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


async def as_of(parts: Parts, text: str) -> Moment | None:
    """A position, or the last one at a time (UTC). Raises `Wrong`."""
    text = text.strip().removeprefix("#")
    if text in {"", "latest"}:
        return None
    if POSITION.fullmatch(text):
        return Moment(int(text), settled=True)
    try:
        at_us = times.time_us(text)
    except ValueError:
        raise Wrong("As of takes a position, or a time such as 2026-11-26T08:00:21.") from None
    if at_us > max(parts.now_us(), parts.reader.at_us):
        raise Wrong("That time is to come.")
    return await times.at(parts.views, parts.reader.head.size, at_us)
