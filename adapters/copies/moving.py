"""A ledger that moves: sealed where it was, copied, bound where it is; and one whose home was lost, restored from a copy.

Each step looks first at what is there already, so whatever interrupted it, it goes on when it is asked again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

from adapters.copies import copy as copies
from adapters.copies.copy import Foreign
from adapters.succession import Copied, catch_up, require_whole
from domain.log import log as logs
from domain.log.block import Sealed
from domain.log.ledger import Ledger
from domain.log.log import Log, Lost, OutcomeUnknown
from domain.log.merkle import Head, Mark

TRIES, RETRY_S = 20, 0.2
Reason = Literal["moved", "lost"]
Clock = Callable[[], Awaitable[int]]
Tell = Callable[[str], None]
"""Hears of each step that was taken."""


class Home(Log, Protocol):
    """A log that a ledger can be bound to."""

    async def home(self) -> str: ...


class Elsewhere(Exception):
    """The log is sealed, and on its way to another home than this one."""


async def move(old: Home, new: Home, me: str, clock: Clock, seen: Sequence[Mark], tell: Tell) -> tuple[Head, Ledger]:
    """The head at which the old home ends, and the ledger as it stands in the new one. `seen` are heads that others have read. Raises
    `Copied` where the old home is none, `Elsewhere`, `Behind`, what a copy raises."""
    start, there = await copies.beginning(old), await new.home()
    ledger = Ledger(start)
    await catch_up(old, ledger)
    require_whole(ledger.head, seen)
    if ledger.world.home != (here := await old.home()):
        raise Copied(f"the ledger lives in {ledger.world.home}, and this is {here}")
    tell("read")
    await _land(old, ledger, lambda: ledger.head.sealed, lambda at_us: ledger.ending(me, there, "moved", at_us), clock)
    if ledger.world.heir != there:
        raise Elsewhere(f"the log was sealed to go on at {ledger.world.heir}, and the new home is {there}")
    sealed = ledger.head
    tell("sealed")
    await _bring(old, new, sealed)
    tell("copied")
    await _bind(new, ledger, there, me, "moved", clock)
    tell("bound")
    return sealed, ledger


async def restore(source: Log, new: Home, me: str, clock: Clock, seen: Sequence[Mark], tell: Tell) -> tuple[Head, Ledger]:
    """The head at which the copy ends, and the ledger as it stands in the new home. Raises `Behind` where somebody has read more of the
    log than the copy has, and what a copy raises."""
    start, there = await copies.beginning(source), await new.home()
    head = (await copies.examine(source, start)).head
    there_already = (await copies.examine(new, start)).head
    require_whole(there_already if there_already.size > head.size else head, seen)
    await _bring(source, new, head)
    tell("copied")
    ledger = Ledger(start)
    await catch_up(new, ledger)
    await _bind(new, ledger, there, me, "lost", clock)
    tell("bound")
    return head, ledger


async def _bring(source: Log, new: Log, head: Head) -> None:
    """All of the source into the new home, unless that has it and more: it was there before. Raises `Foreign`."""
    if (await copies.examine(new, Head(head.log))).head.size <= head.size:
        await copies.copy(source, new)
    if not await logs.holds(new, head):
        raise Foreign(f"the new home has another history than the one that ends at size {head.size}, root {head.root}")


async def _bind(new: Home, ledger: Ledger, there: str, me: str, reason: Reason, clock: Clock) -> None:
    """Seals and binds until the ledger lives there. What was on its way to a home that is lost as well is bound to that one first."""

    def bound() -> bool:
        return not ledger.head.sealed and ledger.world.home == there

    def step(at_us: int) -> Sealed:
        return ledger.binding(at_us) if ledger.head.sealed else ledger.ending(me, there, reason, at_us)

    await _land(new, ledger, bound, step, clock)


async def _land(log: Log, ledger: Ledger, done: Callable[[], bool], make: Callable[[int], Sealed], clock: Clock) -> None:
    """Appends blocks, and reads them back, until it is done. Raises `Lost`, `OutcomeUnknown` where the log does not take them."""
    for n in range(TRIES):
        await catch_up(log, ledger)
        if done():
            return
        try:
            await log.append(make(await clock()))
        except (Lost, OutcomeUnknown):
            if n == TRIES - 1:
                raise
            await asyncio.sleep(RETRY_S)
    raise Lost("the log did not take the block")
