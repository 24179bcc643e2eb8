"""Answers that are text go out packed by gzip, to whoever takes that: a page weighs a fifth then.

Only whole answers are: a feed goes on for ever, and what is read in parts is too large to be held. An answer with a strong ETag stays as
it is, since that stands for bytes; a weak one stands for what they say.
"""

import gzip
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

KINDS = {"text/html", "text/csv", "text/plain", "application/json", "application/problem+json"}
BYTES_MIN, LEVEL = 1_000, 5
"""Below, headers weigh as much as what is saved. A level more saves a hundredth, and costs a third."""


class Packed:
    """Around the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":  # what is handed on between servers goes as it is
            await self._app(scope, receive, send)
            return
        waiting: Message | None = None
        takes = takes_gzip(Headers(scope=scope).getlist("accept-encoding"))

        async def packed(message: Message) -> None:
            nonlocal waiting
            if message["type"] == "http.response.start" and is_text(message):
                vary(MutableHeaders(scope=message))
                if takes and may_change(message):
                    waiting = message
                    return
            elif waiting is not None:
                start, waiting = waiting, None
                body = message.get("body", b"")
                if not message.get("more_body") and len(body) >= BYTES_MIN:
                    message = {**message, "body": pack(MutableHeaders(scope=start), body)}
                await send(start)
            await send(message)

        await self._app(scope, receive, packed)


def takes_gzip(said: Iterable[str]) -> bool:
    """By RFC 9110, as far as it matters here: named, and not with a weight of nothing."""
    for each in ",".join(said).split(","):
        name, _, weight = each.partition(";")
        if name.strip().lower() in {"gzip", "x-gzip", "*"}:
            return weight.replace(" ", "").rstrip("0") not in {"q=", "q=0."}
    return False


def is_text(start: Message) -> bool:
    return Headers(scope=start).get("content-type", "").partition(";")[0] in KINDS


def may_change(start: Message) -> bool:
    its = Headers(scope=start)
    strong = not its.get("etag", "W/").startswith("W/")
    return start["status"] == 200 and "content-encoding" not in its and not strong and its.get("cache-control") != "no-store"


def vary(its: MutableHeaders) -> None:
    """The same address has both forms, packed and plain: no cache may give one for the other."""
    if "accept-encoding" not in its.get("vary", "").lower():
        its.add_vary_header("Accept-Encoding")


def pack(its: MutableHeaders, body: bytes) -> bytes:
    content = gzip.compress(body, LEVEL, mtime=0)
    its["content-encoding"], its["content-length"] = "gzip", str(len(content))
    return content
