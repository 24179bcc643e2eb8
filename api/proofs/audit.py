"""What somebody needs who believes nothing that we say: heads, proofs, the log's records as they are, and the evidence of closed audits."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from api.objects.downloads import serve
from api.parts import Item, Parts
from api.problems import Invalid
from api.proofs.tree import Tree
from api.reads import query
from api.reads.views import read_on, time_of
from api.traffic import conditional
from domain.errors import NotFound
from domain.ids import AuditId, TaskId
from domain.log import wire
from domain.log.log import Log
from domain.proof import audit, proof, ruling, verdict
from domain.value import Value
from domain.work import task

SIZE_MAX = 2**53 - 1


class Checkpoint(Value):
    """A head of the log."""

    log: str
    size: int
    root: str
    at_us: int


class Inclusion(Value):
    """That the event at `position` is in the tree of `size` and `root`: RFC 6962 §2.1.1, the lowest sibling first."""

    position: int
    size: int
    root: str
    path: list[str]


class Consistency(Value):
    """That the tree of `second` leaves begins with that of `first`: RFC 6962 §2.1.2."""

    first: int
    first_root: str
    second: int
    second_root: str
    path: list[str]


class Evidence:
    """Which objects everybody may read: of closed audits what the checkers rendered, and what the worker had for the same regions."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self._raw: dict[TaskId, tuple[str, ...]] = {}
        self._named: defaultdict[AuditId, set[str]] = defaultdict(set)
        self._regions: defaultdict[AuditId, set[int]] = defaultdict(set)

    def take(self, event: object) -> None:
        match event:
            case proof.Committed() if not event.late:
                self._raw[event.task] = event.raw
            case audit.RoundEvent():
                self._regions[event.audit].update(event.regions)
            case verdict.Revealed():
                self._named[event.audit].update(event.evidence_sha256)
            case audit.Closed():
                raw = self._raw.get(event.task, ())
                self.open |= self._named.pop(event.audit, set())
                self.open |= {raw[region] for region in self._regions.pop(event.audit, set()) if region < len(raw)}
                if not event.job:
                    self._raw.pop(event.task, None)
            case ruling.Accepted() | ruling.Rejected() | task.Ended():
                self._raw.pop(event.task, None)


class Archive:
    """All that was ever said, as far as somebody asked for it: it reads on when asked."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._tree, self._evidence = Tree(), Evidence()
        self._reading = asyncio.Lock()

    async def tree(self) -> Tree:
        """With every event up to the reader's head."""
        await self._read_on()
        return self._tree

    async def evidence(self) -> frozenset[str]:
        await self._read_on()
        return frozenset(self._evidence.open)

    async def _read_on(self) -> None:
        head = self._parts.reader.head.size
        async with self._reading:
            if self._tree.size >= head:
                return
            async with aclosing(self._parts.reader.events(self._tree.size)) as items:
                async for item in items:
                    self._take(item)
                    if self._tree.size >= head:
                        return

    def _take(self, item: Item) -> None:
        recorded, line = item
        self._tree.add(line)
        self._evidence.take(recorded.event)


class Audits:
    def __init__(self, parts: Parts, archive: Archive) -> None:
        self._parts, self._archive = parts, archive

    async def checkpoint(self, request: Request) -> Response:
        """The head of the log that this process has folded, or an earlier one."""
        asked, reader = query.one(request), self._parts.reader
        size = await read_on(self._parts, asked.min_pos, asked.as_of)
        if asked.as_of is None:
            return _json(request, Checkpoint(reader.head.log, size, reader.head.root, reader.at_us), size)
        root = (await self._archive.tree()).root(size).hex()
        return _json(request, Checkpoint(reader.head.log, size, root, await time_of(reader, size)), size, immutable=True)

    async def proof(self, request: Request) -> Response:
        """That an event is in the log: in the tree of `size` events, by default of all."""
        asked, given = query.one(request, "size"), request.query_params
        position, until = number(request.path_params["position"], "position"), optional(given, "size")
        stands, tree = await read_on(self._parts, asked.min_pos, asked.as_of), await self._archive.tree()
        size = stands if until is None else until
        if not 1 <= position <= size <= tree.size:
            raise NotFound(id="event at this position")
        path = [node.hex() for node in tree.inclusion(position - 1, size)]
        found = Inclusion(position, size, tree.root(size).hex(), path)
        return _json(request, found, size, immutable=until is not None or asked.as_of is not None)

    async def consistency(self, request: Request) -> Response:
        """That a later head keeps everything that an earlier one had."""
        asked, given = query.one(request, "first", "second"), request.query_params
        first, until = number(given.get("first", ""), "first"), optional(given, "second")
        stands, tree = await read_on(self._parts, asked.min_pos, asked.as_of), await self._archive.tree()
        second = stands if until is None else until
        if not first <= second <= tree.size:
            raise NotFound(id="log of this size yet")
        path = [node.hex() for node in tree.consistency(first, second)]
        roots = tree.root(first).hex(), tree.root(second).hex()
        found = Consistency(first, roots[0], second, roots[1], path)
        return _json(request, found, second, immutable=until is not None or asked.as_of is not None)

    async def records(self, request: Request) -> Response:
        """The log's records as they were written, from the first that may hold the event after `after`; void ones, too."""
        after = number(request.query_params.get("after", "0"), "after")
        return StreamingResponse(verbatim(self._parts.log, after), media_type="application/x-ndjson")

    async def evidence(self, request: Request) -> Response:
        """A region that was checked in a closed audit, as a checker or as the worker rendered it."""
        digest = request.path_params["sha256"]
        if digest not in await self._archive.evidence():
            raise NotFound(id="evidence of this hash")
        return await serve(self._parts.objects, digest, request)


async def verbatim(log: Log, after: int) -> AsyncIterator[bytes]:
    async with aclosing(log.read(after)) as records:
        async for record in records:
            yield record


def number(text: str, field: str) -> int:
    """A count in a path or query. Raises `Invalid`."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 16 and str(int(text)) == text and int(text) <= SIZE_MAX):
        raise Invalid(field=field, pointer="", reason="expected a count")
    return int(text)


def optional(given: Mapping[str, str], name: str) -> int | None:
    return number(given[name], name) if name in given else None


def _json(request: Request, value: Value, size: int, *, immutable: bool = False) -> Response:
    """What follows from the tree of so many events."""
    headers = conditional.tagged(size, immutable=immutable) | {"Gridledger-Position": str(size)}
    return conditional.unchanged(request, headers) or Response(wire.encode(value), headers=headers, media_type="application/json")


def router(parts: Parts, archive: Archive) -> APIRouter:
    routes, audits = APIRouter(), Audits(parts, archive)
    routes.add_api_route("/v1/checkpoint", audits.checkpoint, methods=["GET"], operation_id="audit.checkpoint")
    for path, id in (("/v1/proof/consistency", "proof.consistency"), ("/v1/consistency", "audit.consistency")):
        routes.add_api_route(path, audits.consistency, methods=["GET"], operation_id=id)
    routes.add_api_route("/v1/proof/{position}", audits.proof, methods=["GET"], operation_id="audit.proof")
    routes.add_api_route("/v1/log", audits.records, methods=["GET"], operation_id="audit.log")
    routes.add_api_route("/v1/evidence/{sha256}", audits.evidence, methods=["GET"], operation_id="audit.evidence")
    return routes
