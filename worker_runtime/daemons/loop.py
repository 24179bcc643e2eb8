"""What all daemons share: how they read the ledger, how they ask it for something, and the loop that takes their steps.

A daemon keeps nothing that it needs. Each step looks at the ledger's world and at the outside, and asks for what is missing; whatever
was done already does nothing. So it may be stopped anywhere, and a step that fails is simply taken again.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from typing import Protocol

import structlog

from domain.body import Body, Invalid
from domain.errors import Refused
from domain.event import Event, Recorded
from domain.ids import AccountId
from domain.log.asks import Nothing
from domain.log.log import Busy, OutcomeUnknown, Unreachable
from domain.log.merkle import Head
from domain.log.receipts import Ask, Receipt
from domain.treasury.chain import ChainRefused, ChainSilent
from domain.world import World

READ_S_MAX = 30.0
"""How long to wait for one's own events to be read back."""

Submit = Callable[[Ask], Awaitable[Receipt]]
Deed = tuple[str, Body]
"""A command, and the subject that names it: the same thing asked for once more does nothing."""
Items = AsyncGenerator[tuple[Recorded[Event], bytes], None]
log = structlog.get_logger(__name__)


class Halted(Exception):
    """The daemon must not go on by itself: a person has to look."""


class Waits(Exception):
    """Nothing can be done now, and somebody should know why."""


class Reader(Protocol):
    """The follower of the log in this process."""

    @property
    def head(self) -> Head: ...

    @property
    def world(self) -> World:
        """As of `head`. To be read only."""

    async def reached(self, position: int, timeout_s: float) -> None:
        """Returns when the head is at `position` or beyond. Raises `TimeoutError`."""

    def events(self, after: int, *, types: Collection[str] = (), streams: Collection[str] = ()) -> Items:
        """Events after a position with their lines, for ever. To be closed."""
        ...


class Desk:
    """A daemon's place: the world that it reads, the account as which it asks, and the clock on the wall."""

    def __init__(self, role: str, reader: Reader, submit: Submit, now_us: Callable[[], int]) -> None:
        """`now_us` is the ledger's own clock: what is due by another would be asked for too early."""
        self.role, self.reader, self.now_us = role, reader, now_us
        self._submit = submit

    @property
    def world(self) -> World:
        return self.reader.world

    async def ask(self, subject: str, command: Body) -> Receipt:
        """Submit the command and wait until this process has read what came of it, so that the next look at the world shows it.

        Raises what `submit` raises, and `TimeoutError`.
        """
        account = account_of(self.world, self.role)
        receipt = await self._submit(Ask.about(account, subject, command, account=account))
        await self.reader.reached(receipt.position + max(receipt.count, 1) - 1, READ_S_MAX)
        if receipt.count:
            log.info("done", agent=self.role, command=subject, position=receipt.position)
        return receipt

    async def catch_up(self) -> None:
        """Wait until this process has read all that the ledger has decided: what is asked for on an older world may be asked wrongly."""
        await self.ask("where", Nothing())


def account_of(world: World, role: str) -> AccountId:
    """The first account of this role: daemons' were opened in the first block. Raises `Halted` if there is none."""
    for person in world.people.values():
        if role in person.roles:
            return person.id
    raise Halted(f"no account has the role {role}")


PASSING = (Waits, ChainSilent, ChainRefused, Invalid, Refused, Busy, OutcomeUnknown, Unreachable, TimeoutError)
"""What a daemon outlives: the next step sees what became of it. `Invalid` is what somebody told us and no command can say."""


async def run(desk: Desk, step: Callable[[], Awaitable[None]], every_s: float) -> None:
    """Takes steps until cancelled, the first when this process has caught up with the ledger, and so after trouble. Trouble that
    passes is logged when it begins and when it ends; a daemon that halted returns."""
    trouble, role, behind = "", desk.role, True
    while True:
        try:
            if behind:
                await desk.catch_up()
            behind = True
            await step()
            behind = False
            if trouble:
                log.info("goes on", agent=role, after=trouble)
            trouble = ""
        except Halted as why:
            log.error("halted", agent=role, why=str(why))
            return
        except PASSING as error:
            now = f"{type(error).__name__}: {error}"
            if now != trouble:
                log.warning("waits", agent=role, why=now)
            trouble = now
        await asyncio.sleep(every_s)
