"""A server's ledger, moved to another home of its log, or restored from a copy when its home is lost. Its settings change last."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roles.ledger import DATABASE, KAFKA, Unstartable, database, opened
from roles.logs import KAFKA_URL, POSTGRESQL, is_database, place

if TYPE_CHECKING:
    from adapters.copies.moving import Home as LogHome
    from adapters.files.home import Home, Settings
    from domain.log.ledger import Ledger
    from domain.log.merkle import Head, Mark

TURN_S_MAX, LOOK_S = 8.0, 1.0
"""How long a lease may take to run out whose holder is gone, and how long somebody who leads is looked for."""
Tell = Callable[[str], None]


def move_log(path: Path, to: str, tell: Tell = lambda _: None) -> dict[str, Any]:
    """Seal, copy, bind, and new settings. `tell` hears of each step. Raises `Unstartable`, `NotAHome` while somebody serves the ledger."""
    from adapters.copies import moving
    from adapters.files.home import Home

    home = Home.open(path)

    async def run(url: str) -> dict[str, Any]:
        me, target = secrets.token_hex(8), url_of(to, url)
        settings = resettled(home, target, url)
        async with turn(url, me, home):
            if settings == home.settings():
                async with opened(home, url) as log:
                    return await settled(log)
            async with opened(home, url) as old, new_home(home, target) as new:
                seen = await known(home, url)
                sealed, ledger = await moving.move(old, new, me, clock(url), seen, tell)
        home.keep(settings)
        tell("settled")
        return facts(sealed, ledger, moved=True)

    with home.seat(1), database(home) as url:
        return asyncio.run(run(url))


def restore_log(path: Path, source: str, to: str, tell: Tell = lambda _: None) -> dict[str, Any]:
    """Copy, seal, bind, and new settings. Raises `Unstartable` while the old home answers."""
    from adapters.copies import moving
    from adapters.files.home import Home

    home = Home.open(path)

    async def run(url: str) -> dict[str, Any]:
        me, target = secrets.token_hex(8), url_of(to, url)
        settings = resettled(home, target, url)
        await require_nobody(url, home)
        async with place(source, properties=home.kafka_properties()) as copy:
            await require_lost(home, url, target, copy)
            async with new_home(home, target) as new:
                head, ledger = await moving.restore(copy, new, me, clock(url), await known(home, url), tell)
        home.keep(settings)
        tell("settled")
        return facts(head, ledger, moved=True)

    with home.seat(1), database(home) as url:
        return asyncio.run(run(url))


def facts(end: "Head", ledger: "Ledger", *, moved: bool) -> dict[str, Any]:
    """`size` and `root` are of the head that both homes have."""
    now = ledger.head
    return {
        "log": now.log,
        "size": end.size,
        "root": end.root,
        "home": ledger.world.home,
        "bound_size": now.size,
        "bound_root": now.root,
        "moved": moved,
    }


def url_of(to: str, url: str) -> str:
    """`postgresql:` alone is the ledger's own database. Raises `Unstartable` for a place that nobody leads a ledger in."""
    if to in POSTGRESQL:
        return url
    if not (to.startswith(KAFKA_URL) or is_database(to)):
        raise Unstartable(f"a ledger lives in PostgreSQL or Kafka, not in {to}: postgresql://…, kafka://HOST:PORT, or postgresql: alone")
    return to


def resettled(home: "Home", target: str, url: str) -> "Settings":
    """The settings under which the log is there. Raises `Unstartable` where the environment says otherwise."""
    import msgspec

    settings = home.settings()
    if target.startswith(KAFKA_URL):
        servers, _, topic = target.removeprefix(KAFKA_URL).partition("/")
        if os.environ.get(KAFKA, servers) != servers:
            raise Unstartable(f"{KAFKA} names another cluster than {target}: unset it")
        return msgspec.structs.replace(settings, kafka=servers, kafka_topic=topic)
    if target == url:
        return msgspec.structs.replace(settings, kafka="", kafka_topic="")
    if os.environ.get(DATABASE, target) != target:
        raise Unstartable(f"{DATABASE} names another database than {target}: unset it")
    return msgspec.structs.replace(settings, kafka="", kafka_topic="", database_url=target)


