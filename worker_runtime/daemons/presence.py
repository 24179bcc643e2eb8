"""Presence: who is there. Agents give signs of life that nobody keeps; of whom none came for the policy's time is put offline, with the
time of the last one.

After a start, and after this process itself was held up, everybody gets a whole interval: who did not listen cannot say that nobody
spoke.
"""

from collections.abc import Iterator

from msgspec import Struct

from domain.ids import WorkerId
from domain.market import worker
from domain.parts import Worker
from domain.world import World
from worker_runtime.daemons import loop

EVERY_S = 0.5


class Sign(Struct):
    """The last sign of life of a worker's time online."""

    session: str
    online_us: int
    """Ledger time at which it came online: it may go and come back with the same session."""
    heard_us: int


class Presence:
    def __init__(self, desk: loop.Desk) -> None:
        self._desk = desk
        self._signs = dict[WorkerId, Sign]()
        self._listened_us = 0

    async def run(self) -> None:
        await loop.run(self._desk, self.step, EVERY_S)

    def seen(self, id: WorkerId, session: str) -> None:
        """The worker's agent is alive. One that the ledger does not have online in this session is not: it must come online first."""
        if (sign := self._signs.get(id)) and sign.session == session:
            sign.heard_us = self._desk.now_us()

    async def step(self) -> None:
        """Puts offline who was silent. Raises what `submit` raises."""
        now_us, world = self._desk.now_us(), self._desk.world
        if now_us - self._listened_us > world.policy.presence_us // 2:
            self._signs.clear()
        self._listened_us = now_us
        self._signs = {it.id: current(self._signs.get(it.id), it, now_us) for it in online(world)}
        for id, sign in silent(self._signs, now_us - world.policy.presence_us):
            await self._desk.ask(
                f"silence/{id}/{sign.session}/{sign.heard_us}",
                worker.Silence(worker=id, session=sign.session, last_seen_us=sign.heard_us),
            )


def online(world: World) -> Iterator[Worker]:
    return (it for it in world.workers.values() if it.presence == "online")


def current(sign: Sign | None, it: Worker, now_us: int) -> Sign:
    """The sign, if it is of this time online; else the worker is heard of by being noticed."""
    if sign and (sign.session, sign.online_us) == (it.session, it.online_us):
        return sign
    return Sign(it.session, it.online_us, now_us)


def silent(signs: dict[WorkerId, Sign], until_us: int) -> list[tuple[WorkerId, Sign]]:
    return [(id, sign) for id, sign in signs.items() if sign.heard_us <= until_us]
