"""What reaches a command: one object that can be read in one way only."""

import asyncio
from typing import Any

import pytest
from fastapi import Request

from api import bodies
from api.problems import Malformed, TooLarge, TooSlow


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "it is not JSON at line 1, column 2"),
        (b"[]", "it is not an object"),
        (b'"text"', "it is not an object"),
        (b'{"a":1,"a":1}', "a key stands there twice"),
        (b'{"a":{"b":1,"b":2}}', "a key stands there twice"),
        (b'{"a":NaN}', "NaN is not JSON"),
        (b'{"a":-Infinity}', "-Infinity is not JSON"),
        (b'{"a":"\xff"}', "it is not UTF-8"),
        ('{"a":1}'.encode("utf-16"), "it is not UTF-8"),
        (b'\xef\xbb\xbf{"a":1}', "it is not JSON at line 1, column 1"),
        (b'{"a":' + b"1" * 5_000 + b"}", "a number has too many digits"),
        (b'{"a":1} {}', "it is not JSON at line 1, column 9"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "it is nested more than 32 deep"),
        (b"[" * 60_000, "it is nested more than 32 deep"),
        (b'{"a":"' + b"[" * 20 + b'","b":' + b"[" * 40, "it is nested more than 32 deep"),
    ],
)
def test_what_can_be_read_in_no_way_or_in_two_is_malformed(body: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as refusal:
        bodies.fields(body)

    assert refusal.value.facts == {"reason": reason}


def test_brackets_within_text_are_not_depth() -> None:
    assert bodies.fields(b'{"a":"' + b"[{" * 100 + b'\\"["}') == {"a": "[{" * 100 + '"['}


def test_depth_is_counted_from_the_outside() -> None:
    assert bodies.fields(b'{"a":' + b"[" * 31 + b"]" * 31 + b',"b":[]}')["b"] == []
    assert bodies.depth('{"a":' + "[" * 32 + "]" * 32 + "}") == 33


def test_no_body_is_an_object_without_fields() -> None:
    assert bodies.fields(b"") == {}


def coming(*parts: bytes) -> Request:
    """A request whose body comes in these parts, and then nothing more, not even its end."""
    left = list(parts)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": left.pop(0), "more_body": True}

    return Request({"type": "http", "method": "POST", "path": "/v1/jobs", "headers": []}, receive)


async def test_a_body_whose_rest_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_S_MAX", 0.01)
    with pytest.raises(TooSlow):
        await bodies.read(coming(b'{"a":'))


async def test_a_body_is_refused_as_soon_as_it_is_too_large() -> None:
    with pytest.raises(TooLarge):
        await bodies.read(coming(b"x" * 40, b"x" * 40, b"x" * 40), maximum=100)
