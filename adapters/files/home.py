"""The directory of a ledger's server: its settings (`gridledger.toml`), its keys (mode 0600), its objects.

gridledger.toml   where the log, the database and the chain are, and which log this is
kafka.properties  what the Kafka cluster asks for of its clients, if the log is there
snapshots/        states of the ledger, to start from
keys/             one signing key and one API secret for each of the first accounts
objects/          the content-addressed store
"""

import contextlib
import fcntl
import secrets
import tomllib
from collections.abc import Container, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Self

import msgspec
import psycopg

from adapters import signer
from adapters.files import notary, whole
from adapters.files.notary import Notary
from adapters.signer import Signer
from domain.house.genesis import Founder
from domain.ids import LogId
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
    kafka: str = ""
    """Bootstrap servers of the Kafka cluster that the log is in; empty: it is in the database."""
    kafka_topic: str = ""
    """The topic; empty: `gridledger.<log>.log`."""
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


def properties_of(file: Path) -> dict[str, str]:
    """What stands in a file of `name=value` lines. Raises `NotAHome` for what is none, `OSError`."""
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    if bad := [name for name, equals, _ in pairs if not equals]:
        raise NotAHome(f"{file}: {bad[0]!r} is no setting: name=value")
    return {name.strip(): value.strip() for name, _, value in pairs}


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

    def kafka_properties(self, file: Path | None = None) -> dict[str, str]:
        """librdkafka's settings for this cluster, such as SASL and TLS, or those of another one. Raises `NotAHome` for what is none."""
        if file:
            return properties_of(file)
        ours = self.path / "kafka.properties"
        return properties_of(ours) if ours.is_file() else {}

    @contextlib.contextmanager
    def announced(self, url: str) -> Iterator[None]:
        """While PostgreSQL from the wheel runs for this directory, other commands find it."""
        file = self.path / "database.url"
        whole.write(file, url, 0o600)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def seat(self, seats: int, of: str = "server") -> Iterator[str]:
        """A seat for a process of this directory, which has so many of its kind: the name of the file that tells its address. Whoever sat
        there before is gone. Raises `NotAHome` if all are taken."""
        for number in range(1, seats + 1):
            name = of if number == 1 else f"{of}-{number}"
            with (self.path / f"{name}.lock").open("w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield f"{name}.url"
                return
        kind = "a server" if of == "server" else f"role {of}"
        raise NotAHome(f"{kind} of {self.path} runs already" if seats == 1 else f"{seats} times {kind} of {self.path} runs already")

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
        whole.write(self.file, "\n".join(lines) + "\n")

    def signer(self, name: str) -> Signer:
        """The signing key of one of the first accounts, made when it is asked for first."""
        (self.path / "keys").mkdir(parents=True, exist_ok=True, mode=0o700)
        return signer.load_or_create(self.path / "keys" / f"{name}.key")

    def notary(self) -> Notary:
        """What signs heads of the log, with a key of this directory."""
        (self.path / "keys").mkdir(parents=True, exist_ok=True, mode=0o700)
        return notary.load_or_create(LogId(self.settings().log), self.path / "keys" / "checkpoint.seed")

    def secret(self, name: str) -> str:
        """Its API secret, likewise."""
        file = self.path / "keys" / f"{name}.secret"
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secret(), encoding="ascii")
        return file.read_text(encoding="ascii").strip()

    def may_ask(self, name: str, known: Container[str]) -> bool:
        """Whether its API secret is here, and its fingerprint is known."""
        return (self.path / "keys" / f"{name}.secret").is_file() and fingerprint(self.secret(name)) in known

    def founders(self) -> tuple[Founder, ...]:
        """The first accounts of the ledger: two admins, then the daemons."""
        return tuple(Founder(fingerprint(self.secret(name)), self.signer(name).address) for name in FOUNDERS)
