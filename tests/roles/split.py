"""A ledger's directory, and its server split into processes of one role each, which may be killed and started again."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from adapters import process
from adapters.evm import anvil
from adapters.files.home import Home
from roles import ledger
from tests.faults.killing import until

ROLES = ("leader", "api", "projector", "daemons")
START_S_MAX, STOP_S_MAX = 60.0, 30.0


class Split:
    """One ledger. Processes have the names of their roles; the second of a role is `api-2`."""

    def __init__(self, home: Home, database: str, kafka: str = "", chain: tuple[str, str, str] = ("", "", "")) -> None:
        """Begins it. `chain` is a node's address, and those of treasury and token. Not to be called where an event loop runs."""
        self.home = home
        self.log = ledger.init(home.path, "demo", database, *chain, anvil.CHAIN_ID, kafka)
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str) -> None:
        """Each where it was before, if it was."""
        for name in names:
            told = self.home.path / f"{name}.url"
            port = urlsplit(told.read_text().strip()).port if told.is_file() else 0
            told.unlink(missing_ok=True)
            role = name.partition("-")[0]
            command = [sys.executable, "-m", "gridledger", "serve", str(self.home.path), "--role", role, "--port", str(port)]
            self.running[name] = process.start(command, output=self._output(name))

    async def ready(self, *names: str) -> None:
        """Returns when all of them are."""
        for name in names:
            await asyncio.to_thread(until, partial(self._is_ready, name), f"{name} is ready", START_S_MAX)

    def _is_ready(self, name: str) -> bool:
        return bool(self.status(name)["ready"])

    def url(self, name: str) -> str:
        file = self.home.path / f"{name}.url"

        def there() -> bool:
            ended = self.running[name].poll()
            assert ended is None, f"{name} ended with {ended}: {self.said(name)[-3000:]}"
            return file.is_file()

        until(there, f"{name} tells its address", START_S_MAX)
        return file.read_text().strip()

    def status(self, name: str) -> dict[str, Any]:
        """What the process says of itself."""
        found: dict[str, Any] = httpx2.get(f"{self.url(name)}/v1/status", timeout=30.0, trust_env=False).json()
        return found

    def number(self, name: str, gauge: str) -> float:
        """Of its metrics."""
        text = httpx2.get(f"{self.url(name)}/metrics", timeout=30.0, trust_env=False).text
        return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"gridledger_{gauge} "))

    def said(self, name: str) -> str:
        return self._output(name).read_text(errors="replace")

    def kill(self, *names: str) -> None:
        for name in names:
            os.killpg(self.running[name].pid, signal.SIGKILL)
            self.running[name].wait()

    def end(self) -> dict[str, int]:
        """SIGTERM to all; how they ended."""
        living = {name: child for name, child in self.running.items() if child.poll() is None}
        for child in living.values():
            child.send_signal(signal.SIGTERM)
        return {name: child.wait(STOP_S_MAX) for name, child in living.items()}

    def _output(self, name: str) -> Path:
        return self.home.path.parent / f"{name}.log"


@asynccontextmanager
async def split(home: Home, database: str, kafka: str = "", chain: tuple[str, str, str] = ("", "", "")) -> AsyncIterator[Split]:
    """Whatever runs at the end is told to end, and must end well."""
    it = await asyncio.to_thread(Split, home, database, kafka, chain)
    try:
        yield it
        statuses = await asyncio.to_thread(it.end)
        assert set(statuses.values()) == {0}, {name: it.said(name)[-2000:] for name, status in statuses.items() if status}
    finally:
        for child in it.running.values():
            process.stop(child, signal.SIGKILL)
