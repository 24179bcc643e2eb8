"""One question that takes any id, position, hash, address, transaction or kind of event, and names what has it."""

import re

from fastapi import APIRouter, Request, Response

from api.problems import Invalid
from api.reads import query
from api.reads.explain import POSTING
from api.reads.views import NotReached, Past, Several, answer
from domain.value import Value
from projections.explorer.accounts import AccountKey
from projections.explorer.events import Line
from projections.explorer.names import Name, spellings
from projections.explorer.payouts import Batch, Deposit
from projections.finance.journal import JournalLine
from projections.row import ID

HEX = re.compile(r"(0x)?[0-9a-f]{32,64}", re.ASCII)
KIND = re.compile(r"[a-z_]+\.[a-z_]+(\.v[1-9])?", re.ASCII)
EACH_MAX = 3
READ = {"job": "jobs", "task": "tasks", "bench": "tasks", "worker": "workers", "audit": "audits", "account": "accounts"} | {
    "payout": "payouts",
    "batch": "batches",
}
"""Kind of thing -> where a single one is read."""


class Found(Value):
    kind: str
    """What it is: `event`, `command`, `type`, `posting`, or the word before the number of an id."""
    id: str
    path: str
    """Where it is read."""


class Search(Value):
    as_of: int
    asked: str
    found: list[Found]


class Searches:
    def __init__(self, past: Past) -> None:
        self._past = past

    async def search(self, request: Request) -> Response:
        """Whatever an id, position, hash, address, transaction or kind of event names."""
        asked = query.one(request, "q")
        text = request.query_params.get("q", "").strip().lower().removeprefix("#")
        if not text or len(text) > query.TEXT_MAX or not text.isprintable():
            raise Invalid(field="q", pointer="", reason="expected an id, a position, a hash, an address or a kind of event")
        views = Several(self._past, asked)
        found = await self._find(views, text)
        position = (await views.get(Line, 1)).position
        if not found and ID.fullmatch(text) and isinstance(late := self._past.missing(text, position, asked), NotReached):
            raise late
        return answer(request, Search(position, text, found), position, changed=position, past=asked.as_of is not None)

    async def _find(self, views: Several, text: str) -> list[Found]:
        if query.POSITION.fullmatch(text):
            there = (await views.get(Line, int(text))).row
            return [Found("event", text, f"/v1/events/{text}")] if there else []
        if ID.fullmatch(text):
            lines = (await views.page(Line, where={"stream": text}, limit=1)).rows
            return [of_id(text)] if lines else []
        if posting := POSTING.fullmatch(text):
            line = (await views.get(JournalLine, int(posting[1]), int(posting[2]))).row
            return [Found("posting", text, f"/v1/explain/{text}")] if line else []
        if HEX.fullmatch(text):
            return await by_hash(views, text)
        kind = text if text[-3:-1] == ".v" else f"{text}.v1"
        lines = (await views.page(Line, where={"type": kind}, limit=1)).rows if KIND.fullmatch(text) else []
        return [Found("type", kind, f"/v1/events?type={kind}") for _ in lines]


async def by_hash(views: Several, text: str) -> list[Found]:
    batches = (await views.page(Batch, where={"tx_hash": text}, limit=EACH_MAX)).rows
    deposits = (await views.page(Deposit, where={"tx": text}, limit=EACH_MAX)).rows
    key = (await views.get(AccountKey, text)).row
    lines = (await views.page(Line, where={"cmd": text}, limit=1)).rows
    names = [
        name for each in spellings(text) for name in (await views.page(Name, where={"name": each}, limit=EACH_MAX, descending=True)).rows
    ]
    things = [
        *(row.batch for row in batches),
        *(row.deposit for row in deposits),
        *([str(key.account)] if key else []),
        *(name.thing for name in names),
    ]
    return [
        *(of_id(each) for each in dict.fromkeys(things)),
        *(Found("command", text, f"/v1/events?cmd={text}") for _ in lines),
    ]


def of_id(id: str) -> Found:
    """An id, or the position of an event."""
    if id.isdecimal():
        return Found("event", id, f"/v1/events/{id}")
    kind = "task" if "/" in id else id.partition("-")[0]
    return Found(kind, id, f"/v1/{READ[kind]}/{id}" if kind in READ else f"/v1/streams/{id}")


def router(past: Past) -> APIRouter:
    routes, searches = APIRouter(), Searches(past)
    routes.add_api_route("/v1/search", searches.search, methods=["GET"], operation_id="search")
    return routes
