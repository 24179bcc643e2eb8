"""The SQL of a projection's tables, derived from the types of its rows. Identifiers come from our code or an installed plug-in's."""

import itertools
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256
from typing import Any, TypeVar

from msgspec import UNSET
from psycopg import sql

from domain.log import wire
from domain.units import Units
from domain.value import Value
from projections import tally
from projections.row import Column, Index, Projection, Row, Sweep, shape
from projections.tally import Tally

R = TypeVar("R", bound=Row)

TAKE = {"sum": "t.{0} + excluded.{0}", "last": "coalesce(excluded.{0}, t.{0})", "first": "coalesce(t.{0}, excluded.{0})"}
"""What becomes of a stored column when a change comes: the same as `Shape.merge` in memory."""


class Generation(Value):
    """One build of a projection."""

    id: int
    name: str
    live: bool

    @property
    def schema(self) -> str:
        return f"{self.name}_{self.id}"


def sql_type(column: Column) -> str:
    if not isinstance(column.type, type):
        return "jsonb"
    if issubclass(column.type, Units):
        return "numeric"
    return {bool: "boolean", int: "bigint", str: "text"}.get(column.type, "jsonb")


def digest(projection: Projection) -> str:
    """Of the definitions of a projection's tables."""
    text = "".join(statement.as_string(None) for kind in projection.rows for statement in create("", kind))
    return sha256(text.encode()).hexdigest()


def create(schema: str, kind: type[Row]) -> list[sql.Composed]:
    its = shape(kind)
    table = sql.Identifier(schema, its.table)
    columns = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(each.name), sql.SQL(definition(each))) for each in its.columns)
    key = sql.SQL(", ").join(map(sql.Identifier, its.key))
    indexes = list(kind.indexes)
    if any(its.of[name].rule == "id" for name in its.key):
        indexes.append(Index())
    if any(its.of[name].rule == "id" for name in its.key[1:]):
        indexes.append(Index(its.key[:1]))
    return [
        sql.SQL("CREATE TABLE {} ({}, PRIMARY KEY ({}))").format(table, columns, key),
        *(
            sql.SQL("CREATE INDEX ON {} ({})").format(
                table, sql.SQL(", ").join([*map(sql.Identifier, each.where), *(rank(kind, name) for name in order_of(kind, each))])
            )
            for each in indexes
        ),
    ]


def order_of(kind: type[Row], index: Index) -> list[str]:
    names = [index.by, *shape(kind).key] if index.by else list(shape(kind).key)
    return [name for name in names if name not in index.where]


def definition(column: Column) -> str:
    kind = sql_type(column)
    collated = f'{kind} COLLATE "C"' if kind == "text" else kind
    return f"{collated} NOT NULL" if column.rule in {"key", "id", "sum"} else collated


def rank(kind: type[Row], name: str, table: str = "") -> sql.Composed:
    """What a column sorts by."""
    form = "id_order({})" if shape(kind).of[name].rule == "id" else "{}"
    return sql.SQL(form).format(sql.Identifier(table, name) if table else sql.Identifier(name))


