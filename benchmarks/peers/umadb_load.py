"""Clients of UmaDB: each appends one event at a time under a condition, that nothing was done under its key."""

import json
import random
import sys
import threading
import time
import uuid
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


def live(plan: dict[str, Any], number: int, counts: list[int]) -> None:
    client, draw = connected(f"http://127.0.0.1:{plan['port']}"), random.Random(number)
    opens, keys = time.monotonic() + plan["warm_up_s"], [str(uuid.uuid4())]
    closes = opens + plan["seconds"]
    while time.monotonic() < closes:
        key = draw.choice(keys) if draw.random() < plan["again"] else str(uuid.uuid4())
        ask(client, plan, key)
        keys = [*keys[-20:], key]
        counts[number] += opens <= time.monotonic() < closes


def main() -> None:
    plan = json.loads(sys.stdin.readline())
    counts = [0] * plan["clients"]
    threads = [threading.Thread(target=live, args=(plan, number, counts)) for number in range(plan["clients"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    Path(plan["output"]).write_text(json.dumps({"done": sum(counts)}))


if __name__ == "__main__":
    main()
