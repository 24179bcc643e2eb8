"""What there is to ask for: which rows under which name, by what they are found, and which belong to which."""

from typing import Any

from api.problems import BadCursor, Invalid
from api.reads import query
from domain.value import Value
from projections.explorer import accounts, audits, events, jobs, payouts, tasks, workers
from projections.finance import balances, journal
from projections.row import ID, Cursor, Plain, Row, Unindexed, shape
from projections.views import Page, Views

FIRST, BELOW, FIRST_MAX = 50, 10, 100
"""Rows of a list if nobody says how many, of one below another row, and at most."""


class Kind(Value):
    """An object type, and the roots that lead to it."""

    name: str
    row: type[Row]
    one: str = ""
    """Root for a single one, by its key; none: there is no such root."""
    many: str = ""
    filters: tuple[str, ...] = ()
    by: str = ""
    """The column that sorts, besides the key."""
    newest: bool = True


class Relation(Value):
    """Rows that belong to another one: those whose `column` is its key."""

    of: str
    name: str
    to: str
    column: str
    by: str = ""
    newest: bool = True


KINDS = (
    Kind("Job", jobs.Job, "job", "jobs", ("status", "creator")),
    Kind("Task", tasks.Task, "task", "tasks", ("job", "status", "frame", "worker"), newest=False),
    Kind("Attempt", tasks.Attempt, "", "attempts", ("worker", "owner", "job"), "leased_position"),
    Kind("Worker", workers.Worker, "worker", "workers", ("owner", "kind", "presence")),
    Kind("Bid", workers.Standing, "", "bids", ("cls",)),
    Kind("Audit", audits.Audit, "audit", "audits", ("task", "job", "worker", "status", "result", "cause")),
    Kind("Verdict", audits.Verdict, "", "verdicts", ("checker", "status")),
    Kind("Payout", payouts.Payout, "payout", "payouts", ("account", "status", "batch")),
    Kind("Account", accounts.Account, "account", "accounts", ("kind",)),
    Kind("Balance", balances.Balance, "", "balances", ("owner", "asset", "code"), newest=False),
    Kind("Posting", journal.JournalLine, "", "postings", ("account", "stream", "event")),
    Kind("Statement", journal.StatementLine),
    Kind("Event", events.Line, "event", "events", ("stream", "type", "by", "cmd"), newest=False),
)
RELATIONS = (
    Relation("Job", "task_list", "Task", "job", newest=False),
    Relation("Job", "audit_list", "Audit", "job"),
    Relation("Job", "event_list", "Event", "stream", newest=False),
    Relation("Task", "attempt_list", "Attempt", "task", newest=False),
    Relation("Task", "audit_list", "Audit", "task"),
    Relation("Worker", "bid_list", "Bid", "worker", newest=False),
    Relation("Worker", "attempt_list", "Attempt", "worker", "leased_position"),
    Relation("Audit", "verdict_list", "Verdict", "audit", newest=False),
    Relation("Account", "balance_list", "Balance", "owner", newest=False),
    Relation("Account", "statement", "Statement", "owner"),
    Relation("Account", "payout_list", "Payout", "account"),
    Relation("Account", "worker_list", "Worker", "owner"),
)
BY_NAME = {kind.name: kind for kind in KINDS}


class Edge:
    """A row and where it stands in its list."""

    __slots__ = ("_listed", "node")

    def __init__(self, node: Row, listed: "Listed") -> None:
        self.node, self._listed = node, listed

    @property
    def cursor(self) -> str:
        return self._listed.cursor_of(self.node)


class Listed:
    """A part of a list: a connection, and what is said of its page."""

    def __init__(self, kind: Kind, page: Page[Any], where: dict[str, Plain], by: str, *, newest: bool, went_on: bool) -> None:
        self._kind, self._where, self._by, self._newest = kind, where, by, newest
        self.nodes: list[Row] = page.rows
        self.position = page.position
        self.has_next_page, self.has_previous_page = page.more, went_on

    @property
    def edges(self) -> list[Edge]:
        return [Edge(row, self) for row in self.nodes]

    @property
    def page_info(self) -> "Listed":
        return self

    @property
    def start_cursor(self) -> str | None:
        return self.cursor_of(self.nodes[0]) if self.nodes else None

    @property
    def end_cursor(self) -> str | None:
        return self.cursor_of(self.nodes[-1]) if self.nodes else None

    def cursor_of(self, row: Row) -> str:
        names = shape(self._kind.row).sorted_by(list(self._where), self._by)
        return query.encode(tuple(getattr(row, name) for name in names), binding(self._kind, self._where, self._by, newest=self._newest))


def binding(kind: Kind, where: dict[str, Plain], by: str, *, newest: bool) -> str:
    return query.binding(kind.row, where, by, "desc" if newest else "asc")


async def one(views: Views, kind: Kind, key: Plain) -> tuple[Row | None, int]:
    """The row with this key, and where its view stands. Raises `Invalid` for what could be nobody's key."""
    if not isinstance(key, int) and not ID.fullmatch(key):
        raise Invalid(field="id", pointer="", reason="expected an id")
    found = await views.get(kind.row, key)
    return found.row, found.position


async def many(views: Views, kind: Kind, where: dict[str, Plain], given: dict[str, Any], by: str = "", *, newest: bool = True) -> Listed:
    """A page of a list. `given`: first, after, newest, as they were asked for. Raises `Invalid`, `BadCursor`."""
    first = given.get("first", FIRST)
    if not 1 <= first <= FIRST_MAX:
        raise Invalid(field="first", pointer="", reason=f"expected 1 to {FIRST_MAX}")
    newest = newest if given.get("newest") is None else given["newest"]
    after: Cursor | None = None
    if text := given.get("after"):
        after = query.decode(text, binding(kind, where, by, newest=newest), kind.row, where, by)
    try:
        page = await views.page(kind.row, where=where, by=by, after=after, limit=first, descending=newest)
    except Unindexed:
        raise Invalid(field="query", pointer="", reason="these filters cannot be combined") from None
    except ValueError:
        raise BadCursor from None
    return Listed(kind, page, where, by, newest=newest, went_on=after is not None)


def chosen(kind: Kind, given: dict[str, Any]) -> dict[str, Plain]:
    """The columns that are asked for. Raises `Invalid`."""
    return {name: query.plain(kind.row, name, str(given[name])) for name in kind.filters if given.get(name) is not None}
