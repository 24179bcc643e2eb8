"""The same rows, read by key as FastAPI's and psycopg's own documentation does: a pool, a query, a Pydantic model.

A plan in on standard input; serves until its standard input ends.
"""

import json
import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel, create_model

TYPES = {"text": str, "bigint": int, "numeric": int, "boolean": bool, "jsonb": Any}


def served(plan: dict[str, Any]) -> FastAPI:
    fields: dict[str, Any] = {name: (TYPES[kind] | None if kind != "jsonb" else Any, None) for name, kind in plan["columns"]}
    model: type[BaseModel] = create_model("Job", **fields)
    pool = AsyncConnectionPool(plan["uri"], min_size=1, max_size=8, open=False, kwargs={"row_factory": dict_row})

    @asynccontextmanager
    async def opened(_: FastAPI) -> AsyncIterator[None]:
        async with pool:
            yield

    app = FastAPI(lifespan=opened)
    query = f"SELECT * FROM {plan['table']} WHERE job = %s"

    @app.get("/jobs/{id}", response_model=model)
    async def job(id: str) -> Any:
        async with pool.connection() as db:
            row = await (await db.execute(query, (id,))).fetchone()
        if row is None:
            raise HTTPException(404)
        return model.model_validate(row)

    return app


def main() -> None:
    plan = json.loads(sys.stdin.readline())
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    uvicorn.run(served(plan), port=plan["port"], log_level="error", access_log=False)


main()
