"""The directory of a ledger's server: its settings (`gridledger.toml`), its keys (mode 0600), its objects.

gridledger.toml   where the database and the chain are, and which log this is
snapshots/        states of the ledger, to start from
keys/             one signing key and one API secret for each of the first accounts
objects/          the content-addressed store
"""

import contextlib
import fcntl
import secrets
import tomllib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Self

import msgspec
import psycopg

from adapters import signer
from adapters.signer import Signer
from domain.house.genesis import Founder
from domain.treasury.account import DAEMONS
from domain.value import Value

ADMINS = ("admin-1", "admin-2")
FOUNDERS = (*ADMINS, *DAEMONS)
SECRET_BYTES = 32


class NotAHome(Exception):
    """The directory is not that of a ledger; the message says what is wrong with it."""


class Settings(Value, forbid_unknown_fields=True):
    """What `gridledger.toml` says."""

    log: str = ""
    """Id of the log; empty until it has its first block."""
    database_url: str = ""
    """A libpq URI; empty: PostgreSQL from the wheel, in `postgres/` beside this file."""
    rpc_url: str = ""
    """JSON-RPC of an EVM node, or of several with spaces between: then a fact is what all of them say. Empty: no chain, so no deposits,
    beacons, payouts or anchors."""
    treasury: str = ""
    token: str = ""


def secret() -> str:
    """A new API secret: `gl_` and 43 characters of randomness."""
    return f"gl_{secrets.token_urlsafe(SECRET_BYTES)}"


def fingerprint(api_secret: str) -> str:
    """What the log holds of an API secret."""
    return sha256(api_secret.encode()).hexdigest()


class Home:
    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(cls, path: Path) -> Self:
        """Raises `NotAHome`."""
        home = cls(path)
        if not home.file.is_file():
            raise NotAHome(f"{path} has no gridledger.toml: gridledger init {path}")
        home.settings()
        return home

    @property
    def file(self) -> Path:
        return self.path / "gridledger.toml"

    @property
    def objects(self) -> Path:
        return self.path / "objects"

    @property
    def snapshots(self) -> Path:
        return self.path / "snapshots"

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @contextlib.contextmanager
    def announced(self, url: str) -> Iterator[None]:
        """While PostgreSQL from the wheel runs for this directory, other commands find it."""
        file = self.path / "database.url"
        file.touch(mode=0o600)
        file.write_text(url, encoding="utf-8")
        try:
            yield
        finally:
            file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def seat(self, seats: int) -> Iterator[str]:
        """A seat for a server of this directory, which has so many: the name of the file that tells the server's address. Whoever sat
        there before is gone. Raises `NotAHome` if all are taken."""
        for number in range(1, seats + 1):
            name = "server" if number == 1 else f"server-{number}"
            with (self.path / f"{name}.lock").open("w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield f"{name}.url"
                return
        raise NotAHome(f"a server of {self.path} runs already" if seats == 1 else f"{seats} servers of {self.path} run already")

    def database(self) -> str:
        """The libpq URI of PostgreSQL that runs for this directory now; empty if none does."""
        file = self.path / "database.url"
        if not file.is_file():
            return ""
        url = file.read_text(encoding="utf-8")
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return ""
        return url

    def settings(self) -> Settings:
        try:
            return msgspec.convert(tomllib.loads(self.file.read_text(encoding="utf-8")), Settings)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as fault:
            raise NotAHome(f"{self.file}: {fault}") from fault

    def keep(self, settings: Settings) -> None:
        """Write the settings in one step."""
        lines = [f'{name} = "{value}"' for name, value in msgspec.structs.asdict(settings).items()]
        self.path.mkdir(parents=True, exist_ok=True)
        fresh = self.file.with_suffix(".new")
        fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
        fresh.replace(self.file)

    def signer(self, name: str) -> Signer:
        """The signing key of one of the first accounts, made when it is asked for first."""
        (self.path / "keys").mkdir(parents=True, exist_ok=True, mode=0o700)
        return signer.load_or_create(self.path / "keys" / f"{name}.key")

    def secret(self, name: str) -> str:
        """Its API secret, likewise."""
        file = self.path / "keys" / f"{name}.secret"
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secret(), encoding="ascii")
        return file.read_text(encoding="ascii").strip()

    def founders(self) -> tuple[Founder, ...]:
        """The first accounts of the ledger: two admins, then the daemons."""
        return tuple(Founder(fingerprint(self.secret(name)), self.signer(name).address) for name in FOUNDERS)
