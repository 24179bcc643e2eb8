"""A ledger moves from one home to another and back, and work goes on; what interrupts a move is made good by the next try."""

import asyncio
import json
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adapters.client import Client
from adapters.files.home import Home
from domain.log import wire
from domain.treasury import account
from tests.system.test_server import gridledger, serving
from tests.system.test_stops import refused

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

STEPS = ("read", "sealed", "copied", "bound", "settled")


def said(*arguments: str, **environment: str) -> dict[str, Any]:
    """The JSON that a command printed, which ended well."""
    done = gridledger(*arguments, "--json", **environment)
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def refusal(*arguments: str, status: int = 3, **environment: str) -> str:
    done = gridledger(*arguments, **environment)
    lines = [line for line in done.stderr.splitlines() if line.startswith("gridledger: ")]
    assert (done.returncode, len(lines)) == (status, 1), done.stderr
    return lines[0]


def begun(tmp_path: Path, database: str) -> Path:
    directory = tmp_path / "ledger"
    said("init", str(directory), "--policy", "demo", "--database-url", database)
    return directory


def worked(directory: Path) -> int:
    """Serves the ledger while somebody opens an account, and reads it from a view; the position after it."""

    async def work(url: str) -> tuple[int, int]:
        async with Client(url, f"gl_{secrets.token_urlsafe(32)}") as client:
            before = int((await client.get("/v1/checkpoint"))["size"])
            (opened,) = map(wire.event, (await client.ask("/v1/accounts", account.Open(roles=("creator",)))).events)
            seen = await client.get(f"/v1/accounts/account-{opened.pos}", min_pos=opened.pos)
            assert f'"account-{opened.pos}"' in json.dumps(seen)
            return before, opened.pos

    with serving(directory) as url:
        before, after = asyncio.run(work(url))
    assert after - before in (1, 2)  # an election may come between
    return after


def audited(tmp_path: Path, directory: Path) -> int:
    """The exit status of an audit of all of the log."""
    with serving(directory) as url:
        said("log", "export", str(tmp_path / "bundle"), "--server", url)
    report = gridledger("verify", str(tmp_path / "bundle"), "--json")
    assert json.loads(report.stdout)["found"] == 0, report.stdout
    return report.returncode


def test_a_ledger_moves_to_kafka_and_back_and_work_goes_on(tmp_path: Path, database: str, kafka: str) -> None:
    directory = begun(tmp_path, database)
    size = worked(directory)
    before = said("log", "head", database)
    stood = (directory / "gridledger.toml").read_text()
    moved = said("log", "move", str(directory), "--to", f"kafka://{kafka}")
    old, new = said("log", "check", database), said("log", "check", f"kafka://{kafka}/gridledger.{moved['log']}.log")
    again = said("log", "move", str(directory), "--to", f"kafka://{kafka}")

    assert before["size"] == size
    assert (old["size"], old["root"], old["sealed"], old["goes_on_at"]) == (moved["size"], moved["root"], True, moved["home"])
    assert moved["size"] == size + 1, "the seal"
    assert (new["size"], new["root"], new["sealed"]) == (moved["bound_size"], moved["bound_root"], False)
    assert new["home"] == moved["home"]
    assert new["home"].startswith("kafka:")
    assert (again["moved"], again["size"]) == (False, size + 2)

    moved_settings = (directory / "gridledger.toml").read_text()
    (directory / "gridledger.toml").write_text(stood)
    line = refused(directory)
    (directory / "gridledger.toml").write_text(moved_settings)
    assert "was sealed" in line
    assert moved["home"] in line

    assert worked(directory) > size + 2, "and there it goes on"
    back = said("log", "move", str(directory), "--to", "postgresql:")
    assert back["home"] == said("log", "check", database)["home"]
    assert back["home"].startswith("postgresql:")
    worked(directory)
    assert audited(tmp_path, directory) in {0, 2}, "no node of a chain was given"
    once_more = said("log", "move", str(directory), "--to", f"kafka://{kafka}")
    assert once_more["home"] == moved["home"], "where it was before it goes on, too"


def test_a_ledger_is_not_moved_while_somebody_leads_it(tmp_path: Path, database: str, kafka: str) -> None:
    directory = begun(tmp_path, database)
    other = tmp_path / "other"
    other.mkdir()
    (other / "gridledger.toml").write_text((directory / "gridledger.toml").read_text())
    with serving(directory):
        here = refusal("log", "move", str(directory), "--to", f"kafka://{kafka}")
        elsewhere = refusal("log", "move", str(other), "--to", f"kafka://{kafka}")
    nowhere = refusal("log", "move", str(directory), "--to", f"file:{tmp_path}/copy")

    assert "runs already" in here
    assert "somebody leads this ledger at http" in elsewhere
    assert "lives in PostgreSQL or Kafka" in nowhere
    assert not said("log", "head", database)["sealed"]


@pytest.mark.parametrize("step", STEPS)
def test_a_move_that_was_killed_goes_on(tmp_path: Path, database: str, kafka: str, step: str) -> None:
    directory = begun(tmp_path, database)
    to = f"kafka://{kafka}"
    script = f"""
import os, signal, roles.moves as moves
from pathlib import Path
moves.move_log(Path({str(directory)!r}), {to!r}, lambda step: os.kill(os.getpid(), signal.SIGKILL) if step == {step!r} else None)
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    unsettled = Home(directory).settings().kafka
    moved = said("log", "move", str(directory), "--to", to)
    copy = said("log", "check", f"{to}/gridledger.{moved['log']}.log")

    assert killed.returncode == -signal.SIGKILL
    assert bool(unsettled) == (step == "settled")
    assert (copy["size"], copy["root"]) == (moved["bound_size"], moved["bound_root"])
    assert copy["size"] == said("log", "head", database)["size"] + 1 == 14, "one seal, one bind"
    worked(directory)


def test_a_copy_is_read_and_not_led(tmp_path: Path, database: str, kafka: str) -> None:
    directory = begun(tmp_path, database)
    size = worked(directory)
    topic = f"kafka://{kafka}/copy-of-{Home(directory).settings().log}"
    places = [topic, f"file:{tmp_path}/copy", f"objects:{tmp_path}/objects"]
    heads = [said("log", "copy", source, target) for source, target in zip([str(directory), *places], places, strict=False)]
    checked = [said("log", "check", place) for place in (database, *places)]
    stood = (directory / "gridledger.toml").read_text()
    topic_name = topic.rpartition("/")[2]
    (directory / "gridledger.toml").write_text(
        stood.replace('kafka = ""', f'kafka = "{kafka}"').replace('kafka_topic = ""', f'kafka_topic = "{topic_name}"')
    )
    line = refused(directory)
    (directory / "gridledger.toml").write_text(stood)

    assert {(it["from_size"], it["size"], it["root"]) for it in heads} == {(0, size, checked[0]["root"])}
    assert all(it == checked[0] for it in checked)
    assert checked[0]["fault"] == ""
    assert checked[0]["void"] == {"stale": 0, "alien": 0}
    assert "Serve the ledger where it lives" in line


def test_a_ledger_moves_to_another_database_and_its_views_are_built_there(tmp_path: Path, database: str, another: str) -> None:
    directory = begun(tmp_path, database)
    size = worked(directory)
    moved = said("log", "move", str(directory), "--to", another)
    line = refused(directory, GRIDLEDGER_DATABASE_URL=database)

    assert worked(directory) == size + 4, "a seal, a bind, an election, and work"
    assert (moved["size"], moved["bound_size"]) == (size + 1, size + 2)
    assert "was sealed" in line
    assert Home(directory).settings().database_url == another
