"""Tasks that run side by side in a server. When one of them fails, all are told to stop, and the failure is the server's."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

logger = logging.getLogger(__name__)


class Group:
    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.tasks: dict[str, asyncio.Task[Any]] = {}
        self.failures: list[BaseException] = []

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        task = self.tasks[name] = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (failure := task.exception()):
            logger.error("%s failed", task.get_name(), exc_info=failure)
            self.failures.append(failure)
            self.stopping.set()

    async def stop(self, *names: str) -> None:
        """All, or those that are named and run."""
        tasks = [task for name, task in self.tasks.items() if not names or name in names]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
