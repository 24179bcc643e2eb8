"""Large ledgers, made once from real commands, kept below `.tools/bench/data` and used again: jobs that are submitted, quoted, opened,
cancelled, and archived an hour later, so that the world stays small while the log grows."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

import gridledger
from adapters import migrate, postgres_server
from adapters.files.home import Home, Settings
from adapters.log.postgres import PostgresLog
from adapters.log.snapshots import fold_version
from benchmarks import site
from benchmarks.rounds import TOOLS
from benchmarks.seeds import BLOCK_COMMANDS, CHEAP, SECRET, Press, submission
from domain.accounts import USDC
from domain.house.genesis import FirstAsset, FirstEngine, Init
from domain.ids import LogId, account_id, job_id
from domain.log.block import Sealed
from domain.log.ledger import Ledger
from domain.log.merkle import Head
from domain.value import Value
from domain.work import job

FOLDER = TOOLS / "bench" / "data"
STEP_US = 300_000_000
"""Between two blocks: an hour, after which jobs are archived, is 12; half a million events are four days, twice what receipts last."""
EVENTS_PER_COMMAND = 1.6
NOWHERE = f"0x{'0' * 40}"


class Data(Value):
    """A large ledger in a database of its own."""

    events: int
    uri: str
    home: Path
    log: LogId


def begin(folder: Path, uri: str, at_us: int) -> Ledger:
    """A ledger's directory and its first block, as `gridledger init` makes them, at a time that is past."""
    home, id = Home(folder), LogId(secrets.token_hex(16))
    migrate.apply(uri)
    home.keep(Settings(log=id, database_url=uri))
    admin_1, admin_2, *daemons = home.founders()
    assets, engines = (
        (FirstAsset(USDC, 6, 31337, NOWHERE, NOWHERE),),
        (FirstEngine("mitsuba", "mitsuba-3", ("mitsuba-3/cpu",), 1_500, 4, 760),),
    )
    ledger = Ledger(Head(id))

    async def first() -> None:
        async with PostgresLog(uri) as log:
            command = Init(id, await log.home(), "standard", (admin_1, admin_2), tuple(daemons), assets, engines)
            await log.append(ledger.genesis(command, at_us))

    asyncio.run(first())
    return ledger


def history(press: Press, events: int) -> Iterator[Sealed]:
    """So many events, at least."""
    owner = account_id(press.ledger.head.size + 1)
    yield from press.rich(SECRET, ("creator",), 1)
    while press.ledger.head.size < events:
        sealed, positions = press.block((press.keyed(owner, submission(CHEAP), owner) for _ in range(BLOCK_COMMANDS)), STEP_US)
        yield sealed
        for kind in (job.Open, job.Cancel):
            yield press.block((press.keyed(owner, kind(job=job_id(each)), owner) for each in positions), STEP_US)[0]
        yield from press.due()


def make(folder: Path, uri: str, events: int) -> None:
    span_us = int(events / EVENTS_PER_COMMAND / BLOCK_COMMANDS * STEP_US) + 86_400_000_000
    press = Press(begin(folder, uri, time.time_ns() // 1000 - span_us))

    async def write() -> None:
        async with PostgresLog(uri) as log:
            for sealed in history(press, events):
                await log.append(sealed)

    asyncio.run(write())


@contextmanager
def kept() -> Iterator[str]:
    """The PostgreSQL that keeps them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with postgres_server.running(FOLDER / "postgres", postgres_server.DURABLE) as server:
        yield server


def of(server: str, events: int) -> Data:
    """A ledger of so many events, made if there is none, with a snapshot by the code as it is."""
    name = f"events_{events}"
    folder, done = FOLDER / name, FOLDER / f"{name}.made"
    if not done.exists():
        site.drop(server, name)
        make(folder, site.database(server, name), events)
        done.touch()
    settings = Home.open(folder).settings()
    uri = site.within(server, name)
    Home(folder).keep(msgspec.structs.replace(settings, database_url=uri))  # its sockets lie elsewhere each time
    if not (folded := FOLDER / f"{name}.{fold_version()[:16]}.folded").exists():
        gridledger.snapshot(folder, None, anew=True)
        folded.touch()
    return Data(events, uri, folder, LogId(settings.log))
