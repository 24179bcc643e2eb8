"""Exports: everything there is of something, up to a position, in one answer that is written while it is sent. Without `as_of` it goes up
to the head of the log."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from api.parts import Parts
from api.problems import Invalid
from api.proofs.audit import Archive, Evidence
from api.reads import query
from api.reads.views import NotReached, read_on
from api.traffic import conditional
from domain.accounts import Asset
from domain.errors import NotFound
from domain.log.log import holds
from domain.log.merkle import Mark
from exports import bundle, export, lines
from exports.bundle import Bundle
from exports.export import Export
from projections import times
from projections.explorer import accounts
from projections.explorer.events import Line
from projections.finance.balances import Balance
from projections.finance.journal import StatementLine
from projections.row import ID, Row
from projections.times import Moment

KNOWN: tuple[type[Row], ...] = (accounts.Account, Balance, StatementLine)
"""Where it is looked up whether there is an account."""


class Exports:
    def __init__(self, parts: Parts, archive: Archive) -> None:
        self._parts, self._archive = parts, archive

    async def get(self, request: Request) -> Response:
        """Everything of the journal, of a statement, of the payouts or of the log, up to a position, in one file"""
        what, form = request.path_params["what"], request.path_params["format"]
        choose("what", what, (*export.TABLES, "bundle"))
        if what == "bundle":
            choose("format", form, ("tar",))
            return await self._bundle(request)
        given = query.positions(request, "account")
        choose("format", form, export.forms_of(what, given.get("account", "")))
        account = named(what, given.get("account"))
        size, settled = await self._stand(given)
        for kind in (*export.TABLES[what].kinds, *KNOWN):
            await self._reached(kind, size)
        if account and not await self._knows(what, account):
            raise NotFound(id="account with this name")
        root = (await self._archive.tree()).root(size).hex()
        places = lines.decimals(self._parts.reader.world)
        it = Export(what, form, Mark(self._parts.reader.head.log, size, root, sealed=False), account)
        name = "-".join(each for each in (what, account.replace(":", "-").replace("/", "-"), str(size)) if each)
        headers, media_type = headed(f"{name}.{form}", size, settled=settled), export.form_of(form, places).media_type
        return conditional.unchanged(request, headers) or StreamingResponse(self._written(it, places), 200, headers, media_type)

    async def _bundle(self, request: Request) -> Response:
        given = query.positions(request)
        size, settled = await self._stand(given)
        tree = await self._archive.tree()
        mark = Mark(self._parts.reader.head.log, size, tree.root(size).hex(), sealed=False)
        if not size or not await holds(self._parts.log, mark):
            raise Invalid(field="as_of", pointer="", reason="no block ends there; a bundle is of whole ones")
        made = Bundle(self._parts.log, mark, tree.leaves, Evidence(), self._parts.objects)
        headers = headed(f"bundle-{size}.tar", size, settled=settled)
        return conditional.unchanged(request, headers) or StreamingResponse(made.stream(), headers=headers, media_type=bundle.MEDIA_TYPE)

    async def _stand(self, given: Mapping[str, str]) -> Moment:
        """Up to where it goes. What is wrong is refused before anything is waited for. Raises `Invalid`, `NotReached`."""
        until = await self._until(given)
        head = await read_on(self._parts, query.count(given, "min_pos", 0))
        return until or Moment(head, settled=False)

    async def _until(self, given: Mapping[str, str]) -> Moment | None:
        """A position, or the last one at a time, if there is one asked for. Raises `Invalid`, `NotReached`."""
        text, head = given.get("as_of"), self._parts.reader.head.size
        if text is None:
            return None
        if text.isdecimal():
            if (size := query.count(given, "as_of", 0)) > head:
                raise Invalid(field="as_of", pointer="", reason="the log is not there yet")
            return Moment(size, settled=True)
        try:
            at_us = times.time_us(text)
        except ValueError:
            raise Invalid(field="as_of", pointer="", reason="expected a position, or a time such as 2026-11-26T08:00:21Z") from None
        if at_us > max(self._parts.now_us(), self._parts.reader.at_us):
            raise Invalid(field="as_of", pointer="", reason="that time is to come")
        await self._reached(Line, head)
        return await times.at(self._parts.views, head, at_us)

    async def _written(self, it: Export, places: Mapping[Asset, int]) -> AsyncGenerator[bytes, None]:
        async with aclosing(export.stream(it, self._parts.views, places)) as parts:
            async for part in parts:
                yield part

    async def _reached(self, kind: type[Row], size: int) -> None:
        stands = await self._parts.views.reached(kind, size, self._parts.limits.read_wait_s)
        if stands < size:
            raise NotReached(stands, size)

    async def _knows(self, what: str, account: str) -> bool:
        if what == "journal":
            return (await self._parts.views.get(Balance, account)).row is not None
        return await self._owns(account)

    async def _owns(self, owner: str) -> bool:
        """Whether it is an account, or a job, task or payout that money was ever on."""
        if (await self._parts.views.get(accounts.Account, owner)).row is not None:
            return True
        return bool((await self._parts.views.page(StatementLine, where={"owner": owner}, limit=1)).rows)


def named(what: str, given: str | None) -> str:
    """Whose it is; empty: everybody's. Raises `Invalid` for what could be nobody's."""
    if given is None and what == "statement":
        raise Invalid(field="account", pointer="", reason="a statement is of an account")
    if given is not None and what == "journal":
        query.plain(Balance, "account", given)
    elif given is not None and not ID.fullmatch(given):
        raise Invalid(field="account", pointer="", reason="expected an id")
    return given or ""


def headed(name: str, size: int, *, settled: bool) -> dict[str, str]:
    """Of the file up to this position; `settled`: the same question will always be answered by it."""
    its = {"Content-Disposition": f'attachment; filename="{name}"', "Gridledger-Position": str(size)}
    return conditional.tagged(size, immutable=settled) | its


def choose(field: str, given: str, known: Iterable[str]) -> None:
    if given not in known:
        raise Invalid(field=field, pointer="", reason=f"expected {', '.join(sorted(known))}")


def router(parts: Parts, archive: Archive) -> APIRouter:
    routes, exports = APIRouter(), Exports(parts, archive)
    routes.add_api_route("/v1/exports/{what}.{format}", exports.get, methods=["GET"], operation_id="exports.file")
    return routes
