"""Views of a ledger with very much in it: rows of a small life that were multiplied by SQL, ids and positions moved on, kept below
`.tools/bench/data` and used again. What is measured is how pages are read; the log itself stays small."""

import asyncio
from collections.abc import Iterator
from hashlib import sha256

import psycopg

from adapters import migrate
from adapters.views import statements
from adapters.views.postgres import PostgresViews
from api.reads.pages import PAGES as LISTS
from api.reads.pages import SINGLES
from benchmarks import data, site
from domain.accounts import USDC
from domain.log.merkle import Head
from domain.policy import DAY, HOUR
from domain.proof import ruling
from explorer.site import PAGES as SITE
from projections import catalog, runner
from projections.explorer.events import Line
from projections.explorer.jobs import Job
from projections.explorer.market import SLOT_US, Sold
from projections.explorer.workers import Standing
from projections.network.attendance import Session as Stretch
from projections.network.attendance import WorkerDay
from projections.network.history import LENGTHS_US, Flow, Pace, Period
from projections.network.map import Machine
from projections.row import Column, Row, shape
from projections.tally import Tally
from tests.network import CLASS, LOG, Network
from tests.projections.lives import Written

Session = psycopg.Connection[tuple[int | str, ...]]

EVENTS_PER_JOB, EVENTS_PER_WORKER = 10, 1_000
OPEN_JOBS, PRICES, PRICES_A_SLOT, COUNTRIES = 10_000, 200, 50, ("CH", "DE", "FR", "US", "JP", "BR", "IN", "ZA", "")
PERIODS, DAYS_EACH, NEWEST = 200_000, 100, 1_000
"""Of history, of each worker, and of events whose times go on from one copy to the next."""
SOMETHING = {
    "job": "jobs",
    "task": "tasks",
    "worker": "workers",
    "audit": "audits",
    "payout": "payouts",
    "batch": "payouts",
    "account": "accounts",
}
"""Kinds of things, and the projections that have them."""
UNSETTLED = {"/search", "/jobs/{job}/{number}"}
"""Pages below by an address of their own."""
FILTERED = (
    "/jobs?status=open",
    "/jobs/{task}",
    "/workers?presence=online",
    "/map?country=CH",
    "/payouts/{batch}",
    "/audits?result=valid",
    "/events?type=task.leased.v1",
    "/search?q=task.leased",
    "/v1/overview",
    "/v1/market",
    "/v1/map",
    "/v1/search?q={job}",
    "/v1/events",
    "/v1/events?type=task.leased.v1",
    "/v1/streams/{job}",
    "/v1/jobs?status=archived",
    "/v1/tasks?job={job}&status=accepted",
    "/v1/workers?owner={account}",
    "/v1/audits?result=valid",
    "/v1/payouts?account={account}",
    "/v1/journal?event=task.accepted",
    "/v1/balances?owner={account}",
)
NOTHING = ("0", "''")
MANY: dict[str, int] = {
    **dict.fromkeys(("line",), 1),
    **dict.fromkeys(("journal_line", "statement_line"), 4),
    **dict.fromkeys(("job", "task", "attempt"), EVENTS_PER_JOB),
    **dict.fromkeys(("audit", "round", "verdict", "payout", "balance"), 10 * EVENTS_PER_JOB),
    **dict.fromkeys(("batch", "deposit", "beacon", "checkpoint", "worker", "standing", "machine", "account", "party"), EVENTS_PER_WORKER),
}
"""Table -> of how many events there is one row. Others stay as they are."""


def of(server: str, events: int, network: Network) -> str:
    """A database of so many events, made if there is none. Its version is that of its tables."""
    tables = "".join(statements.digest(each) for each in catalog.ALL)
    name = f"pages_{events}_{sha256(tables.encode()).hexdigest()[:8]}"
    done = data.FOLDER / f"{name}.made"
    if not done.exists():
        site.drop(server, name)
        uri = site.database(server, name)
        migrate.apply(uri)
        asyncio.run(folded(uri, network))
        with psycopg.connect(uri, autocommit=True) as db:
            grow(db, events, network)
        done.touch()
    return site.within(server, name)


async def folded(uri: str, network: Network) -> None:
    async with PostgresViews(uri, *catalog.ALL) as views:
        await runner.run(catalog.ALL, Written(network.records), views, Head(LOG), follow=False)


