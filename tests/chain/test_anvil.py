"""The node of our own: it is found or its absence explained, and it never outlives us."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters.evm import anvil
from tests.fix_chain import TOOLS

STARTS_AND_WAITS = """
import asyncio, pathlib, sys
from adapters.evm import anvil

async def main():
    async with anvil.running(anvil.find(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2])) as node:
        print(node.pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_missing_program_names_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(anvil.Unavailable, match=r"npm install --prefix \S+ @foundry-rs/anvil"):
        anvil.find(tmp_path)


async def test_program_that_ends_at_once_is_unavailable_with_its_words(tmp_path: Path) -> None:
    broken = tmp_path / "anvil"
    broken.write_text("#!/bin/sh\necho no such option >&2\nexit 2\n")
    broken.chmod(0o755)
    with pytest.raises(anvil.Unavailable, match="no such option"):
        async with anvil.running(broken, tmp_path / "chain"):
            pass


@pytest.mark.system
async def test_node_ends_with_its_block(tmp_path: Path) -> None:
    async with anvil.running(anvil.find(TOOLS), tmp_path) as node:
        assert alive(node.pid)
    assert not alive(node.pid)


@pytest.mark.system
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_node_ends_with_its_parent_however_that_ends(tmp_path: Path, how: signal.Signals) -> None:
    command = [sys.executable, "-c", STARTS_AND_WAITS, str(TOOLS), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        node = int(parent.stdout.readline())
        assert alive(node)
        os.kill(parent.pid, how)
        parent.wait(10)
    until = time.monotonic() + 5
    while alive(node) and time.monotonic() < until:
        time.sleep(0.01)
    if alive(node):
        os.kill(node, signal.SIGKILL)
        pytest.fail("the node outlived its parent")
