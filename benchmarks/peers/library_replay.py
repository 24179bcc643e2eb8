"""The library `eventsourcing`: its notifications replayed to balances, and its ProjectionRunner into a view in PostgreSQL."""

import json
import sys
import time
from pathlib import Path
from typing import Any

from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.sql import SQL

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks.peers.library import Account, Ledger

ACCOUNTS, PAGE = 100, 1_000
PATIENCE_S = 120.0
TABLES = (
    "CREATE TABLE IF NOT EXISTS balance (account text PRIMARY KEY, amount bigint)",
    "CREATE TABLE IF NOT EXISTS line (account text, number bigint, job text, amount bigint, PRIMARY KEY (account, number))",
)
OPENED, TRANSFERRED = (getattr(Account, name) for name in ("Opened", "Transferred"))
"""Classes that the library makes from the methods of an aggregate."""


class View(PostgresTrackingRecorder):
    """Balances, and a statement line for each transfer."""

    lines = True

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.sql_create_statements += [SQL(statement).format() for statement in TABLES]

    def post(self, account: str, job: str, amount: int, tracking: Tracking) -> None:
        upsert = "INSERT INTO balance VALUES (%s, %s) ON CONFLICT (account) DO UPDATE SET amount = balance.amount + excluded.amount"
        with self.datastore.transaction(commit=True) as session:
            self._insert_tracking(session, tracking)
            session.execute(upsert, (account, amount))
            if self.lines:
                session.execute("INSERT INTO line VALUES (%s, %s, %s, %s)", (account, tracking.notification_id, job, amount))


class Balances(Projection[View]):
    name = "balances"

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        if isinstance(domain_event, TRANSFERRED):
            self.view.post(str(domain_event.originator_id), domain_event.job, -domain_event.amount, tracking)
        else:
            self.view.insert_tracking(tracking)


def fill(app: Ledger, events: int) -> dict[str, Any]:
    """So many transfers, a hundred of one account at a time."""
    accounts, done = [Account(number=number, balance=10**12) for number in range(ACCOUNTS)], 0
    while done < events:
        it = accounts[done // 100 % ACCOUNTS]
        for number in range(100):
            it.transfer(job=f"job-{done + number}", amount=13, key=f"{done + number}")
        app.save(it)
        done += 100
    return {"events": done}


def replay(app: Ledger) -> dict[str, Any]:
    """Every event of the application, decoded, to balances in memory."""
    balances, seen, began = dict[str, int](), 0, time.perf_counter()
    while found := app.recorder.select_notifications(start=seen + 1, limit=PAGE):
        for notification in found:
            event: Any = app.mapper.to_domain_event(notification)
            name = str(event.originator_id)
            if isinstance(event, OPENED):
                balances[name] = event.balance
            else:
                balances[name] -= event.amount
        seen = found[-1].id
    return {"events": seen, "seconds": time.perf_counter() - began}


def project(app: Ledger, env: dict[str, str], lines: bool) -> dict[str, Any]:
    """From an empty view to the last event."""
    View.lines = lines
    factory: Any = app.factory
    with factory.datastore.transaction(commit=True) as session:
        session.execute("DROP TABLE IF EXISTS balances_tracking, balance, line")
    last, began = app.recorder.max_notification_id(), time.perf_counter()
    with ProjectionRunner(application_class=Ledger, projection_class=Balances, view_class=View, env=env) as runner:
        runner.wait(last, timeout=PATIENCE_S)
    return {"events": last, "seconds": time.perf_counter() - began}


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    env = {"PERSISTENCE_MODULE": "eventsourcing.postgres", **plan["environment"]}
    app = Ledger(env=env)
    match plan["what"]:
        case "fill":
            told = fill(app, plan["events"])
        case "replay":
            told = replay(app)
        case _:
            told = project(app, env, plan["lines"])
    Path(plan["output"]).write_text(json.dumps(told))


if __name__ == "__main__":
    main()
