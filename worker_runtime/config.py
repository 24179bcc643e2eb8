"""An agent's one-file configuration: `worker.toml`, which holds secrets and is therefore for its owner alone (mode 0600).

    server = "http://127.0.0.1:8080"
    log = "…"                        # the ledger that the agent's signatures are for, and its chain
    chain_id = 31337
    worker = "worker-26"
    account = "account-12"           # the owner
    class = "mitsuba-3.9.1/cpu"
    api_key = "…"                    # or api_key_file
    signing_key = "…"                # or signing_key_file: the private key of an agent key of the owner
    price_per_kwu = "180000000"      # a worker's standing bid; a checker has none

A ledger may have several servers: then their addresses, with spaces between them. Optional: kind, slots, threads, duty, sandbox,
own_accounts, folder.
"""

import os
import stat
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, field

from domain.ids import AccountId, LogId, WorkerId
from domain.value import Value

BYTES_MAX = 64 << 10
EVERYBODY = "everybody"
Count = Annotated[int, Meta(ge=1, le=1_000)]


class Unusable(Exception):
    """The configuration cannot be used; the message is one line for people and holds no secret."""


class Config(Value, forbid_unknown_fields=True, kw_only=True):
    """What an agent is told. Its secrets are in no text that is made of it."""

    server: Annotated[str, Meta(pattern="^https?://[^ ]{1,200}( https?://[^ ]{1,200}){0,7}$")]
    log: Annotated[LogId, Meta(pattern="^[0-9a-f]{32}$")]
    chain_id: Annotated[int, Meta(ge=1)]
    worker: Annotated[WorkerId, Meta(pattern="^worker-[1-9][0-9]{0,14}$")]
    account: Annotated[AccountId, Meta(pattern="^account-[1-9][0-9]{0,14}$")]
    cls: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,39}/[a-z0-9][a-z0-9_.-]{0,39}$")] = field(name="class")
    kind: Literal["worker", "checker"] = "worker"
    api_key: str = ""
    api_key_file: str = ""
    signing_key: str = ""
    signing_key_file: str = ""
    price_per_kwu: Annotated[str, Meta(pattern="^([1-9][0-9]{0,30})?$")] = ""
    slots: Count = 1
    threads: Count = 1
    duty: Annotated[int, Meta(ge=1, le=100)] = 100
    """Percent of the time that the worker may be busy."""
    sandbox: bool = True
    """False: no bubblewrap, also where there is one."""
    own_accounts: list[str] = []
    """Creators who are the operator's own: without a sandbox only their scenes are rendered. `everybody`: there are no others here."""
    folder: str = ""
    """Where scenes and notes are kept; made when missing."""

    def __repr__(self) -> str:
        return f"Config({self.worker} at {self.server})"

    def secret(self, name: Literal["api_key", "signing_key"]) -> str:
        """The key in the configuration, or in the file that it names. Raises `Unusable`."""
        if text := getattr(self, name):
            return str(text)
        path = Path(getattr(self, f"{name}_file"))
        _check_private(path)
        return path.read_text(encoding="ascii").strip()

    def owns(self, creator: str) -> bool:
        """Whether the creator is the operator, too."""
        return creator in {self.account, *self.own_accounts} or EVERYBODY in self.own_accounts


def load(path: Path) -> Config:
    """The configuration in `path`. Raises `Unusable`: missing, readable by others, or wrong in a field that is named."""
    _check_private(path)
    return _settled(parse(path.read_bytes(), path.name), path.resolve().parent)


def parse(content: bytes, name: str = "worker.toml") -> Config:
    """Reads a configuration. Raises `Unusable`."""
    if len(content) > BYTES_MAX:
        raise Unusable(f"{name}: {len(content)} bytes, at most {BYTES_MAX}")
    try:
        config = msgspec.convert(tomllib.loads(content.decode()), Config)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise Unusable(f"{name}: {error}") from None
    for key in ("api_key", "signing_key"):
        if bool(getattr(config, key)) == bool(getattr(config, f"{key}_file")):
            raise Unusable(f"{name}: expected {key} or {key}_file, one of them")
    if config.kind == "checker" and config.price_per_kwu:
        raise Unusable(f"{name}: price_per_kwu is a worker's; a checker is paid by the pool")
    return config


def keep(source: Path, folder: Path, *, replace: bool = False) -> Path:
    """Checks the configuration in `source` and keeps a copy in `folder`, for its owner alone. Returns where. Raises `Unusable`."""
    try:
        content = source.read_bytes()
    except OSError as error:
        raise Unusable(f"{source}: {error.strerror}") from None
    config = parse(content, source.name)
    for key in ("api_key_file", "signing_key_file", "folder"):
        if (named := getattr(config, key)) and not Path(named).is_absolute():
            raise Unusable(f"{source.name}: {key} must be an absolute path, since the file moves")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / f"{config.worker}.toml"
    if target.exists() and not replace:
        raise Unusable(f"{target} is there already")
    fresh = target.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    fresh.replace(target)
    return target


def _settled(config: Config, beside: Path) -> Config:
    """Paths are relative to the file's folder."""
    paths = {key: getattr(config, key) for key in ("api_key_file", "signing_key_file")}
    settled = {key: str(beside / named) for key, named in paths.items() if named}
    return msgspec.structs.replace(config, **settled, folder=str(beside / (config.folder or f"{config.worker}.data")))


def _check_private(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise Unusable(f"{path} holds secrets and must be for its owner alone: chmod 600 {path}")
