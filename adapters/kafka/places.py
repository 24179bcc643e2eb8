"""Places of a log in Kafka, remembered in PostgreSQL (migrations/0004_kafka.sql). They spare reading from the first record, and nothing
rests on them: while the database is away, none is remembered."""

import asyncio
import logging
from typing import NoReturn

from psycopg import AsyncConnection, Error
from psycopg.rows import class_row

from adapters.kafka.log import KafkaLog, Place

EVERY_S, KEPT = 5.0, 64
KNOWN = "SELECT size, root, sealed, next_offset FROM log_place WHERE home = %s ORDER BY size"
KEEP = "INSERT INTO log_place (home, size, root, sealed, next_offset) VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
FORGET = (
    "DELETE FROM log_place WHERE home = %s AND size <= (SELECT size FROM log_place WHERE home = %s ORDER BY size DESC OFFSET %s LIMIT 1)"
)
logger = logging.getLogger(__name__)


class Places:
    def __init__(self, uri: str) -> None:
        self._uri = uri

    async def of(self, home: str) -> list[Place]:
        """What is remembered of a log that lives there; nothing while the database is away."""
        try:
            async with await AsyncConnection.connect(self._uri, autocommit=True) as session:
                return await (await session.cursor(row_factory=class_row(Place)).execute(KNOWN, (home,))).fetchall()
        except Error:
            return []

    async def keep(self, log: KafkaLog) -> NoReturn:
        """Remembers how far the log was read, now and then; until cancelled."""
        home, kept = await log.home(), log.newest
        while True:
            await asyncio.sleep(EVERY_S)
            if (newest := log.newest) == kept:
                continue
            try:
                async with await AsyncConnection.connect(self._uri, autocommit=True) as session:
                    await session.execute(KEEP, (home, *newest))
                    await session.execute(FORGET, (home, home, KEPT))
                kept = newest
            except Error as silence:
                logger.warning("a place in the log is not remembered: %s", type(silence).__name__)
