"""A drill: a worker that cheats, so that everybody can see what becomes of one (`gridledger demo`).

Its benches are honest. Of every other task it renders a part of the samples only, keeps what it made under the specification that
was asked for, and waits until it is believable that it rendered all of them.
"""

from typing import NamedTuple

from domain.work import tiles
from worker_runtime.gpu.agent import Lease

WAIT = (6, 10)
"""Of the expected time: less than half of it would not pass the gate (DOMAIN.md §5.2)."""


class Cheat(NamedTuple):
    """`samples` per pixel instead of what was asked."""

    samples: int

    def hold_us(self, lease: Lease, seconds_us: int, at_us: int, score: int) -> int:
        """Until the wait is over since the lease; for benches not at all."""
        if not lease.job or not score:
            return at_us
        return max(at_us, lease.since_us + lease.wu_milli * 1_000_000 // score * WAIT[0] // WAIT[1])

    def rendered(self, asked: tiles.Spec) -> tiles.Spec:
        """What it renders instead of what was asked."""
        return asked._replace(samples=min(self.samples, asked.samples))

    def labelled(self, raw: bytes, asked: tiles.Spec) -> bytes:
        """The raw object as if it were what was asked."""
        return raw[: -tiles.SPEC_BYTES] + bytes.fromhex(asked.sha256())
