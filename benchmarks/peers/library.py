"""The library `eventsourcing` on PostgreSQL in its default mode, in process: the same transfer out of a hot account.

Run by the harness in a virtual environment of its own, one process per worker: a plan in, what it saw out, as JSON.
"""

import json
import random
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import IntegrityError

FUNDS, PRICE, DEAR = 10**10, 13, 117_000_000_000
KEYS_MAX = 200
"""Under which the account remembers what was done: far fewer than ours does."""


Order = tuple[str, int, str]
"""A job, its price, and the caller's key."""


class Account(Aggregate):
    """Who pays."""

    @event("Opened")
    def __init__(self, number: int, balance: int) -> None:
        self.balance = balance
        self.done: dict[str, str] = {}

    @staticmethod
    def create_id(number: int) -> UUID:
        return uuid5(NAMESPACE_URL, f"/accounts/{number}")

    @event("Transferred")
    def transfer(self, job: str, amount: int, key: str) -> None:
        self.balance -= amount
        self.done[key] = job
        if len(self.done) > KEYS_MAX:
            self.done.pop(next(iter(self.done)))


class Ledger(Application[UUID]):
    snapshotting_intervals = {Account: 500}

    def open(self, accounts: int) -> None:
        """All of them, a hundred at a time."""
        for first in range(0, accounts, 100):
            self.save(*(Account(number=number, balance=FUNDS) for number in range(first, min(first + 100, accounts))))

    def transfer(self, number: int, orders: list[Order]) -> int:
        """All of one account, in one transaction. Returns how many were refused."""
        while True:
            id = Account.create_id(number)
            it: Account = self.repository.get(id)
            refused = 0
            for job, amount, key in orders:
                if key in it.done:
                    continue
                if amount > it.balance:
                    refused += 1
                    continue
                it.transfer(job=job, amount=amount, key=key)
            try:
                if it.pending_events:
                    self.save(it)
            except IntegrityError:
                # Somebody else was quicker on this account; what is cached, and not copied for us, has our events that are in no log.
                if self.repository.cache:
                    self.repository.cache.get(id, evict=True)
                continue
            return refused


def environment(plan: dict[str, Any]) -> dict[str, str]:
    cache = {"AGGREGATE_CACHE_MAXSIZE": "2000", "DEEPCOPY_FROM_AGGREGATE_CACHE": "n"} if plan["cache"] else {}
    if plan["cache"] and plan["alone"]:
        cache["AGGREGATE_CACHE_FASTFORWARD"] = "n"
    # Tables are made once, before: processes that make them at the same time stumble over each other.
    tables = {"CREATE_TABLE": "y" if plan["prepare"] else "n"}
    return {"PERSISTENCE_MODULE": "eventsourcing.postgres", **plan["environment"], **cache, **tables}


def load(app: Ledger, plan: dict[str, Any]) -> dict[str, Any]:
    """One worker's transfers: 10 % refused, 5 % asked for again; a share of the requests brings several at once."""
    draw, numbers, done = random.Random(plan["seed"]), count(), list[tuple[int, Order]]()
    opens = time.monotonic() + plan["warm_up_s"]
    closes, latencies_us, commands = opens + plan["seconds"], list[int](), 0

    def order(number: int) -> tuple[int, Order]:
        """Of this account, or of the one that it was of when it is asked for again."""
        drawn = draw.random()
        if done and drawn < plan["again"]:
            return draw.choice(done[-50:])
        if drawn < plan["again"] + plan["refused"]:
            return number, ("job-0", DEAR, f"{plan['seed']}-{next(numbers)}")
        return number, (f"job-{next(numbers)}", PRICE, f"{plan['seed']}-{next(numbers)}")

    while (began := time.monotonic()) < closes:
        number, several = draw.randrange(plan["accounts"]), draw.random() < plan["together"]
        orders = [order(number) for _ in range(plan["batch"] if several else 1)]
        number = number if several else orders[0][0]
        mine = [each for of, each in orders if of == number]
        app.transfer(number, mine)
        done += [(number, each) for each in mine if each[1] == PRICE]
        if began >= opens:
            latencies_us.append(int((time.monotonic() - began) * 1e6))
            commands += len(mine)
    return {"latencies_us": latencies_us, "commands": commands, "keys": [key for _, (_, _, key) in done]}


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    app = Ledger(env=environment(plan))
    if plan["prepare"]:
        app.open(plan["accounts"])
        Path(plan["output"]).write_text("{}")
        return
    Path(plan["output"]).write_text(json.dumps(load(app, plan)))


if __name__ == "__main__":
    main()
