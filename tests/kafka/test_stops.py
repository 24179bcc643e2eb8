"""A topic that could lose the ledger stops a real server, as soon as somebody makes it so; mended, it goes on."""

import json
import subprocess
from pathlib import Path

import pytest

from adapters.files.home import Home
from tests.kafka.strangers import Administrator
from tests.system.test_server import GRIDLEDGER, gridledger, head, serving
from tests.system.test_stops import STOPPED, refused, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
LINE = (
    "retention.ms of the topic {} is 86400000: set it to -1. Mend the topic, then start again: a server on it could lose the ledger. "
    "If it was made anew: gridledger log restore."
)


def test_a_ledger_that_no_broker_takes_leaves_nothing_behind(tmp_path: Path) -> None:
    begun = gridledger("init", str(tmp_path / "ledger"), "--kafka", "127.0.0.1:9")
    (tmp_path / "another").mkdir()
    (tmp_path / "another" / "letter").touch()
    again = gridledger("init", str(tmp_path / "another"), "--kafka", "127.0.0.1:9")

    assert begun.returncode == 3
    assert begun.stderr.startswith("gridledger: no answer from Kafka at 127.0.0.1:9: ")
    assert len(begun.stderr.splitlines()) == 1
    assert not (tmp_path / "ledger").exists()
    assert again.returncode == 3
    assert [each.name for each in (tmp_path / "another").iterdir()] == ["letter"]


def test_settings_that_could_lose_the_ledger_stop_a_server_and_mended_it_goes_on(tmp_path: Path, database: str, kafka: str) -> None:
    directory = tmp_path / "ledger"
    begun = gridledger("init", str(directory), "--policy", "demo", "--database-url", database, "--kafka", kafka, "--json")
    assert begun.returncode == 0, begun.stderr
    topic, admin = f"gridledger.{Home(directory).settings().log}.log", Administrator(kafka)
    server = subprocess.Popen(
        [*GRIDLEDGER, "serve", str(directory), "--port", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    file = directory / "server.url"
    wait_for(file.is_file)
    size = int(head(file.read_text().strip())["size"])
    admin.change(topic, "retention.ms", "86400000")
    _, said = server.communicate(timeout=60)
    line = refused(directory)
    admin.change(topic, "retention.ms", "-1")
    with serving(directory) as url:
        wait_for(lambda: int(head(url)["size"]) > size)  # an election, and all that was there

    assert begun.stderr == f"warning: the topic {topic} has one copy: the loss of a disk loses the ledger\n"
    assert server.returncode == STOPPED
    assert LINE.format(topic) in said.splitlines()[-1]
    assert LINE.format(topic) in line
    assert "docs/reliability.md" in line
    assert json.loads(begun.stdout)["log"] in topic
