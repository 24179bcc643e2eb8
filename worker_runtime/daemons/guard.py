"""The guard: looks all the time whether the ledger is as it must be, and has the watch stop the money when it is not.

Three looks, one after the other: the world against its invariants; what readers are told of balances against the world; what the chain
holds against what the ledger says. The world goes on meanwhile: every comparison is of one moment, and long ones let others have their
turn. What was found is looked for once more, after everything that the ledger decided meanwhile. What stands then is written down beside
the log, and named in the freeze.

Two admins release the money. What they looked at freezes it no more: the guard acts again on what the last freeze did not name.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from itertools import islice

import msgspec
import structlog

from domain.accounts import Account
from domain.house import invariants, override
from domain.house.books import Books, Shown
from domain.house.invariants import Finding
from domain.ids import LogId
from domain.log import wire
from domain.log.log import Unreachable
from domain.units import Units
from domain.value import Value
from domain.work.objects import ObjectMissing, Store
from worker_runtime.daemons import loop

EVERY_S = 2.0
TURN_S, PAUSE_S = 0.002, 0.02
"""How long it looks before it lets others have their turn, and how long that is: a tenth of a core at most."""
ROWS, PAGES = 500, 4
"""Of the view's accounts, so many are looked at each time, going on where the last look ended."""
APART_MAX = 2_000
"""Events between the views and the world; views that are further behind catch up first."""
FINDINGS_MAX, BALANCES_MAX = 20, 50
REMEDY = "look at the evidence in the objects, mend what is wrong, then two admins: gridledger override release"
Name = tuple[str, str]
"""What and subject of a finding."""
log = structlog.get_logger(__name__)


class Evidence(Value):
    """What stood, and when: kept in the object store under its SHA-256."""

    log: LogId
    size: int
    """The head that it was seen at; likewise the root."""
    root: str
    at_us: int
    """By the clock of this machine."""
    findings: list[Finding]
    balances: dict[Account, Units]
    """Of those that it is about, as the world holds them."""


class Look:
    """What one look found: what is new, and what people know and let stand."""

    def __init__(self, known: set[Name], after: str) -> None:
        self.known, self.after = known, after
        """Where it goes on among the accounts."""
        self.fresh, self.standing = dict[Name, Finding](), dict[Name, Finding]()

    def take(self, *found: Finding) -> None:
        for it in found:
            if name(it) in self.known:
                self.standing[name(it)] = it
            elif not self.full:
                self.fresh[name(it)] = it

    @property
    def full(self) -> bool:
        return len(self.fresh) >= FINDINGS_MAX