@cache
def upsert(schema: str, kind: type[Row], counted: tuple[type[Tally], ...] = ()) -> bytes:
    """Takes the rows as a JSON array. What counts the rows is kept true by the same statement."""
    its = shape(kind)
    named = [sql.Identifier(name) for name in kind.__struct_encode_fields__]
    typed = [sql.SQL("{} {}").format(name, sql.SQL(sql_type(each))) for name, each in zip(named, its.columns, strict=True)]
    take = [sql.SQL("{0} = " + TAKE[rule]).format(sql.Identifier(name)) for name, rule in its.rest]
    statement = sql.SQL("INSERT INTO {} AS t ({}) SELECT {} FROM json_to_recordset(%s) AS r ({}) ON CONFLICT ({}) DO {}").format(
        sql.Identifier(schema, its.table),
        sql.SQL(", ").join(map(sql.Identifier, its.names)),
        sql.SQL(", ").join(named),
        sql.SQL(", ").join(typed),
        sql.SQL(", ").join(map(sql.Identifier, its.key)),
        sql.SQL("UPDATE SET {}").format(sql.SQL(", ").join(take)) if take else sql.SQL("NOTHING"),
    )
    if not counted:
        return statement.as_bytes(None)
    used = sorted({name for each in counted for name in (*shape(each).key, *itertools.chain(*each.adds.values()))})
    pairs = sql.SQL(", ").join(
        sql.SQL("old.{0} AS {1}, new.{0} AS {2}").format(*map(sql.Identifier, (name, f"old {name}", f"new {name}"))) for name in used
    )
    had = sql.SQL("old.{} IS NOT NULL AS had").format(sql.Identifier(its.key[0]))
    changed = sql.SQL("WITH changed AS ({} RETURNING {}, {})").format(statement, had, pairs)
    takes = [sql.SQL("t{} AS ({})").format(sql.SQL(str(n)), regroup(schema, each)) for n, each in enumerate(counted)]
    return (sql.SQL(", ").join([changed, *takes]) + sql.SQL(" SELECT 1")).as_bytes(None)


def regroup(schema: str, kind: type[Tally]) -> sql.Composed:
    """Takes each changed row out of the group that it was in, and puts it into the one that it is in."""
    its, sums = shape(kind), list(kind.adds)

    def side(which: str, sign: int, condition: str) -> sql.Composed:
        def column(name: str) -> sql.Composed:
            return sql.SQL("coalesce({}, {})").format(sql.Identifier(f"{which} {name}"), sql.Literal(nothing(shape(kind.of).of[name])))

        values = [sql.SQL(" * ").join([sql.Literal(sign), *map(column, factors)]) for factors in kind.adds.values()]
        parts = [*map(column, its.key), *values]
        named = [sql.SQL("{} AS {}").format(part, sql.Identifier(name)) for part, name in zip(parts, [*its.key, *sums], strict=True)]
        return sql.SQL("SELECT {} FROM changed WHERE {}").format(sql.SQL(", ").join(named), sql.SQL(condition))

    names, keys = sql.SQL(", ").join(map(sql.Identifier, [*its.key, *sums])), sql.SQL(", ").join(map(sql.Identifier, its.key))
    totals = [sql.SQL("sum({0})").format(sql.Identifier(each)) for each in sums]
    return sql.SQL(
        "INSERT INTO {} AS t ({}) SELECT {}, {} FROM ({} UNION ALL {}) moved GROUP BY {} HAVING {} ON CONFLICT ({}) DO UPDATE SET {}"
    ).format(
        sql.Identifier(schema, its.table),
        names,
        keys,
        sql.SQL(", ").join(totals),
        side("old", -1, "had"),
        side("new", 1, "true"),
        keys,
        sql.SQL(" OR ").join(sql.SQL("{} <> 0").format(each) for each in totals),
        keys,
        sql.SQL(", ").join(sql.SQL("{0} = t.{0} + excluded.{0}").format(sql.Identifier(each)) for each in sums),
    )


def nothing(column: Column) -> str | int:
    return "" if issubclass(column.type, str) else 0


def empty(schema: str, kind: type[Tally]) -> bytes:
    """Groups without rows go."""
    table, counter = sql.Identifier(schema, kind.table), sql.Identifier(tally.counter(kind))
    return sql.SQL("DELETE FROM {} WHERE {} = 0").format(table, counter).as_bytes(None)


def written(rows: Sequence[Row]) -> str:
    """The rows as `upsert` takes them. Of an array for each column the driver handles each value by itself, which takes longer."""
    return wire.encode(rows).decode()


def sweep(schema: str, change: Sweep) -> tuple[bytes, list[Any]]:
    def pairs(names: Sequence[str], by: str) -> sql.Composed:
        return sql.SQL(by).join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in names)

    table = sql.Identifier(schema, shape(change.kind).table)
    statement = sql.SQL("UPDATE {} SET {} WHERE {}").format(table, pairs(list(change.to), ", "), pairs(list(change.where), " AND "))
    return statement.as_bytes(None), [*change.to.values(), *change.where.values()]


