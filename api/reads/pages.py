"""What everybody may read of the projections: pages of rows, and single rows with what belongs to them.

A page is `{as_of, items, next}`, a single thing its row with `as_of`: the position at which the answer stands.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Request, Response

from api.problems import Invalid
from api.reads import query
from api.reads.views import Past, answer
from api.traffic import kept
from domain.errors import NotFound
from domain.log import wire
from domain.value import Value
from projections.explorer import accounts, audits, house, jobs, payouts, tasks, workers
from projections.finance import balances, journal, parties
from projections.network import attendance, history
from projections.row import ID, Plain, Row, Unindexed

T = TypeVar("T", bound=Row)


class Pages(Value):
    path: str
    kind: type[Row]
    filters: tuple[str, ...] = ()
    by: str = ""
    """The column that sorts it, besides the key."""
    descending: bool = True
    fixed: tuple[tuple[str, Plain], ...] = ()
    """Column values that are always asked for; `{name}` stands for a parameter of the path."""


class Part(Value):
    """Rows that belong to a single thing: they begin with its key."""

    name: str
    kind: type[Row]


class Single(Value):
    path: str
    kind: type[Row]
    parts: tuple[Part, ...] = ()
    key: tuple[str, ...] = ("id",)


PAGES = (
    Pages("/v1/jobs", jobs.Job, ("status", "creator")),
    Pages("/v1/tasks", tasks.Task, ("job", "status", "frame", "worker"), descending=False),
    Pages("/v1/attempts", tasks.Attempt, ("worker", "owner", "job"), "leased_position"),
    Pages("/v1/workers", workers.Worker, ("owner", "kind", "presence")),
    Pages("/v1/checkers", workers.Worker, ("presence",), fixed=(("kind", "checker"),)),
    Pages("/v1/audits", audits.Audit, ("task", "job", "worker", "status", "result", "cause")),
    Pages("/v1/verdicts", audits.Verdict, ("checker", "status")),
    Pages("/v1/payouts", payouts.Payout, ("account", "status", "batch")),
    Pages("/v1/batches", payouts.Batch, ("status", "tx_hash")),
    Pages("/v1/deposits", payouts.Deposit, ("account", "status", "tx")),
    Pages("/v1/beacons", house.Beacon),
    Pages("/v1/checkpoints", house.Checkpoint),
    Pages("/v1/reconciliations", house.Reconciliation, ("asset",)),
    Pages("/v1/policies", house.Policy),
    Pages("/v1/engines", house.Engine, ("engine",)),
    Pages("/v1/assets", house.Asset, descending=False),
    Pages("/v1/accounts", accounts.Account, ("kind",)),
    Pages("/v1/accounts/{id}/balance", balances.Balance, (), descending=False, fixed=(("owner", "{id}"),)),
    Pages("/v1/accounts/{id}/statement", journal.StatementLine, fixed=(("owner", "{id}"),)),
    Pages("/v1/journal", journal.JournalLine, ("account", "stream", "event")),
    Pages("/v1/balances", balances.Balance, ("owner", "asset", "code"), descending=False),
    Pages("/v1/trial-balance", balances.TrialLine, ("asset",), descending=False),
    Pages("/v1/parties", parties.Party, ("account",), descending=False),
    Pages("/v1/history", history.Period, ("unit",)),
    Pages("/v1/growth", history.Pace, ("unit",)),
    Pages("/v1/flows", history.Flow, ("unit", "asset")),
    Pages("/v1/workers/{id}/days", attendance.WorkerDay, fixed=(("worker", "{id}"),)),
    Pages("/v1/workers/{id}/hours", attendance.WorkerHour, fixed=(("worker", "{id}"),)),
    Pages("/v1/workers/{id}/sessions", attendance.Session, fixed=(("worker", "{id}"),)),
)
SINGLES = (
    Single("/v1/jobs/{id}", jobs.Job),
    Single("/v1/tasks/{id:path}", tasks.Task, (Part("history", tasks.Attempt),)),
    Single("/v1/workers/{id}", workers.Worker, (Part("standings", workers.Standing),)),
    Single("/v1/payouts/{id}", payouts.Payout),
    Single("/v1/batches/{id}", payouts.Batch),
    Single("/v1/accounts/{id}", accounts.Account, (Part("roles", accounts.Role), Part("stakes", accounts.Stake))),
    Single("/v1/audits/{id}", audits.Audit, (Part("rounds", audits.Round), Part("verdicts", audits.Verdict))),
)
PARTS_MAX = 200


def page(it: Pages, past: Past) -> Callable[[Request], Awaitable[Response]]:
    async def get(request: Request) -> Response:
        fixed = {name: value.format_map(request.path_params) if isinstance(value, str) else value for name, value in it.fixed}
        for name, value in fixed.items():
            query.plain(it.kind, name, str(value))
        asked = query.page(request, it.kind, it.filters, fixed=fixed, by=it.by, descending=it.descending)
        views = await past.at(it.kind, asked)
        try:
            found = await views.page(
                it.kind, where=asked.where, by=it.by, after=asked.after, limit=asked.limit, descending=asked.descending
            )
        except Unindexed:
            raise Invalid(field="query", pointer="", reason="these filters cannot be combined") from None
        of = query.binding(it.kind, asked.where, it.by, "desc" if asked.descending else "asc")
        cursor = query.encode(found.next, of) if found.next else None
        links = {"Link": link(request, cursor)} if cursor else {}
        body = {"as_of": found.position, "items": found.rows, "next": cursor}
        request.scope[kept.MARK] = True
        return answer(request, body, found.position, changed=found.position, past=asked.as_of is not None, headers=links)

    return get


def link(request: Request, cursor: str) -> str:
    """RFC 8288."""
    asked = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return f'<{request.url.path}?{urlencode([*asked, ("cursor", cursor)])}>; rel="next"'


def single(it: Single, past: Past) -> Callable[[Request], Awaitable[Response]]:
    async def get(request: Request) -> Response:
        id = request.path_params["id"]
        if not ID.fullmatch(id):
            raise NotFound(id="thing of this name")
        asked = query.one(request)
        views = await past.at(it.kind, asked)
        found = await views.get(it.kind, id)
        if found.row is None:
            raise past.missing(id, found.position, asked)
        fields: dict[str, Any] = msgspec.json.decode(wire.encode(found.row))
        body, changed = {"as_of": found.position, **fields}, [fields.get("position", found.position)]
        for part in it.parts:
            rows = (await views.page(part.kind, where={found.row.__struct_fields__[0]: id}, limit=PARTS_MAX)).rows
            body[part.name] = rows
            changed += [getattr(row, "position", 0) for row in rows]
        request.scope[kept.MARK] = True
        return answer(request, body, found.position, changed=max(changed), past=asked.as_of is not None)

    return get


def router(past: Past) -> APIRouter:
    routes = APIRouter()
    for pages in PAGES:
        id, what = f"pages.{pages.path[4:]}", pages.path.rpartition("/")[2].replace("-", " ")
        text = f"{what.capitalize()}, a page at a time"
        routes.add_api_route(pages.path, page(pages, past), methods=["GET"], operation_id=id, description=text)
    for one in SINGLES:
        id, what = f"singles.{one.kind.table}", " and ".join(part.name for part in one.parts)
        text = f"One {one.kind.table}" + (f" with its {what}" if what else "")
        routes.add_api_route(one.path, single(one, past), methods=["GET"], operation_id=id, description=text)
    return routes
