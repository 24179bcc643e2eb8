"""The same list by Strawberry as its documentation sets it up: types, a resolver over a psycopg pool, its router in FastAPI.

A plan in on standard input; serves until its standard input ends.
"""

import json
import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NewType

import strawberry
import uvicorn
from fastapi import FastAPI
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from strawberry.fastapi import GraphQLRouter
from strawberry.schema.config import StrawberryConfig

PLAN = json.loads(sys.stdin.readline())
POOL = AsyncConnectionPool(PLAN["uri"], min_size=1, max_size=8, open=False, kwargs={"row_factory": dict_row})
NAMES = "job, status, creator, asset, total, tasks, accepted, spent, submitted_us"
QUERY = f"SELECT {NAMES} FROM {PLAN['table']} ORDER BY id_order(job) DESC LIMIT %s"
Amount = NewType("Amount", int)
AMOUNT = strawberry.scalar(name="Amount", serialize=str)


@strawberry.type
class Job:
    job: str
    status: str | None
    creator: str | None
    asset: str | None
    total: Amount | None
    tasks: int
    accepted: int
    spent: Amount
    submitted_us: str | None


@strawberry.type
class Jobs:
    nodes: list[Job]


@strawberry.type
class Query:
    @strawberry.field
    async def jobs(self, first: int) -> Jobs:
        async with POOL.connection() as db:
            rows = await (await db.execute(QUERY, (first,))).fetchall()
        return Jobs(nodes=[Job(**dict(row)) for row in rows])


@asynccontextmanager
async def opened(_: FastAPI) -> AsyncIterator[None]:
    async with POOL:
        yield


def main() -> None:
    app = FastAPI(lifespan=opened)
    app.include_router(GraphQLRouter(strawberry.Schema(Query, config=StrawberryConfig(scalar_map={Amount: AMOUNT}))), prefix="/graphql")
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    uvicorn.run(app, port=PLAN["port"], log_level="error", access_log=False)


main()
