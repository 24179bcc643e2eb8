"""What a line of our logs holds, and what it never holds."""

import asyncio
import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from adapters import logs
from adapters.log.trouble import Trouble


class Lines:
    def __init__(self, output: io.StringIO) -> None:
        self._output = output

    def __call__(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._output.getvalue().split("\n") if line]


@pytest.fixture
def lines() -> Iterator[Lines]:
    root = logging.getLogger()
    before = (root.handlers, root.level)
    output = io.StringIO()
    logs.set_up(output)
    yield Lines(output)
    root.handlers, root.level = before
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def test_a_line_tells_when_in_utc_how_bad_and_what(lines: Lines) -> None:
    structlog.get_logger().info("leased", task="job-7-1", fence=3)
    (line,) = lines()

    assert list(line) == ["time", "level", "event", "task", "fence"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["time"])
    assert (line["level"], line["event"], line["task"], line["fence"]) == ("info", "leased", "job-7-1", 3)


def test_what_is_bound_is_in_every_line_below_and_in_none_after(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(command="job.submit", position=1042, agent="worker-3"):
        structlog.get_logger().info("inside")
        logging.getLogger("some.library").warning("also inside")
    structlog.get_logger().info("outside")
    inside, library, outside = lines()

    assert (inside["command"], inside["position"], inside["agent"]) == ("job.submit", 1042, "worker-3")
    assert (library["command"], library["library"], library["event"]) == ("job.submit", "some.library", "also inside")
    assert "command" not in outside


async def test_what_is_told_waits_for_the_end_of_the_loops_turn_and_a_warning_waits_for_nothing(lines: Lines) -> None:
    structlog.get_logger().info("first")
    structlog.get_logger().info("second")
    assert lines() == []

    await asyncio.sleep(0)
    assert [line["event"] for line in lines()] == ["first", "second"]

    structlog.get_logger().info("third")
    structlog.get_logger().warning("fourth")
    assert [line["event"] for line in lines()] == ["first", "second", "third", "fourth"]


def test_what_a_loop_left_unwritten_comes_with_the_next_line(lines: Lines) -> None:
    loop = asyncio.new_event_loop()
    loop.call_soon(lambda: (structlog.get_logger().info("first"), loop.stop()))
    loop.run_forever()
    loop.close()
    assert lines() == []

    async def said() -> None:
        structlog.get_logger().info("second")

    asyncio.run(said())
    assert [line["event"] for line in lines()] == ["first", "second"]


def test_libraries_are_heard_from_warning_on(lines: Lines) -> None:
    logging.getLogger("some.library").info("chatter")
    assert lines() == []

    logging.getLogger("gridledger.relay").info("ours, by way of a library")
    assert [line["event"] for line in lines()] == ["ours, by way of a library"]


def test_what_is_below_the_level_is_not_written(lines: Lines) -> None:
    structlog.get_logger().debug("detail")

    assert lines() == []


@pytest.mark.parametrize(
    "name",
    [
        "secret",
        "client_secret",
        "token",
        "accessToken",
        "api_key",
        "key",
        "authorization",
        "Authorization",
        "signature",
        "raw",
        "password",
        "private_key",
        "mnemonic",
        "set_cookie",
    ],
)
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_secret_is_hidden_by_the_name_of_its_field(lines: Lines, name: str, depth: int) -> None:
    fields: dict[str, object] = {name: "hunter2hunter2"}
    for _ in range(depth):
        fields = {"inner": [fields]}
    structlog.get_logger().info("sent", **fields)
    (line,) = lines()

    assert "hunter2" not in json.dumps(line)
    assert logs.HIDDEN in json.dumps(line)


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer hunter2hunter2",
        "basic aHVudGVyMjpodW50ZXIy",
        "postgresql://grid:hunter2hunter2@127.0.0.1/db",
        "GET /v1/jobs?token=hunter2hunter2&page=2",
        '{"api_key": "hunter2hunter2"}',
        "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.c2ln",
    ],
)
def test_a_secret_is_hidden_by_the_look_of_its_text(lines: Lines, text: str) -> None:
    structlog.get_logger().info("received", text=text)
    (line,) = lines()

    assert "hunter2" not in line["text"]
    assert "aHVudGVy" not in line["text"]
    assert "eyJ" not in line["text"]
    assert logs.HIDDEN in line["text"]


@pytest.mark.parametrize("name", ["key_us", "token_address", "task", "sha256", "signer", "tokens_max", "draws"])
def test_what_is_public_stays(lines: Lines, name: str) -> None:
    structlog.get_logger().info("sent", **{name: "0xabc"})

    assert lines()[0][name] == "0xabc"


def test_a_failure_is_its_type_message_and_places_without_values(lines: Lines) -> None:
    def fail() -> None:
        hidden = "hunter2hunter2"
        raise ValueError(f"token={hidden}")

    try:
        fail()
    except ValueError:
        structlog.get_logger().exception("broke")
        logging.getLogger("some.library").exception("broke too")

    for line in lines():
        assert (line["level"], line["error"]) == ("error", "ValueError")
        assert any(place.endswith(" fail") for place in line["places"])
        assert "hunter2" not in json.dumps(line)


def test_one_thing_is_one_line_whatever_it_holds(lines: Lines) -> None:
    structlog.get_logger().info("odd", text="a\nb\u2028c", raw_bytes=b"\x00\xff", far="x" * 100_000)
    (line,) = lines()

    assert line["text"] == "a\nb\u2028c"
    assert line["raw_bytes"] == "[2 bytes]"
    assert len(line["far"]) < 5_000


def test_trouble_is_said_when_it_begins_becomes_another_and_is_over(lines: Lines) -> None:
    trouble = Trouble(logging.getLogger("some.library"), "it cannot be read")
    trouble.over()
    for why in ("silence", "silence", "noise"):
        trouble.met(why)
    trouble.over()
    trouble.over()

    said = ("it cannot be read, trying again: silence", "it cannot be read, trying again: noise", "over: it cannot be read (noise)")
    assert tuple(line["event"] for line in lines()) == said


@pytest.mark.timeout(5)
@pytest.mark.parametrize("piece", ["x", "a-", "token", "://", "a://b:", "secret ", "eyJ.", "bearer "])
def test_no_text_makes_the_search_for_secrets_slow(piece: str) -> None:
    logs.hide(None, "info", {"text": piece * 100_000})
