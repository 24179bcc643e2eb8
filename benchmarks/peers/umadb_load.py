"""Clients of UmaDB: each appends one event at a time under a condition, that nothing was done under its key."""

import json
import random
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from umadb import (  # type: ignore[import-not-found]
    AppendCondition,
    Client,
    Event,
    IntegrityError,
    Query,
    QueryItem,
)

BODY = json.dumps({"type": "job.opened.v1", "job": "job-10026", "creator": "account-13", "asset": "usdc", "hold": "13", "entry": "x" * 250})


def connected(url: str) -> Client:
    """The server may need a moment to listen."""
    for _ in range(200):
        try:
            client = Client(url)
            client.head()
        except Exception:
            time.sleep(0.05)
        else:
            return client
    raise TimeoutError(url)


def ask(client: Client, plan: dict[str, Any], key: str) -> None:
    events = [Event("job.opened.v1", BODY.encode(), [f"key:{key}", "account-13"]) for _ in range(plan["events"])]
    try:
        client.append(events, AppendCondition(Query([QueryItem(tags=[f"key:{key}"])])))
    except IntegrityError:
        return  # it was done before


def live(plan: dict[str, Any], number: int) -> int:
    """One client's appends within the window. Whatever it raises ends the process: a client less is no round."""
    client, draw, done = connected(f"http://127.0.0.1:{plan['port']}"), random.Random(number), 0
    opens, keys = time.monotonic() + plan["warm_up_s"], [str(uuid.uuid4())]
    closes = opens + plan["seconds"]
    while time.monotonic() < closes:
        key = draw.choice(keys) if draw.random() < plan["again"] else str(uuid.uuid4())
        ask(client, plan, key)
        keys = [*keys[-20:], key]
        done += opens <= time.monotonic() < closes
    return done


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    with ThreadPoolExecutor(plan["clients"]) as threads:
        done = [*threads.map(partial(live, plan), range(plan["clients"]))]
    Path(plan["output"]).write_text(json.dumps({"done": sum(done)}))


if __name__ == "__main__":
    main()
