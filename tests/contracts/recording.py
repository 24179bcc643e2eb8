"""What the library's own cases miss, for every ledger of it. An adapter's test is a fixture `library_env` and
`from tests.contracts.recording import *`."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from itertools import count
from uuid import UUID, uuid4

import msgspec
import pytest
from eventsourcing.application import Application, ProcessingEvent
from eventsourcing.cipher import AESCipher
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import (
    ApplicationRecorder,
    DataError,
    InfrastructureFactory,
    IntegrityError,
    OperationalError,
    StoredEvent,
    Tracking,
)
from eventsourcing.projection import EventSourcedProjection
from eventsourcing.utils import Environment

from adapters.library import recorders
from adapters.library.factory import LedgerFactory
from adapters.library.ledger import Ledger, Open, Opened
from domain.log.block import BLOCK_BYTES_MAX, LINE_BYTES_MAX, Block, Sealed, accept
from domain.log.log import Log, OutcomeUnknown, Records, Unreachable

Made = Callable[[], LedgerFactory]


@pytest.fixture
def made(library_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """New factories for the test's ledger; closed at the end."""
    factories = list[LedgerFactory]()
    for name, value in library_env.items():
        monkeypatch.setenv(name, value)

    def make() -> LedgerFactory:
        factory = InfrastructureFactory.construct(Environment("Recording", library_env))
        assert isinstance(factory, LedgerFactory)
        factories.append(factory)
        return factory

    yield make
    for each in factories:
        each.close()


def some(number: int = 1, *, id: UUID | None = None, first: int = 1, state: bytes = b"state") -> list[StoredEvent]:
    id = id or uuid4()
    return [StoredEvent(id, version, "topic", state) for version in range(first, first + number)]


