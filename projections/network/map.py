"""Where workers stand, as far as their owners say: by country and model, never by machine. Who says no country is counted without one."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from msgspec import UNSET

from domain.event import Event, Recorded
from domain.market import worker
from projections.explorer import market
from projections.row import Change, First, Id, Index, Key, Last, Projection, Row, Sum, Tables
from projections.views import Views

CPU = "CPU"
"""The model of a worker that names no device."""


class Machine(Row):
    """What the map needs of a worker."""

    table: ClassVar[str] = "machine"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("country",)),)
    worker: Id
    position: Last[int] = UNSET
    kind: First[str] = UNSET
    country: Last[str] = UNSET
    """ISO 3166, two letters; empty: its owner does not say."""
    models: Last[tuple[str, ...]] = UNSET
    """Of its devices, each once."""
    mode: Last[str] = UNSET
    presence: Last[str] = UNSET


class Map(Projection):
    name = "map"
    rows = (Machine,)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        match e.event:
            case worker.Registered() as it:
                yield Machine(it.worker, e.pos, it.kind, it.country, models(it.devices), "active", "offline")
            case worker.Changed() as it:
                named = UNSET if it.devices is None else models(it.devices)
                yield Machine(it.worker, e.pos, UNSET, UNSET if it.country is None else it.country, named, it.mode)
            case worker.Online() as it:
                yield Machine(it.worker, e.pos, presence="online")
            case worker.Offline() as it:
                yield Machine(it.worker, e.pos, presence="offline")


def models(devices: tuple[worker.Device, ...]) -> tuple[str, ...]:
    return tuple(worker.models(devices)) or (CPU,)


class Place(Row):
    """The workers of one country and model, added up when somebody asks. One that has several models is counted with each."""

    table: ClassVar[str] = "place"
    country: Key[str]
    """Empty: not said."""
    model: Key[str]
    workers: Sum[int] = 0
    """Without checkers."""
    checkers: Sum[int] = 0
    online: Sum[int] = 0
    """Of both."""


async def machines(views: Views) -> tuple[list[Machine], int]:
    """Those that are not retired, and the position at which they stand."""
    rows, position = await market.everything(views, Machine, {})
    return [row for row in rows if row.mode != "retired"], position


def places(rows: Sequence[Machine]) -> list[Place]:
    """The fullest first."""
    tables = Tables()
    for row in rows:
        checks, there = row.kind == "checker", row.presence == "online"
        for model in row.models or ():
            tables.add(Place(row.country or "", model, int(not checks), int(checks), int(there)))
    return sorted(tables.all(Place), key=lambda each: (-each.online, -each.workers, each.country, each.model))
