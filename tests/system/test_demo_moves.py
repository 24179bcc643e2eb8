"""The demo's ledger, which grew up on one machine's PostgreSQL, moves to Kafka with one command, and work goes on."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.test_demo import GRIDLEDGER
from tests.system.test_moves import audited, said, worked

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
SMALL = ["--frames", "1", "--size", "160x90", "--samples", "16", "--seed", "11"]


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Path]:
    """The server's directory of a demo that was kept and then ended by Ctrl-C."""
    command = [*GRIDLEDGER, "demo", "--json", "--keep", "--out", str(tmp_path / "out"), *SMALL]
    with (tmp_path / "stderr").open("w") as errors:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GRIDLEDGER_")}
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True, env=environment)
        assert demo.stdout is not None
        line = demo.stdout.readline()
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 130
        demo.stdout.close()
    assert line, (tmp_path / "stderr").read_text()
    directory = Path(json.loads(line)["people"]).parent
    yield directory / "server"
    shutil.rmtree(directory, ignore_errors=True)


def test_the_demos_ledger_moves_to_kafka_with_equal_heads_and_work_goes_on(left: Path, tmp_path: Path, kafka: str) -> None:
    before = said("log", "check", str(left))
    moved = said("log", "move", str(left), "--to", f"kafka://{kafka}")
    topic = f"kafka://{kafka}/gridledger.{moved['log']}.log"
    said("log", "copy", topic, f"file:{tmp_path}/copy")
    copied, new = said("log", "check", f"file:{tmp_path}/copy"), said("log", "check", str(left))
    after = worked(left)

    assert before["size"] > 100
    assert before["home"].startswith("postgresql:")
    assert moved["size"] == before["size"] + 1
    assert (copied["size"], copied["root"]) == (new["size"], new["root"]) == (moved["bound_size"], moved["bound_root"])
    assert new["home"] == moved["home"] != before["home"]
    assert after >= moved["bound_size"] + 2, "an election, and work"
    assert audited(tmp_path, left) == 2, "all but what needs the chain, which has ended"
