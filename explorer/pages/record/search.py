"""One box that takes any id, hash, address or transaction, and goes to what it names."""

import re
from typing import ClassVar

from domain.value import Value
from explorer.look import TEXT_MAX, Look
from explorer.model import Model
from explorer.words import href
from projections.explorer.accounts import AccountKey
from projections.explorer.events import Line
from projections.explorer.names import Name, spellings
from projections.explorer.payouts import Batch, Deposit
from projections.finance.journal import JournalLine
from projections.row import ID

HEX = re.compile("(0x)?[0-9a-f]{32,64}")
POSTING = re.compile(r"[1-9][0-9]{0,14}-[1-9][0-9]{0,3}")


class Found(Value):
    href: str
    name: str
    what: str


class Search(Model):
    template: ClassVar[str] = "search.html"
    asked: str
    found: list[Found]

    @property
    def title(self) -> str:
        return "Search"

    @property
    def about(self) -> None:
        return None


async def model(look: Look) -> Search:
    text = look.query.get("q", "").strip()[:TEXT_MAX]
    return Search(text, await find(look, text) if text else [])


async def find(look: Look, text: str) -> list[Found]:
    """Whatever it names: by its form, then by what has it."""
    word = text.lower().removeprefix("#")
    if word.isascii() and word.isdecimal() and len(word) < 16:
        there = await look.get(Line, int(word))
        return [Found(f"/events/{int(word)}", f"#{int(word)}", "event")] if there else []
    if ID.fullmatch(word):
        lines = (await look.page(Line, {"stream": word}, limit=1, newest=False)).rows
        return [Found(href(word), word, "by its id")] if lines else []
    if POSTING.fullmatch(word):
        posting = await look.get(JournalLine, *map(int, word.split("-")))
        return [Found(f"/explain/{word}", word, "a line of the journal")] if posting else []
    if HEX.fullmatch(word):
        return await by_hash(look, word)
    lines = (await look.page(Line, {"type": f"{word}.v1"}, limit=1)).rows
    return [Found(f"/events?type={word}.v1", word, "events of this kind")] if lines else []


async def by_hash(look: Look, word: str) -> list[Found]:
    """The newest few of each; one thing once."""
    return list({each.href: each for each in [*await named(look, word), *await known(look, word)]}.values())


async def named(look: Look, word: str) -> list[Found]:
    names = [name for each in spellings(word) for name in (await look.page(Name, {"name": each}, limit=3)).rows]
    return [
        Found(href(each.thing) or f"/events/{each.thing}", each.thing if href(each.thing) else f"#{each.thing}", f"by this {each.what}")
        for each in names
    ]


async def known(look: Look, word: str) -> list[Found]:
    batches = (await look.page(Batch, {"tx_hash": word}, limit=3)).rows
    deposits = (await look.page(Deposit, {"tx": word}, limit=3)).rows
    key = await look.get(AccountKey, word)
    lines = (await look.page(Line, {"cmd": word}, limit=1, newest=False)).rows
    return [
        *(Found(href(row.batch), row.batch, "payouts by this transaction") for row in batches),
        *(Found(href(row.deposit), row.deposit, "deposit by this transaction") for row in deposits),
        *([Found(href(str(key.account)), str(key.account), "the account of this key")] if key else []),
        *(Found(f"/events?cmd={word}", word, "events of this command") for _ in lines),
    ]
