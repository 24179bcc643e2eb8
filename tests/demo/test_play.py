"""The demo's own judgement of what it saw."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from demo.feed import Disappointed
from demo.play import Play


def watching(status: str) -> tuple[Play, Any, Any]:
    """A play whose job has this status already, with its processes and its feed."""
    it: Any = Play.__new__(Play)
    it.board, it.slack_s, it.job = SimpleNamespace(status=status, tasks={}), 1.0, "job-7"

    async def until(hoped: Callable[[], bool], what: str, within_s: float) -> None:
        assert hoped(), what

    return it, SimpleNamespace(check=lambda: None), SimpleNamespace(until=until)


async def test_a_completed_job_is_what_was_hoped_for() -> None:
    it, processes, feed = watching("completed")
    await it._work(processes, feed)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
async def test_a_job_that_ends_otherwise_ends_the_demo_with_a_sentence(status: str) -> None:
    it, processes, feed = watching(status)
    with pytest.raises(Disappointed, match=f"job-7 is {status}"):
        await it._work(processes, feed)
