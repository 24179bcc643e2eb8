"""The API as a client sees it: agents, the command line, the demo.

It asks again by itself when no answer comes, or one that says "later", always with the same key, so whatever is asked is done once at
most. Bytes that come are hashed before anybody sees them. It knows nothing of keys but the bearer secret it was given.
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Protocol, Self
from urllib.parse import urlsplit
from uuid import UUID

import httpx2
import msgspec
from msgspec import Raw, Struct

from domain import body
from domain.event import Event, Recorded
from domain.ids import JobId, LogId, TaskId, WorkerId
from domain.log import wire
from domain.log.answers import Answer, Problem, Unanswered
from domain.log.block import Broken
from domain.market import bid, worker
from domain.proof import proof, verdict
from domain.signing import Claim, typed_data
from domain.work import manifest as manifests
from domain.work import task, tiles

AGAIN = {202, 429, 500, 502, 503, 504}
"""Statuses that say nothing about what was asked but "later"."""
WAIT_S, WAIT_S_MAX = 0.05, 2.0
PATIENCE_S = 15.0
SILENCE_S = 40.0
"""After so long without a byte a live feed is taken for dead; a living one sends comments."""
ONE_GO_BYTES = 4 << 20
PIECE_BYTES = 8 << 20
PAGE_MAX = 200

_AGENT = {
    worker.GoOnline: "online",
    worker.GoOffline: "offline",
    task.End: "end",
    proof.Commit: "commit",
    verdict.Commit: "seal",
    verdict.Reveal: "reveal",
}


class Line(NamedTuple):
    """One event of a live feed: its position and its line, byte for byte. What is kept nowhere (`event` = "progress") has position 0."""

    position: int
    data: bytes
    event: str


class _Done(Struct):
    position: int
    events: list[Raw]


class _Page(Struct):
    events: list[Raw]
    next: str | None = None


class _Upload(Struct):
    upload: str
    offset: int


def uuid7() -> str:
    """A new idempotency key (RFC 9562 §5.7): its first 48 bits are the time in milliseconds."""
    noise = int.from_bytes(os.urandom(10)) & ~(0xF << 76) & ~(0x3 << 62)
    return str(UUID(int=(time.time_ns() // 1_000_000) << 80 | noise | 0x7 << 76 | 0x2 << 62))


class Typed(Protocol):
    def sign_typed(self, document: dict[str, Any]) -> str: ...


def signing(key: Typed, log: LogId, chain_id: int) -> Callable[[Claim], str]:
    """Signs claims for one log and chain."""
    return lambda claim: key.sign_typed(typed_data(log, chain_id, claim))


class Client:
    """One ledger, one API key or none. `server` is the address of a server, or of several with spaces between them: whoever cannot be
    reached, the next one is asked. `patience_s` is how long it asks again before it raises `Unanswered`. To be closed.

    Every method raises `Problem` when the server says no.
    """

    def __init__(
        self, server: str, secret: str | None = None, *, patience_s: float = PATIENCE_S, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self.patience_s = patience_s
        self._servers = [each.rstrip("/") for each in server.split()]
        plain = urlsplit(self._servers[0])
        remote = plain.hostname not in {"127.0.0.1", "localhost", "::1"}
        self._http = httpx2.AsyncClient(
            base_url=self._servers[0],
            headers={"Authorization": f"Bearer {secret}"} if secret else {},
            timeout=httpx2.Timeout(patience_s, connect=5.0),
            limits=httpx2.Limits(max_connections=32),
            # What is on this machine is reached without proxies, and without reading the authorities' certificates.
            trust_env=remote,
            verify=plain.scheme == "https",
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    # Questions.

    async def get(self, path: str, **params: str | int) -> Any:
        """A read, as JSON. `min_pos` waits for that position."""
        return msgspec.json.decode((await self._ask("GET", path, params=params)).content)

    async def text(self, path: str, **params: str | int) -> bytes:
        """A read, as it came."""
        return (await self._ask("GET", path, params=params)).content

    async def ask(self, path: str, command: body.Body | Mapping[str, Any], key: str = "") -> Answer:
        """A person's command, under an idempotency key: a new one unless `key` is given."""
        return _answer(await self._ask("POST", path, content=encode(command), headers={"Idempotency-Key": key or uuid7()}))

    async def send(self, agent: WorkerId, command: body.Body) -> Answer:
        """An agent's command; a bid is its owner's."""
        if isinstance(command, bid.Bid):
            return await self.ask(f"/v1/workers/{agent}/bid", command)
        return _answer(await self._ask("POST", f"/v1/agents/{agent}/{_AGENT[type(command)]}", content=encode(command)))

    async def beat(self, agent: WorkerId, session: str) -> None:
        await self._ask("POST", f"/v1/agents/{agent}/presence", content=encode({"session": session}), patience_s=0)

    async def report(self, agent: WorkerId, task: TaskId, fence: int, tile: int, of: int) -> None:
        shown = {"task": task, "fence": fence, "tile": tile, "tiles": of}
        await self._ask("POST", f"/v1/agents/{agent}/progress", content=encode(shown), patience_s=0)

    async def stream(self, id: str, least_pos: int = 0, version: int | None = None) -> list[Recorded[Event]]:
        """All events of a stream, or those up to a version. Raises `Broken` for one that this code does not know."""
        found, cursor = list[Recorded[Event]](), ""
        while True:
            params: dict[str, str | int] = {"min_pos": least_pos, "limit": PAGE_MAX, **({"cursor": cursor} if cursor else {})}
            params |= {} if version is None else {"version": version}
            page = msgspec.json.decode((await self._ask("GET", f"/v1/streams/{id}", params=params)).content, type=_Page)
            found += [wire.event(bytes(line)) for line in page.events]
            if not (cursor := page.next or ""):
                return found

    # Live feeds.

    async def follow(self, path: str, after: int | None = None, **params: str | int) -> AsyncIterator[Line]:
        """A live feed, for ever: goes on by itself where it was interrupted. Events come in order, each at least once."""
        waits = _waits()
        while True:
            headers = {} if after is None else {"Last-Event-ID": str(after)}
            timeout, tried = httpx2.Timeout(SILENCE_S, connect=5.0), self._servers[0]
            try:
                async with self._http.sse(path, params=params, headers=headers, timeout=timeout) as source:
                    if source.response.status_code not in AGAIN:
                        await _check(source.response)
                        async for message in source:
                            waits = _waits()
                            if message.event == "message" and message.data:
                                after = int(message.id)
                            if message.data:
                                yield Line(after or 0 if message.event == "message" else 0, message.data.encode(), message.event)
            except httpx2.TransportError:
                self._turn(tried)
            await asyncio.sleep(next(waits))

    async def agent_events(self, agent: WorkerId) -> AsyncIterator[Recorded[Event]]:
        """What concerns an agent. Events that this code does not know are none of its business."""
        async for line in self.follow(f"/v1/agents/{agent}/tasks"):
            try:
                recorded = wire.event(line.data)
            except Broken:
                continue
            yield recorded

    # Bytes.

    async def store(self, content: bytes) -> str:
        """Uploads an object in one go, or piece by piece where it is large. Returns its name."""
        name = sha256(content).hexdigest()
        if len(content) <= ONE_GO_BYTES:
            await self._ask("PUT", f"/v1/objects/{name}", content=content)
        else:
            await self._upload(name, len(content), lambda start: content[start : start + PIECE_BYTES])
        return name

    async def store_file(self, path: Path) -> str:
        """Uploads a file piece by piece, never held whole. Returns its name."""
        digest, size = sha256(), 0
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
                size += len(piece)

            def read(start: int) -> bytes:
                file.seek(start)
                return file.read(PIECE_BYTES)

            if size <= ONE_GO_BYTES:
                return await self.store(read(0))
            await self._upload(digest.hexdigest(), size, read)
        return digest.hexdigest()

    async def fetch(self, path: str, name: str, size_max: int, **params: str | int) -> bytes:
        """Downloads an object, going on where it was interrupted. Raises `Problem` (wrong_hash, object_too_large) for other bytes."""
        content = bytearray()
        for wait in self._patience(self.patience_s):
            headers, tried = {"Range": f"bytes={len(content)}-"} if content else {}, self._servers[0]
            try:
                async with self._http.stream("GET", path, params=params, headers=headers) as response:
                    if response.status_code not in AGAIN:
                        await _check(response)
                        if response.status_code != 206:
                            content.clear()
                        async for chunk in response.aiter_bytes():
                            content += chunk
                            if len(content) > size_max:
                                raise Problem(200, "object_too_large", {"maximum": size_max})
                        if (given := sha256(content).hexdigest()) != name:
                            raise Problem(200, "wrong_hash", {"expected": name, "given": given})
                        return bytes(content)
            except httpx2.TransportError:
                self._turn(tried)
            await asyncio.sleep(wait)
        raise Unanswered(f"GET {path} of {self._servers[0]}")

    async def save(self, path: str, file: BinaryIO, **params: str | int) -> None:
        """Downloads into an empty file, never held whole; from its beginning again where it was interrupted."""
        for wait in self._patience(self.patience_s):
            tried = self._servers[0]
            try:
                async with self._http.stream("GET", path, params=params) as response:
                    if response.status_code not in AGAIN:
                        await _check(response)
                        file.seek(0)
                        file.truncate()
                        async for chunk in response.aiter_bytes():
                            file.write(chunk)
                        return
            except httpx2.TransportError:
                self._turn(tried)
            await asyncio.sleep(wait)
        raise Unanswered(f"GET {path} of {self._servers[0]}")

    async def manifest(self, job: JobId, sha256: str) -> bytes:
        return await self.fetch(f"/v1/jobs/{job}/manifest", sha256, manifests.BYTES_MAX)

    async def asset(self, job: JobId, wanted: manifests.Asset) -> bytes:
        return await self.fetch(f"/v1/jobs/{job}/assets/{wanted.sha256}", wanted.sha256, wanted.bytes)

    async def raw(self, task: TaskId, tile: int, sha256: str, evidence: str = "") -> bytes:
        params = {"evidence": evidence} if evidence else {}
        return await self.fetch(f"/v1/tasks/{task}/raw/{tile}", sha256, tiles.RAW_BYTES_MAX, **params)

    async def _upload(self, name: str, size: int, read: Callable[[int], bytes]) -> None:
        upload = await self._begin(name, size)
        while upload.offset < size:
            try:
                piece = read(upload.offset)
                headers = {"Upload-Offset": str(upload.offset)}
                answer = await self._ask("PATCH", f"/v1/uploads/{upload.upload}", content=piece, headers=headers, patience_s=0)
                upload.offset = int(answer.headers["upload-offset"])
            except Unanswered:
                upload = await self._resumed(upload, name, size)
            except Problem as problem:
                if problem.code != "wrong_offset":
                    raise
                upload = await self._resumed(upload, name, size)

    async def _begin(self, name: str, size: int) -> _Upload:
        answer = await self._ask("POST", "/v1/uploads", content=encode({"sha256": name, "bytes": size}))
        return msgspec.json.decode(answer.content, type=_Upload)

    async def _resumed(self, upload: _Upload, name: str, size: int) -> _Upload:
        """How far it got. An upload that is gone was completed, or never will be: it is done over."""
        try:
            answer = await self._ask("HEAD", f"/v1/uploads/{upload.upload}")
        except Problem as problem:
            if problem.status != 404:
                raise
            return await self._begin(name, size)
        return _Upload(upload.upload, int(answer.headers["upload-offset"]))

    # One request.

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | int] | None = None,
        patience_s: float | None = None,
    ) -> httpx2.Response:
        typed = {"Content-Type": "application/json"} if method == "POST" else {}
        for wait in self._patience(self.patience_s if patience_s is None else patience_s):
            later_s, tried = wait, self._servers[0]
            try:
                response = await self._http.request(method, path, content=content, headers={**typed, **(headers or {})}, params=params)
                if response.status_code not in AGAIN or _is_final(response):
                    await _check(response)
                    return response
                later_s = max(wait, _later_s(response))
            except httpx2.TransportError:
                self._turn(tried)
            await asyncio.sleep(later_s)
        raise Unanswered(f"{method} {path} of {self._servers[0]}")

    def _turn(self, tried: str) -> None:
        """To the next server, unless another request went on already: two steps would lead back."""
        if self._servers[0] == tried:
            self._servers.append(self._servers.pop(0))
            self._http.base_url = httpx2.URL(self._servers[0])

    def _patience(self, patience_s: float) -> Iterator[float]:
        """How long to wait after each attempt that came to nothing, until patience is over."""
        end = time.monotonic() + patience_s
        for wait in _waits():
            yield wait if time.monotonic() + wait < end else 0.0
            if time.monotonic() + wait >= end:
                return


