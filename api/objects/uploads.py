"""Bytes on their way in: streamed into the store, hashed and counted as they come, never held whole.

Small ones go in one request, large ones piece by piece; a broken upload goes on from its offset, which `HEAD` tells.
"""

from collections import defaultdict
from collections.abc import AsyncIterator

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict

from api import bodies
from api.auth.keys import Authenticate, Caller
from api.objects.deliveries import Deliveries
from api.parts import Parts
from api.problems import Invalid, UploadLimit
from domain import body
from domain.errors import NotYours
from domain.ids import AccountId
from domain.log import wire
from domain.value import Value
from domain.work import objects
from domain.work.objects import Stored, Upload

SCOPES = ("create", "agent", "provide")

logger = structlog.get_logger()


class Begin(BaseModel):
    """Announce an upload: the SHA-256 of the whole, and how many bytes it has."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    sha256: body.Digest
    bytes: body.Number


class Progress(Value):
    """How far an upload got."""

    upload: str
    sha256: str
    bytes: int
    offset: int
    complete: bool


class Uploads:
    def __init__(self, parts: Parts, authenticate: Authenticate, deliveries: Deliveries) -> None:
        self._parts, self._authenticate, self._deliveries = parts, authenticate, deliveries
        self._open: defaultdict[AccountId, set[str]] = defaultdict(set)

    async def begin(self, request: Request) -> Response:
        """Begin an upload that can be resumed."""
        caller = await self._caller(request)
        asked = Begin.model_validate(bodies.fields(await bodies.read(request)))
        limits, mine = self._parts.limits, self._open[caller.account]
        if len(mine) >= limits.account_uploads_max:
            raise UploadLimit(limit=f"{limits.account_uploads_max} open uploads")
        upload = await self._parts.objects.begin(caller.account, asked.sha256, asked.bytes, limits.object_bytes_max)
        mine.add(upload.id)
        return _json(201, _progress(upload), {"Location": f"/v1/uploads/{upload.id}"})

    async def progress(self, request: Request) -> Response:
        """How far an upload got: `Upload-Offset` is the number of the next byte."""
        upload = await self._mine(await self._caller(request), request)
        return Response(None, 204, _offsets(upload))

    async def append(self, request: Request) -> Response:
        """The next bytes, from `Upload-Offset` on. The last of them makes it an object, if the hash is right."""
        caller = await self._caller(request)
        upload = await self._mine(caller, request)
        offset = request.headers.get("upload-offset", "")
        if not (offset.isascii() and offset.isdecimal() and len(offset) <= 16):
            raise Invalid(field="Upload-Offset", pointer="", reason="expected the number of the next byte in this header")
        upload = await self._parts.objects.append(upload.id, int(offset), self._metered(caller, request))
        if upload.offset < upload.bytes:
            return _json(200, _progress(upload), _offsets(upload))
        try:
            stored = await self._parts.objects.complete(upload.id)
        finally:
            self._open[caller.account].discard(upload.id)
        self._note(caller, stored)
        return _json(200, _progress(upload, complete=True), _offsets(upload))

    async def abandon(self, request: Request) -> Response:
        """Give an upload up."""
        caller = await self._caller(request)
        upload = await self._mine(caller, request)
        await self._parts.objects.abandon(upload.id)
        self._open[caller.account].discard(upload.id)
        return Response(None, 204)

    async def put(self, request: Request) -> Response:
        """Store an object in one request, under the SHA-256 that its path names."""
        caller = await self._caller(request)
        digest = request.path_params["sha256"]
        if not objects.is_name(digest):
            raise Invalid(field="sha256", pointer="", reason="expected 64 lower-case hex digits in the path")
        length = request.headers.get("content-length", "")
        size = int(length) if length.isascii() and length.isdecimal() and len(length) <= 16 else None
        limit = self._parts.limits.object_bytes_max
        stored = await self._parts.objects.put(self._metered(caller, request), sha256=digest, size=size, size_max=limit)
        self._note(caller, stored)
        return _json(201, stored)

    async def _caller(self, request: Request) -> Caller:
        caller = await self._authenticate(request)
        caller.require(*SCOPES)
        return caller

    async def _mine(self, caller: Caller, request: Request) -> Upload:
        upload = await self._parts.objects.progress(request.path_params["upload"])
        if upload.owner != caller.account:
            raise NotYours(id="the upload")
        return upload

    async def _metered(self, caller: Caller, request: Request) -> AsyncIterator[bytes]:
        empty = True
        async for chunk in request.stream():
            self._deliveries.spend(caller.account, len(chunk), self._parts.now_us())
            empty = empty and not chunk
            yield chunk
        if empty:
            raise Invalid(field="body", pointer="", reason="expected bytes")

    def _note(self, caller: Caller, stored: Stored) -> None:
        self._deliveries.note(caller.account, stored.sha256)
        logger.info("stored", account=caller.account, object=stored.sha256, bytes=stored.bytes)


def _progress(upload: Upload, *, complete: bool = False) -> Progress:
    return Progress(upload.id, upload.sha256, upload.bytes, upload.offset, complete)


def _offsets(upload: Upload) -> dict[str, str]:
    return {"Upload-Offset": str(upload.offset), "Upload-Length": str(upload.bytes), "Cache-Control": "no-store"}


def _json(status: int, value: Value, headers: dict[str, str] | None = None) -> Response:
    return Response(wire.encode(value), status, headers, "application/json")


def router(parts: Parts, authenticate: Authenticate, deliveries: Deliveries) -> APIRouter:
    routes, uploads = APIRouter(), Uploads(parts, authenticate, deliveries)
    routes.add_api_route("/v1/uploads", uploads.begin, methods=["POST"], operation_id="uploads.begin")
    routes.add_api_route("/v1/uploads/{upload}", uploads.progress, methods=["HEAD"], operation_id="uploads.progress")
    routes.add_api_route("/v1/uploads/{upload}", uploads.append, methods=["PATCH"], operation_id="uploads.append")
    routes.add_api_route("/v1/uploads/{upload}", uploads.abandon, methods=["DELETE"], operation_id="uploads.abandon")
    routes.add_api_route("/v1/objects/{sha256}", uploads.put, methods=["PUT"], operation_id="objects.put")
    return routes
