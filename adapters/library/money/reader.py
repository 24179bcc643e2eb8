"""The money ledger, read by the `eventsourcing` library. Its repository gives any stream at any version, its subscriptions and projection
runners every event, in the order of the log. Nothing is written: commands do that.

The modules `postgres` and `kafka` beside this one are named by `PERSISTENCE_MODULE`; they say where the log lies.
"""

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from eventsourcing import persistence
from eventsourcing.application import Application
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, Notification, StoredEvent
from eventsourcing.utils import Environment, EnvType

from adapters.library import recorders
from adapters.library.ledger import Open, Reading
from adapters.library.money import views
from adapters.library.money.lines import Lines, Placed, placed, stored_name
from domain.log.ledger import NotOpened
from domain.log.log import Log, origin
from domain.log.merkle import Head
from domain.value import Value

VIEWS = "GRIDLEDGER_VIEWS_URL"
"""The database of views that the library's runner fills: not those of a running server, which lets nobody else move its views."""
READ_ONLY = "the money ledger is written by its commands"


class Stream(Value):
    """A stream at a version: what a repository makes of its events."""

    id: str
    version: int
    events: tuple[Placed, ...]


class MoneyRecorder(persistence.ApplicationRecorder):
    """A notification id is a position of the ledger, an originator a stream, a topic a stored name, a state a line."""

    def __init__(self, reading: Reading[Lines]) -> None:
        self.ledger = reading

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        raise persistence.NotSupportedError(READ_ONLY)

    def select_events(
        self, originator_id: UUID | str, *, gt: int | None = None, lte: int | None = None, desc: bool = False, limit: int | None = None
    ) -> Sequence[StoredEvent]:
        with recorders.refusals(), self.ledger.reading() as lines:
            found = lines.of(str(originator_id), gt, lte)
        return [StoredEvent(*stored(each)) for each in (found[::-1] if desc else found)[:limit]]

    def select_notifications(
        self, start: int | None, limit: int, stop: int | None = None, topics: Sequence[str] = (), *, inclusive_of_start: bool = True
    ) -> Sequence[Notification]:
        first = 1 if start is None else start if inclusive_of_start else start + 1
        with recorders.refusals(), self.ledger.reading() as lines:
            found = lines.numbered(first, stop, limit, topics)
        return [(Seal if each.seals else End if each.ends else Notification)(*stored(each), each.pos) for each in found]

    def max_notification_id(self) -> int | None:
        with recorders.refusals(), self.ledger.reading() as lines:
            return len(lines.lines) or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> recorders.Subscription:
        return recorders.Subscription(self, self.ledger, gt, topics)


class End(Notification):
    """The last one of a block."""


class Seal(End):
    """The last one of a block that seals the log."""


class MoneyMapper(Mapper[str]):
    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        raise persistence.NotSupportedError(READ_ONLY)

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        return placed(stored_event.state, ends=isinstance(stored_event, End), seals=isinstance(stored_event, Seal))


class MoneyFactory(persistence.InfrastructureFactory[persistence.TrackingRecorder]):
    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        self._reading: Reading[Lines] | None = None
        self._views = list[views.LedgerView]()

    def mapper(self, transcoder: persistence.Transcoder | None = None, mapper_class: type[Mapper[Any]] | None = None) -> Mapper[Any]:
        return MoneyMapper(transcoder or self.transcoder())

    def application_recorder(self) -> persistence.ApplicationRecorder:
        if self._reading is None:
            with recorders.refusals():
                self._reading = Reading(self.place(), "the money ledger", Lines)
        return MoneyRecorder(self._reading)

    def tracking_recorder(self, tracking_recorder_class: type[persistence.TrackingRecorder] | None = None) -> persistence.TrackingRecorder:
        """The view in PostgreSQL of the projection that this environment is named after."""
        kind = tracking_recorder_class or views.LedgerView
        if not issubclass(kind, views.LedgerView):
            raise persistence.InfrastructureFactoryError(f"{kind} is no {views.LedgerView.__name__}")
        with recorders.refusals(), ThreadPoolExecutor(1) as thread:  # the caller may be in an event loop
            head = thread.submit(lambda: asyncio.run(start_of(self.place()))).result()
            self._views.append(view := kind(self.required(VIEWS), self.env.name, head))
        return view

    def aggregate_recorder(self, purpose: str = "events") -> persistence.AggregateRecorder:
        raise persistence.NotSupportedError(READ_ONLY)

    def process_recorder(self) -> persistence.ProcessRecorder:
        raise persistence.NotSupportedError(READ_ONLY)

    def close(self) -> None:
        for view in self._views:
            view.close()
        if self._reading:
            self._reading.close()

    def required(self, name: str) -> str:
        if value := self.env.get(name):
            return value
        raise persistence.InfrastructureFactoryError(f"the environment has no {name}")

    def place(self) -> Open:
        """How the log is opened."""
        raise NotImplementedError


async def start(log: Log) -> Head:
    """The empty head of a ledger that has begun. Raises `NotOpened`, `Unreachable`."""
    if head := await origin(log):
        return head
    raise NotOpened


async def start_of(place: Open) -> Head:
    async with place() as (_, head, watch):
        if watch:
            watch.close()
        return head


class MoneyLedger(Application[str]):
    """The money ledger as an application of the library."""

    name = "gridledger"
    env = {"PERSISTENCE_MODULE": "adapters.library.money.postgres"}

    def stream(self, id: str, version: int | None = None) -> Stream:
        """As of a version, or as it is now. Raises `AggregateNotFoundError`."""
        found: Stream = self.repository.get(id, version=version, projector_func=follow)
        return found


def follow(stream: Stream | None, events: Iterable[Placed]) -> Stream | None:
    """A projector for the library's repository."""
    found = [*(stream.events if stream else ()), *events]
    return Stream(found[-1].stream, found[-1].ver, tuple(found)) if found else None


def stored(each: Placed) -> tuple[str, int, str, bytes]:
    return each.stream, each.ver, stored_name(each), each.line
