"""What a library's ledger begins with. Its first block is that of the first batch, whoever records it; so that two that begin at once
begin the same log, its id follows from where it lies."""

from hashlib import sha256

from domain.ids import LogId
from domain.log import log
from domain.log.log import Log
from domain.log.merkle import Head


async def start(the_log: Log, home: str) -> Head:
    """The empty head of the log that lies there: the one that its first block names, else one after its `home`, which is unique.
    Raises `Unreachable`."""
    return await log.origin(the_log) or Head(LogId(sha256(f"library\0{home}".encode()).hexdigest()[:32]))
