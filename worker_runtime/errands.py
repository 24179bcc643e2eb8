"""What an agent has under way for one task or audit, so that it can be ended at once."""

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class Errands:
    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[None]] = {}

    @contextmanager
    def errand(self, about: Hashable) -> Iterator[None]:
        """What the current task does inside is about this. There is one errand about one thing."""
        task = asyncio.current_task()
        assert task is not None
        self._running[about] = task
        try:
            yield
        finally:
            if self._running.get(about) is task:
                del self._running[about]

    def kill(self, about: Hashable) -> bool:
        """Ends it. Returns whether there was any."""
        task = self._running.pop(about, None)
        return task.cancel() if task else False
