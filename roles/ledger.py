"""Where a ledger lives, how it begins, and what is done to it while nobody serves it."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapters.files.home import Home
    from adapters.kafka.log import KafkaLog
    from adapters.log.postgres import PostgresLog
    from adapters.server.group import Group
    from domain.house.genesis import FirstAsset
    from domain.ids import LogId

DATABASE, KAFKA = "GRIDLEDGER_DATABASE_URL", "GRIDLEDGER_KAFKA_BOOTSTRAP"
ENGINE, CLASSES = "mitsuba", ("mitsuba-3.9.1/cpu",)
BENCH_WU_MILLI, BENCH_TILES, WU_MILLI_PER_MSAMPLE = 1_500, 4, 760
"""The bench, and what a million samples cost, in thousandths of a second of the reference device: one core of a 2-core AVX-512 machine."""


class Unstartable(Exception):
    """It cannot start; the message says why and what to do."""


@contextmanager
def database(home: "Home") -> Iterator[str]:
    """The libpq URI of the ledger's database: from the environment, from the settings, or PostgreSQL from the wheel, which is the one that
    a server of this directory runs, if one does."""
    if url := os.environ.get(DATABASE) or home.settings().database_url or home.database():
        yield url
        return
    from adapters import postgres_server

    with postgres_server.running(home.postgres) as url, home.announced(url):
        yield url


@asynccontextmanager
async def opened(home: "Home", url: str, log: "LogId | None" = None, *, safe: bool = True) -> "AsyncIterator[PostgresLog | KafkaLog]":
    """The log of this directory's ledger, where the settings say that it is; `log` is of one that has not begun. Not `safe`: whoever only
    looks does not mind a topic's settings."""
    from domain.ids import LogId

    settings = home.settings()
    if not settings.kafka:
        from adapters.log.postgres import PostgresLog

        async with PostgresLog(url) as it:
            yield it
        return
    from adapters.kafka.log import KafkaLog, topic_of
    from adapters.kafka.places import Places
    from adapters.kafka.topic import KafkaTopic, Unsafe

    servers, id, properties = os.environ.get(KAFKA) or settings.kafka, log or LogId(settings.log), home.kafka_properties()
    topic = KafkaTopic(servers, settings.kafka_topic or topic_of(id), properties)
    try:
        if log:
            await topic.create()
        if safe:
            await topic.check()
    except Unsafe as refusal:
        if not log:
            raise
        raise Unstartable(str(refusal)) from refusal  # nothing began that could be lost
    places = [] if log else await Places(url).of(await topic.home())
    async with KafkaLog(servers, topic, id, properties=properties, places=places) as log_in_kafka:
        yield log_in_kafka


def keep(log: "PostgresLog | KafkaLog", url: str, group: "Group") -> None:
    """Starts what looks after a log. PostgreSQL looks after its own."""
    from adapters.log.postgres import PostgresLog

    if isinstance(log, PostgresLog):
        return
    from adapters.kafka.places import Places

    group.start("topic", log.topic.watch(lambda: log.reached))
    group.start("places", Places(url).keep(log))


def init(path: Path, policy: str, database_url: str, rpc_url: str, treasury: str, token: str, chain_id: int, kafka: str = "") -> "LogId":
    """Begin a ledger: keys, settings and the first block. Raises `Unstartable` if there is one already."""
    from adapters.files.home import Home, Settings
    from domain.accounts import USDC
    from domain.house.genesis import FirstAsset
    from domain.policy import POLICIES

    home, existed = Home(path), path.is_dir()
    ours = [each for each in (home.file, home.postgres, home.postgres.with_suffix(".lock")) if not each.exists()]
    if home.file.exists():
        raise Unstartable(f"{path} holds a ledger already")
    if policy not in POLICIES:
        raise Unstartable(f"there is no policy {policy}: {' or '.join(POLICIES)}")
    if rpc_url and not (treasury and token):
        raise Unstartable("a chain needs --treasury and --token, too")
    home.keep(Settings(database_url=database_url, kafka=kafka, rpc_url=rpc_url, treasury=treasury.lower(), token=token.lower()))
    nowhere = f"0x{'0' * 40}"
    contracts = (FirstAsset(USDC, 6, chain_id, token.lower() or nowhere, treasury.lower() or nowhere),)
    try:
        with database(home) as url:
            return asyncio.run(begin(home, url, policy, contracts))
    except BaseException:
        if not home.settings().log:  # nothing accepts a directory whose ledger never began
            for made in ours:  # not the keys: their first block may lie in a log for all that
                remove(made)
            if not (existed or any(path.iterdir())):
                path.rmdir()
        raise


def remove(made: Path) -> None:
    """A file, or a folder with all that is in it: PostgreSQL's may be a link to where its user can enter."""
    if made.is_dir():
        rmtree(made.resolve())
    if made.is_symlink() or made.is_file():
        made.unlink()


async def begin(home: "Home", url: str, policy: str, contracts: "tuple[FirstAsset, ...]") -> "LogId":
    """The first block, into an empty log."""
    import msgspec

    from adapters import migrate
    from adapters.log.postgres import PostgresLog, clock_us
    from domain.house.genesis import FirstEngine, Init
    from domain.ids import LogId
    from domain.log.ledger import Ledger
    from domain.log.merkle import Head

    await asyncio.to_thread(migrate.apply, url)
    id = LogId(secrets.token_hex(16))
    async with PostgresLog(url) as database:
        async for _ in database.read():
            raise Unstartable("the database holds a ledger already")
    async with opened(home, url, id) as log:
        admin_1, admin_2, *daemons = home.founders()
        engine = FirstEngine(ENGINE, CLASSES[0].partition("/")[0], CLASSES, BENCH_WU_MILLI, BENCH_TILES, WU_MILLI_PER_MSAMPLE)
        command = Init(id, await log.home(), policy, (admin_1, admin_2), tuple(daemons), contracts, (engine,))
        await log.append(Ledger(Head(id)).genesis(command, await clock_us(url)))
    home.keep(msgspec.structs.replace(home.settings(), log=id))
    return id


def snapshot(path: Path, size: int | None, *, anew: bool) -> dict[str, Any]:
    """Fold the log in this short-lived process and keep the state, for servers to start from."""
    import msgspec

    from adapters.files.home import Home
    from adapters.log.snapshots import Snapshots
    from domain.ids import LogId

    home = Home.open(path)

    async def make(url: str) -> dict[str, Any]:
        async with opened(home, url) as log:
            return msgspec.structs.asdict(await Snapshots(home.snapshots, LogId(home.settings().log)).make(log, size, anew=anew))

    with suppress(OSError):
        os.nice(10)
    with database(home) as url:
        return asyncio.run(make(url))


def rebuild(path: Path, name: str) -> dict[str, Any]:
    """Raises `Unstartable` if there is no such projection."""
    from adapters.files.home import Home
    from adapters.views import rebuild as rebuilding
    from adapters.views.postgres import PostgresViews
    from domain.ids import LogId
    from domain.log.merkle import Head
    from projections import catalog, plugins

    home = Home.open(path)
    projections = {each.name: each for each in (*catalog.ALL, *plugins.load(catalog.ALL))}
    if name not in projections:
        raise Unstartable(f"there is no projection {name}: {', '.join(sorted(projections))}")

    async def build(url: str) -> dict[str, Any]:
        async with opened(home, url) as log, PostgresViews(url, *projections.values()) as views:
            made = await rebuilding.rebuild(views, projections[name], log, Head(LogId(home.settings().log)))
        return {"projection": name, "position": made.position}

    with database(home) as url:
        return asyncio.run(build(url))
