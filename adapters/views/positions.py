"""Where the live views stand, for whoever waits for them: one session that listens, however many wait."""

import asyncio
import logging

from psycopg import AsyncConnection, OperationalError

from adapters.log.trouble import Trouble

ALL = b"SELECT name, version, size FROM projection WHERE live"
POLL_S, RETRY_S = 0.25, 0.5
logger = logging.getLogger(__name__)


class Positions:
    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._sizes: dict[tuple[str, int], int] = {}
        self._moved = asyncio.Condition()
        self._listener: asyncio.Task[None] | None = None

    async def close(self) -> None:
        if self._listener:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)

    async def reached(self, view: tuple[str, int], position: int, timeout_s: float) -> bool:
        """Whether the view of that name and version comes to the position within the time."""
        self._listener = self._listener or asyncio.create_task(self._listen())
        try:
            async with asyncio.timeout(timeout_s), self._moved:
                await self._moved.wait_for(lambda: self._sizes.get(view, -1) >= position)
        except TimeoutError:
            return False
        return True

    async def _listen(self) -> None:
        trouble = Trouble(logger, "the views' positions cannot be read")
        while True:
            try:
                async with await AsyncConnection.connect(self._uri, autocommit=True, application_name="gridledger positions") as session:
                    await session.execute("LISTEN projection")
                    while True:
                        rows = await (await session.execute(ALL)).fetchall()
                        trouble.over()
                        async with self._moved:
                            self._sizes = {(name, version): size for name, version, size in rows}
                            self._moved.notify_all()
                        async for _ in session.notifies(timeout=POLL_S, stop_after=1):
                            pass
            except OperationalError as silence:
                trouble.met(type(silence).__name__)
            await asyncio.sleep(RETRY_S)
