"""The types of GraphQL, by strawberry, from the rows of the projections: there is no second definition that could differ.

Every root takes `asOf` and `minPos`; every list is a relay connection by keyset that says at which position it stands. Times are
microseconds since 1970, amounts decimal strings of minor units.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NewType

import msgspec
import strawberry
from msgspec import UNSET
from strawberry.schema.config import StrawberryConfig
from strawberry.types import Info

from api.graphql import graph
from api.graphql.graph import BY_NAME, KINDS, RELATIONS, Kind, Relation
from api.reads.query import POSITION_MAX
from domain.units import Units
from domain.value import Value
from projections.explorer import house, market
from projections.explorer.events import Line
from projections.row import Row, shape
from projections.views import Views

Long = NewType("Long", int)
Amount = NewType("Amount", str)
Whole = NewType("Whole", object)


def whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= POSITION_MAX:
        raise ValueError(f"expected a whole number up to {POSITION_MAX}")
    return value


SCALARS: dict[object, Any] = {
    Long: strawberry.scalar(name="Long", description="A whole number within ±(2^53 - 1).", serialize=int, parse_value=whole),
    Amount: strawberry.scalar(name="Amount", description="Minor units of an asset, as a decimal string.", serialize=str),
    Whole: strawberry.scalar(name="JSON", description="A value as it stands in the log.", serialize=msgspec.to_builtins),
}
OF_PYTHON: dict[Any, Any] = {int: Long, bool: bool, str: str, Units: Amount, tuple[str, ...]: list[str]}
ROOT: dict[str, Any] = {"as_of": Long | None, "min_pos": Long | None}
PAGE: dict[str, Any] = {"first": int | None, "after": str | None, "newest": bool | None}

Opened = Callable[[Mapping[str, Any]], Views]
"""Views that stand where the arguments of a root ask for."""
Fetch = Callable[[Any, Views, dict[str, Any]], Awaitable[Any]]
"""(whose it is, views, arguments) -> what it is."""


class Field(Value):
    """What a field of an object type is: an attribute of whatever stands behind the object, or fetched."""

    name: str
    """As queries write it."""
    attribute: str
    type: Any
    of: str = ""
    """The object type that it leads to."""
    several: bool = False
    arguments: dict[str, Any] = {}
    """By our own names, with their types."""
    fetch: Fetch | None = None

    @property
    def public(self) -> dict[str, str]:
        """Our names of its arguments, and those in queries."""
        return {name: camel(name) for name in self.arguments}


class Types:
    """Object types, each made when it is first asked for."""

    def __init__(self) -> None:
        self.fields: dict[str, dict[str, Field]] = {}
        """Name of an object type -> name of a field -> what it is."""
        self._made: dict[str, Any] = {}

    def object(self, name: str, fields: list[Field], text: str = "") -> Any:
        if name not in self._made:
            self.fields[name] = {field.name: field for field in fields}
            namespace: dict[str, Any] = {"__annotations__": {}, "__module__": __name__}
            for field in fields:
                if field.fetch is None:
                    namespace["__annotations__"][field.attribute] = field.type
                    namespace[field.attribute] = strawberry.field(name=field.name)
                else:
                    namespace[f"get_{field.attribute}"] = strawberry.field(
                        resolver=resolver(field, at_root=name == "Query"), name=field.name
                    )
            self._made[name] = strawberry.type(type(name, (), namespace), name=name, description=" ".join(text.split()) or None)
        return self._made[name]

    def struct(self, name: str, struct: type[Any], more: list[Field] | None = None) -> Any:
        """Of what we wrote ourselves; what was never said is null."""
        types = {each.name: each.type for each in shape(struct).columns} if issubclass(struct, Row) else hints(struct)
        names = msgspec.structs.fields(struct)
        own = [Field(camel(field.encode_name), field.name, OF_PYTHON.get(types[field.name], Whole) | None) for field in names]
        return self.object(name, [*own, *(more or [])], struct.__doc__ or "")

    def row(self, kind: Kind) -> Any:
        return self._made.get(kind.name) or self.struct(kind.name, kind.row, [self.relation(it) for it in RELATIONS if it.of == kind.name])

    def relation(self, it: Relation) -> Field:
        async def fetch(row: Any, views: Views, given: dict[str, Any]) -> Any:
            where = {it.column: getattr(row, shape(BY_NAME[it.of].row).key[0])}
            return await graph.many(views, BY_NAME[it.to], where, {"first": graph.BELOW} | given, it.by, newest=it.newest)

        return Field(camel(it.name), it.name, self.connection(BY_NAME[it.to]) | None, f"{it.to}Connection", False, PAGE, fetch)

    def connection(self, kind: Kind) -> Any:
        row, name = self.row(kind), f"{kind.name}Connection"
        edge = self.object(f"{kind.name}Edge", [Field("cursor", "cursor", str), Field("node", "node", row, kind.name)])
        info = self.object(
            "PageInfo",
            [
                *(Field(camel(each), each, bool) for each in ("has_next_page", "has_previous_page")),
                *(Field(camel(each), each, str | None) for each in ("start_cursor", "end_cursor")),
            ],
        )
        fields = [
            Field("position", "position", Long),
            Field("nodes", "nodes", several(row), kind.name, several=True),
            Field("edges", "edges", several(edge), f"{kind.name}Edge", several=True),
            Field("pageInfo", "page_info", info, "PageInfo"),
        ]
        return self.object(name, fields, "A part of a list, and the position at which it stands.")

    def one(self, kind: Kind) -> Field:
        key = shape(kind.row).of[shape(kind.row).key[0]]

        async def fetch(missing: Any, views: Views, given: dict[str, Any]) -> Any:
            row, position = await graph.one(views, kind, given["id"])
            if row is None:
                missing(str(given["id"]), position, given)
            return row

        arguments = {"id": Long if key.type is int else strawberry.ID} | ROOT
        return Field(kind.one, kind.one, self.row(kind) | None, kind.name, False, arguments, fetch)

    def many(self, kind: Kind) -> Field:
        async def fetch(_: Any, views: Views, given: dict[str, Any]) -> Any:
            return await graph.many(views, kind, graph.chosen(kind, given), given, kind.by, newest=kind.newest)

        types = shape(kind.row).of
        filters = {name: (Long if types[name].type is int else str) | None for name in kind.filters}
        return Field(kind.many, kind.many, self.connection(kind) | None, f"{kind.name}Connection", False, PAGE | filters | ROOT, fetch)

    def market(self) -> Field:
        quotation, demand = self.struct("Quotation", market.Quotation), self.struct("Demand", market.Demand)
        fields = [
            Field("position", "position", Long),
            Field("classes", "classes", several(quotation), "Quotation", several=True),
            Field("demand", "demand", several(demand), "Demand", several=True),
        ]
        its = self.object("Market", fields, "By class: what work was sold for and what is asked; by engine: what waits to be done.")
        return Field("market", "market", its | None, "Market", False, ROOT, quoted)

    def query(self) -> Any:
        ones = [self.one(kind) for kind in KINDS if kind.one]
        lists = [self.many(kind) for kind in KINDS if kind.many]
        return self.object("Query", [*ones, *lists, self.market()])


class Market(Value):
    position: int
    classes: list[market.Quotation]
    demand: list[market.Demand]


async def quoted(_: Any, views: Views, __: dict[str, Any]) -> Market:
    engines = (await views.page(house.Engine, limit=graph.FIRST_MAX)).rows
    last = await views.page(Line, limit=1, descending=True)
    at_us = int(last.rows[0].at_us or 0) if last.rows else 0
    classes = sorted({cls for engine in engines for cls in engine.classes or ()})
    return Market(last.position, [await market.quotation(views, cls, at_us) for cls in classes], await market.demand(views))


def hints(struct: type[Any]) -> dict[str, Any]:
    """Of a struct's fields, without what says that they may be missing."""
    info = {field.name: field.type for field in msgspec.structs.fields(struct)}
    return {name: next((each for each in (Units, int, str) if kind in {each, each | None}), kind) for name, kind in info.items()}


