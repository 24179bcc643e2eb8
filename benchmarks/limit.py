"""A bound on how long something may take, whatever it waits for: a peer that hangs, a server of ours, a lock."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

AGAIN_S = 20.0
"""What is cleaned up after the limit may take as long; what hangs there is interrupted, too."""


class TooLong(KeyboardInterrupt):
    """It was not done in time. Like Ctrl-C it goes through `except Exception` and through asyncio's loop, and everything is cleaned up."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises `TooLong` in the main thread when it is over, and again while that is not heard."""

    def over(*_: object) -> None:
        raise TooLong(f"it was not done within {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
