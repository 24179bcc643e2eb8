"""Answers that are given again as they are, while nothing happens: one whose position is the head of the log stays true until the log
grows. Reads of one projection say of themselves that they are such; on a quiet ledger most of what is asked was asked before.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MARK = "gridledger.kept"
"""In the scope of a request whose answer rests on nothing but one projection, at the position that it names."""
BYTES_MAX, ONE_BYTES_MAX = 32_000_000, 64_000
POSITION = b"gridledger-position"
PERSONAL = {b"authorization", b"cookie", b"if-none-match", b"range", b"accept"}
"""Requests with one of these are not looked up; but `accept` counts only where it asks for a feed."""
FEED = b"text/event-stream"

Key = tuple[str, bytes, bytes]


class Answer(NamedTuple):
    start: Message
    body: Message
    route: Any
    """By which requests are counted."""


class Kept:
    """Around the application."""

    def __init__(self, app: ASGIApp, head: Callable[[], int]) -> None:
        self._app, self._head = app, head
        self._answers: dict[Key, Answer] = {}
        self._of, self._bytes = -1, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = key_of(scope)
        if key is None:
            await self._app(scope, receive, send)
            return
        head = self._head()
        if self._of != head:
            self._answers, self._of, self._bytes = {}, head, 0
        if answer := self._answers.get(key):
            scope["route"] = answer.route
            await send({**answer.start})  # whoever stands around this adds headers to it
            await send(answer.body)
            return
        begun: Message | None = None

        async def sent(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = {**message}
            elif begun is not None:
                self._keep(key, head, Answer(begun, message, scope.get("route")), scope)
                begun = None
            await send(message)

        await self._app(scope, receive, sent)

    def _keep(self, key: Key, head: int, answer: Answer, scope: Mapping[str, Any]) -> None:
        size = len(answer.body.get("body", b""))
        if not scope.get(MARK) or answer.start["status"] != 200 or answer.body.get("more_body") or size > ONE_BYTES_MAX:
            return
        position = next((value for name, value in answer.start["headers"] if name == POSITION), b"")
        if self._of == head and position == b"%d" % head and self._bytes + size <= BYTES_MAX:
            self._answers[key] = answer
            self._bytes += size


def key_of(scope: Scope) -> Key | None:
    """None: the answer is for this request only."""
    if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith("/v1/"):
        return None
    takes = b""
    for name, value in scope["headers"]:
        if name == b"accept-encoding":
            takes = value
        elif name in PERSONAL and (name != b"accept" or FEED in value):
            return None
    return scope["path"], scope["query_string"], takes
