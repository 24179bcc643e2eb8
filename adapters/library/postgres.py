"""`PERSISTENCE_MODULE=gridledger.adapters.library.postgres`: a ledger in PostgreSQL, in a schema of the application's own.

`GRIDLEDGER_DATABASE_URL` is the database, of any libpq form."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.library import factory, schema
from adapters.library.ledger import Open, Opened
from adapters.library.origin import start
from adapters.log.postgres import PostgresLog

DATABASE = "GRIDLEDGER_DATABASE_URL"


class PostgresFactory(factory.LedgerFactory):
    def place(self) -> Open:
        uri, name, creates = self.required(DATABASE), f"gridledger_{self.name}", self.creates

        @asynccontextmanager
        async def opened() -> AsyncIterator[Opened]:
            where = schema.within(uri, name)
            if creates:
                schema.make(uri, name)
            async with PostgresLog(where) as log:
                yield Opened(log, await start(log, schema.identity(where)))

        return opened
