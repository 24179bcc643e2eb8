"""Celery on Redis: no-ops that are enqueued first, then drained by a worker of two processes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from celery import Celery  # type: ignore[import-not-found]
from redis import Redis  # type: ignore[import-not-found]

URL = os.environ.get("BENCH_REDIS", "")
app = Celery("celery_load", broker=URL or "memory://")
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=64)
DONE = "done"
READY_S_MAX, DRAIN_S_MAX = 30.0, 300.0


@app.task(name="nothing")  # type: ignore[untyped-decorator,unused-ignore]
def nothing() -> None:
    """What is measured: the queue."""


def connected(url: str) -> Redis:
    """When it listens."""
    client = Redis.from_url(url)
    for _ in range(200):
        try:
            client.ping()
        except Exception:
            time.sleep(0.05)
        else:
            return client
    raise TimeoutError(url)


def left(client: Redis) -> int:
    """In the queue, and taken but not acknowledged."""
    return int(client.llen("celery")) + int(client.hlen("unacked"))


def drain(client: Redis, python: str, tasks: int) -> float:
    """Seconds from the first that a worker took to the last that it acknowledged."""
    command = [python, "-m", "celery", "-A", "celery_load", "worker", "-c", "2", "-l", "error", "--without-gossip", "--without-mingle"]
    worker = subprocess.Popen(command, cwd=Path(__file__).parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + READY_S_MAX
        while int(client.llen("celery")) == tasks and time.monotonic() < end:
            time.sleep(0.001)
        began, end = time.monotonic(), time.monotonic() + DRAIN_S_MAX
        while left(client) and time.monotonic() < end:
            time.sleep(0.005)
        if left(client):
            raise TimeoutError("Celery did not drain its queue")
        return time.monotonic() - began
    finally:
        worker.terminate()
        worker.wait(20)


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    client = connected(plan["url"])
    if plan["url"] != URL:  # the application is made from the environment, in this process and in its worker's
        os.environ["BENCH_REDIS"] = plan["url"]
        app.conf.broker_url = plan["url"]
    for _ in range(plan["tasks"]):
        nothing.delay()
    seconds = drain(client, plan["python"], plan["tasks"])
    Path(plan["output"]).write_text(json.dumps({"done": plan["tasks"], "seconds": seconds}))


if __name__ == "__main__":
    main()
