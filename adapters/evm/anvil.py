"""A real EVM node of our own for development, demo and tests: anvil, from npm's `@foundry-rs/anvil`.

It listens on the loopback address only, has no accounts of its own, and ends with the thread that started it. Its blocks carry the
wall clock's time, one per `block_time_s`. A coin here costs nothing: `Anvil.fund` gives any address ether.
"""

import asyncio
import contextlib
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from adapters import process
from adapters.evm import rpc
from domain.treasury import chain

ETHER_WEI = 10**18
CHAIN_ID = 31337
VERSION = "1.7.1"

_READY_S_MAX = 15.0
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class Unavailable(Exception):
    """anvil could not be found or started."""


class Anvil:
    """A running node."""

    def __init__(self, url: str, pid: int) -> None:
        self.url, self.pid = url, pid
        self._rpc = rpc.Rpc(url)

    async def call(self, method: str, *parameters: Any) -> Any:
        """One of anvil's own methods, e.g. `anvil_reorg`, `evm_mine`."""
        return await self._rpc.call(rpc.ANYTHING, method, *parameters)

    async def fund(self, address: str, wei: int = ETHER_WEI) -> None:
        """Sets the ether that an address has."""
        await self.call("anvil_setBalance", address, hex(wei))

    async def aclose(self) -> None:
        await self._rpc.aclose()


def find(tools: Path) -> Path:
    """The program: from npm's folder in `tools`, beside the interpreter, or on the PATH. Raises `Unavailable` with the fix."""
    package = f"anvil-{sys.platform}-{_MACHINES.get(platform.machine(), platform.machine())}"
    below = Path("node_modules/@foundry-rs", package, "bin/anvil")
    for program in (tools / below, tools / "anvil" / below, Path(sys.prefix, "bin/anvil")):
        if program.is_file():
            return program.resolve()
    if found := shutil.which("anvil"):
        return Path(found)
    raise Unavailable(f"there is no anvil: npm install --prefix {tools} @foundry-rs/anvil@{VERSION}")


@contextlib.asynccontextmanager
async def running(program: Path, directory: Path, block_time_s: int | None = 1) -> AsyncIterator[Anvil]:
    """Runs a node from an empty chain; `directory` takes its output and what it swaps out.

    With no `block_time_s` it makes a block for each transaction, at once. Raises `Unavailable` with the end of its output.
    """
    port = _free_port()
    child, output = _start(program, directory, port, block_time_s)
    node = Anvil(f"http://127.0.0.1:{port}", child.pid)
    try:
        if not await _answers(node, child):
            raise Unavailable(f"anvil did not start: {_end(output)}")
        yield node
    finally:
        await node.aclose()
        process.stop(child)


def _start(program: Path, directory: Path, port: int, block_time_s: int | None) -> tuple[subprocess.Popen[bytes], Path]:
    directory.mkdir(parents=True, exist_ok=True)
    output = directory / "anvil.log"
    command: list[str | Path] = [program, "--quiet", "--host", "127.0.0.1", "--port", str(port), "--no-cors"]
    command += ["--chain-id", str(CHAIN_ID), "--accounts", "0", "--cache-path", directory / "states"]
    command += [] if block_time_s is None else ["--block-time", str(block_time_s)]
    return process.start(command, output=output, directory=directory), output


async def _answers(node: Anvil, child: subprocess.Popen[bytes]) -> bool:
    """Whether our own child, and nobody else on its port, came to answer."""
    deadline = time.monotonic() + _READY_S_MAX
    while child.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(chain.ChainSilent):
            await node.call("eth_chainId")
            return child.poll() is None
        await asyncio.sleep(0.01)
    return False


def _end(output: Path) -> str:
    return output.read_text(errors="replace")[-2000:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
