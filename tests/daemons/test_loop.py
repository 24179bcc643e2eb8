"""The loop that takes a daemon's steps: what it outlives, and what ends it."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from domain.errors import TooEarly
from domain.log.log import Busy, OutcomeUnknown
from domain.treasury.chain import ChainRefused, ChainSilent
from tests.daemons.rig import Rig
from worker_runtime.daemons import loop


def failing(*errors: Exception, then: Exception) -> Callable[[], "asyncio.Future[None]"]:
    """A step that fails so, one time after another, works once, and then ends it all."""
    outcomes = iter([*errors, None, then])

    def step() -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        outcome = next(outcomes)
        if outcome:
            future.set_exception(outcome)
        else:
            future.set_result(None)
        return future

    return step


async def test_trouble_that_passes_is_outlived_and_told_once() -> None:
    silent = [ChainSilent("timeout")] * 3
    passing = (*silent, loop.Waits("no"), ChainRefused("no"), Busy(), OutcomeUnknown(), TimeoutError(), TooEarly(what="it", due_us=1))
    with capture_logs() as lines:
        await loop.run("watch", failing(*passing, then=loop.Halted("enough")), 0)
    told = [(line["event"], line.get("why", "").partition(":")[0]) for line in lines]
    waits = ["ChainSilent", "Waits", "ChainRefused", "Busy", "OutcomeUnknown", "TimeoutError", "TooEarly"]
    assert told == [*(("waits", why) for why in waits), ("goes on", ""), ("halted", "enough")]


async def test_what_nobody_foresaw_ends_the_loop_loudly() -> None:
    with pytest.raises(ZeroDivisionError):
        await loop.run("watch", failing(then=ZeroDivisionError()), 0)


async def test_a_role_that_nobody_has_halts() -> None:
    rig = Rig()
    assert rig.world.people[loop.account_of(rig.world, "payer")].roles == ["payer"]
    with pytest.raises(loop.Halted):
        loop.account_of(rig.world, "nobody")
