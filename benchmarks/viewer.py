"""All views of a ledger, kept at its end by the product's loop, as a process: `python -m benchmarks.viewer URI LOG`."""

import asyncio
import gc
import sys

import gridledger
from adapters.log.postgres import PostgresLog
from adapters.views.postgres import PostgresViews
from domain.ids import LogId
from domain.log.merkle import Head
from projections import catalog, runner


async def main(uri: str, log: LogId) -> None:
    async with PostgresLog(uri) as blocks, PostgresViews(uri, *catalog.ALL) as views:
        await runner.run(catalog.ALL, blocks, views, Head(log))


if __name__ == "__main__":
    gc.set_threshold(*gridledger.COLLECT)  # as the program does
    asyncio.run(main(sys.argv[1], LogId(sys.argv[2])))
