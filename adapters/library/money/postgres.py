"""`PERSISTENCE_MODULE=gridledger.adapters.library.money.postgres`: the money ledger whose log is in `GRIDLEDGER_DATABASE_URL`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.library.ledger import Open, Opened
from adapters.library.money import reader
from adapters.log.postgres import PostgresLog

DATABASE = "GRIDLEDGER_DATABASE_URL"


class MoneyInPostgresFactory(reader.MoneyFactory):
    def place(self) -> Open:
        uri = self.required(DATABASE)

        @asynccontextmanager
        async def opened() -> AsyncIterator[Opened]:
            async with PostgresLog(uri) as log:
                yield Opened(log, await reader.start(log))

        return opened
