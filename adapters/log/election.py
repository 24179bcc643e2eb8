"""Whose turn it is to lead, by a row in PostgreSQL (migrations/0003_lease.sql): the lease of adapters/succession.py, and where its holder
is reached. What else one process does at a time has a row of its own (migrations/0005_turns.sql).

Time is the database's, so that nobody's clock counts; how long one's own lease lasts is counted from before it was asked for. While the
database is away nobody can take the lease from its holder, who goes on as long as the log takes his blocks.
"""

import asyncio
import logging
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from psycopg import AsyncConnection, Error

from adapters.log.trouble import Trouble
from adapters.succession import RETRY_S
from domain.value import Value

LEASE_S, RENEW_S, POLL_S = 6.0, 2.0, 0.5
ANSWER_S_MAX = 2.0
LEAD = "lead"
TAKE = b"""
    WITH taken AS (
        INSERT INTO lease (duty, name, place, address, until)
        VALUES (%(duty)s, %(name)s, %(place)s, %(address)s, clock_timestamp() + make_interval(secs => %(lease_s)s))
        ON CONFLICT (duty) DO UPDATE SET name = excluded.name, place = excluded.place, address = excluded.address, until = excluded.until
        WHERE lease.name = excluded.name OR lease.place = excluded.place OR lease.until < clock_timestamp()
        RETURNING name, address
    )
    SELECT name, address FROM taken
    UNION ALL SELECT name, address FROM lease WHERE duty = %(duty)s AND NOT EXISTS (SELECT 1 FROM taken)"""
GIVE = b"DELETE FROM lease WHERE duty = %(duty)s AND name = %(name)s"
WHO = b"SELECT name, address FROM lease WHERE duty = %(duty)s AND until >= clock_timestamp()"
LISTEN = b"LISTEN lease"

Session = AsyncConnection[tuple[str, str]]
logger = logging.getLogger(__name__)


class Holder(Value):
    """Who has the lease, as far as this process has heard."""

    name: str
    address: str


class Election:
    """One process's candidacy. To be entered: then it stands in line, or renews what it has, until the end."""

    def __init__(self, uri: str, name: str, place: str, address: str, *, duty: str = LEAD) -> None:
        """`name` is of this process and no other; `place` is of one process at a time, so that whoever had it before is gone; `address` is
        where others reach its API. `duty` is a word of ours for what one process does at a time."""
        self._uri, self.me = uri, Holder(name, address)
        self._facts = {"duty": duty, "name": name, "place": place, "address": address, "lease_s": LEASE_S}
        self.holder: Holder | None = None
        """None: nobody, or not known."""
        self._until_s, self._heard_s = 0.0, float("-inf")
        """Of our lease, by this machine's steady clock."""
        self._wanted, self._lapsed = False, False
        """Whether we want it; and whether it ran out since we had it: somebody may have had it, and gone, in between."""
        self._changed, self._turn = asyncio.Condition(), asyncio.Lock()
        self._standing: asyncio.Task[None] | None = None
        self._session: Session | None = None

    async def __aenter__(self) -> Self:
        self._standing = asyncio.create_task(self._stand())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        if self._standing:
            self._standing.cancel()
            await asyncio.gather(self._standing, return_exceptions=True)
        await self._drop()

    @property
    def held(self) -> bool:
        return self.holder == self.me and not self._lapsed and time.monotonic() < self._until_s

    @property
    def fresh(self) -> bool:
        """What is known of the holder is not older than a lease lasts."""
        return time.monotonic() < self._heard_s + LEASE_S

    @property
    def elsewhere(self) -> Holder | None:
        """Who leads, if it is somebody else."""
        return self.holder if self.holder != self.me else None

    async def leader(self, timeout_s: float) -> str:
        """Where another process leads, as soon as that is known; empty if it is not by then."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: self.elsewhere is not None)
        except TimeoutError:
            return ""
        return self.elsewhere.address if self.elsewhere else ""

    async def left(self, address: str) -> None:
        """Returns when nobody else leads there any more."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.elsewhere is None or self.elsewhere.address != address)

    async def acquire(self) -> None:
        self._wanted, self._lapsed = True, False
        with suppress(Error, OSError, TimeoutError):  # else who stands in line asks soon
            async with await self._connect() as session:
                await self._ask(session)
        async with self._changed:
            await self._changed.wait_for(lambda: self.held)

    async def lost(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.elsewhere is not None)

    async def release(self) -> None:
        self._wanted, self._until_s = False, 0.0
        try:
            async with asyncio.timeout(ANSWER_S_MAX), self._turn:
                if self.holder == self.me:
                    self.holder = None
                    async with await self._connect() as session:
                        await session.execute(GIVE, self._facts)
        except (Error, OSError, TimeoutError) as silence:
            logger.warning("the lease could not be given back, and ends by itself: %s", type(silence).__name__)

    async def _stand(self) -> None:
        trouble = Trouble(logger, "the lease cannot be read")
        while True:
            pause_s = RENEW_S if self.holder == self.me else POLL_S
            try:
                await self._step(pause_s)
                trouble.over()
            except (Error, OSError, TimeoutError) as silence:
                trouble.met(type(silence).__name__)
                await self._drop()
                await asyncio.sleep(RETRY_S * 10)

    async def _step(self, pause_s: float) -> None:
        """Ask once, and wait: for the time to ask again, or for somebody who gives the lease back."""
        if self._session is None:
            self._session = await self._connect()
            await self._session.execute(LISTEN)
        await self._ask(self._session)
        async for _ in self._session.notifies(timeout=pause_s, stop_after=1):
            pass

    async def _ask(self, session: Session) -> None:
        """Take or renew the lease if we want it; and note who has it."""
        async with asyncio.timeout(ANSWER_S_MAX), self._turn:
            asked_s = time.monotonic()
            row = await (await session.execute(TAKE if self._wanted else WHO, self._facts)).fetchone()
            self._heard_s = asked_s
            before, self.holder = self.holder, Holder(*row) if row else None
            if self.holder == self.me:
                if before != self.me:
                    logger.warning("the lease is ours: %s", self._facts["duty"])  # who operates several servers wants to know
                elif asked_s >= self._until_s:
                    self._lapsed = True
                self._until_s = asked_s + LEASE_S
        async with self._changed:
            self._changed.notify_all()

    async def _connect(self) -> Session:
        return await AsyncConnection.connect(self._uri, autocommit=True, connect_timeout=2, application_name="gridledger lease")

    async def _drop(self) -> None:
        if session := self._session:
            self._session = None
            await session.close()
