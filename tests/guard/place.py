"""A ledger in memory, with views and objects, and a guard that looks at them."""

from adapters import objects
from adapters.views.books import Books
from domain.house import override
from domain.house.books import Shown, Stopped
from domain.ids import AccountId
from domain.log import asks
from domain.log.log import Unreachable
from domain.log.merkle import Head
from projections.explorer.house import House
from projections.finance.balances import Balances
from projections.memory import MemoryViews
from projections.row import Batch, Row
from projections.views import Move
from tests.daemons.rig import Rig
from tests.network import DUMMY, LOG, Network
from worker_runtime.daemons.guard import Guard

SHOWN = Balances(), House()


class Place:
    def __init__(self, net: Network) -> None:
        self.net, self.rig, self.store = net, Rig(net=net), objects.memory()
        self.views, self._stands, self._shown = MemoryViews(*SHOWN), Head(LOG), 0
        self.books = Moody(self.views)
        self.guard = self.start()

    def start(self) -> Guard:
        return Guard(self.rig.desk("watch"), self.books, self.store)

    async def show(self) -> None:
        """The views take what happened."""
        after, fresh = self.net.ledger.head, self.net.events[self._shown :]
        moves = []
        for projection in SHOWN:
            batch = Batch()
            for event in fresh:
                for change in projection.fold(event):
                    batch.add(change)
            moves.append(Move(projection, batch, self._stands, after))
        await self.views.write(*moves)
        self._stands, self._shown = after, len(self.net.events)

    def spoil(self, row: Row) -> None:
        """The views take what never happened."""
        batch = Batch()
        batch.add(row)
        projection = next(each for each in SHOWN if type(row) in each.rows)
        self.views.take(Move(projection, batch, self._stands, self._stands), self._stands.size)

    async def step(self, times: int = 1) -> None:
        """The guard looks, and the views show what came of it."""
        for _ in range(times):
            await self.guard.step()
            await self.show()

    async def release(self, *, shown: bool = True) -> None:
        """By two admins."""
        one, two = (person.id for person in self.net.world.people.values() if "admin" in person.roles)
        self.net.do(one, releasing(two, self.net.world.overrides + 1), keyed=True)
        if shown:
            await self.show()

    def overrides(self) -> list[override.Applied]:
        return [each.event for each in self.net.events if isinstance(each.event, override.Applied)]

    def looked_twice(self) -> int:
        """How often something was found that had to be looked for again."""
        return sum(isinstance(ask.command, asks.Nothing) for ask in self.rig.asks)


def releasing(approver: AccountId, number: int) -> override.Override:
    return override.Override(action="release", reason="checked", number=number, approver=approver, approval=DUMMY)


class Moody(Books):
    """Books that fail, or err once, when they are told to."""

    def __init__(self, views: MemoryViews) -> None:
        super().__init__(views)
        self.silent, self.errs = False, 0

    async def trial(self) -> Shown:
        if self.silent:
            raise Unreachable
        shown = await super().trial()
        if self.errs:
            self.errs -= 1
            return Shown(shown.position, {**shown.amounts, "usdc:2110.available": 1})
        return shown

    async def stopped(self) -> Stopped:
        if self.silent:
            raise Unreachable
        return await super().stopped()