STANDING = "SELECT p.size, t.* FROM projection p LEFT JOIN {} ON {} WHERE p.generation = {} AND p.live"
"""Rows and the position at which they stand, of one snapshot; not even a position if the generation is not live any more."""


def size(generation: Generation) -> bytes:
    return b"SELECT size FROM projection WHERE generation = %d AND live" % generation.id


@cache
def get(generation: Generation, kind: type[Row]) -> bytes:
    inner = sql.SQL("LATERAL (SELECT {} FROM {} WHERE {}) t").format(
        selected(kind),
        sql.Identifier(generation.schema, kind.table),
        sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in shape(kind).key),
    )
    return sql.SQL(STANDING).format(inner, sql.SQL("true"), sql.Literal(generation.id)).as_bytes(None)


@cache
def page(generation: Generation, kind: type[Row], where: tuple[str, ...], names: tuple[str, ...], descending: bool, after: bool) -> bytes:
    """Takes the values of `where`, those of the cursor, and the limit."""
    conditions: list[sql.Composable] = [sql.SQL("{} = %s").format(sql.Identifier(name)) for name in where]
    ranks = [rank(kind, name) for name in names]
    if after and names:
        start = [sql.SQL("id_order(%s)" if shape(kind).of[name].rule == "id" else "%s") for name in names]
        compare = sql.SQL("ROW({}) < ROW({})" if descending else "ROW({}) > ROW({})")
        conditions.append(compare.format(sql.SQL(", ").join(ranks), sql.SQL(", ").join(start)))
    direction = sql.SQL(" DESC" if descending else "")
    inner = sql.SQL("LATERAL (SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT %s) t").format(
        selected(kind),
        sql.Identifier(generation.schema, kind.table),
        sql.SQL(" AND ").join(conditions or [sql.SQL("true")]),
        sql.SQL(", ").join(sql.SQL("{}{}").format(each, direction) for each in ranks) if ranks else sql.SQL("1"),
    )
    whole = sql.SQL(STANDING).format(inner, sql.SQL("true"), sql.Literal(generation.id))
    if names:  # a join keeps the order of what it joins, but does not promise to
        order = sql.SQL(", ").join(sql.SQL("{}{}").format(rank(kind, name, "t"), direction) for name in names)
        whole += sql.SQL(" ORDER BY ") + order
    return whole.as_bytes(None)


def selected(kind: type[Row]) -> sql.Composed:
    forms = ("{0}::text AS {0}" if sql_type(each) == "jsonb" else "{0}" for each in shape(kind).columns)
    return sql.SQL(", ").join(
        sql.SQL(form).format(sql.Identifier(each.name)) for form, each in zip(forms, shape(kind).columns, strict=True)
    )


def row_of(kind: type[R], values: Sequence[Any]) -> R | None:
    """A row as it was selected; none if it was not there."""
    first, decoders = decoding(kind)
    if values[first] is None:
        return None
    return kind(*[UNSET if value is None else decode(value) if decode else value for decode, value in zip(decoders, values, strict=True)])


@cache
def decoding(kind: type[Row]) -> tuple[int, tuple[Callable[[Any], Any] | None, ...]]:
    """Which column tells whether there is a row, and what each column's value goes through; none: it stays as it is."""
    its = shape(kind)
    return its.names.index(its.key[0]), tuple(decoder(each) for each in its.columns)


def decoder(column: Column) -> Callable[[Any], Any] | None:
    match sql_type(column):
        case "jsonb":
            return lambda value: wire.struct(column.type, value.encode())
        case "numeric":
            return lambda value: Units(int(value))
    return None


@cache
def totals(schema: str, kind: type[Row]) -> bytes:
    """How many rows, and the sums of the columns that are sums."""
    sums = [sql.SQL("coalesce(sum({}), 0)").format(sql.Identifier(name)) for name, rule in shape(kind).rest if rule == "sum"]
    counted = sql.SQL(", ").join([sql.SQL("count(*)"), *sums])
    return sql.SQL("SELECT {} FROM {}").format(counted, sql.Identifier(schema, kind.table)).as_bytes(None)
