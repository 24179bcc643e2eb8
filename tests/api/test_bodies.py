"""What reaches a command: one object that can be read in one way only."""

import pytest

from api import bodies
from api.problems import Malformed


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
