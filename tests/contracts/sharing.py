"""What several processes find that keep one ledger. An adapter's test is a fixture `library_env` and
`from tests.contracts.sharing import *`; it takes `made` from tests.contracts.recording."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from eventsourcing.persistence import IntegrityError, Tracking

from adapters.library.factory import LedgerFactory
from tests.contracts.recording import Made, missed, some

WRITE = """
import sys, uuid
from eventsourcing.persistence import InfrastructureFactory, StoredEvent
from eventsourcing.utils import Environment
import os
factory = InfrastructureFactory.construct(Environment("Recording", dict(os.environ)))
recorder = factory.application_recorder()
print("ready", flush=True)
for line in sys.stdin:
    print(recorder.insert_events([StoredEvent(uuid.uuid4(), 1, "elsewhere", b"")]), flush=True)
factory.close()
"""
WAIT_S_MAX = 10.0
ROOT = Path(__file__).parents[2]


def test_what_was_recorded_is_there_when_it_is_opened_again(made: Made) -> None:
    first, events = made(), some(3)
    first.process_recorder().insert_events(events, tracking=Tracking("upstream", 7))
    first.aggregate_recorder("snapshots").insert_events(some(id=events[0].originator_id))  # type: ignore[arg-type]
    first.close()

    again = made().process_recorder()
    assert [each.originator_version for each in again.select_events(events[0].originator_id)] == [1, 2, 3]
    assert again.max_notification_id() == 3
    assert again.max_tracking_id("upstream") == 7
    assert again.insert_events(some()) == [4]


def test_two_that_write_one_ledger_agree_on_every_id(made: Made) -> None:
    factories: list[LedgerFactory] = [made(), made()]
    both = [factory.application_recorder() for factory in factories]
    given, seen = missed(both * 2, both[0], 15)

    assert given == list(range(1, len(given) + 1))
    assert seen == given[: len(seen)]
    deadline = time.monotonic() + WAIT_S_MAX
    while both[0].max_notification_id() != given[-1] and time.monotonic() < deadline:
        time.sleep(0.01)  # what the other wrote comes by the log
    everything = [recorder.select_notifications(None, 1000) for recorder in (both[0], made().application_recorder())]
    assert everything[0] == everything[1]
    assert [each.id for each in everything[0]] == given


def test_of_two_rivals_for_a_version_one_is_refused_and_then_sees_why(made: Made) -> None:
    one, other = made().application_recorder(), made().application_recorder()
    events = some(2)
    one.insert_events(events[:1])

    with pytest.raises(IntegrityError):
        other.insert_events(some(id=events[0].originator_id, state=b"another"))  # type: ignore[arg-type]

    assert other.select_events(events[0].originator_id) == events[:1]
    assert other.insert_events(events[1:]) == [2]


def test_a_subscription_hears_at_once_of_what_another_process_records(made: Made, library_env: dict[str, str]) -> None:
    recorder = made().application_recorder()
    environment = os.environ | library_env | {"PYTHONPATH": str(ROOT)}
    with (
        subprocess.Popen(
            [sys.executable, "-c", WRITE], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
        recorder.subscribe() as subscription,
    ):
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        took = list[float]()
        for number in range(1, 11):
            started = time.monotonic()
            process.stdin.write("\n")
            process.stdin.flush()
            heard = next(subscription)
            took.append(time.monotonic() - started)
            assert (heard.id, heard.topic) == (number, "elsewhere")
            assert process.stdout.readline() == f"[{number}]\n"
        process.stdin.close()

    assert sorted(took)[5] < 0.25
