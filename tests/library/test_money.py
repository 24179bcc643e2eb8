"""The money ledger from the `eventsourcing` library's side."""

import random
from collections.abc import Sequence

import pytest
from eventsourcing.application import AggregateNotFoundError
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import IntegrityError, NotSupportedError, ProgrammingError, Tracking
from eventsourcing.projection import ProjectionRunner

from adapters import migrate
from adapters.kafka.log import KafkaLog, topic_of
from adapters.kafka.topic import KafkaTopic
from adapters.library.money import views
from adapters.library.money.lines import Placed, placed
from adapters.library.money.reader import MoneyLedger
from adapters.library.money.views import LedgerView
from adapters.log.postgres import PostgresLog
from adapters.views.postgres import PostgresViews
from domain.event import Event, Recorded
from domain.log import wire
from domain.log.block import Block, Sealed, accept
from domain.log.log import Log
from projections import catalog
from projections.row import Projection
from tests.network import LOG
from tests.projections.lives import START, everything, folded, network

pytestmark = pytest.mark.system

RECORDS = network(3, 120).records


def read(records: Sequence[bytes]) -> list[Block]:
    blocks = list[Block]()
    for record in records:
        blocks.append(accept(blocks[-1].after if blocks else START, record))
    return blocks


BLOCKS = read(RECORDS)
EVENTS = [event for block in BLOCKS for event in wire.events(block)]


async def fill(log: Log, first: int = 0, last: int = len(RECORDS)) -> None:
    for number in range(first, last):
        before = BLOCKS[number - 1].after if number else START
        await log.append(Sealed(before, BLOCKS[number].after, RECORDS[number]))


async def filled(database: str, first: int = 0, last: int = len(RECORDS)) -> dict[str, str]:
    """The environment of the ledger of these records, and of views beside it."""
    migrate.apply(database)
    async with PostgresLog(database) as log:
        await fill(log, first, last)
    return {
        "PERSISTENCE_MODULE": "adapters.library.money.postgres",
        "GRIDLEDGER_DATABASE_URL": database,
        "GRIDLEDGER_VIEWS_URL": database,
    }


def agrees(ledger: MoneyLedger) -> None:
    for stream in sorted({event.stream for event in EVENTS}):
        expected = [wire.encode(event) for event in EVENTS if event.stream == stream]
        draw = random.Random(stream)
        assert [event.line for event in ledger.stream(stream).events] == expected
        version = draw.randint(1, len(expected))
        found = ledger.stream(stream, version)
        assert (found.id, found.version, [event.line for event in found.events]) == (stream, version, expected[:version])


async def test_the_repository_gives_any_stream_at_any_version(database: str) -> None:
    env = await filled(database)
    with MoneyLedger(env) as ledger:
        agrees(ledger)
        with pytest.raises(AggregateNotFoundError):
            ledger.stream("job-999999")
        notifications = ledger.recorder.select_notifications(None, 10**6)
        assert [each.id for each in notifications] == [event.pos for event in EVENTS]
        ledger.close()


async def test_a_ledger_in_kafka_is_read_alike(kafka: str) -> None:
    topic = KafkaTopic(kafka, topic_of(LOG))
    await topic.create()
    async with KafkaLog(kafka, topic, LOG) as log:
        await fill(log)
    env = {"PERSISTENCE_MODULE": "adapters.library.money.kafka", "GRIDLEDGER_KAFKA_BOOTSTRAP": kafka, "GRIDLEDGER_LOG": LOG}
    with MoneyLedger(env) as ledger:
        agrees(ledger)
        ledger.close()


async def test_nothing_is_written(database: str) -> None:
    env = await filled(database)
    with MoneyLedger(env) as ledger:
        with pytest.raises(NotSupportedError):
            ledger.recorder.insert_events([])
        ledger.close()


def test_our_events_are_events_to_the_library() -> None:
    event: DomainEventProtocol[str] = EVENTS[0]
    whole: Recorded[Event] = placed(wire.encode(EVENTS[0]), ends=True)

    assert isinstance(whole, Placed)
    assert (event.originator_id, event.originator_version) == (whole.stream, whole.ver)
    assert wire.encode(EVENTS[0]) == whole.line


@pytest.mark.parametrize("each", catalog.ALL, ids=lambda each: each.name)
async def test_the_runner_of_the_library_runs_any_projection_on_our_views(database: str, each: Projection) -> None:
    """In two goes, the second from where the first stopped."""
    half = len(RECORDS) // 2
    for first, last in ((0, half), (half, len(RECORDS))):
        env = await filled(database, first, last)
        with ProjectionRunner(
            application_class=MoneyLedger, projection_class=views.of(each.name), view_class=LedgerView, env=env
        ) as runner:
            runner.wait(BLOCKS[last - 1].after.size, timeout=20)
            runner.view.close()

    async with PostgresViews(database, each) as found:
        assert await everything(found, each) == await everything(await folded(RECORDS, each), each)


async def test_what_was_tracked_is_in_once_and_a_block_that_was_begun_is_begun_again(database: str) -> None:
    env = await filled(database)
    name = "overview" if any(each.name == "overview" for each in catalog.ALL) else catalog.ALL[0].name
    sizes = [block.after.size for block in BLOCKS]
    longest = max(range(len(BLOCKS)), key=lambda number: len(BLOCKS[number].lines))
    events = [placed(wire.encode(event), ends=event.pos in sizes) for event in EVENTS]

    def tell(view: LedgerView, until: int) -> None:
        for event in events[view.max_tracking_id("gridledger") or 0 : until]:
            view.take(event, Tracking("gridledger", event.pos))

    first = LedgerView(env["GRIDLEDGER_VIEWS_URL"], name, START)
    tell(first, sizes[longest] - 1)
    assert len(BLOCKS[longest].lines) > 1
    assert (first.max_tracking_id("gridledger") or 0) == BLOCKS[longest].start - 1
    with pytest.raises(IntegrityError):
        first.take(events[0], Tracking("gridledger", 1))
    second = LedgerView(env["GRIDLEDGER_VIEWS_URL"], name, START)
    tell(second, len(events))
    last = events[sizes[longest] - 1]
    with pytest.raises(IntegrityError, match="somebody else"):
        first.take(last, Tracking("gridledger", last.pos))
    first.close()
    second.close()

    its = views.projection(name)
    async with PostgresViews(database, its) as found:
        assert await everything(found, its) == await everything(await folded(RECORDS, its), its)


def test_a_projection_that_there_is_not_is_told() -> None:
    with pytest.raises(ProgrammingError, match="there is no projection"):
        views.of("nothing")
