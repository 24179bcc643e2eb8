"""The test cases that the `eventsourcing` library ships, unmodified, for whatever `PERSISTENCE_MODULE` names. An adapter's test is a
fixture `library_env`, environment variables of a ledger of the test's own, and `from tests.contracts.library import *`."""

import gc
import importlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from eventsourcing import persistence as library
from eventsourcing.dcb.msgpack import MessagePackMapper
from eventsourcing.persistence import InfrastructureFactory, Tracking
from eventsourcing.projection import BaseProjectionRunner
from eventsourcing.tests import application, persistence, projection
from eventsourcing.utils import Environment, get_topic

from adapters.library import recorders
from adapters.library.factory import LedgerFactory

MODULE = "PERSISTENCE_MODULE"
PATIENCE_S = 3.0
"""The cases' own second is short for a broker on a busy machine; two of them wait in vain."""


class CountersView(recorders.TrackingRecorder, projection.EventCountersView):
    """A view that is kept in the ledger."""

    created = subsequent = 0

    def wait(
        self, application_name: str, notification_id: int | None, timeout: float = PATIENCE_S, interrupt: threading.Event | None = None
    ) -> None:
        super().wait(application_name, notification_id, timeout, interrupt)

    def take(self, change: bytes) -> None:
        if change == b"created":
            self.created += 1
        else:
            self.subsequent += 1

    def get_created_event_counter(self) -> int:
        self.catch_up()
        return self.created

    def get_subsequent_event_counter(self) -> int:
        self.catch_up()
        return self.subsequent

    def incr_created_event_counter(self, tracking: Tracking) -> None:
        self.insert_tracking(tracking, b"created")

    def incr_subsequent_event_counter(self, tracking: Tracking) -> None:
        self.insert_tracking(tracking, b"subsequent")


class Given:
    """What every case is given: the environment of a ledger that is the test's alone, and factories on it."""

    env: Any

    @pytest.fixture(autouse=True)
    def _given(self, library_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        for name, value in library_env.items():
            monkeypatch.setenv(name, value)
        self.env = Environment("Given", dict(library_env))
        self.kind = importlib.import_module(library_env[MODULE]).__dict__
        self.factories = list[LedgerFactory]()
        yield
        for each in self.factories:
            each.close()
        gc.collect()  # applications that the cases leave open

    def factory_class(self) -> type[LedgerFactory]:
        (found,) = [each for each in self.kind.values() if isinstance(each, type) and issubclass(each, LedgerFactory)]
        return found

    def made(self) -> LedgerFactory:
        made = InfrastructureFactory.construct(self.env)
        assert isinstance(made, LedgerFactory)
        self.factories.append(made)
        return made


class AggregateRecorders(Given, persistence.AggregateRecorderTestCase):
    def create_recorder(self) -> library.AggregateRecorder:
        return self.made().aggregate_recorder()


class SnapshotRecorders(Given, persistence.AggregateRecorderTestCase):
    def create_recorder(self) -> library.AggregateRecorder:
        return self.made().aggregate_recorder("snapshots")


class ApplicationRecorders(Given, persistence.ApplicationRecorderTestCase[library.ApplicationRecorder]):
    def create_recorder(self) -> library.ApplicationRecorder:
        return self.made().application_recorder()

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TrackingRecorders(Given, persistence.TrackingRecorderTestCase):
    def create_recorder(self) -> library.TrackingRecorder:
        return self.made().tracking_recorder()


class ProcessRecorders(Given, persistence.ProcessRecorderTestCase):
    def create_recorder(self) -> library.ProcessRecorder:
        return self.made().process_recorder()


class ProcessRecordersAsApplicationRecorders(Given, persistence.ApplicationRecorderTestCase[library.ApplicationRecorder]):
    def create_recorder(self) -> library.ApplicationRecorder:
        return self.made().process_recorder()

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class ProcessRecordersAsTrackingRecorders(Given, persistence.TrackingRecorderTestCase):
    def create_recorder(self) -> library.TrackingRecorder:
        return self.made().process_recorder()


class NotificationIds(Given, persistence.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> library.ApplicationRecorder:
        return self.made().application_recorder()


class Factories(Given, persistence.InfrastructureFactoryTestCase[LedgerFactory]):
    def expected_factory_class(self) -> type[LedgerFactory]:
        return self.factory_class()

    def expected_aggregate_recorder_class(self) -> type[library.AggregateRecorder]:
        return recorders.AggregateRecorder

    def expected_application_recorder_class(self) -> type[library.ApplicationRecorder]:
        return recorders.ApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[library.TrackingRecorder]:
        return recorders.TrackingRecorder

    def tracking_recorder_subclass(self) -> type[library.TrackingRecorder]:
        return CountersView

    def expected_process_recorder_class(self) -> type[library.ProcessRecorder]:
        return recorders.ProcessRecorder


class ExampleApplication(Given, application.ExampleApplicationTestCase):
    def setUp(self) -> None:
        self.expected_factory_topic = get_topic(self.factory_class())


@pytest.mark.filterwarnings("default:'log' is deprecated:DeprecationWarning")  # which a case looks at
class Applications(Given, application.ApplicationTestCase):
    pass


class Views(Given, projection.EventCountersViewTestCase):
    def construct_event_counters_view(self) -> projection.EventCountersView:
        view = self.made().tracking_recorder(CountersView)
        assert isinstance(view, CountersView)
        return view


class Projections(Given, projection.AggregateEventCountersProjectionTestCase):
    view_class = CountersView


class DecisionProjections(Given, projection.TaggedDecisionCountersProjectionTestCase):
    """The decisions are in the library's memory, what is made of them is in the ledger."""

    view_class = CountersView

    def setUp(self) -> None:
        self.env |= {"DCBAPPLICATION_PERSISTENCE_MODULE": "eventsourcing.dcb.popo", "MAPPER_TOPIC": get_topic(MessagePackMapper)}


class EventSourcedProjections(Given, projection.EventSourcedProjectionTestCase):
    @pytest.fixture(autouse=True)
    def _patient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """None of these waits in vain."""
        monkeypatch.setattr(BaseProjectionRunner.wait, "__defaults__", (30.0,))
