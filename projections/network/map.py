"""Where workers stand, as far as their owners say: by country and model, never by machine. Who says no country is counted without one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from msgspec import UNSET

from domain.event import Event, Recorded
from domain.lifecycle import Mode, Presence
from domain.market import worker
from projections.explorer import market
from projections.row import Change, First, Id, Index, Key, Last, Projection, Row, Sum, Tables
from projections.tally import Tally
from projections.views import Views

CPU = "CPU"
"""The model of a worker that names no device."""

WorkerKind = worker.Kind


class Machine(Row):
    """What the map needs of a worker."""

    table: ClassVar[str] = "machine"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("country",)),)
    worker: Id
    position: Last[int] = UNSET
    kind: First[WorkerKind] = UNSET
    country: Last[str] = UNSET
    """ISO 3166, two letters; empty: its owner does not say."""
    models: Last[tuple[str, ...]] = UNSET
    """Of its devices, each once."""
    made_of: Last[str] = UNSET
    """The same, one a line."""
    mode: Last[Mode] = UNSET
    presence: Last[Presence] = UNSET


class Crowd(Tally):
    """Machines that are alike in all that the map shows."""

    table: ClassVar[str] = "crowd"
    of = Machine
    adds: ClassVar[Mapping[str, tuple[str, ...]]] = {"machines": ()}
    country: Key[str]
    made_of: Key[str]
    kind: Key[WorkerKind]
    mode: Key[Mode]
    presence: Key[Presence]
    machines: Sum[int] = 0


class Map(Projection):
    name = "map"
    version = 2
    rows = (Machine, Crowd)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        match e.event:
            case worker.Registered() as it:
                named, made_of = models(it.devices)
                yield Machine(it.worker, e.pos, it.kind, it.country, named, made_of, "active", "offline")
            case worker.Changed() as it:
                changed = Machine(it.worker, e.pos, country=UNSET if it.country is None else it.country, mode=it.mode)
                if it.devices is not None:
                    changed.models, changed.made_of = models(it.devices)
                yield changed
            case worker.Online() as it:
                yield Machine(it.worker, e.pos, presence="online")
            case worker.Offline() as it:
                yield Machine(it.worker, e.pos, presence="offline")


def models(devices: tuple[worker.Device, ...]) -> tuple[tuple[str, ...], str]:
    found = tuple(worker.models(devices)) or (CPU,)
    return found, "\n".join(found)


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


async def crowds(views: Views) -> tuple[list[Crowd], int]:
    """Of machines that are not retired, and the position at which they stand."""
    rows, position = await market.everything(views, Crowd, {})
    return [row for row in rows if row.mode != "retired"], position


def places(rows: Sequence[Crowd]) -> list[Place]:
    """The fullest first."""
    tables = Tables()
    for row in rows:
        checks, there = row.kind == "checker", row.presence == "online"
        for model in row.made_of.split("\n"):
            tables.add(Place(row.country, model, row.machines * (not checks), row.machines * checks, row.machines * there))
    return sorted(tables.all(Place), key=lambda each: (-each.online, -each.workers, each.country, each.model))
