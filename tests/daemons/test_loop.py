"""The loop that takes a daemon's steps: what it outlives, and what ends it."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from domain.body import Invalid
from domain.errors import TooEarly
from domain.log.log import Busy, OutcomeUnknown
from domain.treasury import deposit
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
        await loop.run(Rig().desk("watch"), failing(*passing, then=loop.Halted("enough")), 0)
    told = [(line["event"], line.get("why", "").partition(":")[0]) for line in lines]
    waits = ["ChainSilent", "Waits", "ChainRefused", "Busy", "OutcomeUnknown", "TimeoutError", "TooEarly"]
    assert told == [*(("waits", why) for why in waits), ("goes on", ""), ("halted", "enough")]


async def test_what_somebody_told_that_no_command_can_say_is_outlived() -> None:
    with pytest.raises(Invalid) as nonsense:
        deposit.Finalise(tx="0xNO", log_index=0, block=-1)
    with capture_logs() as lines:
        await loop.run(Rig().desk("watch"), failing(nonsense.value, then=loop.Halted("enough")), 0)
    assert [line["event"] for line in lines] == ["waits", "goes on", "halted"]


async def test_what_nobody_foresaw_ends_the_loop_loudly() -> None:
    with pytest.raises(ZeroDivisionError):
        await loop.run(Rig().desk("watch"), failing(then=ZeroDivisionError()), 0)


async def test_a_daemon_looks_only_when_this_process_has_read_all_that_was_decided() -> None:
    rig, waited = Rig(), list[int]()

    class Late(Rig):
        async def reached(self, position: int, timeout_s: float) -> None:
            waited.append(position)

    async def step() -> None:
        raise loop.Halted(str(waited))

    size = rig.head.size
    with capture_logs() as lines:
        await loop.run(Late(net=rig.net).desk("watch"), step, 0)
    assert [line["why"] for line in lines] == [f"[{size}]"]


async def test_a_role_that_nobody_has_halts() -> None:
    rig = Rig()
    assert rig.world.people[loop.account_of(rig.world, "payer")].roles == ["payer"]
    with pytest.raises(loop.Halted):
        loop.account_of(rig.world, "nobody")
