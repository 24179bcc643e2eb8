"""What the fixtures promise."""

import asyncio
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest


async def test_a_coroutine_test_really_runs_in_a_loop() -> None:
    assert asyncio.get_running_loop().is_running()


@pytest.mark.system
def test_a_skipped_test_counts_as_failed(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_it.py").write_text("import pytest\n\n\ndef test_it():\n    pytest.skip('absent')\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "1 failed" in done.stdout


def test_a_free_port_can_be_listened_on(free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)) as server:
        assert server.getsockname()[1] == free_port


@pytest.mark.system
@pytest.mark.parametrize("number", [1, 2])
def test_each_database_is_empty(database: str, number: int) -> None:
    with psycopg.connect(database) as session:
        session.execute("CREATE TABLE mark (number integer)")
        session.execute("INSERT INTO mark VALUES (%s)", [number])

        assert session.execute("SELECT number FROM mark").fetchall() == [(number,)]
        assert session.info.server_version // 10000 == 18
