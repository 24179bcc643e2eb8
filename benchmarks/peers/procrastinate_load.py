"""Procrastinate on PostgreSQL: no-ops that are put into its queue first (`fill`), then drained by worker processes (`drain`)."""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from procrastinate import App, PsycopgConnector  # type: ignore[import-not-found]

PART = 500


def app_of(plan: dict[str, Any]) -> App:
    return App(connector=PsycopgConnector(conninfo=plan["uri"], min_size=1, max_size=plan["concurrency"] + 1))


async def fill(plan: dict[str, Any]) -> dict[str, Any]:
    async with (app := app_of(plan)).open_async():
        await app.schema_manager.apply_schema_async()
        later = app.configure_task("nothing")
        for first in range(0, plan["tasks"], PART):
            await later.batch_defer_async(*({} for _ in range(min(PART, plan["tasks"] - first))))
    return {}


async def drain(plan: dict[str, Any]) -> dict[str, Any]:
    """From when this worker is ready until nothing is left in the queue; times are the machine's."""
    app, done = app_of(plan), 0

    @app.task(name="nothing")  # type: ignore[untyped-decorator,unused-ignore]
    async def nothing() -> None:
        nonlocal done
        done += 1

    async with app.open_async():
        began = time.monotonic()
        await app.run_worker_async(concurrency=plan["concurrency"], wait=False, listen_notify=False, install_signal_handlers=False)
        return {"done": done, "began": began, "ended": time.monotonic()}


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    told = asyncio.run((fill if plan["what"] == "fill" else drain)(plan))
    Path(plan["output"]).write_text(json.dumps(told))


if __name__ == "__main__":
    main()
