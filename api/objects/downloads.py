"""Bytes on their way out, streamed, whole or one range of them (RFC 9110 §14)."""

import re
from contextlib import aclosing
from functools import lru_cache

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from api.auth.keys import Authenticate, Caller
from api.objects.access import ACCEPTED, Access
from api.objects.deliveries import Deliveries
from api.parts import Parts
from api.problems import NotAccepted, RangeNotSatisfiable
from api.reach import Reach
from api.traffic import conditional
from domain.errors import NotFound, NotYours
from domain.ids import JobId, TaskId
from domain.proof import proof
from domain.work import manifest
from domain.work.manifest import Manifest
from domain.work.objects import Store
from projections.explorer import jobs, tasks
from projections.row import ID

RANGE = re.compile(r"bytes=(\d{0,16})-(\d{0,16})", re.ASCII)
INDEX = re.compile(r"0|[1-9]\d{0,3}", re.ASCII)


class Downloads:
    def __init__(self, parts: Parts, reach: Reach, authenticate: Authenticate, deliveries: Deliveries) -> None:
        self._parts, self._reach, self._authenticate = parts, reach, authenticate
        self._access = Access(parts.reader, deliveries)

    async def manifest(self, request: Request) -> Response:
        """The scene's manifest, for the creator, lease holders and drawn checkers."""
        return await serve(self._parts.objects, await self._scene(request), request, "application/json")

    async def asset(self, request: Request) -> Response:
        """A file of the scene, for the same."""
        scene = await self._scene(request)
        digest = request.path_params["sha256"]
        if digest not in await self._names(scene):
            raise NotFound(id="asset of this name")
        return await serve(self._parts.objects, digest, request)

    async def raw(self, request: Request) -> Response:
        """A proved tile, for the creator once it is accepted, and for drawn checkers. A checker whose round has not sealed its
        verdicts names its own rendering of the tile, uploaded before, as `evidence`."""
        caller = await self._authenticate(request)
        index = request.path_params["index"]
        if not INDEX.fullmatch(index):
            raise NotFound(id="tile of this name")
        await self._reach.settle()
        task = self._parts.reader.world.tasks.get(TaskId(request.path_params["task"]))
        if task is None:
            digest = await self._archived(caller, request.path_params["task"], int(index))
        else:
            digest = self._access.raw(caller.account, task, int(index), request.query_params.get("evidence", ""))
        return await serve(self._parts.objects, digest, request)

    async def _scene(self, request: Request) -> str:
        """The hash of the job's manifest."""
        caller = await self._authenticate(request)
        id = JobId(request.path_params["job"])
        if id not in self._parts.reader.world.jobs:
            await self._reach.settle()
        if job := self._parts.reader.world.jobs.get(id):
            self._access.scene(caller.account, job)
            return job.manifest_sha256
        row = (await self._parts.views.get(jobs.Job, id)).row if ID.fullmatch(id) else None
        if row is None or row.creator != caller.account:
            raise NotYours(id="the job")
        return str(row.manifest_sha256)

    async def _archived(self, caller: Caller, id: str, index: int) -> str:
        """What the ledger has done with and forgotten: the creator's, as the views and the log have it."""
        task = (await self._parts.views.get(tasks.Task, id)).row if ID.fullmatch(id) else None
        job = (await self._parts.views.get(jobs.Job, str(task.job))).row if task and task.job else None
        if task is None or job is None or job.creator != caller.account:
            raise NotYours(id="the task")
        if task.status not in ACCEPTED or not task.proof_position:
            raise NotAccepted(task=id)
        async with aclosing(self._parts.reader.events(task.proof_position - 1)) as items:
            event = (await anext(items))[0].event
        if not isinstance(event, proof.Committed) or index >= len(event.raw):
            raise NotFound(id="tile of this name")
        return event.raw[index]

    async def _names(self, digest: str) -> frozenset[str]:
        content = b"".join([chunk async for chunk in await self._parts.objects.open(digest)])
        return frozenset(asset.sha256 for asset in parsed(content).assets)


@lru_cache(maxsize=64)
def parsed(content: bytes) -> Manifest:
    return manifest.parse(content)


async def serve(store: Store, digest: str, request: Request, kind: str = "application/octet-stream") -> Response:
    """The object, or the range of it that is asked for. What lies under a hash never changes. Raises `ObjectMissing`."""
    headers = {
        "ETag": f'"{digest}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": "attachment",
    }
    if known := conditional.unchanged(request, headers):
        return known
    size = await store.size(digest)
    start, end = span(request.headers.get("range", ""), size)
    headers["Content-Length"] = str(end - start)
    partial = (start, end) != (0, size)
    if partial:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return StreamingResponse(await store.open(digest, start, end), 206 if partial else 200, headers, kind)


def span(header: str, size: int) -> tuple[int, int]:
    """[start, end) of a Range header; of several ranges, or of what is none, the whole. Raises `RangeNotSatisfiable`."""
    found = RANGE.fullmatch(header)
    if found is None or found.groups() == ("", ""):
        return 0, size
    first, last = found.groups()
    start, end = (int(first), min(int(last) + 1, size) if last else size) if first else (max(0, size - int(last)), size)
    if start >= end:
        raise RangeNotSatisfiable(size=size)
    return start, end


def router(parts: Parts, reach: Reach, authenticate: Authenticate, deliveries: Deliveries) -> APIRouter:
    routes, downloads = APIRouter(), Downloads(parts, reach, authenticate, deliveries)
    routes.add_api_route("/v1/jobs/{job}/manifest", downloads.manifest, methods=["GET"], operation_id="jobs.manifest")
    routes.add_api_route("/v1/jobs/{job}/assets/{sha256}", downloads.asset, methods=["GET"], operation_id="jobs.asset")
    routes.add_api_route("/v1/tasks/{task:path}/raw/{index}", downloads.raw, methods=["GET"], operation_id="tasks.raw")
    return routes
