"""An amount explained: one line of one event's entry, what it is the sum of, and the events that it rests on.

A posting is `POSITION-LINE`, as the journal and the statements number their lines.
"""

import re

from fastapi import APIRouter, Request, Response
from msgspec import Raw

from api.problems import Invalid
from api.reads import query
from api.reads.views import Past, Several, answer
from domain.event import Event, Recorded
from domain.log import wire
from domain.market import bid
from domain.proof import ruling
from domain.treasury import earnings
from domain.units import Units
from domain.value import Value
from domain.work import task
from projections.explorer.events import Line
from projections.finance.journal import JournalLine

POSTING = re.compile(r"([1-9]\d{0,14})-([1-9]\d{0,3})", re.ASCII)
RESTS_MAX = 50
ENTRY_MAX = 1_000


class Posted(Value):
    account: str
    amount: Units
    """A debit is positive, a credit negative."""


class Share(Value):
    of: str
    """A task, or whoever gets it."""
    amount: Units


class Explained(Value):
    as_of: int
    posting: str
    account: str
    amount: Units
    """A debit is positive, a credit negative."""
    entry: list[Posted]
    """All lines of the event: per asset they sum to zero."""
    sum_of: list[Share]
    """What the amount is made of; none where it is one thing."""
    event: Raw
    """Its line in the log."""
    rests_on: list[Raw]
    """Lines of earlier events that it follows from, the oldest first; the last fifty if there are more."""


async def explained(views: Several, posting: str) -> Explained | None:
    """None: the journal has no such line (yet)."""
    found = POSTING.fullmatch(posting)
    if found is None:
        raise Invalid(field="posting", pointer="", reason="expected POSITION-LINE")
    position, number = int(found[1]), int(found[2])
    rows = (await views.page(JournalLine, where={"position": position}, limit=ENTRY_MAX)).rows
    row = next((row for row in rows if row.line == number), None)
    line = await views.get(Line, position)
    if row is None or line.row is None:
        return None
    event = wire.event(str(line.row.line).encode())
    shares = sum_of(event.event, str(row.account), row.amount)
    rests = sorted(await rests_on(views, event, shares))[-RESTS_MAX:]
    entry = [Posted(str(each.account), each.amount) for each in rows]
    texts = [Raw(text.encode()) for _, text in rests]
    return Explained(line.position, posting, str(row.account), row.amount, entry, shares, Raw(str(line.row.line).encode()), texts)


def sum_of(event: Event, account: str, amount: Units) -> list[Share]:
    """What adds up to the amount."""
    sign, owner = (1 if amount > 0 else -1), account.rpartition(".")[2]
    match event:
        case earnings.Matured():
            part = "worker" if owner.startswith("account-") else "fee" if "fee" in account else "checkers"
            lines = [line for line in event.lines if part != "worker" or line.account == owner]
            return [Share(line.task, Units(sign * int(getattr(line, part)))) for line in lines]
        case ruling.Accepted() if account.endswith(f".{event.task}"):
            parts = (event.owner, event.shares.worker), ("checkers", event.shares.checkers), ("platform", event.shares.fee)
            return [Share(of, Units(sign * int(part))) for of, part in parts]
        case _:
            return []


async def rests_on(views: Several, it: Recorded[Event], shares: list[Share]) -> set[tuple[int, str]]:
    """(position, line): what was said before of the same thing, what the same command did before, and where the amounts come from."""
    found = set[tuple[int, str]]()

    async def take(limit: int = RESTS_MAX, **where: str) -> None:
        rows = (await views.page(Line, where=dict(where), limit=limit, after=(it.pos,), descending=True)).rows
        found.update((row.position, str(row.line)) for row in rows)

    if it.cmd:
        await take(cmd=it.cmd)
    match it.event:
        case earnings.Matured():
            for share in shares[:RESTS_MAX]:
                await take(1, stream=share.of, type="task.accepted.v1")
        case earnings.Distributed():
            await take(1, stream="pool")
        case task.Leased() as leased:
            await take(1, stream=leased.worker, type=NAME_OF_BID)
            await take(stream=leased.task)
        case _:
            await take(stream=it.stream)
    return found


NAME_OF_BID = str(bid.Set.__struct_config__.tag)


def router(past: Past) -> APIRouter:
    routes = APIRouter()

    async def explain(request: Request) -> Response:
        """An amount: a line of an event's entry, what it is the sum of, and the events that it rests on."""
        asked, posting = query.one(request), request.path_params["posting"]
        found = await explained(Several(past, asked), posting)
        if found is None:
            stands = (await Several(past, asked).get(Line, 1)).position
            raise past.missing(f"posting {posting}", stands, asked, made=int(posting.partition("-")[0]))
        return answer(request, found, found.as_of, changed=posting, past=asked.as_of is not None)

    routes.add_api_route("/v1/explain/{posting}", explain, methods=["GET"], operation_id="explain")
    return routes