@asynccontextmanager
async def new_home(home: "Home", target: str) -> "AsyncIterator[LogHome]":
    from domain.ids import LogId

    async with place(target, LogId(home.settings().log), make=True, properties=home.kafka_properties()) as log:
        yield log  # type: ignore[misc]


async def settled(log: "LogHome") -> dict[str, Any]:
    """Of a ledger that lives there already. Raises `Moved` where it does not."""
    from adapters.copies import copy as copies
    from adapters.succession import catch_up
    from domain.log.ledger import Ledger, Moved

    ledger = Ledger(await copies.beginning(log))
    await catch_up(log, ledger)
    if ledger.head.sealed:
        raise Moved(f"the log was sealed at size {ledger.head.size}, root {ledger.head.root}, to go on at {ledger.world.heir}")
    return facts(ledger.head, ledger, moved=False)


@asynccontextmanager
async def turn(url: str, me: str, home: "Home") -> AsyncIterator[None]:
    """While the turn to lead is ours, so that nobody else does. Raises `Unstartable` if somebody does already."""
    from adapters import migrate
    from adapters.log.election import Election

    await asyncio.to_thread(migrate.apply, url)
    async with Election(url, me, f"{socket.gethostname()}:{home.path.resolve()}/move", "") as election:
        try:
            await asyncio.wait_for(election.acquire(), TURN_S_MAX)
        except TimeoutError:
            raise Unstartable(f"somebody leads this ledger{where(election)}: stop it first") from None
        try:
            yield
        finally:
            await election.release()


def where(election: Any) -> str:
    return f" at {election.elsewhere.address}" if election.elsewhere else ""


async def require_nobody(url: str, home: "Home") -> None:
    """Raises `Unstartable` if somebody leads, as far as the database tells."""
    from adapters.log.election import Election

    async with Election(url, secrets.token_hex(8), str(home.path), "") as election:
        if address := await election.leader(LOOK_S):
            raise Unstartable(f"somebody leads this ledger at {address}: stop it first")


async def require_lost(home: "Home", url: str, target: str, copy: Any) -> None:
    """Raises `Unstartable` if the home that the settings name is the one where the ledger lives, and answers."""
    from adapters.copies import copy as copies
    from adapters.migrate import DatabaseError
    from domain.log.block import Diverged
    from domain.log.log import Unreachable

    found = await copies.examine(copy, await copies.beginning(copy))
    with suppress(Unreachable, Diverged, DatabaseError, OSError):
        async with opened(home, url, safe=False) as old:
            if await old.home() == found.home and await old.size():
                raise Unstartable(f"the old home {found.home} answers: gridledger log move {home.path} --to {target}")


async def known(home: "Home", url: str) -> "Sequence[Mark]":
    """Heads that snapshots and views have seen; of the database only what it says."""
    from adapters import migrate
    from adapters.log.snapshots import Snapshots
    from adapters.server import office
    from adapters.views.postgres import PostgresViews
    from domain.ids import LogId
    from domain.log.log import Unreachable
    from domain.log.merkle import Head
    from projections import catalog

    start = Head(LogId(home.settings().log))
    snapshots = Snapshots(home.snapshots, start.log)
    try:
        await asyncio.to_thread(migrate.apply, url)
        async with PostgresViews(url, *catalog.ALL) as views:
            return await office.known(snapshots, views, (), start)
    except (Unreachable, migrate.DatabaseError):
        return snapshots.marks()


def clock(url: str) -> Callable[[], Awaitable[int]]:
    """The database's; this machine's while it does not answer."""
    from adapters.log.postgres import clock_us
    from adapters.succession import wall_us
    from domain.log.log import Unreachable

    async def now_us() -> int:
        try:
            return await clock_us(url)
        except Unreachable:
            return wall_us()

    return now_us
