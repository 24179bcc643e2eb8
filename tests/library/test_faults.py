"""What becomes of calls when the database ends sessions, and when a broker dies: each is recorded once, and gets its ids."""

import threading
import time
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.persistence import ApplicationRecorder, InfrastructureFactory, OperationalError, StoredEvent
from eventsourcing.utils import Environment

from adapters.kafka import brokers
from adapters.library.factory import LedgerFactory
from tests.fix_kafka import TOOLS

pytestmark = pytest.mark.system

ENOUGH = 40
END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gridledger log'"


class Writers:
    """Threads that each record event after event, the same again after an unknown outcome, and note the ids."""

    def __init__(self, *writers: ApplicationRecorder) -> None:
        self.ids = dict[int, UUID]()
        self.faults = list[BaseException]()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(each,)) for each in writers]
        for thread in self._threads:
            thread.start()

    def _write(self, recorder: ApplicationRecorder) -> None:
        try:
            while not self._stop.is_set():
                batch = [StoredEvent(uuid4(), 1, "topic", b"state") for _ in range(2)]
                for id, event in zip(self._record(recorder, batch), batch, strict=True):
                    assert id not in self.ids
                    self.ids[id] = UUID(str(event.originator_id))
        except BaseException as fault:
            self.faults.append(fault)

    def _record(self, recorder: ApplicationRecorder, batch: list[StoredEvent]) -> list[int]:
        while True:
            try:
                return list(recorder.insert_events(batch) or ())
            except OperationalError:
                continue

    def more(self, number: int = ENOUGH) -> None:
        """Until so many more were recorded."""
        wanted, until = len(self.ids) + number, time.monotonic() + 60
        while len(self.ids) < wanted and not self.faults and time.monotonic() < until:
            time.sleep(0.01)
        assert len(self.ids) >= wanted or self.faults

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def factory(env: dict[str, str]) -> LedgerFactory:
    made = InfrastructureFactory.construct(Environment("Faults", env))
    assert isinstance(made, LedgerFactory)
    return made


def agrees(writers: Writers, recorder: ApplicationRecorder) -> None:
    """Whoever opens the ledger afterwards finds what the writers were told, and nothing else."""
    found = recorder.select_notifications(None, 10**6)

    assert writers.faults == []
    assert [each.id for each in found] == list(range(1, len(found) + 1))
    assert {each.id: each.originator_id for each in found} == writers.ids


def test_sessions_that_the_database_ends_lose_and_repeat_nothing(database: str) -> None:
    env = {"PERSISTENCE_MODULE": "adapters.library.postgres", "GRIDLEDGER_DATABASE_URL": database}
    both = [factory(env), factory(env)]
    writers = Writers(*(each.application_recorder() for each in both * 2))
    with psycopg.connect(database, autocommit=True) as db:
        for _ in range(6):
            writers.more()
            db.execute(END_ALL)
    writers.more()
    writers.end()
    last = factory(env)
    agrees(writers, last.application_recorder())
    for each in (*both, last):
        each.close()


def test_a_broker_that_is_killed_loses_and_repeats_nothing(tmp_path: Path) -> None:
    with brokers.running(tmp_path, TOOLS) as cluster:
        env = {
            "PERSISTENCE_MODULE": "adapters.library.kafka",
            "GRIDLEDGER_KAFKA_BOOTSTRAP": cluster.bootstrap,
            "GRIDLEDGER_ANSWER_S_MAX": "2",
        }
        both = [factory(env), factory(env)]
        writers = Writers(*(each.application_recorder() for each in both * 2))
        for _ in range(2):
            writers.more()
            cluster.kill(1)
            time.sleep(1)
            cluster.start(1)
        writers.more()
        writers.end()
        last = factory(env)
        agrees(writers, last.application_recorder())
        for each in (*both, last):
            each.close()
