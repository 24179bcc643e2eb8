"""The recorders of the `eventsourcing` library, over one ledger. All of one factory share it, so that a process recorder's events and
tracking are one command, and a snapshot lies beside its events."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from eventsourcing import persistence
from eventsourcing.persistence import Notification, StoredEvent, Tracking

from adapters.library import line
from adapters.library.ledger import Closed, Ledger, NotAnswered, Reading
from adapters.library.line import Batch, Draft, Purpose
from adapters.library.machine import Clash, Item, TooLarge
from domain.log.log import OutcomeUnknown, Unreachable


class LedgerRecorder:
    """What all of them have."""

    def __init__(self, ledger: Ledger, purpose: Purpose = "events") -> None:
        self.ledger, self._purpose = ledger, purpose

    def _record(self, drafts: Sequence[Draft]) -> list[int]:
        """Raises the library's errors."""
        if not drafts:
            return []
        with refusals():
            return self.ledger.record(Batch.of(drafts))

    def _drafts(self, stored_events: Sequence[StoredEvent]) -> list[Draft]:
        kind = line.KINDS[self._purpose]
        return [
            Draft(str(each.originator_id), each.originator_version, kind(each.topic, each.state, isinstance(each.originator_id, str)))
            for each in stored_events
        ]


class AggregateRecorder(LedgerRecorder, persistence.AggregateRecorder):
    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """One command, of one block: all of them or none. Raises `IntegrityError` if a version is recorded already, `DataError` if they
        are too large, `OperationalError` if the log does not answer: the same once more is safe, and tells."""
        self._record(self._drafts(stored_events))
        return None

    def select_events(
        self, originator_id: UUID | str, *, gt: int | None = None, lte: int | None = None, desc: bool = False, limit: int | None = None
    ) -> Sequence[StoredEvent]:
        with refusals(), self.ledger.reading() as machine:
            items = machine.shelves[self._purpose].of(str(originator_id), gt, lte)
        return [StoredEvent(originator_of(each), each.ver, each.topic, each.state) for each in (items[::-1] if desc else items)[:limit]]


class ApplicationRecorder(AggregateRecorder, persistence.ApplicationRecorder):
    """A notification id is the number of an event among all events of the application: dense, in the order of the log."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        return self._record(self._drafts(stored_events))

    def select_notifications(
        self, start: int | None, limit: int, stop: int | None = None, topics: Sequence[str] = (), *, inclusive_of_start: bool = True
    ) -> Sequence[Notification]:
        first = 1 if start is None else start if inclusive_of_start else start + 1
        with refusals(), self.ledger.reading() as machine:
            found = list(machine.shelves["events"].numbered(first, stop, limit, topics))
        return [Notification(originator_of(each), each.ver, each.topic, each.state, number) for number, each in found]

    def max_notification_id(self) -> int | None:
        with refusals(), self.ledger.reading() as machine:
            return len(machine.shelves["events"].items) or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> "Subscription":
        return Subscription(self, self.ledger, gt, topics)


class Subscription(persistence.ListenNotifySubscription[persistence.ApplicationRecorder]):
    """Woken by each block that this process folds, whoever wrote it."""

    def __init__(self, recorder: persistence.ApplicationRecorder, reading: Reading[Any], gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(recorder, gt, topics)
        self._reading = reading
        reading.listen(self._has_been_notified)
        self._has_been_notified.set()  # of what came before it listened

    def stop(self) -> None:
        super().stop()
        self._reading.unlisten(self._has_been_notified)


class TrackingRecorder(LedgerRecorder, persistence.TrackingRecorder):
    """Also the base of views that are kept in the ledger: a subclass gives `insert_tracking` a change, and answers from what it was told
    of all of them by `take`."""

    def __init__(self, ledger: Ledger, purpose: Purpose = "events") -> None:
        super().__init__(ledger, purpose)
        self._taken = 0

    def insert_tracking(self, tracking: Tracking, change: bytes = b"") -> None:
        """Both at once, or neither. Raises `IntegrityError` if that notification or a later one was tracked."""
        self._record([tracked(tracking, change)])

    def max_tracking_id(self, application_name: str) -> int | None:
        with refusals(), self.ledger.reading() as machine:
            return machine.tracked.get(application_name)

    def take(self, change: bytes) -> None:
        """A change of the view, in the order of the log; to be overridden. Called when the view `catch_up`."""

    def catch_up(self) -> None:
        """Take the changes that were not taken yet, also what other processes recorded."""
        with refusals(), self.ledger.reading() as machine:
            for change in machine.changes[self._taken :]:
                self.take(change)
            self._taken = len(machine.changes)


class ProcessRecorder(TrackingRecorder, ApplicationRecorder, persistence.ProcessRecorder):
    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """With `tracking`: both at once, or neither."""
        tracking: Tracking | None = kwargs.get("tracking")
        return self._record([*self._drafts(stored_events), *([tracked(tracking)] if tracking else [])])


def tracked(tracking: Tracking, change: bytes = b"") -> Draft:
    return Draft(tracking.application_name, tracking.notification_id, line.Tracked(change))


def originator_of(item: Item) -> UUID | str:
    return item.stream if item.text else UUID(item.stream)


@contextmanager
def refusals() -> Iterator[None]:
    """Ours as the library's."""
    try:
        yield
    except Clash as clash:
        raise persistence.IntegrityError(str(clash)) from clash
    except TooLarge as size:
        raise persistence.DataError(str(size)) from size
    except (NotAnswered, Unreachable) as silence:
        raise persistence.OperationalError("the log does not answer, nothing was recorded") from silence
    except OutcomeUnknown as silence:
        raise persistence.OperationalError("the log did not answer: it may have been recorded. The same once more is safe") from silence
    except Closed as end:
        raise persistence.InterfaceError(f"the ledger is closed: {end.__cause__!r}") from end