class Spoilt:
    """A log whose answers get lost, and that may be away."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.deaf, self.away = False, False
        """Whether it takes no block any more; whether it answers nothing."""

    async def append(self, block: Sealed) -> None:
        if not self.deaf:
            await self._log.append(block)
        if self.away or self.deaf:
            raise OutcomeUnknown

    async def read(self, after: int = 0, *, follow: bool = False) -> Records:
        while self.away:
            if not follow:
                raise Unreachable
            await asyncio.sleep(0.01)
        async with aclosing(self._log.read(after, follow=follow)) as records:
            async for record in records:
                while self.away:
                    if not follow:
                        raise Unreachable
                    await asyncio.sleep(0.01)
                yield record


def spoilt(place: Open, found: list[Spoilt]) -> Open:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Opened]:
        async with place() as it:
            found.append(Spoilt(it.log))
            yield it._replace(log=found[0])

    return opened


def blocks(ledger: AbstractAsyncContextManager[Opened]) -> list[Block]:
    """All of its log."""

    async def read() -> list[Block]:
        found = list[Block]()
        async with ledger as (log, head, watch):
            if watch:
                watch.close()
            async with aclosing(log.read()) as records:
                async for record in records:
                    found.append(accept(found[-1].after if found else head, record))
        return found

    return asyncio.run(read())


@pytest.mark.parametrize("landed", [True, False])
def test_an_append_whose_outcome_was_unknown_gives_the_same_ids_when_it_is_asked_again(made: Made, *, landed: bool) -> None:
    logs = list[Spoilt]()
    recorder = recorders.ApplicationRecorder(Ledger(spoilt(made().place(), logs), "test", answer_s_max=0.2))
    try:
        assert recorder.insert_events(some(2)) == [1, 2]
        logs[0].away, logs[0].deaf = True, not landed
        batch = some(3)
        for _ in range(2):
            with pytest.raises(OperationalError, match="may have been recorded"):
                recorder.insert_events(batch)
        logs[0].away = logs[0].deaf = False

        assert recorder.insert_events(batch) == [3, 4, 5]
        assert recorder.insert_events(some()) == [6]
        assert [each.id for each in recorder.select_notifications(None, 10)] == [1, 2, 3, 4, 5, 6]
        with pytest.raises(IntegrityError):
            recorder.insert_events(batch)
    finally:
        recorder.ledger.close()


def test_an_append_that_landed_without_an_answer_is_found_within_the_call(made: Made) -> None:
    logs = list[Spoilt]()
    recorder = recorders.ApplicationRecorder(Ledger(spoilt(made().place(), logs), "test"))
    try:
        logs[0].away = True
        back = threading.Timer(0.3, lambda: setattr(logs[0], "away", False))
        back.start()

        assert recorder.insert_events(some(2)) == [1, 2]
        back.join()
    finally:
        recorder.ledger.close()


def test_a_clash_is_an_integrity_error_and_records_nothing_of_the_batch(made: Made) -> None:
    recorder = made().process_recorder()
    first = some(2)
    recorder.insert_events(first, tracking=Tracking("upstream", 7))
    fresh = some()

    for batch, tracking in ([*fresh, first[1]], 8), (fresh, 7), (fresh, 6):
        with pytest.raises(IntegrityError):
            recorder.insert_events(batch, tracking=Tracking("upstream", tracking))

    assert recorder.select_events(fresh[0].originator_id) == []
    assert recorder.max_tracking_id("upstream") == 7
    assert recorder.insert_events(fresh, tracking=Tracking("upstream", 8)) == [3]


def test_one_call_is_one_command_in_one_block(made: Made) -> None:
    factory = made()
    factory.process_recorder().insert_events(some(3), tracking=Tracking("upstream", 7))
    factory.aggregate_recorder("snapshots").insert_events(some())
    with factory.ledger.reading() as machine:
        items = [(len(shelf.items), len(shelf.streams)) for shelf in machine.shelves.values()]
        head, size = machine.head, machine.head.size

    assert (size, items) == (5, [(3, 1), (1, 1)])
    if "memory" in type(factory).__module__:
        return
    read = blocks(made().place()())
    lines = [[msgspec.json.decode(line) for line in block.lines] for block in read]
    assert read[-1].after == head
    assert [[line["of"] for line in block] for block in lines] == [[[1, 4], [2, 4], [3, 4], [4, 4]], [[1, 1]]]
    assert [len({line["cmd"] for line in block}) for block in lines] == [1, 1]
    assert [line["event"]["type"] for block in lines for line in block] == [*["es.stored.v1"] * 3, "es.tracked.v1", "es.snapshot.v1"]


def test_an_id_is_what_it_was_uuid_or_text(made: Made) -> None:
    recorder = made().application_recorder()
    id = uuid4()
    recorder.insert_events([StoredEvent(id, 1, "topic", b""), StoredEvent("Ünique \n id", 1, "topic", b"\0\xff")])

    assert [each.originator_id for each in recorder.select_notifications(None, 10)] == [id, "Ünique \n id"]
    assert [each.state for each in recorder.select_events("Ünique \n id")] == [b"\0\xff"]


def test_what_is_too_large_is_a_data_error_and_records_nothing(made: Made) -> None:
    recorder = made().application_recorder()
    for batch in (some(state=b"x" * LINE_BYTES_MAX), some(30, state=b"x" * (BLOCK_BYTES_MAX // 30))):
        with pytest.raises(DataError):
            recorder.insert_events(batch)

    assert recorder.max_notification_id() is None
    assert recorder.insert_events(some(2, state=b"x" * 44_000)) == [1, 2]


def test_a_closed_ledger_leaves_no_thread_and_says_that_it_is_closed(made: Made) -> None:
    before = set(threading.enumerate())
    factory = made()
    recorder = factory.application_recorder()
    recorder.insert_events(some())
    with recorder.subscribe() as subscription:
        next(subscription)
    factory.close()

    until = time.monotonic() + 5
    while (left := set(threading.enumerate()) - before) and time.monotonic() < until:
        time.sleep(0.01)
    assert left == set()
    with pytest.raises(Exception, match="closed"):
        recorder.insert_events(some())


def missed(
    writers: Sequence[ApplicationRecorder], reader: ApplicationRecorder, batches: int, after: int = 0
) -> tuple[list[int], list[int]]:
    """(ids that the writers were given, ids that somebody saw who always read on from the last one that he saw)."""
    given, seen, done = list[int](), list[int](), threading.Event()

    def write(recorder: ApplicationRecorder) -> None:
        for size in range(batches):
            given.extend(recorder.insert_events(some(1 + size % 4)) or ())

    def read() -> None:
        while True:
            last = done.is_set()
            while found := reader.select_notifications(seen[-1] if seen else after, 100, inclusive_of_start=False):
                seen.extend(each.id for each in found)
            if last:
                return

    threads = [threading.Thread(target=write, args=(recorder,)) for recorder in writers]
    tail = threading.Thread(target=read)
    for thread in (tail, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    tail.join()
    return sorted(given), seen


def test_ids_are_dense_and_never_visible_out_of_order_under_concurrent_writers(made: Made) -> None:
    recorder = made().application_recorder()
    given, seen = missed([recorder] * 6, recorder, 40)

    assert given == seen == list(range(1, 601))


def test_a_subscription_is_woken_at_once(made: Made) -> None:
    recorder = made().application_recorder()
    took = list[float]()
    with recorder.subscribe(topics=["topic"]) as subscription:
        for number in range(1, 21):
            started = time.monotonic()
            recorder.insert_events(some())
            assert next(subscription).id == number
            took.append(time.monotonic() - started)
            time.sleep(0.005)

    assert sorted(took)[10] < 0.1


class Dog(Aggregate):
    @event("Registered")
    def __init__(self, name: str) -> None:
        self.name = name
        self.tricks = list[str]()

    @event("TrickAdded")
    def add_trick(self, trick: str) -> None:
        self.tricks.append(trick)


class Kennel(Application[UUID]):
    snapshotting_intervals = {Dog: 5}


class Tally(Aggregate):
    @event("Begun")
    def __init__(self) -> None:
        self.total = 0

    @staticmethod
    def create_id() -> UUID:
        return UUID(int=7)

    @event("Counted")
    def count(self) -> None:
        self.total += 1


class Tricks(EventSourcedProjection[UUID]):
    def policy(self, domain_event: object, processing_event: ProcessingEvent[UUID]) -> None:
        if isinstance(domain_event, Dog.TrickAdded):  # type: ignore[attr-defined]
            tally = self.repository.get(Tally.create_id()) if Tally.create_id() in self.repository else Tally()
            assert isinstance(tally, Tally)
            tally.count()
            processing_event.collect_events(tally)


def test_an_application_with_snapshots_encryption_and_compression_works_and_hides_what_it_should(made: Made) -> None:
    env = {"CIPHER_KEY": AESCipher.create_key(16), "COMPRESSOR_TOPIC": "zlib"}
    with Kennel(env) as kennel:
        dog = Dog("Fido Secretson")
        kennel.save(dog)
        for number in range(12):
            dog.add_trick(f"trick {number}")
            kennel.save(dog)

        assert kennel.snapshots is not None
        assert [each.originator_version for each in kennel.snapshots.get(dog.id)] == [5, 10]
        found: Dog = kennel.repository.get(dog.id)
        assert len(found.tricks) == 12
        assert len(kennel.repository.get(dog.id, version=7).tricks) == 6
        assert isinstance(kennel.recorder, recorders.ApplicationRecorder)
        with kennel.recorder.ledger.reading() as machine:
            states = [item.state for shelf in machine.shelves.values() for item in shelf.items]
        assert len(states) == 15
        assert not any(b"Fido" in state or b"trick" in state for state in states)
        kennel.close()


def test_what_was_processed_is_never_processed_again(made: Made) -> None:
    with Tricks() as tricks:
        dog, number = Dog("Fido"), count(1)
        for trick in "abc":
            dog.add_trick(trick)
        for each in dog.collect_events():
            tracking = Tracking("Kennel", next(number))
            tricks.process_event(each, tracking)
            if isinstance(each, Dog.TrickAdded):  # type: ignore[attr-defined]
                with pytest.raises(IntegrityError):
                    tricks.process_event(each, tracking)

        tally: Tally = tricks.repository.get(Tally.create_id())
        assert tally.total == 3
        assert tricks.recorder.max_tracking_id("Kennel") == 4
        tricks.close()
