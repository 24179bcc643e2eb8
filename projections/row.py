"""What a projection writes. A fold turns one event into changes, and keeps nothing between two events.

A `Row` is a change: it names its key and says only what the event adds. How a column takes that is in its type, so rows merge in any
batch size, in memory and in PostgreSQL alike.

    Key[T]   which row                        Last[T]   the newest value
    Id       which row, by a thing's id       First[T]  the oldest value
                                              Sum[T]    added up

A column holds text, or one of several words (a `Literal`), an integer, a truth value, `Units`, or something that is only looked at (a
tuple, a struct), and no None: what was never said is UNSET, and absent from the row's JSON. Ids sort by their number, all other text by its
code points.

A `Sweep` changes every row that matches: an event names a set, never its members (LOG.md §6).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

from msgspec import UNSET, Struct, UnsetType

from domain.event import Event, Recorded
from domain.ids import order
from domain.value import Value

T = TypeVar("T")
Rule = Literal["key", "id", "last", "first", "sum"]
Key = Annotated[T, "key"]
Id: TypeAlias = Annotated[str, "id"]
Last = Annotated[T | UnsetType, "last"]
First = Annotated[T | UnsetType, "first"]
Sum = Annotated[T, "sum"]

INT_MAX = 2**53 - 1
ID = re.compile("[a-z]+-[0-9]{1,15}(/[0-9]{1,15})?")

Plain = str | int
"""What rows are found by."""
Cursor = tuple[Plain, ...]
"""Where a page ended: the values of its last row in the columns by which the page is sorted."""


class Index(Value):
    """A way to page through a table: rows with given values in `where`, sorted by `by`, if that is named, and then by the key. The
    column `by` is set whenever a row begins. If it changes, a row may move past whoever goes from page to page."""

    where: tuple[str, ...] = ()
    by: str = ""


class Row(Struct):
    table: ClassVar[str]
    indexes: ClassVar[tuple[Index, ...]] = ()
    """Besides the key, and any part of the key from its beginning on."""


R = TypeVar("R", bound=Row)


class Sweep(Value):
    """Every row of the kind with these values gets those."""

    kind: type[Row]
    where: Mapping[str, Plain]
    to: Mapping[str, Plain]


Change = Row | Sweep


class Projection:
    """One view of the log. A changed fold is a new version: it is built beside the old one, and replaces it when it has caught up."""

    name: ClassVar[str]
    """A word in lower case."""
    version: ClassVar[int] = 1
    rows: ClassVar[tuple[type[Row], ...]]

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        raise NotImplementedError


class Column(Value):
    name: str
    rule: Rule
    type: Any
    """Without UNSET; `str` for words."""
    words: tuple[str, ...] = ()
    """All that a column of text may hold, where there is a list of it."""


class Unindexed(Exception):
    """The table has no index for this page."""


class Shape:
    """The columns of one kind of row, and how its tables are gone through."""

    def __init__(self, kind: type[Row]) -> None:
        hints = get_type_hints(kind, include_extras=True)
        self.columns = tuple(column(name, hints[name]) for name in kind.__struct_fields__)
        self.names: Final = tuple(each.name for each in self.columns)
        self.of = {each.name: each for each in self.columns}
        self.key = tuple(each.name for each in self.columns if each.rule in {"key", "id"})
        self._key_of = attrgetter(*self.key)
        self.rest = tuple((each.name, each.rule) for each in self.columns if each.rule not in {"key", "id"})
        self.indexes = {(frozenset(index.where), index.by) for index in kind.indexes}
        self.table = kind.table

    def key_of(self, row: Row) -> Cursor:
        values = self._key_of(row)
        return values if len(self.key) > 1 else (values,)

    def merge(self, old: Row, new: Row) -> None:
        """Let `old` take the change `new` of the same key."""
        for name, rule in self.rest:
            value = getattr(new, name)
            if rule == "sum":
                if value:
                    setattr(old, name, getattr(old, name) + value)
            elif value is not UNSET and (rule == "last" or getattr(old, name) is UNSET):
                setattr(old, name, value)

    def sorted_by(self, where: Sequence[str], by: str = "") -> tuple[str, ...]:
        """The columns that sort a page. Raises `Unindexed`."""
        prefix = not by and set(where) == set(self.key[: len(where)])
        if not prefix and (frozenset(where), by) not in self.indexes:
            raise Unindexed(f"{self.table} by {', '.join([*where, by])}")
        return tuple(name for name in ((by, *self.key) if by else self.key) if name not in where)

    def sort_key(self, names: Sequence[str], values: Sequence[Plain]) -> tuple[Any, ...]:
        """What values of these columns compare by."""
        return tuple(order(str(value)) if self.of[name].rule == "id" else value for name, value in zip(names, values, strict=True))

    def check(self, names: Sequence[str], values: Sequence[Plain]) -> None:
        """Raises `ValueError` for values that could not stand in these columns; they may come from outside."""
        if len(names) != len(values):
            raise ValueError(f"{len(names)} values are needed, not {len(values)}")
        for name, value in zip(names, values, strict=True):
            its = self.of[name]
            if issubclass(its.type, str) != isinstance(value, str) or isinstance(value, bool):
                raise ValueError(f"{name} is of another type")
            if "\0" in value if isinstance(value, str) else abs(value) > INT_MAX:
                raise ValueError(f"{name} has no such value")
            if its.rule == "id" and not ID.fullmatch(str(value)):
                raise ValueError(f"{name} is no id")
            if its.words and value not in its.words:
                raise ValueError(f"{name} is one of {', '.join(its.words)}")


@cache
def shape(kind: type[Row]) -> Shape:
    return Shape(kind)


def column(name: str, hint: Any) -> Column:
    rule = hint.__metadata__[0]
    united = UnsetType in get_args(hint.__origin__)
    possible = [each for each in get_args(hint.__origin__) if each is not UnsetType] if united else [hint.__origin__]
    words = tuple(dict.fromkeys(word for each in possible if get_origin(each) is Literal for word in get_args(each)))
    return Column(name, rule, str if words else possible[0], words)


class Tables:
    """Rows by their keys: what a batch gathers, and what the twin in memory keeps."""

    def __init__(self) -> None:
        self._rows: dict[type[Row], dict[Cursor, Row]] = {}

    def add(self, row: Row) -> None:
        kind = type(row)
        its = shape(kind)
        rows, key = self._rows.setdefault(kind, {}), its.key_of(row)
        if old := rows.get(key):
            its.merge(old, row)
        else:
            rows[key] = row

    def sweep(self, change: Sweep) -> None:
        for row in self._rows.get(change.kind, {}).values():
            if matches(row, change.where):
                for name, value in change.to.items():
                    setattr(row, name, value)

    @property
    def size(self) -> int:
        """How many rows."""
        return sum(len(rows) for rows in self._rows.values())

    def kinds(self) -> list[type[Row]]:
        return list(self._rows)

    def drop(self, kind: type[Row], key: Cursor) -> None:
        del self._rows[kind][key]

    def all(self, kind: type[R]) -> list[R]:
        return cast(list[R], list(self._rows.get(kind, {}).values()))

    def get(self, kind: type[R], *key: Plain) -> R | None:
        return cast(R | None, self._rows.get(kind, {}).get(key))


def matches(row: Row, where: Mapping[str, Plain]) -> bool:
    return all(getattr(row, name) == value for name, value in where.items())


class Batch:
    """The changes of some events, in as few parts as their order allows."""

    def __init__(self) -> None:
        self.parts: list[Tables | Sweep] = []

    def add(self, change: Change) -> None:
        if isinstance(change, Sweep):
            self.parts.append(change)
            return
        if not self.parts or isinstance(self.parts[-1], Sweep):
            self.parts.append(Tables())
        last = self.parts[-1]
        assert isinstance(last, Tables)
        last.add(change)
