"""The relay: the log's events, on their way to integrators."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roles.ledger import DATABASE, KAFKA, Unstartable, database, opened

if TYPE_CHECKING:
    from adapters.files.home import Home

SCHEME = "kafka://"


def relay(path: Path, to: str, partitions: int | None, properties: Path | None, *, once: bool) -> dict[str, Any]:
    """Pass on events to Kafka: up to the log's end, or until SIGINT or SIGTERM. Raises `Unstartable`, and what the relay raises."""
    from adapters import logs
    from adapters.files.home import Home

    logs.set_up()
    home = Home.open(path)
    settings = home.settings()
    if not settings.log:
        raise Unstartable(f"{path} holds no ledger yet: gridledger init {path}")
    if not (servers := to.removeprefix(SCHEME) or os.environ.get(KAFKA) or settings.kafka):
        raise Unstartable("where to? --to needs the bootstrap servers of a Kafka cluster")
    if not once and not (os.environ.get(DATABASE) or settings.database_url or home.database()):
        raise Unstartable(f"the database of {path} does not run, and ends with whoever starts it: first gridledger serve {path}")
    with database(home) as url:
        return asyncio.run(_relay(home, url, servers, home.kafka_properties(properties), partitions, once=once))


async def _relay(home: "Home", url: str, servers: str, properties: dict[str, str], partitions: int | None, *, once: bool) -> dict[str, Any]:
    from adapters.kafka.relay import Relay
    from adapters.log.snapshots import Snapshots
    from domain.ids import LogId

    id, loop = LogId(home.settings().log), asyncio.get_running_loop()
    passed = Snapshots(home.snapshots, id).newest().passed
    async with opened(home, url) as log:
        it = Relay(log, id, servers, properties=properties, passed=passed)
        work = asyncio.create_task(it.run(partitions=partitions, follow=not once))
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, work.cancel)
        with suppress(asyncio.CancelledError):
            await work
    return {"topic": it.topic.name, "position": it.position}
