"""Reading a request's body: of limited size and depth, and in one way only. What is left to say about its fields, the command says."""

import asyncio
import json
import re
from typing import Any, NoReturn

from fastapi import Request

from api.problems import Malformed, NotJson, TooLarge, TooSlow

BODY_BYTES_MAX, BODY_S_MAX = 64 * 1024, 30.0
DEPTH_MAX = 32
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


async def read(request: Request, maximum: int = BODY_BYTES_MAX) -> bytes:
    """The body. Raises `TooLarge` as soon as that is known, `TooSlow`, and `NotJson` if it says that it is something else."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > maximum:
        raise TooLarge(maximum=maximum)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S_MAX):
            async for chunk in request.stream():
                body += chunk
                if len(body) > maximum:
                    raise TooLarge(maximum=maximum)
    except TimeoutError:
        raise TooSlow(seconds=int(BODY_S_MAX)) from None
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if body and kind != "application/json":
        raise NotJson
    return bytes(body)


def fields(body: bytes) -> dict[str, Any]:
    """The object that the body is; nothing at all is an empty one. Raises `Malformed`."""
    found = parsed(body) if body else {}
    if not isinstance(found, dict):
        raise Malformed(reason="it is not an object")
    return found


def parsed(body: bytes) -> Any:
    """The JSON that the body is. Raises `Malformed`."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Malformed(reason="it is not UTF-8") from None
    if depth(text) > DEPTH_MAX:
        raise Malformed(reason=f"it is nested more than {DEPTH_MAX} deep")
    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise Malformed(reason=f"it is not JSON at line {error.lineno}, column {error.colno}") from None
    except ValueError:
        raise Malformed(reason="a number has too many digits") from None


def depth(text: str) -> int:
    """How deep brackets nest; counted before anything is built."""
    if text.count("[") + text.count("{") <= DEPTH_MAX:
        return 0
    deepest = level = 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            level += 1
            deepest = max(deepest, level)
        elif token[0] in "]}":
            level -= 1
    return deepest


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Malformed(reason="a key stands there twice")
    return found


def constant(name: str) -> NoReturn:
    raise Malformed(reason=f"{name} is not JSON")