def several(type: Any) -> Any:
    return list[type]


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def value_of(thing: Any, name: str) -> Any:
    found = getattr(thing, name)
    return None if found is UNSET else found


def resolver(field: Field, *, at_root: bool) -> Callable[..., Any]:
    """As strawberry calls it; the context is a `Context`."""
    fetch = field.fetch
    assert fetch is not None

    async def resolve(root: Any, info: Info, **arguments: Any) -> Any:
        given = {name: value for name, value in arguments.items() if value is not None}
        path = info.path
        while path.prev is not None:
            path = path.prev
        opened: dict[Any, Views] = info.context["views"]
        if at_root:
            opened[path.key] = info.context["open"](given)
        return await fetch(info.context["missing"] if at_root else root, opened[path.key], given)

    places = (("root", inspect.Parameter.POSITIONAL_OR_KEYWORD, Any), ("info", inspect.Parameter.POSITIONAL_OR_KEYWORD, Info))
    fixed = [inspect.Parameter(name, kind, annotation=type) for name, kind, type in places]
    free = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=type, default=inspect.Parameter.empty if name == "id" else None)
        for name, type in field.arguments.items()
    ]
    resolve.__signature__ = inspect.Signature([*fixed, *free], return_annotation=field.type)  # type: ignore[attr-defined]
    resolve.__annotations__ = {each.name: each.annotation for each in (*fixed, *free)} | {"return": field.type}

    return resolve


def build() -> tuple[strawberry.Schema, dict[str, dict[str, Field]]]:
    types = Types()
    config = StrawberryConfig(scalar_map=SCALARS, default_resolver=value_of)
    return strawberry.Schema(types.query(), config=config), types.fields
