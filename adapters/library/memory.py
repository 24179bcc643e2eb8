"""`PERSISTENCE_MODULE=gridledger.adapters.library.memory`: a ledger that lives as long as its factory. For tests and trials."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.library import factory
from adapters.library.ledger import Open, Opened
from domain.ids import LogId
from domain.log.log import MemoryLog
from domain.log.merkle import Head


class MemoryFactory(factory.LedgerFactory):
    def place(self) -> Open:
        return opened


@asynccontextmanager
async def opened() -> AsyncIterator[Opened]:
    yield Opened(MemoryLog(), Head(LogId(secrets.token_hex(16))))
