"""Has snapshots made while the server runs, and compares: a process that folded the log anew and the one that follows it must have come
to the same state, byte for byte. If they have not, one of them is wrong, and nobody may go on."""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from adapters.log.follower import Follower
from adapters.log.snapshots import Differs, Snapshots
from domain.log import snapshot

EVERY_EVENTS, EVERY_S, LOOK_S = 100_000, 600.0, 1.0
"""A snapshot is due after so many events, or after so long if there were any."""
MAKE_S_MAX = 600.0
logger = logging.getLogger(__name__)


class Recorder:
    def __init__(self, follower: Follower, snapshots: Snapshots, directory: Path, *, every_events: int = EVERY_EVENTS) -> None:
        """`directory` is the server's."""
        self._follower, self._snapshots, self._directory, self._every_events = follower, snapshots, directory, every_events
        self._size, self._at_s = max((mark.size for mark in snapshots.marks()), default=0), time.monotonic()

    async def run(self) -> None:
        """Until cancelled. Raises `Differs`."""
        while True:
            await asyncio.sleep(LOOK_S)
            fresh = self._follower.head.size - self._size
            if fresh >= self._every_events or (fresh > 0 and time.monotonic() - self._at_s >= EVERY_S):
                await self.record()

    async def record(self) -> None:
        """One snapshot, of where this process stands now. Raises `Differs`."""
        mine = snapshot.read_header(self._follower.freeze(self._snapshots.fold))
        self._size, self._at_s = mine.size, time.monotonic()
        theirs = await self._made(["snapshot", str(self._directory), "--size", str(mine.size), "--on", "--json"])
        if theirs is None:
            return
        if (theirs["root"], theirs["sha256"]) != (mine.root, mine.sha256):
            self._snapshots.discard(mine.size)
            raise Differs(f"at position {mine.size} one fold came to the state {mine.sha256}, another to {theirs['sha256']}")
        logger.info("a snapshot stands at position %d", mine.size)

    async def _made(self, arguments: Sequence[str]) -> dict[str, str] | None:
        """What the process says that it made; None if it made nothing."""
        command = [sys.executable, "-m", "gridledger", *arguments]
        made = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        try:
            async with asyncio.timeout(MAKE_S_MAX):
                said, why = await made.communicate()
        except TimeoutError:
            said, why = b"", b"it took too long"
        finally:
            if made.returncode is None:
                made.kill()
                await made.wait()
        if made.returncode:
            logger.warning("no snapshot was made: %s", why.decode(errors="replace").strip()[-500:])
            return None
        found: dict[str, str] = json.loads(said)
        return found
