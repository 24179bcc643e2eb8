"""The restore drill, as docs/moving.md shows it: lose PostgreSQL, lose Kafka, and go on."""

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import psycopg
import pytest

from adapters.copies import copy as copies
from adapters.kafka import brokers
from adapters.views.postgres import PostgresViews
from domain.ids import LogId
from domain.log.block import read_header
from domain.log.merkle import Head
from projections import catalog
from roles.logs import place as opened
from tests.faults.site import behind_of, rebuilt
from tests.fix_kafka import TOOLS
from tests.kafka.strangers import Administrator
from tests.projections.lives import everything
from tests.system.test_moves import audited, refusal, said, worked
from tests.system.test_server import GRIDLEDGER, gridledger, serving
from tests.system.test_stops import refused, tampered

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]
COPIED_S_MAX = 60.0


@contextmanager
def followed(source: str, target: str) -> Iterator[None]:
    """While a copy follows; it ends by Ctrl-C, and well."""
    command = [*GRIDLEDGER, "log", "copy", source, target, "--follow", "--json"]
    follower = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield
    finally:
        follower.send_signal(signal.SIGINT)
        printed, _ = follower.communicate(timeout=30)
    assert follower.returncode == 0
    assert json.loads(printed)["size"] > 0


def reached(place: str, size: int) -> None:
    until = time.monotonic() + COPIED_S_MAX
    while time.monotonic() < until:
        done = gridledger("log", "head", place, "--json")
        if done.returncode == 0 and json.loads(done.stdout)["size"] >= size:
            return
        time.sleep(0.2)
    raise AssertionError(f"{place} did not come to {size}")


async def shown(database: str, head: Head) -> dict[str, list[bytes]]:
    """All rows of all views, at this head."""
    async with PostgresViews(database, *catalog.ALL) as views:
        assert await behind_of(views, head) == []
        return await everything(views)


def test_postgresql_is_lost_and_every_projection_is_rebuilt_from_kafka(
    tmp_path: Path, database: str, another: str, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "ledger"
    log = said("init", str(directory), "--policy", "demo", "--database-url", database, "--kafka", kafka)["log"]
    size = worked(directory)
    head = asyncio.run(whole(f"kafka://{kafka}/gridledger.{log}.log"))
    before = asyncio.run(shown(database, head))
    with psycopg.connect(database, autocommit=True) as db:
        db.execute("DROP SCHEMA public CASCADE")
    monkeypatch.setenv("GRIDLEDGER_DATABASE_URL", another)
    with serving(directory):
        reached(f"kafka://{kafka}/gridledger.{log}.log", size + 1)
        elected = asyncio.run(whole(f"kafka://{kafka}/gridledger.{log}.log"))
        after = asyncio.run(shown(another, elected))
    anew = asyncio.run(from_the_first(f"kafka://{kafka}/gridledger.{log}.log"))

    assert (head.size, elected.size) == (size, size + 1)
    assert sum(map(len, before.values())) > 20
    assert after == anew
    assert {table for table in before if before[table] != after[table]} == {"election", "line", "overview", "pace"}, "there was an election"
    assert audited(tmp_path, directory) in {0, 2}


async def whole(place: str) -> Head:
    async with opened(place) as log:
        return (await copies.examine(log, await copies.beginning(log))).head


async def from_the_first(place: str) -> dict[str, list[bytes]]:
    """All rows that the log makes."""
    async with opened(place) as log, aclosing(log.read()) as found:
        records = [record async for record in found]
    start = read_header(records[0])
    assert start
    return await everything(await rebuilt(start.log, records))


@pytest.mark.parametrize("goal", ["kafka", "postgresql"])
def test_kafka_is_lost_and_the_ledger_goes_on_from_the_copy_that_followed(tmp_path: Path, database: str, kafka: str, goal: str) -> None:
    directory, copy = tmp_path / "ledger", f"file:{tmp_path}/copy"
    to = f"kafka://{kafka}" if goal == "kafka" else "postgresql:"
    with brokers.running(tmp_path / "brokers", TOOLS) as cluster:
        said("init", str(directory), "--policy", "demo", "--database-url", database, "--kafka", cluster.bootstrap)
        with followed(str(directory), copy):
            size = worked(directory)
            reached(copy, size)
        answers = refusal("log", "restore", str(directory), "--from", copy, "--to", to)
    stood = said("log", "check", copy)
    restored = said("log", "restore", str(directory), "--from", copy, "--to", to)
    went_on = worked(directory)

    assert "answers: gridledger log move" in answers
    assert (stood["size"], stood["fault"]) == (size, "")
    assert (restored["size"], restored["root"]) == (stood["size"], stood["root"])
    assert restored["home"].startswith(f"{goal}:")
    assert (restored["bound_size"], went_on) == (size + 2, size + 4), "a seal and a bind, an election, and work"
    assert audited(tmp_path, directory) in {0, 2}


def test_a_topic_was_made_anew_with_settings_that_lose_events_and_the_copy_goes_elsewhere(
    tmp_path: Path, database: str, kafka: str
) -> None:
    directory, copy = tmp_path / "ledger", f"file:{tmp_path}/copy"
    log = said("init", str(directory), "--policy", "demo", "--database-url", database, "--kafka", kafka)["log"]
    size, topic = worked(directory), f"gridledger.{log}.log"
    said("log", "copy", str(directory), copy)
    Administrator(kafka).make_anew(topic, {})
    line = refused(directory)
    restored = said("log", "restore", str(directory), "--from", copy, "--to", f"kafka://{kafka}/{topic}.restored")

    assert "If it was made anew: gridledger log restore." in line
    assert (restored["size"], worked(directory)) == (size, size + 4)


def test_a_copy_that_missed_the_end_is_not_restored_under_views_that_have_it(
    tmp_path: Path, database: str, another: str, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, copy = tmp_path / "ledger", f"file:{tmp_path}/copy"
    with brokers.running(tmp_path / "brokers", TOOLS) as cluster:
        log = said("init", str(directory), "--policy", "demo", "--database-url", database, "--kafka", cluster.bootstrap)["log"]
        size = worked(directory)
        said("log", "copy", str(directory), copy)
        assert worked(directory) == size + 2
    line = refusal("log", "restore", str(directory), "--from", copy, "--to", f"kafka://{kafka}", status=4)
    monkeypatch.setenv("GRIDLEDGER_DATABASE_URL", another)
    restored = said("log", "restore", str(directory), "--from", copy, "--to", f"kafka://{kafka}")

    assert f"somebody has read size {size + 2}" in line
    assert (restored["size"], restored["log"]) == (size, LogId(log))
    worked(directory)


def test_a_database_that_was_restored_from_an_old_backup_gets_the_end_of_its_log_from_the_copy(tmp_path: Path, database: str) -> None:
    directory, copy = tmp_path / "ledger", f"objects:{tmp_path}/copy"
    said("init", str(directory), "--policy", "demo", "--database-url", database)
    size = worked(directory)
    said("log", "copy", str(directory), copy)
    last = "(SELECT max(size) FROM block)"
    tampered(database, f"DELETE FROM block WHERE size = {last}", f"DELETE FROM block WHERE size = {last}")
    line = refused(directory)
    mended = said("log", "copy", copy, str(directory))

    assert "reaches that position" in line
    assert (mended["from_size"], mended["size"]) == (size - 2, size)
    worked(directory)
