"""The demo's own judgement of what it saw."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from demo.feed import Disappointed, Feed
from demo.play import Play


def watching(status: str) -> tuple[Play, Any, Any]:
    """A play whose job has this status already, with its processes and its feed."""
    it: Any = Play.__new__(Play)
    it.board, it.slack_s, it.job = SimpleNamespace(status=status, accepted=0), 1.0, "job-7"

    async def until(hoped: Callable[[], bool], what: str, within_s: float, done: Callable[[], int]) -> None:
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


async def test_a_slow_job_has_time_as_long_as_its_pieces_come() -> None:
    board: Any = SimpleNamespace(position=9, accepted=0)
    feed: Any = Feed(SimpleNamespace(), board, SimpleNamespace())  # type: ignore[arg-type]
    waits = 0

    async def wait_for(moved: Callable[[], bool]) -> None:
        """Each wait is over with one piece more; the last one never is."""
        nonlocal waits
        waits += 1
        if board.accepted == 3:
            await asyncio.Event().wait()
        board.accepted += 1
        assert moved()

    feed._changed.wait_for = wait_for
    with pytest.raises(Disappointed, match="the end of the job did not happen within 0 s"):
        await feed.until(lambda: board.accepted == 16, "the end of the job", 0.05, lambda: board.accepted)
    assert waits == 4
