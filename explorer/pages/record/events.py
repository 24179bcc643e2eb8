"""The log itself: every event, and one of them with its bytes, its entry and its place in the tree."""

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from domain.accounts import Line as Posting
from domain.log import wire
from domain.log.merkle import leaf_hash
from explorer.look import POSITION, Look, encode
from explorer.model import Model, Table
from projections.explorer.events import Line

FILTERS = ("stream", "type", "by", "cmd")
SIBLINGS = 20


class Events(Model):
    template: ClassVar[str] = "events.html"
    section: ClassVar[str] = "Events"
    rows: Sequence[Line]
    next: str | None
    asked: dict[str, str]

    @property
    def title(self) -> str:
        return "Events"

    @property
    def about(self) -> str:
        return self.asked.get("stream", "")

    @property
    def records(self) -> Table:
        return Table(Line, self.rows)


async def events(look: Look) -> Events:
    found = await look.list(Line, FILTERS)
    asked = {name: look.query[name] for name in FILTERS if look.query.get(name)}
    return Events(found.rows, encode(found.next) if found.next else None, asked)


class Fact(msgspec.Struct, frozen=True):
    name: str
    value: Any


class Page(Model):
    template: ClassVar[str] = "event.html"
    section: ClassVar[str] = "Events"
    line: Line
    facts: list[Fact]
    entry: Sequence[Posting]
    leaf: str
    siblings: Sequence[Line]
    of: tuple[int, int]
    """Which of how many events of its command."""
    newest: int

    @property
    def title(self) -> str:
        return f"#{self.line.position}"

    @property
    def about(self) -> None:
        return None


async def event(look: Look) -> Page:
    text = look.path["position"]
    row = await look.get(Line, int(text)) if POSITION.fullmatch(text) else None
    if row is None:
        raise look.absent(f"event #{text}", int(text) if POSITION.fullmatch(text) else 0)
    raw = str(row.line).encode()
    recorded = wire.event(raw)
    fields = msgspec.json.decode(raw)["event"]
    siblings = (await look.page(Line, {"cmd": str(row.cmd)}, limit=SIBLINGS, newest=False)).rows if row.cmd else []
    facts = [Fact(name, value) for name, value in fields.items() if name != "type"]
    return Page(row, facts, recorded.entry, leaf_hash(raw).hex(), siblings, recorded.of, look.position)
