"""Ledgers to measure on: real commands, decided by the real ledger, in the real log."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing
from hashlib import sha256
from uuid import UUID

from adapters.succession import fold
from domain.accounts import USDC
from domain.body import Body
from domain.ids import NO_ACCOUNT, AccountId, Actor, JobId, LogId, account_id, job_id
from domain.log.block import Sealed
from domain.log.ledger import Ledger
from domain.log.log import Log
from domain.log.merkle import Head
from domain.log.receipts import Ask
from domain.treasury import account, deposit
from domain.units import Units
from domain.work import job
from domain.world import World

SECRET = "gl_" + "benchmark-" * 4
"""The hot account's."""
FUNDS = Units(10**10)
BLOCK_COMMANDS = 250
DEAR = Units(9 * 10**15)
"""A price at which the hot account cannot pay for one job."""
CHEAP = Units(1_000_000)


def uuid7(number: int, at_us: int = 0) -> str:
    """A key of now, or of another time; another one for each number."""
    return str(UUID(int=((at_us or time.time_ns() // 1000) // 1000 << 80) | 0x7 << 76 | 0x2 << 62 | number))


def submission(limit: Units) -> job.Submit:
    """The smallest job: one frame of one task."""
    digest = sha256(b"benchmark").hexdigest()
    return job.Submit(
        engine="mitsuba", manifest_sha256=digest, frames=1, size=(16, 16), tiles=(1, 1), group=1, samples=64, limit_price=limit
    )


class Press:
    """Decides commands on a ledger, one block after another, with a clock of its own that begins at the last one."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self._number = ledger, 0
        self.now_us = ledger.at_us + 1

    def keyed(self, actor: Actor, command: Body, of: AccountId) -> Ask:
        self._number += 1
        return Ask.keyed(actor, uuid7(self._number, self.now_us), command, command.model_dump_json().encode(), account=of)

    def about(self, actor: Actor, command: Body) -> Ask:
        self._number += 1
        return Ask.about(actor, f"seed/{self._number}", command, account=AccountId(actor))

    def block(self, asks: Iterable[Ask], step_us: int = 1_000) -> tuple[Sealed, list[int]]:
        """One block of these commands, and the position of each."""
        self.now_us += step_us
        positions = [self.ledger.decide(ask, self.now_us).position for ask in asks]
        sealed = self.ledger.seal(self.now_us)
        assert sealed, "commands that do nothing make no block"
        return sealed, positions

    def due(self) -> Iterator[Sealed]:
        """Blocks of what the house does by itself, as a server seals them while nobody asks, until nothing is due."""
        while sealed := self.ledger.seal(self.now_us):
            yield sealed

    def daemon(self, role: str) -> AccountId:
        return next(person.id for person in self.ledger.world.people.values() if role in person.roles)

    def rich(self, secret: str, roles: tuple[str, ...], number: int, amount: Units = FUNDS) -> Iterator[Sealed]:
        """Somebody with an API key and money; his account is the position after the ledger's head."""
        fingerprint = sha256(secret.encode()).hexdigest()
        sealed, (position,) = self.block([self.keyed(Actor(f"key-{fingerprint}"), account.Open(roles=roles), NO_ACCOUNT)])
        yield sealed
        watch, tx, block = self.daemon("watch"), f"0x{number:064x}", self.ledger.world.final_block + 1
        see = deposit.See(account=account_id(position), asset=USDC, tx=tx, log_index=0, block=block, amount=amount)
        yield self.block([self.about(watch, see)])[0]
        yield self.block([self.about(watch, deposit.Finalise(tx=tx, log_index=0, block=block))])[0]


def owner_of(world: World) -> AccountId:
    """The hot account, of whoever has its API key."""
    return world.keys[sha256(SECRET.encode()).hexdigest()]


class Desk:
    """What a load of transfers is made of: jobs that one hot account may open, and some that it cannot pay."""

    def __init__(self, payable: Sequence[JobId], dear: Sequence[JobId]) -> None:
        self.payable, self.dear = payable, dear


def hot(press: Press, jobs: int, dear: int = 20) -> Iterator[Sealed | Desk]:
    """One account with much money and so many quoted jobs: to open one moves money out of that account into the job's escrow."""
    owner = account_id(press.ledger.head.size + 1)
    yield from press.rich(SECRET, ("creator",), 1)
    made = list[JobId]()
    for at in range(0, jobs + dear, BLOCK_COMMANDS):
        limits = [CHEAP if number < jobs else DEAR for number in range(at, min(at + BLOCK_COMMANDS, jobs + dear))]
        sealed, positions = press.block(press.keyed(owner, submission(limit), owner) for limit in limits)
        made += [job_id(position) for position in positions]
        yield sealed
    yield Desk(made[:jobs][::-1], made[jobs:])  # the newest first, as people open what they were just quoted


async def write_hot(log: Log, id: LogId, jobs: int) -> tuple[Desk, Ledger]:
    """Put it into a ledger that has begun."""
    press = Press(await folded(log, id))
    for made in hot(press, jobs):
        if isinstance(made, Desk):
            return made, press.ledger
        await log.append(made)
    raise AssertionError("the seed ends with its desk")


async def folded(log: Log, id: LogId) -> Ledger:
    """The ledger of a log."""
    ledger = Ledger(Head(id))
    async with aclosing(log.read()) as records:
        async for record in records:
            fold(ledger, record)
    return ledger
