"""Snapshots in a folder: the newest three, each written whole or not at all. They are made by a short-lived process of their own, which
folds the log from the last one on (`gridledger snapshot`): the memory of a process that decides is never written down."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import aclosing, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

import domain
from adapters.succession import Behind, fold
from domain.ids import LogId
from domain.log import snapshot
from domain.log.ledger import Ledger
from domain.log.log import Log, holds
from domain.log.merkle import Head, Mark
from domain.log.snapshot import Header, Unusable

KEPT = 3
HEADER_BYTES_MAX = 4_096
NAME = re.compile(r"[0-9]{15}-[0-9a-f]{16}\.snapshot")
logger = logging.getLogger(__name__)


class Differs(Exception):
    """Two folds of the same log came to different states."""


@cache
def fold_version() -> str:
    """Of the code that folds: a digest of the domain's sources. Another version begins with the log's first event."""
    (folder,) = map(Path, domain.__path__)
    digest = sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(f"{file.relative_to(folder).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


class Snapshots:
    def __init__(self, folder: Path, log: LogId) -> None:
        self._folder, self._log = folder, log
        self.fold = fold_version()

    def newest(self) -> Ledger:
        """From the newest snapshot that can be used; the empty ledger if there is none."""
        for file in self._files():
            try:
                return snapshot.thaw(file.read_bytes(), self._log, self.fold)
            except (Unusable, OSError) as why:
                logger.warning("the snapshot %s is of no use: %s", file.name, why)
        return Ledger(Head(self._log))

    def marks(self) -> list[Mark]:
        """The heads of this log at which snapshots stand, also those of other versions of the code."""
        return [Mark(header.log, header.size, header.root, sealed=False) for header in self._headers() if header.log == self._log]

    def keep(self, frozen: bytes) -> Header:
        """Write it, in one step that survives a loss of power, and drop the oldest. Raises `OSError`; then nothing has changed."""
        header = snapshot.read_header(frozen)
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"{header.size:015d}-{header.fold[:16]}.snapshot"
        part = file.with_suffix(f".{os.getpid()}.part")
        try:
            with part.open("wb") as out:
                out.write(frozen)
                out.flush()
                os.fsync(out.fileno())
            part.replace(file)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        entries = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(entries)
        finally:
            os.close(entries)
        for old in self._files()[KEPT:]:
            old.unlink(missing_ok=True)
        return header

    def discard(self, size: int) -> None:
        """Put aside what stands at this size, for people to look at: no start uses it."""
        for file in self._files():
            if file.name.startswith(f"{size:015d}-"):
                file.replace(file.with_suffix(".wrong"))

    async def make(self, log: Log, size: int | None = None, *, anew: bool = False) -> Header:
        """Fold the log up to its end, or to the block that ends at `size`, from the newest snapshot or `anew`, from its first event; keep
        what comes of it. Raises `Behind` where the log does not have what a snapshot stands on, `Differs` where another state stood there,
        `Broken`, `Diverged`, `Unreachable`, `OSError`."""
        ledger = Ledger(Head(self._log)) if anew else self.newest()
        if size is not None and ledger.head.size > size:
            ledger = Ledger(Head(self._log))
        if not await holds(log, ledger.head):
            raise Behind(f"a snapshot stands at position {ledger.head.size}, which the log does not have")
        async with aclosing(log.read(ledger.head.size)) as records:
            async for record in records:
                if size is not None and ledger.head.size >= size:
                    break
                fold(ledger, record)
        if size is not None and ledger.head.size != size:
            raise Behind(f"no block of the log ends at position {size}")
        frozen = snapshot.freeze(ledger, self.fold)
        mine = snapshot.read_header(frozen)
        for stood in [header for header in self._headers() if (header.log, header.fold, header.size) == (mine.log, mine.fold, mine.size)]:
            if stood != mine:
                self.discard(mine.size)
                raise Differs(f"at position {mine.size} one fold came to the state {mine.sha256}, another to {stood.sha256}")
        return self.keep(frozen)

    def _files(self) -> list[Path]:
        """The newest first."""
        if not self._folder.is_dir():
            return []
        return sorted((file for file in self._folder.iterdir() if NAME.fullmatch(file.name)), reverse=True)

    def _headers(self) -> Iterator[Header]:
        for file in self._files():
            with suppress(Unusable, OSError), file.open("rb") as frozen:
                yield snapshot.read_header(frozen.read(HEADER_BYTES_MAX))
