"""Rows that count rows of another kind, so that nobody counts by reading them all.

A fold keeps nothing between two events, so it cannot say which group a row leaves when it changes. Whoever writes the rows sees what
stood there before: he takes the old row out of its group and puts the new one in, in memory and in PostgreSQL alike.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import ClassVar

from msgspec import UNSET, UnsetType

from projections.row import Plain, Projection, Row, shape


class Tally(Row):
    """One group of rows: its key is what they have in common, columns of the same names. A group without rows is not kept."""

    of: ClassVar[type[Row]]
    """Of the same projection; no sweep changes it. What such a row has not said yet counts as an empty text, or zero."""
    adds: ClassVar[Mapping[str, tuple[str, ...]]]
    """Each of the sums: which columns of a row are multiplied for it. The first one is of none: it counts the rows."""


@cache
def tallies(projection: Projection, kind: type[Row]) -> tuple[type[Tally], ...]:
    """Those that count rows of this kind."""
    return tuple(each for each in projection.rows if issubclass(each, Tally) and each.of is kind)


def counter(kind: type[Tally]) -> str:
    """The column that counts the rows."""
    return next(iter(kind.adds))


def group(kind: type[Tally], row: Row, sign: int) -> Tally:
    """What the row adds to its group, or, with sign -1, takes from it."""
    found = kind(*[told(kind, name, row) for name in shape(kind).key])
    for name, factors in kind.adds.items():
        value = sign
        for each in factors:
            value *= number(row, each)
        setattr(found, name, value)
    return found


def told(kind: type[Tally], name: str, row: Row) -> Plain:
    value: Plain | UnsetType = getattr(row, name)
    if value is UNSET:
        return "" if issubclass(shape(kind).of[name].type, str) else 0
    return value


def number(row: Row, name: str) -> int:
    value = getattr(row, name)
    return 0 if value is UNSET else int(value)


def changes(projection: Projection, kind: type[Row], before: Row | None, after: Row) -> Iterator[Tally]:
    """What a change of one row does to the groups."""
    for each in tallies(projection, kind):
        if before is not None:
            yield group(each, before, -1)
        yield group(each, after, 1)
