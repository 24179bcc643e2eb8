"""Explain: one line of one entry as the tree of amounts, prices, shares and verdicts that made it, down to the events that say so.

Where children add up to their parent, the node says so; the others tell why it is that much.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

from msgspec import UNSET

from domain.event import Event, Recorded
from domain.ids import order
from domain.log import wire
from domain.market import bid
from domain.proof import ruling
from domain.treasury import batch, deposit, earnings, payout, stake
from domain.value import Value
from domain.work import job, task
from explorer.look import Look, Unread
from explorer.model import Model, Table
from explorer.words import clock, count
from projections.explorer.audits import Audit
from projections.explorer.events import Line
from projections.explorer.house import Policy
from projections.explorer.tasks import Attempt
from projections.finance.balances import parts
from projections.finance.journal import JournalLine, StatementLine

PIECES_MAX, OPEN_MAX, LINES_MAX, ENTRY_MAX = 12, 2, 50, 1_000
"""Pieces listed, and of those expanded; lines of a statement that are gone through; lines of an entry."""


class Node(Value):
    text: str
    amount: int | None = None
    """Minor units, without its sign."""
    asset: str = ""
    figure: str = ""
    """What it is, if that is no amount."""
    positions: tuple[int, ...] = ()
    """The events that say so."""
    adds_up: bool = False
    """Whether the children's amounts sum to this one's."""
    children: tuple["Node", ...] = ()


class Page(Model):
    template: ClassVar[str] = "explain.html"
    section: ClassVar[str] = "Accounts"
    row: JournalLine
    tree: Node
    rows: Sequence[JournalLine]
    """The whole entry."""

    @property
    def title(self) -> str:
        return f"{self.row.position}-{self.row.line}"

    @property
    def about(self) -> None:
        return None

    @property
    def records(self) -> Table:
        return Table(JournalLine, self.rows)


async def model(look: Look) -> Page:
    """Of `/explain/POSITION-LINE`, as the journal numbers its lines."""
    posting = look.path["posting"]
    position, line = numbered(posting)
    rows = (await look.page(JournalLine, {"position": position}, newest=False, limit=ENTRY_MAX)).rows if position else []
    row = next((each for each in rows if each.line == line), None)
    if row is None:
        raise look.absent(f"posting {posting}", position)
    return Page(row, await tree(look, row), rows)


def numbered(posting: str) -> tuple[int, int]:
    """Position and line; zeros where it is none."""
    position, _, line = posting.partition("-")
    good = all(each.isascii() and each.isdecimal() and len(each) < 16 for each in (position, line))
    return (int(position), int(line)) if good else (0, 0)


async def find(look: Look, posting: str) -> Node | None:
    """The tree of a posting; none: there is none of this name."""
    row = await look.get(JournalLine, *numbered(posting))
    return await tree(look, row) if row else None


async def tree(look: Look, row: JournalLine) -> Node:
    line = await look.get(Line, row.position)
    if line is None:
        raise Unread(f"event #{row.position}")
    return await Teller(look, wire.event(str(line.line).encode()), row).root()


class Teller:
    """Of one line of one event."""

    def __init__(self, look: Look, it: Recorded[Event], row: JournalLine) -> None:
        self._look, self._it, self._row = look, it, row
        self._asset, self._code, self._owner = parts(row.account)  # type: ignore[arg-type]

    def node(self, text: str, *children: Node, adds_up: bool = False) -> Node:
        return Node(text, abs(int(self._row.amount)), self._asset, "", (self._it.pos,), adds_up and bool(children), children)

    async def root(self) -> Node:
        match self._it.event:
            case payout.Requested() as it:
                made = await self.credits(abs(int(self._row.amount)))
                whose = f"asked for, to {it.to}" if it.signature else f"by the house, on a payday, to {it.to}"
                return self.node(f"{it.payout} of {it.account}, {whose}", *made, adds_up=True)
            case earnings.Matured() as it:
                return await self.matured(it)
            case earnings.Distributed() as it:
                return self.distributed(it)
            case ruling.Accepted() as it:
                return await self.accepted(it)
            case _:
                return await self.plain()

    async def plain(self) -> Node:
        match self._it.event:
            case task.Leased() as it:
                row = await self._look.get(Attempt, it.task, it.fence)
                children = await priced(self._look, row, it.asset) if row else ()
                return self.node(f"locked for {it.task}, at {it.worker}", *children)
            case ruling.Rejected() as it:
                return self.node(f"back to the escrow: {it.audit} found {it.task} of {it.worker} wrong")
            case task.Ended() as it:
                return self.node(f"back to the escrow: {it.task} of {it.worker} ended, {it.outcome}")
            case job.Opened() as it:
                return self.node(f"held for {it.job}: every piece at the limit", *held(it))
            case job.Closed() as it:
                return self.node(f"what is left of the escrow of {it.job}, back to {it.creator}")
            case deposit.DepositEvent() as it:
                return self.node(f"{it.deposit}, block {it.block} of the chain", Node("the transaction", figure=it.tx))
            case stake.Slashed() as it:
                return self.node(f"{it.audit} convicted {it.worker}", *slashed(it))
            case batch.MinedEvent() as it:
                paid = [Node(f"{item.payout} of {item.account}", int(item.amount), it.asset) for item in (*it.paid, *it.failed)]
                ours = sum(int(each.amount or 0) for each in paid) == abs(int(self._row.amount))
                return self.node(
                    f"{it.batch}, block {it.block}", *(paid[:PIECES_MAX] if ours else []), adds_up=ours and len(paid) <= PIECES_MAX
                )
        return self.node(f"{self._it.event.verb()} of {self._it.stream}")

    async def credits(self, target: int) -> list[Node]:
        """What a payout is made of: what became payable before it, the newest first."""
        rows = (
            await self._look.page(
                StatementLine,
                {"account": str(self._row.account)},
                by="position",
                after=(self._row.position, self._owner, self._row.position, 0),
                limit=LINES_MAX,
            )
        ).rows
        found, shown, rest, last = list[Node](), 0, target, 0
        for row in rows:
            amount = min(-int(row.amount), rest)
            if amount <= 0 or len(found) >= PIECES_MAX:
                continue
            found += await self.earlier(row, amount, opens=shown < OPEN_MAX)
            shown, rest, last = len(found), rest - amount, row.position
        return [*found, Node(f"what became payable before #{last}", rest, self._asset)] if rest else found

    async def earlier(self, row: StatementLine, amount: int, *, opens: bool) -> list[Node]:
        line = await self._look.get(Line, row.position)
        event = wire.event(str(line.line).encode()).event if line else None
        if isinstance(event, earnings.Matured) and amount == -int(row.amount):
            return await self.lines(event, row.position, opens=opens)
        if isinstance(event, earnings.Distributed) and amount == -int(row.amount):
            return [Node(f"a share of the checkers' pool, up to {clock(event.epoch_us)}", amount, self._asset, "", (row.position,))]
        part = "" if amount == -int(row.amount) else "a part of what came by "
        return [Node(f"{part}{row.event} of {row.stream}", amount, self._asset, "", (row.position,))]

    async def lines(
        self, it: earnings.Matured, position: int, *, opens: bool, of: Callable[[earnings.MaturedLine], int] = lambda x: int(x.worker)
    ) -> list[Node]:
        """A node for each share that matured for the owner."""
        mine = [each for each in it.lines if of(each) and self._owner in {"", each.account}]
        found = [await self.share(each, position, of(each), opens=opens and n < OPEN_MAX) for n, each in enumerate(mine[:PIECES_MAX])]
        rest = sum(of(each) for each in mine[PIECES_MAX:])
        return [*found, Node(f"{count(len(mine) - PIECES_MAX, 'more piece')}", rest, it.asset)] if rest else found

    async def share(self, line: earnings.MaturedLine, position: int, amount: int, *, opens: bool) -> Node:
        row = await self._look.get(Attempt, line.task, line.fence)
        if row is None:
            return Node(line.task, amount, self._asset, "", (position,))
        text = f"piece {order(line.task)[1]} of {line.task.partition('/')[0]} by {line.earner}, accepted {clock(row.ended_us)}, matured"
        children = await because(self._look, row) if opens else ()
        return Node(text, amount, self._asset, "", (position,), False, children)

    async def matured(self, it: earnings.Matured) -> Node:
        if self._code in {"2210.accrued", "2220.payable"}:
            made = await self.lines(it, self._it.pos, opens=True)
            name = "it may be paid out now" if self._code == "2220.payable" else "it is payable from now on"
            return self.node(f"earned shares matured: {name}", *made, adds_up=True)
        fee = self._code.startswith(("2410", "4110"))
        made = await self.lines(it, self._it.pos, opens=False, of=lambda each: int(each.fee if fee else each.checkers))
        return self.node("the fee of work that matured" if fee else "the checkers' part of work that matured", *made, adds_up=True)

    def distributed(self, it: earnings.Distributed) -> Node:
        if self._owner:
            return self.node(f"{self._owner}'s part of the checkers' pool, for right verdicts and time online, up to {clock(it.epoch_us)}")
        lines = [Node(f"to {each.account}", int(each.amount), it.asset) for each in it.lines]
        return self.node("the pool of an epoch, shared out", *lines, adds_up=True)

    async def accepted(self, it: ruling.Accepted) -> Node:
        row = await self._look.get(Attempt, it.task, it.fence)
        if self._owner == it.task:
            split = [
                (f"to {it.owner}", it.shares.worker),
                ("to the checkers' pool", it.shares.checkers),
                ("to the platform", it.shares.fee),
            ]
            return self.node(f"the price of {it.task}", *(Node(text, int(part), it.asset) for text, part in split), adds_up=True)
        children = await because(self._look, row) if row else ()
        whose = f"share of {it.owner}" if self._owner else "the checkers' share" if self._code.startswith("2240") else "the platform's fee"
        return self.node(f"{whose} in the price of {it.task}", *children)


async def because(look: Look, row: Attempt) -> tuple[Node, ...]:
    """Why an accepted attempt earned what it did: its price, the share, and what let it pass."""
    policies = (await look.page(Policy, limit=LINES_MAX)).rows
    policy = next((each for each in policies if (each.effective_us or 0) <= (row.ended_us or 0)), None)
    found = [
        Node(
            "locked price",
            int(row.price or 0),
            str(row.asset),
            "",
            (row.leased_position or 0,),
            False,
            await priced(look, row, str(row.asset)),
        )
    ]
    if policy and policy.parameters:
        share = policy.parameters.shares_ppm[0]
        found.append(
            Node(f"the worker's share by the policy {policy.policy}", figure=f"{share / 10_000:g} %", positions=(policy.position,))
        )
    if row.audit:
        audit = await look.get(Audit, str(row.audit))
        verdict = str(audit.result or audit.status) if audit else ""
        found.append(Node(f"rendered again by checkers: {row.audit}", figure=verdict, positions=(audit.position or 0,) if audit else ()))
    elif row.basis == "waived":
        found.append(Node(f"the lottery of {row.beacon} did not draw it, at {(row.p_ppm or 0) / 10_000:g} %", figure="not drawn"))
    return tuple(found)


async def priced(look: Look, row: Attempt, asset: str) -> tuple[Node, ...]:
    """What a locked price is the product of: the bid that stood, and the work by the quote."""
    before = (row.leased_position or 0,)
    where = {"stream": str(row.worker), "type": str(bid.Set.__struct_config__.tag)}
    found = list[Node]()
    for line in (await look.page(Line, where, after=before, limit=LINES_MAX)).rows:
        event = wire.event(str(line.line).encode()).event
        if isinstance(event, bid.Set) and event.cls == row.cls:
            found.append(Node(f"the bid of {row.worker} that stood, per kWU", int(event.price_per_kwu or 0), asset, "", (line.position,)))
            break
    quotes = await look.page(Line, {"stream": str(row.job), "type": str(job.Quoted.__struct_config__.tag)}, limit=1)
    if quotes.rows:
        work = f"{(row.wu_milli or 0) / 1000:g} WU"
        found.append(
            Node(
                f"the work of a piece of {row.job}, by its quote; the product is rounded up",
                figure=work,
                positions=(quotes.rows[0].position,),
            )
        )
    if row.runner_up_price is not UNSET:
        found.append(Node("the next worker would have cost that much", int(row.runner_up_price), asset))
    return tuple(found)


def held(it: job.Opened) -> list[Node]:
    return [
        Node(f"pieces {run.range[0]} to {run.range[1]}", figure=f"{(run.range[1] - run.range[0] + 1) * run.wu_milli / 1000:g} WU")
        for run in it.plan[:PIECES_MAX]
    ]


def slashed(it: stake.Slashed) -> list[Node]:
    return [
        Node(f"the price of {it.task}, which was rejected", int(it.gross), it.asset),
        Node("the chance with which such work is looked at; the price is divided by it", figure=f"{it.p_ppm / 10_000:g} %"),
        Node("from the stake", int(it.from_stake), it.asset),
        Node("from shares that were not mature", int(it.from_accrued), it.asset),
    ]
