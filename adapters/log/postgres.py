"""The log in PostgreSQL: one row per block, and the accept rule as constraints (migrations/0001_log.sql).

Blocks are announced by NOTIFY, so that who follows sees them within milliseconds; a poll finds what an announcement missed. Who follows
in the process that appends is handed its blocks as soon as the database has them, and asks the database for what comes from elsewhere.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import Self

from psycopg import AsyncConnection, Error, OperationalError
from psycopg.errors import CheckViolation, ForeignKeyViolation, UniqueViolation

from adapters.log.trouble import Trouble
from domain.log.block import Sealed
from domain.log.log import Lost, OutcomeUnknown, Records, Unreachable

APPEND = "WITH taken AS (INSERT INTO block VALUES (%s, %s, %s, %s, %b) RETURNING 1) SELECT pg_notify('block', '') FROM taken"
READ = "SELECT next_size, record FROM block WHERE next_size > %s AND size >= 0 ORDER BY size LIMIT 50"
CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
SIZE = "SELECT coalesce(max(next_size), 0) FROM block"
LISTEN, UNLISTEN = "LISTEN block", "UNLISTEN block"
HOME = "SELECT system_identifier::text FROM pg_control_system()"

APPEND_S_MAX, CONNECT_S_MAX = 10.0, 5
POLL_S, RETRY_S = 0.25, 0.5
OWN_S, OWN_MAX = 1.0, 16
"""For so long after a block of its own a process expects the next one to be its own, too; so many are kept for its readers."""

Session = AsyncConnection[tuple[object, ...]]
Row = tuple[int, bytes]
logger = logging.getLogger(__name__)


class PostgresLog:
    """One session for appending, which `close` ends, and one for each reader, which ends with it. Connects when first used."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._writer: Session | None = None
        self._own = Own()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        if writer := self._writer:
            self._writer = None
            await writer.close()

    async def append(self, block: Sealed) -> None:
        try:
            writer = self._writer = self._writer or await self._connect()
        except OperationalError as silence:
            raise Lost("not sent: no connection") from silence
        before, after = block.before, block.after
        try:
            async with asyncio.timeout(APPEND_S_MAX):
                await writer.execute(APPEND, (before.size, before.root, after.size, after.root, block.record))
        except (UniqueViolation, ForeignKeyViolation, CheckViolation) as refusal:
            raise Lost(str(refusal.diag.constraint_name)) from refusal
        except (Error, TimeoutError) as silence:
            await self.close()
            raise OutcomeUnknown from silence
        except asyncio.CancelledError:
            await self.close()
            raise
        self._own.take(block)

    async def read(self, after: int = 0, *, follow: bool = False) -> Records:
        trouble = Trouble(logger, "the log cannot be read")
        while True:
            try:
                async with await self._connect() as session, aclosing(batches(session, after, follow, self._own)) as found:
                    async for rows in found:
                        trouble.over()
                        for size, record in rows:
                            after = size
                            yield record
                return
            except OperationalError as silence:
                if not follow:
                    raise Unreachable(f"PostgreSQL: {silence}") from silence
                trouble.met(type(silence).__name__)
            await asyncio.sleep(RETRY_S)

    async def size(self) -> int:
        """The position at which the log ends now. Raises `Unreachable`."""
        return int(await ask(self._uri, SIZE))

    async def home(self) -> str:
        """What a ledger is bound to: the identifier of this PostgreSQL cluster. Raises `Unreachable`."""
        return f"postgresql:{await ask(self._uri, HOME)}"

    async def _connect(self) -> Session:
        session = await AsyncConnection.connect(
            self._uri, autocommit=True, connect_timeout=CONNECT_S_MAX, application_name="gridledger log"
        )
        try:
            await session.execute("SET synchronous_commit = on")
        except BaseException:  # also of who is cancelled meanwhile
            await session.close()
            raise
        return session


class Own:
    """The newest blocks that this process appended, for those who follow the log in it."""

    def __init__(self) -> None:
        self._blocks: deque[Sealed] = deque(maxlen=OWN_MAX)
        self._until_s = 0.0
        self._grown: asyncio.Future[None] | None = None

    def take(self, block: Sealed) -> None:
        self._blocks.append(block)
        self._until_s = time.monotonic() + OWN_S
        if self._grown and not self._grown.done():
            self._grown.set_result(None)

    @property
    def fresh(self) -> bool:
        return time.monotonic() < self._until_s

    def after(self, size: int) -> list[Row]:
        """What comes after this position without a gap; nothing, if that is not known here."""
        found = list[Row]()
        for block in self._blocks:
            if block.before.size == size:
                size = block.after.size
                found.append((size, block.record))
        return found

    async def more(self, timeout_s: float) -> bool:
        """Returns when there is another one, or after that time: whether there is."""
        if self._grown is None or self._grown.done():
            self._grown = asyncio.get_running_loop().create_future()
        return bool((await asyncio.wait({self._grown}, timeout=timeout_s))[0])


async def batches(session: Session, after: int, follow: bool, own: Own) -> AsyncGenerator[list[Row], None]:
    """Blocks after a position, some at a time."""
    listens, asks = False, True
    while True:
        rows = own.after(after) if follow else []
        if not rows and asks:
            rows = await (await session.execute(READ, (after,), binary=True)).fetchall()  # type: ignore[assignment]
            asks = bool(rows)
        if rows:
            after = rows[-1][0]
            yield rows
        elif not follow:
            return
        elif listens == own.fresh:
            listens, asks = not listens, True
            await session.execute(LISTEN if listens else UNLISTEN)
        elif listens:
            async for _ in session.notifies(timeout=POLL_S, stop_after=1):
                pass
            asks = True
        else:
            asks = not await own.more(POLL_S)


async def clock_us(uri: str) -> int:
    """The database's clock. Raises `Unreachable`."""
    return int(await ask(uri, CLOCK))


async def ask(uri: str, query: str) -> str:
    """One value. Raises `Unreachable`."""
    try:
        async with await AsyncConnection.connect(uri, autocommit=True, connect_timeout=CONNECT_S_MAX) as session:
            row = await (await session.execute(query.encode())).fetchone()
    except OperationalError as silence:
        raise Unreachable(f"PostgreSQL: {silence}") from silence
    assert row is not None
    return str(row[0])