class Guard:
    def __init__(self, desk: loop.Desk, books: Books, store: Store) -> None:
        """`desk` is the watch's."""
        self._desk, self._books, self._store = desk, books, store
        self._after, self._turned = "", 0.0
        self._told = set[Name]()

    async def run(self) -> None:
        await loop.run(self._desk, self.step, EVERY_S)

    async def step(self) -> None:
        """Looks at everything, and again if something is wrong. Raises `Unreachable` and `Waits` where the views cannot be read or are
        behind, and what the ledger raises."""
        if self._desk.world.frozen:
            return
        known = await self._known()
        look = await self._look(known)
        if look.fresh:
            log.error("found, looking again", agent="guard", found=[str(it) for it in look.fresh.values()])
            await self._desk.catch_up()
            again = await self._look(known)
            if stands := [it for it in again.fresh.values() if name(it) in look.fresh]:
                await self._freeze([*stands, *again.standing.values()])
        self._tell(look.standing)
        self._after = look.after

    def _tell(self, standing: dict[Name, Finding]) -> None:
        if standing.keys() - self._told:
            log.warning("let stand", agent="guard", found=[str(it) for it in standing.values()])
        self._told = {*standing}

    async def _freeze(self, found: list[Finding]) -> None:
        world, head = self._desk.world, self._desk.reader.head
        about = {it.subject.partition(" ")[0] for it in found}
        its = (row for row in world.balances.items() if row[0] in about or row[0].rpartition(".")[2] in about)
        evidence = wire.encode(Evidence(head.log, head.size, head.root, self._desk.now_us(), found, dict(islice(its, BALANCES_MAX))))
        kept, number = (await self._store.put(once(evidence))).sha256, world.overrides + 1
        command = override.Override(action="freeze", reason=reason(found[0]), evidence_sha256=kept, number=number)
        await self._desk.ask(f"freeze/{number}/{kept}", command)
        log.error("money frozen", agent="guard", found=[str(it) for it in found], evidence=kept, remedy=REMEDY)

    async def _known(self) -> set[Name]:
        """What the last freeze named."""
        if not self._desk.world.overrides:
            return set()
        stopped = await self._books.stopped()
        if stopped.number != self._desk.world.overrides:
            raise loop.Waits("the views do not show the last override yet")
        try:
            content = b"".join([chunk async for chunk in await self._store.open(stopped.evidence)])
            return set(map(name, msgspec.json.decode(content, type=Named).findings))
        except (ObjectMissing, msgspec.MsgspecError):
            return set()

    async def _look(self, known: set[Name]) -> Look:
        look, self._turned = Look(known, self._after), time.monotonic()
        await self._invariants(look)
        try:
            await self._trial(look)
            for _ in range(PAGES):
                await self._page(look)
                if not look.after:
                    break
            await self._chain(look)
        except (Unreachable, loop.Waits):
            if not look.fresh:
                raise
        return look

    async def _turn(self) -> None:
        if time.monotonic() - self._turned >= TURN_S:
            await asyncio.sleep(PAUSE_S)
            self._turned = time.monotonic()

    async def _invariants(self, look: Look) -> None:
        try:
            for finding in invariants.breaches(self._desk.world):
                if finding:
                    look.take(finding)
                elif look.full:
                    return
                else:
                    await self._turn()
        except Exception as fault:  # in a world that is not whole, whatever is looked for may be missing
            look.take(Finding("the world can be looked at", "world", "all that is named in it", repr(fault)))

    async def _trial(self, look: Look) -> None:
        """The view's sums, which are the world's by code of account, and zero by asset."""
        shown = await self._books.trial()
        totals = defaultdict[str, int](int)
        for line, amount in shown.amounts.items():
            totals[line.partition(":")[0]] += amount
        look.take(*(Finding(TRIAL, asset, "0", str(total)) for asset, total in totals.items() if total))
        await self._desk.reader.reached(shown.position, loop.READ_S_MAX)
        balances, head = self._desk.world.balances.copy(), self._desk.reader.head.size
        moved, sums = await self._since(shown.position, head), defaultdict[str, int](int)
        for rows in invariants.pieces([*balances.items(), *((account, -change) for account, change in moved.items())]):
            for account, amount in rows:
                sums[line_of(account)] += amount
            await self._turn()
        look.take(*differing(sums, shown))

    async def _page(self, look: Look) -> None:
        """Of the next accounts, the view holds what the world does, and nothing else."""
        shown, after = await self._books.page(look.after, ROWS), look.after
        await self._desk.reader.reached(shown.position, loop.READ_S_MAX)

        def of_page(account: str) -> bool:
            return after < account and (not shown.last or account <= shown.last)

        held: dict[str, int] = {account: int(amount) for account, amount in self._desk.world.balances.items() if of_page(account)}
        for account, change in (await self._since(shown.position, self._desk.reader.head.size)).items():
            if of_page(account):
                held[account] = held.get(account, 0) - change
        look.take(*differing(held, shown))
        look.after = shown.last
        await self._turn()

    async def _since(self, position: int, head: int) -> dict[Account, int]:
        """What the events after a position changed, up to the head."""
        if head - position > APART_MAX:
            raise loop.Waits("the views are far behind the log")
        moved = defaultdict[Account, int](int)
        if head > position:
            async with aclosing(self._desk.reader.events(position)) as items:
                async for recorded, _ in items:
                    for account, amount in recorded.entry:
                        moved[account] += amount
                    if recorded.pos >= head:
                        break
        return moved

    async def _chain(self, look: Look) -> None:
        """Too little in the treasury is a breach. Too much is not: anybody may send it a gift, and must not stop the money by that."""
        for asset in list(self._desk.world.assets):
            if (breaks := await self._books.breaks(asset)) < 0:
                look.take(Finding(f"{SHORT} of {-breaks}", asset, "what the ledger says", "less"))


class Named(msgspec.Struct):
    """As much of an evidence as says what it names."""

    findings: list[Finding]


TRIAL, VIEW, SHORT = "the trial balance is zero", "readers are told what the world holds", "the treasury is short"


def name(it: Finding) -> Name:
    return it.what, it.subject


def reason(it: Finding) -> str:
    if it.what in {TRIAL, VIEW}:
        return "views"
    return "treasury" if it.what.startswith(SHORT) else "invariants"


def line_of(account: str) -> str:
    """Asset and code: all accounts of one purpose."""
    return ".".join(account.split(".", 2)[:2])


def differing(held: Mapping[str, int], shown: Shown) -> Iterator[Finding]:
    for one in sorted({*held, *shown.amounts}):
        if (wanted := held.get(one, 0)) != (actual := shown.amounts.get(one, 0)):
            yield Finding(VIEW, one, str(wanted), str(actual))


async def once(content: bytes) -> AsyncIterator[bytes]:
    yield content
