"""The demo's parts: each a process of its own, on loopback and free ports, in one directory; all of them end with the demo."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, Self

from adapters import process
from adapters.client import Client
from adapters.files import scratch
from adapters.files.home import Home
from domain.log.answers import Unanswered

START_S_MAX = 30.0
WATCH_S, LIVES_MAX = 0.3, 40


class Failed(Exception):
    """A part did not start, or ended too soon; the message ends with the last lines that it wrote."""


class Processes:
    """Our own children. To be used as a context. With `revive`, whoever ends is started again, as an init system would do; not whom
    `mourn` names."""

    def __init__(self, directory: Path, *, revive: bool = False) -> None:
        self.directory, self.revive = directory, revive
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.lives: dict[str, int] = {}
        self._commands: dict[str, tuple[tuple[str, ...], str]] = {}
        self._mourned: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Agents first, then the server, which lands what it has."""
        for child in reversed(self.running.values()):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in reversed(self.running.values()):
            process.stop(child, signal.SIGTERM, grace_s=5.0)

    def start(self, name: str, *arguments: str, without: str = "") -> subprocess.Popen[bytes]:
        """`gridledger <arguments>` as a process; its output goes to `<name>.log`. Ten of them share what one of them compiled; `without`
        names a variable of ours that it does not get."""
        command = [sys.executable, "-m", *self.program(name), *arguments]
        inherited = {name: value for name, value in os.environ.items() if name not in {"PYTHONDONTWRITEBYTECODE", without}}
        child = process.start(command, output=self.directory / f"{name}.log", environment=inherited)
        self.running[name] = child
        self.lives[name] = self.lives.get(name, 0) + 1
        self._commands[name] = arguments, without
        return child

    def program(self, name: str) -> Sequence[str]:
        """The module that is run for a part, and options before its arguments."""
        return ("gridledger",)

    def changed(self, name: str, *arguments: str) -> None:
        """With what it is started again."""
        self._commands[name] = arguments, self._commands[name][1]

    def mourn(self, name: str) -> None:
        """It stays dead."""
        self._mourned.add(name)

    def kill(self, name: str) -> None:
        """SIGKILL to the process and all of its own."""
        os.killpg(self.running[name].pid, signal.SIGKILL)

    def check(self) -> None:
        """Raises `Failed` if one ended that should run and is not started again."""
        for name, child in list(self.running.items()):
            if name in self._mourned or child.poll() is None:
                continue
            if not self.revive or self.lives[name] >= LIVES_MAX:
                raise Failed(f"{name} ended with {child.returncode}: {self.last_lines(name)}")
            process.stop(child)  # what it started ends, too
            arguments, without = self._commands[name]
            self.start(name, *arguments, without=without)

    async def watch(self) -> NoReturn:
        """Looks after them, until cancelled."""
        while True:
            self.check()
            await asyncio.sleep(WATCH_S)

    def last_lines(self, name: str) -> str:
        text = (self.directory / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-8:])


async def address(processes: Processes, file: Path, name: str = "server") -> str:
    """Where the server listens, once it does: it writes its address into this file."""
    until = time.monotonic() + START_S_MAX
    while time.monotonic() < until:
        processes.check()
        if file.is_file() and (url := file.read_text().strip()):
            return url
        await asyncio.sleep(0.02)
    raise Failed(f"{name} did not start: {processes.last_lines(name)}")


async def ready(client: Client) -> None:
    """Until commands are decided."""
    until = time.monotonic() + START_S_MAX
    while time.monotonic() < until:
        with contextlib.suppress(Unanswered):
            await client.text("/readyz")
            return
        await asyncio.sleep(0.02)
    raise Failed("the server is not ready")


async def ended(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancels them, and waits until they ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def database(home: Home, variable: str, *, keep: bool) -> Iterator[tuple[str, str, str]]:
    """(URI for the server's settings, URI, what it is): an empty database on the server in the environment, or PostgreSQL from the wheel,
    which needs no setting, since its data lies in the server's directory. Removed at the end, or kept."""
    if given := os.environ.get(variable):
        with scratch.database(given, keep=keep) as (url, name):
            yield url, url, f"database {name} on the server of {variable}"
        return
    from adapters import postgres_server  # noqa: PLC0415 - a given database needs no wheel

    with postgres_server.running(home.postgres, keep=keep) as url, home.announced(url):
        yield "", url, f"version {postgres_server.VERSION}, from the wheel"


@contextlib.contextmanager
def brokers(home: Home, variable: str, tools: Path, *, keep: bool) -> Iterator[tuple[str, str]]:
    """(bootstrap servers, what it is): the cluster in the environment, or a broker of our own, removed at the end, or kept."""
    if given := os.environ.get(variable):
        yield given, f"the cluster of {variable}"
        return
    from adapters.kafka import brokers  # noqa: PLC0415 - a given cluster needs no broker

    with brokers.running(home.path / "kafka", tools, keep=keep) as cluster:
        yield cluster.bootstrap, f"version {brokers.VERSION}, one broker at {cluster.bootstrap}"


def end_on_signals() -> None:
    """Ctrl-C, or SIGTERM, unwinds everything in order, also where the shell had us ignore it."""
    main = asyncio.current_task()
    assert main is not None
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, main.cancel)
