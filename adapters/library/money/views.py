"""Our views as the `eventsourcing` library's tracking recorders, so that its `ProjectionRunner` runs any projection of ours:

    with ProjectionRunner(
        application_class=MoneyLedger, projection_class=views.of("balances"), view_class=views.LedgerView, env=...
    ) as runner: ...

A view stands where a block ends (projections/runner.py reads on from there): its rows and its head are written with the last event of
each block, in one transaction. So what was tracked is in, once, and a runner that died goes on with the block that it was in.
"""

import asyncio
import threading
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from eventsourcing import persistence
from eventsourcing.persistence import Tracking
from eventsourcing.projection import Projection as LibraryProjection

from adapters import migrate
from adapters.library.money.lines import Placed
from adapters.views.postgres import PostgresViews
from domain.log.merkle import Head
from projections import catalog
from projections.row import Batch, Plain, Projection, Row
from projections.views import Behind, Move, Read, Swapped

CLOSE_S = 10.0
T = TypeVar("T")
R = TypeVar("R", bound=Row)


class LedgerView(persistence.TrackingRecorder):
    """The rows of one projection, in a database that nobody else writes them to."""

    def __init__(self, uri: str, name: str, start: Head) -> None:
        """`start` is the empty head of the log. Raises `ProgrammingError` if there is no projection of that name."""
        self._projection = projection(name)
        migrate.apply(uri)
        self._office = Office(uri, self._projection)
        weakref.finalize(self, self._office.leave)
        self._before = self._after = self._office.do(lambda views: views.head(self._projection)) or start
        self._batch = Batch()

    def max_tracking_id(self, application_name: str) -> int | None:
        """The position at which the view stands; it is of one application, whatever that is called."""
        return self._before.size or None

    def insert_tracking(self, tracking: Tracking) -> None:
        raise persistence.NotSupportedError("a view takes each event with its tracking: `take`")

    def take(self, event: Placed, tracking: Tracking) -> None:
        """Raises `IntegrityError` if it is not the next event, or if somebody else writes this view."""
        if tracking.notification_id != self._after.size + 1:
            raise persistence.IntegrityError(f"the view is at {self._after.size}, and this is event {tracking.notification_id}")
        for change in self._projection.fold(event.recorded):
            self._batch.add(change)
        self._after = self._after.extend([event.line], seals=event.seals)
        if event.ends:
            self._write()

    def get(self, kind: type[R], *key: Plain) -> Read[R]:
        """The row with this key, and where the view stands."""
        return self._office.do(lambda views: views.get(kind, *key))

    def close(self) -> None:
        self._office.close()

    def _write(self) -> None:
        move = Move(self._projection, self._batch, self._before, self._after)
        try:
            self._office.do(lambda views: views.write(move))
        except (Behind, Swapped) as rival:
            raise persistence.IntegrityError("somebody else writes this view") from rival
        self._before, self._batch = self._after, Batch()


class Office:
    """Views in an event loop of their own, in a thread."""

    def __init__(self, uri: str, its: Projection) -> None:
        self._loop, self._stop, self._started = asyncio.new_event_loop(), asyncio.Event(), Future[PostgresViews]()
        self._thread = threading.Thread(target=self._run, args=(uri, its), name=f"view {its.name}", daemon=True)
        self._thread.start()
        self._views = self._started.result()

    def do(self, what: Callable[[PostgresViews], Awaitable[T]]) -> T:
        async def done() -> T:
            return await what(self._views)

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result()

    def leave(self) -> None:
        """Ends soon."""
        with suppress(RuntimeError):  # it ended already
            self._loop.call_soon_threadsafe(self._stop.set)

    def close(self) -> None:
        self.leave()
        self._thread.join(CLOSE_S)

    def _run(self, uri: str, its: Projection) -> None:
        async def work() -> None:
            async with PostgresViews(uri, its) as views:
                self._started.set_result(views)
                await self._stop.wait()

        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(work())
        except BaseException as fault:
            if self._started.done():
                raise
            self._started.set_exception(fault)


class OurProjection(LibraryProjection[LedgerView]):
    """One of ours, as the library's runner wants it."""

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.take(domain_event, tracking)


def of(name: str) -> type[OurProjection]:
    """The projection of that name (projections/catalog.py). Raises `ProgrammingError` if there is none."""
    return type(projection(name).__class__.__name__, (OurProjection,), {"name": name})


def projection(name: str) -> Projection:
    for each in catalog.ALL:
        if each.name == name:
            return each
    raise persistence.ProgrammingError(f"there is no projection {name!r}: {', '.join(each.name for each in catalog.ALL)}")