def grow(db: Session, events: int, network: Network) -> None:
    db.execute("SET maintenance_work_mem = '512MB'")
    found = db.execute("SELECT name, name || '_' || generation FROM projection WHERE live").fetchall()
    schemas = {str(name): str(schema) for name, schema in found}
    for projection in catalog.ALL:
        schema = schemas[projection.name]
        for kind in projection.rows:
            if of_each := MANY.get(kind.table):
                multiply(db, schema, kind, events // of_each, len(network.events))
        for kind, text in varied(schema, network.now_us):
            if kind in projection.rows:
                db.execute(text.encode())
        for kind in projection.rows:
            if issubclass(kind, Tally):
                recount(db, schema, kind)
    for text in attended(schemas, network.now_us):
        db.execute(text.encode())
    db.execute("VACUUM ANALYZE")


def multiply(db: Session, schema: str, kind: type[Row], rows: int, stride: int) -> None:
    """So many rows in all: copy after copy of those that are there. Indexes are made anew when all rows are in."""
    its, table = shape(kind), f"{schema}.{kind.table}"
    (there,) = db.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() or (0,)
    if not there:
        return
    its_own = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = %s AND tablename = %s AND indexname NOT LIKE '%%_pkey'"
    indexes = db.execute(its_own, (schema, kind.table)).fetchall()
    for name, _ in indexes:
        db.execute(f'DROP INDEX {schema}."{name}"'.encode())
    db.execute(f"ALTER TABLE {table} SET UNLOGGED".encode())
    db.execute(f"CREATE TEMP TABLE seed AS SELECT {', '.join(map(apart, its.columns))} FROM {table}".encode())
    columns = ", ".join(moved(each, f"n * {stride}") for each in its.columns)
    copies = f"generate_series(1, {rows // int(there) - 1}) n"
    db.execute(f"INSERT INTO {table} SELECT {columns} FROM seed, {copies} ON CONFLICT DO NOTHING".encode())
    db.execute("DROP TABLE seed")
    for _, text in indexes:
        db.execute(str(text).encode())


def apart(column: Column) -> str:
    """A text that may be an id, and what stands before its number, the number, and what stands behind it."""
    name = column.name
    if column.type is not str:
        return f'"{name}"'
    parts = {"before": "^([a-z]+-)[0-9]+", "number": "^[a-z]+-([0-9]+)", "behind": "^[a-z]+-[0-9]+(.*)$"}
    return ", ".join([f'"{name}"', *(f"""substring("{name}" FROM '{pattern}') AS "{name} {part}\"""" for part, pattern in parts.items())])


def moved(column: Column, by: str) -> str:
    name = column.name
    if column.type is str:
        its = f'"{name} before" || ("{name} number"::bigint + {by}) || "{name} behind"'
        return f'CASE WHEN "{name} number" IS NULL THEN "{name}" ELSE {its} END'
    return f'"{name}" + {by}' if name.endswith("position") else f'"{name}"'


def varied(schema: str, now_us: int) -> Iterator[tuple[type[Row], str]]:
    """What copies alone would not have: prices, countries, open jobs, and history."""
    country = f"(string_to_array('{','.join(COUNTRIES)}', ','))[1 + abs(hashtext(worker)) % {len(COUNTRIES)}]"
    yield Machine, f"UPDATE {schema}.machine SET country = {country}"
    price = f"100000000 + abs(hashtext(worker)) % {PRICES} * 500000"
    yield Standing, f"UPDATE {schema}.standing SET price_per_kwu = {price}, bid_expires_us = 0"
    some = f"SELECT job FROM {schema}.job WHERE tasks > 0 LIMIT {OPEN_JOBS}"
    yield Job, f"UPDATE {schema}.job SET status = 'open', ready = tasks, accepted = 0 WHERE job IN ({some})"
    sold = f"'{CLASS}', {now_us // SLOT_US} - slot, 100000000 + price * 500000, 1, 5000, 1, 500000"
    slots = f"generate_series(0, 96) slot, generate_series(1, {PRICES_A_SLOT}) price"
    yield Sold, f"INSERT INTO {schema}.sold SELECT {sold} FROM {slots} ON CONFLICT DO NOTHING"
    last, age = f"(SELECT max(position) FROM {schema}.line)", "(last - position) * 1000"
    said = f"""regexp_replace(line, '"at_us":[0-9]+', '"at_us":' || {now_us} - {age})"""
    yield (
        Line,
        f"UPDATE {schema}.line SET line = {said}, at_us = {now_us} - {age} FROM {last} AS newest (last) WHERE position > last - {NEWEST}",
    )
    for unit, length_us in LENGTHS_US.items():
        start = f"{now_us // length_us} - n"
        for kind in (Pace, Period, Flow):
            keys = {"unit": f"'{unit}'", "asset": f"'{USDC}'", "start": start} if kind is Flow else {"unit": f"'{unit}'", "start": start}
            yield kind, ones(schema, kind, keys, f"generate_series(1, {PERIODS}) n")


def ones(schema: str, kind: type[Row], keys: dict[str, str], origin: str) -> str:
    """Rows with these keys, of which each sum is one."""
    sums = [name for name, rule in shape(kind).rest if rule == "sum"]
    names, values = ", ".join([*keys, *sums]), ", ".join([*keys.values(), *(["1"] * len(sums))])
    return f"INSERT INTO {schema}.{kind.table} ({names}) SELECT {values} FROM {origin} ON CONFLICT DO NOTHING"


def attended(schemas: dict[str, str], now_us: int) -> Iterator[str]:
    """A hundred days and stretches of each worker."""
    origin = f"{schemas['workers']}.worker, generate_series(1, {DAYS_EACH}) n"
    yield ones(schemas["attendance"], WorkerDay, {"worker": "worker", "day": f"{now_us // DAY} - n"}, origin)
    begun = f"{now_us} - n * {3 * HOUR}"
    keys = {"worker": "worker", "online_us": begun, "offline_us": f"{begun} + {HOUR}"}
    yield ones(schemas["attendance"], Stretch, keys, origin)


def recount(db: Session, schema: str, kind: type[Tally]) -> None:
    """The groups of what stands there now."""
    its = shape(kind)
    keys = [f"coalesce({name}, {NOTHING[issubclass(its.of[name].type, str)]})" for name in its.key]
    sums = [f"sum({' * '.join(['1', *(f'coalesce({each}, 0)' for each in factors)])})" for factors in kind.adds.values()]
    into, origin = f"{schema}.{kind.table} ({', '.join([*its.key, *kind.adds])})", f"{schema}.{kind.of.table}"
    db.execute(f"TRUNCATE {schema}.{kind.table}".encode())
    groups = ", ".join(str(n) for n in range(1, len(keys) + 1))
    db.execute(f"INSERT INTO {into} SELECT {', '.join([*keys, *sums])} FROM {origin} GROUP BY {groups}".encode())


def targets(uri: str, network: Network) -> list[str]:
    """An address of every page, and of every list and thing of the API, each of something in the midst of very much."""
    with psycopg.connect(uri) as db:
        found = db.execute("SELECT name, name || '_' || generation FROM projection WHERE live").fetchall()
        schemas = {str(name): str(schema) for name, schema in found}
        (last,) = db.execute(f"SELECT max(position) FROM {schemas['events']}.line".encode()).fetchone() or (0,)
        ids = {name: one(db, f"{schemas[projection]}.{name}", int(last)) for name, projection in SOMETHING.items()}
    posting = next(f"{each.pos}-1" for each in reversed(network.events) if isinstance(each.event, ruling.Accepted))
    pages = [
        each.path.format_map({**ids, "number": "1", "position": "200", "posting": posting}) for each in SITE if each.path not in UNSETTLED
    ]
    lists = [each.path.replace("{id}", ids["worker" if "workers" in each.path else "account"]) for each in LISTS]
    things = [each.path.replace("{id:path}", "{id}").replace("{id}", ids[each.kind.table]) for each in SINGLES]
    filtered = [each.format_map(ids) for each in FILTERED]
    return [*pages, *lists, *things, *filtered]


def one(db: Session, table: str, last: int) -> str:
    """The id of something in the middle, whose events are there, too: `last` is the newest of them."""
    name = table.rpartition(".")[2]
    more = " AND tasks > 0 AND status = 'open'" if name == "job" else " AND job <> ''" if name == "task" else ""
    condition = f"WHERE position <= {last}{more}"
    (id,) = db.execute(f"SELECT {name} FROM {table} {condition} OFFSET 50 LIMIT 1".encode()).fetchone() or ("",)
    return str(id)
