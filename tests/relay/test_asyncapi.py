"""The AsyncAPI document says what the relay sends: every event, its line and its headers. That it is current: tests/test_generated.py."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft7Validator, ValidationError

from adapters.kafka import relay
from domain.ids import LogId
from domain.log import wire
from domain.log.block import Broken
from tests.relay.book import line

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parents[2]
DOCUMENT = json.loads((ROOT / "docs" / "asyncapi.json").read_text())
GOLDEN = sorted((ROOT / "tests" / "golden").glob("*.v[0-9]*.json"))
MEMBERS = {
    "document": {"asyncapi", "info", "defaultContentType", "channels", "operations", "components"},
    "channel": {"address", "description", "parameters", "messages", "bindings"},
    "operation": {"action", "channel", "summary", "messages"},
    "message": {"name", "title", "summary", "traits", "payload"},
    "trait": {"contentType", "headers", "bindings"},
}
"""What AsyncAPI 3.0 has of the objects that we write, and we use; others it does not know."""


def schema_of(name: str) -> Draft7Validator:
    return Draft7Validator(DOCUMENT["components"]["schemas"][name])


def references(node: object) -> Iterator[str]:
    match node:
        case {"$ref": str(name)}:
            yield name
        case dict():
            for each in node.values():
                yield from references(each)
        case list():
            for each in node:
                yield from references(each)


def led_to(reference: str) -> Any:
    node = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def test_every_event_is_a_message_of_the_channel_and_of_the_operation() -> None:
    names = sorted(str(event.__struct_config__.tag) for event in wire.EVENTS)
    operation = DOCUMENT["operations"]["passOn"]

    assert list(DOCUMENT["channels"]["events"]["messages"]) == names
    assert [each["$ref"] for each in operation["messages"]] == [f"#/channels/events/messages/{name}" for name in names]
    assert DOCUMENT["channels"]["events"]["address"] == "gridledger.{ledger}.events"


def test_the_objects_are_those_of_asyncapi_3() -> None:
    channel, operation = DOCUMENT["channels"]["events"], DOCUMENT["operations"]["passOn"]

    assert (DOCUMENT["asyncapi"], set(DOCUMENT)) == ("3.0.0", MEMBERS["document"])
    assert {"title", "version"} <= set(DOCUMENT["info"])
    assert set(channel) == MEMBERS["channel"]
    assert set(channel["parameters"]) == {"ledger"}
    assert (operation["action"], set(operation)) == ("send", MEMBERS["operation"])
    assert set(DOCUMENT["components"]["messageTraits"]["event"]) == MEMBERS["trait"]
    for message in DOCUMENT["components"]["messages"].values():
        assert set(message) == MEMBERS["message"]
        assert set(message["payload"]) == {"schemaFormat", "schema"}


def test_every_reference_leads_somewhere() -> None:
    found = list(references(DOCUMENT))

    assert len(found) == 5 * len(wire.EVENTS) - len(wire.EVENTS) + 1
    assert all(led_to(each) for each in found)


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_a_line_of_the_log_fits_its_schema_and_no_other_line_does(file: Path) -> None:
    fact, schema = json.loads(file.read_bytes()), schema_of(file.stem)
    schema.validate(fact)
    assert schema.is_valid(fact)

    for wrong in (
        {**fact, "pos": str(fact["pos"])},
        {**fact, "more": 1},
        {name: value for name, value in fact.items() if name != "cmd"},
        {**fact, "event": {**fact["event"], "more": 1}},
        {**fact, "event": {**fact["event"], "type": "job.forgotten.v1"}},
        {**fact, "entry": [["cash", 5]]},
    ):
        assert not schema.is_valid(wrong)


def test_there_is_a_line_for_every_schema() -> None:
    assert {file.stem for file in GOLDEN} == set(DOCUMENT["components"]["schemas"])


def test_what_the_relay_sends_has_the_headers_of_the_document() -> None:
    schema = Draft7Validator(DOCUMENT["components"]["messageTraits"]["event"]["headers"])
    sent = {name: value.decode() for name, value in relay.headers(LogId("a" * 32), relay.envelope(line(41), 41))}

    schema.validate(sent)
    with pytest.raises(ValidationError):
        schema.validate({**sent, "pos": "041"})


def test_an_event_that_is_newer_than_the_relay_is_passed_on() -> None:
    newer = b'{"pos":9,"stream":"moon-9","at_us":1,"event":{"type":"moon.landed.v7","x":{}},"more":[]}'

    assert relay.envelope(newer, 9) == relay.Envelope(9, "moon-9", 1, relay.Kind("moon.landed.v7"))


@pytest.mark.parametrize("bad", [b"", b"[]", b'{"pos":1}', line(2), b"\xff" + line(1), b"[" * 50_000])
def test_what_is_no_line_at_its_place_stops_the_relay(bad: bytes) -> None:
    with pytest.raises(Broken):
        relay.envelope(bad, 1)
