"""The places that a log may be in, by their names, and what brings it from one to another.

postgresql://…                      a database
kafka://HOST:PORT[,HOST:PORT][/TOPIC]   a cluster; the topic follows from the ledger's log if none is named
file:FOLDER                         segment files, as in a bundle
s3://BUCKET/PATH and the like       an object store; objects:FOLDER is one in a folder
DIRECTORY                           of a server: where its settings say
"""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roles.ledger import Unstartable, database, opened

if TYPE_CHECKING:
    from adapters.copies.bucket import BucketLog
    from adapters.kafka.log import KafkaLog
    from domain.ids import LogId
    from domain.log.log import Log
    from domain.log.merkle import Head

POSTGRESQL, KAFKA_URL = ("postgresql:", "postgres:"), "kafka://"
CONNINFO = re.compile(r"[a-z_]+=\S")
"""How libpq also writes where a database is."""
NOBODY = "0" * 32
Tell = Callable[[str], None]


@asynccontextmanager
async def place(
    name: str, of: "LogId | None" = None, *, make: bool = False, properties: dict[str, str] | None = None
) -> "AsyncIterator[Log]":
    """The log in a place; with `make` one that is yet to be filled, of the ledger `of`. Raises `Unstartable`, `Unreachable`."""
    scheme = name.partition(":")[0] + ":"
    if name.startswith(KAFKA_URL):
        async with in_kafka(name, of, make=make, properties=properties or {}) as log:
            yield log
    elif is_database(name):
        from adapters import migrate
        from adapters.log.postgres import PostgresLog

        if make:
            await asyncio.to_thread(migrate.apply, name)
        async with PostgresLog(name) as it:
            yield it
    elif scheme == "file:":
        from adapters.copies.segments import SegmentsLog, segments

        folder = Path(name.removeprefix(scheme).removeprefix("//"))
        if not (make or segments(folder)):
            raise Unstartable(f"{folder} holds no segments of a log")
        async with SegmentsLog(folder) as copy:
            yield copy
    elif ":" in name:
        async with in_store(name, make=make) as bucket:
            yield bucket
    else:
        from adapters.files.home import Home

        home = Home.open(Path(name))
        with database(home) as url:
            async with opened(home, url) as its:
                yield its


def is_database(name: str) -> bool:
    return name.startswith(POSTGRESQL) or CONNINFO.match(name) is not None


@asynccontextmanager
async def in_kafka(name: str, of: "LogId | None", *, make: bool, properties: dict[str, str]) -> "AsyncIterator[KafkaLog]":
    from adapters.kafka.log import KafkaLog, topic_of
    from adapters.kafka.topic import KafkaTopic, ledgers
    from domain.ids import LogId

    servers, _, topic = name.removeprefix(KAFKA_URL).partition("/")
    if not (topic or of):
        if len(found := await asyncio.to_thread(ledgers, servers, properties)) != 1:
            raise Unstartable(f"{len(found)} topics of {servers} are named as those of ledgers: {KAFKA_URL}{servers}/TOPIC")
        (topic,) = found
    it = KafkaTopic(servers, topic or topic_of(of or LogId(NOBODY)), properties)
    if not await it.exists():
        if not make:
            raise Unstartable(f"there is no topic {it.name} in {servers}")
        await it.create()
    if make:
        await it.check()
    async with KafkaLog(servers, it, LogId(NOBODY), properties=properties) as any_log:
        id = await any_log.holds() or of
    if id is None:
        raise Unstartable(f"the topic {it.name} of {servers} holds no ledger")
    async with KafkaLog(servers, it, id, properties=properties) as log:
        yield log


def in_store(name: str, *, make: bool) -> "BucketLog":
    """Raises `Unstartable` for what is no place."""
    from adapters.copies.bucket import BucketLog

    try:
        return BucketLog.at(name, make=make)
    except ValueError as fault:
        raise Unstartable(f"{name} is no place of a log: {fault}") from None


def head_of(name: str, properties: Path | None) -> dict[str, Any]:
    """Where a log ends, as far as headers tell."""
    from adapters.copies import copy as copies

    async def look() -> dict[str, Any]:
        async with place(name, properties=read_properties(properties)) as log:
            mark = await copies.mark(log)
        return {"log": mark.log, "size": mark.size, "root": mark.root, "sealed": mark.sealed}

    return asyncio.run(look())


def check_log(name: str, properties: Path | None) -> dict[str, Any]:
    """All that the accept rule says of a log. `fault` is empty if it is whole."""
    from adapters.copies import copy as copies
    from domain.log.block import Broken, Diverged

    async def look() -> dict[str, Any]:
        async with place(name, properties=read_properties(properties)) as log:
            found, fault = copies.Examined(await copies.beginning(log)), ""
            try:
                await copies.fold(log, found)
            except (Broken, Diverged) as damage:
                fault = f"{type(damage).__name__.lower()}: {damage}"
        head, void = found.head, {why: found.void[why] for why in ("stale", "alien")}
        facts = {"log": head.log, "size": head.size, "root": head.root, "blocks": found.blocks, "void": void}
        return {**facts, "home": found.home, "sealed": head.sealed, "goes_on_at": found.heir, "fault": fault}

    return asyncio.run(look())


def copy_log(source: str, target: str, *, follow: bool, properties: Path | None, tell: Tell = lambda _: None) -> dict[str, Any]:
    """What the target lacks, byte for byte; with `follow` for ever, until SIGINT or SIGTERM."""
    from adapters import logs
    from adapters.copies import copy as copies

    if follow:
        logs.set_up()

    async def run() -> dict[str, Any]:
        options = read_properties(properties)
        async with place(source, properties=options) as old:
            start = await copies.beginning(old)
            async with place(target, start.log, make=True, properties=options) as new:
                if not follow:
                    before, after = await copies.copy(old, new)
                    return copied(before, after)
                stop, first = asyncio.Event(), list["Head"]()
                for each in (signal.SIGINT, signal.SIGTERM):
                    asyncio.get_running_loop().add_signal_handler(each, stop.set)

                def heard(head: "Head") -> None:
                    if not first:
                        first.append(head)
                    tell(f"{head.size} events, root {head.root}" + (", sealed: the ledger goes on elsewhere" if head.sealed else ""))

                after = await copies.follow(old, new, stop, heard)
                return copied(first[0], after)

    return asyncio.run(run())


def copied(before: "Head", after: "Head") -> dict[str, Any]:
    return {"log": after.log, "from_size": before.size, "size": after.size, "root": after.root, "sealed": after.sealed}


def read_properties(file: Path | None) -> dict[str, str]:
    from adapters.files.home import properties_of

    return properties_of(file) if file else {}
