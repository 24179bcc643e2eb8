"""What a read may ask for: filters, order, a page's size and where it goes on, a position that the answer must have reached, or one that
it is to stand at. What is not known here is refused, never ignored."""

import base64
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from fastapi import Request

from api.problems import BadCursor, Invalid
from domain.log import wire
from domain.value import Value
from projections.row import ID, Cursor, Plain, Row, shape

LIMIT, LIMIT_MAX = 50, 200
POSITION = re.compile(r"0|[1-9]\d{0,15}", re.ASCII)
TEXT_MAX = 200
POSITION_MAX = 2**53 - 1
NO_NAME = "expected the stored name of an event, such as task.leased.v1"


class Query(Value):
    where: dict[str, Plain]
    limit: int
    after: Cursor | None
    descending: bool
    min_pos: int
    as_of: int | None


def positions(request: Request, *more: str) -> dict[str, str]:
    """The query's parameters, each known and each once."""
    known = {"min_pos", "as_of", *more}
    given = dict[str, str]()
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise Invalid(field="query", pointer="", reason=f"known parameters are {', '.join(sorted(known))}")
        if name in given:
            raise Invalid(field=name, pointer="", reason="stands there twice")
        given[name] = value
    return given


def one(request: Request, *more: str) -> Query:
    """For a single thing. `more` are parameters that somebody else reads."""
    given = positions(request, *more)
    return Query({}, 1, None, False, count(given, "min_pos", 0), optional(given, "as_of"))


def page(
    request: Request,
    kind: type[Row],
    filters: Sequence[str],
    *,
    fixed: Mapping[str, Plain],
    by: str,
    descending: bool,
    more: Sequence[str] = (),
) -> Query:
    """For a page of rows. `fixed` comes from the path; `more` are parameters that somebody else reads."""
    given = positions(request, *filters, *more, "limit", "cursor", "order")
    where: dict[str, Plain] = dict(fixed)
    for name in filters:
        if name in given:
            where[name] = plain(kind, name, given[name])
    order = given.get("order", "desc" if descending else "asc")
    if order not in {"asc", "desc"}:
        raise Invalid(field="order", pointer="", reason="expected asc or desc")
    limit = count(given, "limit", LIMIT)
    if not 1 <= limit <= LIMIT_MAX:
        raise Invalid(field="limit", pointer="", reason=f"expected 1 to {LIMIT_MAX}")
    of = binding(kind, where, by, order)
    after = decode(given["cursor"], of, kind, where, by) if "cursor" in given else None
    return Query(where, limit, after, order == "desc", count(given, "min_pos", 0), optional(given, "as_of"))


def plain(kind: type[Row], name: str, text: str) -> Plain:
    column = shape(kind).of[name]
    if column.type is int:
        return count({name: text}, name, 0)
    if not text or len(text) > TEXT_MAX or not text.isprintable() or (column.rule == "id" and not ID.fullmatch(text)):
        raise Invalid(field=name, pointer="", reason="expected an id or a word")
    if column.words and text not in column.words:
        raise Invalid(field=name, pointer="", reason=f"expected one of {', '.join(column.words)}")
    return text


def stored(name: str) -> None:
    """Raises `Invalid` for what no event is stored under."""
    if name not in wire.NAMES:
        raise Invalid(field="type", pointer="", reason=NO_NAME)


def count(given: Mapping[str, str], name: str, otherwise: int) -> int:
    if name not in given:
        return otherwise
    if not POSITION.fullmatch(given[name]) or int(given[name]) > POSITION_MAX:
        raise Invalid(field=name, pointer="", reason="expected a count")
    return int(given[name])


def optional(given: Mapping[str, str], name: str) -> int | None:
    return count(given, name, 0) if name in given else None


# Cursors: where a page ended, and a digest of what was asked, so that it goes on with the same question only.


def binding(kind: type[Row], where: Mapping[str, Plain], by: str, order: str) -> str:
    return sha256(repr((kind.table, sorted(where.items()), by, order)).encode()).hexdigest()[:8]


def encode(cursor: Cursor, of: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([of, *cursor])).decode().rstrip("=")


def decode(text: str, of: str, kind: type[Row], where: Mapping[str, Plain], by: str) -> Cursor:
    """Raises `BadCursor`."""
    try:
        found: Any = msgspec.json.decode(base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
    except (ValueError, UnicodeError, msgspec.DecodeError):
        raise BadCursor from None
    names = [name for name in ([by, *shape(kind).key] if by else shape(kind).key) if name not in where]
    if not isinstance(found, list) or found[:1] != [of] or len(found) != len(names) + 1:
        raise BadCursor
    for name, value in zip(names, found[1:], strict=True):
        column = shape(kind).of[name]
        expected = int if issubclass(column.type, int) else str
        if type(value) is not expected or (column.rule == "id" and not ID.fullmatch(str(value))):
            raise BadCursor
    return tuple(found[1:])