def encode(command: body.Body | Mapping[str, Any]) -> bytes:
    """A request's body: JSON, amounts as decimal strings."""
    return wire.encode(command.model_dump(by_alias=True) if isinstance(command, body.Body) else command)


def _answer(response: httpx2.Response) -> Answer:
    done = msgspec.json.decode(response.content, type=_Done)
    return Answer(done.position, tuple(bytes(line) for line in done.events))


def _is_final(response: httpx2.Response) -> bool:
    """A problem that says of itself that asking again is of no use."""
    return response.headers.get("content-type") == "application/problem+json" and b'"retryable":false' in response.content


async def _check(response: httpx2.Response) -> None:
    """Raises `Problem` for what is one."""
    if response.status_code < 400:
        return
    await response.aread()
    try:
        document = msgspec.json.decode(response.content or b"{}", type=dict[str, Any])
    except msgspec.DecodeError:
        document = {}
    known = {"type", "title", "status", "code", "detail", "retryable"}
    facts = {name: value for name, value in document.items() if name not in known}
    code = str(document.get("code", f"http_{response.status_code}"))
    raise Problem(response.status_code, code, facts, str(document.get("detail", response.reason_phrase)))


def _later_s(response: httpx2.Response) -> float:
    """What the server says about when to come again."""
    given = response.headers.get("retry-after", "")
    return min(float(given), WAIT_S_MAX) if given.isdecimal() else 0.0


def _waits() -> Iterator[float]:
    """Twice as long each time, spread so that not everybody comes back at once."""
    wait = WAIT_S
    while True:
        yield wait * random.uniform(0.75, 1.25)
        wait = min(2 * wait, WAIT_S_MAX)
