"""Our side: the real server on a ledger of its own, as people start it, and the load on it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.error import URLError

import msgspec
import psycopg
from psycopg import conninfo

import gridledger
from adapters import postgres_server, process
from adapters.files.home import Home
from adapters.kafka.log import KafkaLog
from adapters.log.postgres import PostgresLog
from benchmarks.client import Plan
from domain.ids import LogId
from roles.ledger import opened

T = TypeVar("T")

ROOT = Path(__file__).parent.parent
START_S_MAX = 120.0
VIEWS = b"SELECT coalesce(min(size), 0) FROM projection WHERE live"


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL 18 that keeps what it was told: fsync and synchronous_commit are on."""
    folder.chmod(0o711)
    with postgres_server.running(folder / "postgres", postgres_server.DURABLE, keep=False) as uri:
        yield uri


def crash(folder: Path, uri: str) -> None:
    """Kills the PostgreSQL that `postgres` or `data.kept` runs in this folder. It is started again; what it had only in memory is gone."""
    os.kill(int((folder / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    end = time.monotonic() + START_S_MAX
    while time.monotonic() < end:
        with suppress(psycopg.OperationalError), psycopg.connect(uri, connect_timeout=5):
            return
        time.sleep(0.05)
    raise TimeoutError("PostgreSQL did not come back after kill -9")


def database(server: str, name: str) -> str:
    """A new, empty one."""
    with psycopg.connect(server, autocommit=True) as session:
        session.execute(f"CREATE DATABASE {name}".encode())
    return within(server, name)


def within(server: str, name: str) -> str:
    """Its libpq URI."""
    return conninfo.make_conninfo(server, dbname=name)


def copy(server: str, uri: str, name: str) -> None:
    """A database that begins as a copy of another one, which nobody uses meanwhile; all of it is on disk: what is still to be written of a
    large copy would slow down whoever syncs then."""
    with psycopg.connect(server, autocommit=True) as session:
        session.execute(f"CREATE DATABASE {name} TEMPLATE {conninfo.conninfo_to_dict(uri)['dbname']} STRATEGY file_copy".encode())


def drop(server: str, name: str) -> None:
    with psycopg.connect(server, autocommit=True) as session:
        session.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


class Site:
    """One ledger, its directory, and its server."""

    def __init__(self, folder: Path, uri: str, kafka: str = "", *, log: LogId | None = None) -> None:
        """A new ledger, unless there is one already: `log`."""
        self.folder, self.uri, self.port = folder, uri, free_port()
        self.log = log or gridledger.init(folder, "standard", uri, "", "", "", 31337, kafka)

    def start(self, port: int = 0) -> subprocess.Popen[bytes]:
        """The server, ready."""
        command = [sys.executable, "-m", "gridledger", "serve", str(self.folder), "--port", str(port or self.port)]
        server = process.start(command, output=self.folder / "server.log", directory=ROOT)
        until_ready(port or self.port, server)
        return server

    def ask(self, work: Callable[[PostgresLog | KafkaLog], Awaitable[T]]) -> T:
        """Something of its log, while no server need run."""

        async def do() -> T:
            async with opened(Home.open(self.folder), self.uri) as log:
                return await work(log)

        return asyncio.run(do())


def until_ready(port: int, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S_MAX
    while time.monotonic() < end:
        assert server.poll() is None, f"the server ended with {server.returncode}"
        with suppress(URLError, ConnectionError, TimeoutError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return
        time.sleep(0.02)
    raise TimeoutError("the server is not ready")


def until_listening(port: int, server: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + START_S_MAX
    while time.monotonic() < end:
        assert server.poll() is None, f"the server ended with {server.returncode}"
        with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), 1)):
            return
        time.sleep(0.02)
    raise TimeoutError("the server does not listen")


def until_caught_up(uri: str, size: int, within_s: float = START_S_MAX) -> float:
    """Waits until every view has this much of the log; returns how long that took."""
    began = time.monotonic()
    with psycopg.connect(uri, autocommit=True) as session:
        while time.monotonic() < began + within_s:
            row = session.execute(VIEWS).fetchone()
            if row and row[0] >= size:
                return time.monotonic() - began
            time.sleep(0.05)
    raise TimeoutError(f"the views did not come to position {size}")


def client(plan: Plan) -> subprocess.Popen[bytes]:
    started = subprocess.Popen([sys.executable, "-m", "benchmarks.client"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert started.stdin
    started.stdin.write(msgspec.json.encode(plan) + b"\n")
    started.stdin.close()
    return started


def quantile(values: Sequence[int], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0
