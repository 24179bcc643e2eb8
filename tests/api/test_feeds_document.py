"""The AsyncAPI document of the feeds: whole, and true of what is sent and taken. That it is current: tests/test_generated.py."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft7Validator, meta
from pydantic import ValidationError

from api.agents import Shown
from api.sockets import server
from domain.ids import worker_id
from domain.log import wire
from tests.relay.test_asyncapi import references

pytestmark = pytest.mark.checkout

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENT = json.loads((DOCS / "feeds.json").read_text())


def payload(name: str) -> Draft7Validator:
    return Draft7Validator(DOCUMENT["components"]["messages"][name]["payload"])


def test_every_reference_leads_somewhere_and_every_event_is_there() -> None:
    found = set(references(DOCUMENT))
    for reference in found:
        file, _, path = reference.partition("#/")
        node: Any = json.loads((DOCS / file).read_text()) if file else DOCUMENT
        for step in path.split("/"):
            node = node[step]
    lines = {each.rpartition("/")[2] for each in found if each.startswith("asyncapi.json")}

    assert lines == {str(event.__struct_config__.tag) for event in wire.EVENTS}


MEMBERS = {
    "root": ("asyncapi info", "id defaultContentType channels operations components servers"),
    "info": ("title version", "description termsOfService contact license tags externalDocs"),
    "channel": ("address messages", "title summary description servers parameters tags externalDocs bindings"),
    "operation": ("action channel", "title summary description security tags externalDocs bindings traits messages reply"),
    "message": ("payload", "headers correlationId contentType name title summary description tags externalDocs bindings examples traits"),
    "components": ("messages schemas", ""),
}
"""What AsyncAPI 3.0 says that an object has, and what it may have; we name messages and schemas only once, in `components`."""


def objects() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(kind, where it stands, the object)"""
    yield "root", "", DOCUMENT
    yield "info", "info", DOCUMENT["info"]
    yield "components", "components", DOCUMENT["components"]
    for kind in ("channel", "operation"):
        yield from ((kind, name, each) for name, each in DOCUMENT[f"{kind}s"].items())
    yield from (("message", name, each) for name, each in DOCUMENT["components"]["messages"].items())


def test_the_objects_are_those_of_asyncapi_3() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    for kind, name, it in objects():
        must, may = (set(each.split()) for each in MEMBERS[kind])
        assert must <= set(it) <= must | may, (kind, name)


def test_what_is_sent_and_taken_are_messages_of_the_channel() -> None:
    used = set[str]()
    for name, it in DOCUMENT["operations"].items():
        channel = it["channel"]["$ref"].removeprefix("#/channels/")
        known = DOCUMENT["channels"][channel]["messages"]
        asked = [each["$ref"] for each in it["messages"]]

        assert it["action"] in {"send", "receive"}, name
        assert {each.rpartition("/")[0] for each in asked} == {f"#/channels/{channel}/messages"}, name
        assert {each.rpartition("/")[2] for each in asked} <= set(known), name
        used |= {f"{channel}/{each.rpartition('/')[2]}" for each in asked}
    assert used == {f"{name}/{each}" for name, channel in DOCUMENT["channels"].items() for each in channel["messages"]}
    assert {channel["address"] for channel in DOCUMENT["channels"].values()} == {"/v1/events", "/explorer", "/job"}


def test_every_payload_is_a_schema() -> None:
    for name, message in DOCUMENT["components"]["messages"].items():
        if "$ref" not in message["payload"]:
            meta.validate(message["payload"])
            assert message["payload"].get("type") or message["payload"].get("oneOf"), name


def test_what_a_server_takes_is_what_the_document_allows() -> None:
    models: dict[str, type[server.Wanted | server.OfJob]] = {"connectExplorer": server.Wanted, "connectJob": server.OfJob}
    cases: list[tuple[str, dict[str, Any]]] = [
        *(
            ("connectExplorer", each)
            for each in (
                {},
                {"after": 7},
                {"types": ["task.leased.v1"], "streams": []},
                {"types": ["task.leased"]},
                {"after": -1},
                {"x": 1},
                {"after": "7"},
            )
        ),
        *(("connectJob", each) for each in ({"job": "job-100", "after": 0}, {"job": "worker-1"}, {}, {"job": "job-1", "types": []})),
    ]
    taken = list[bool]()
    for name, case in cases:
        try:
            models[name].model_validate(case)
        except ValidationError:
            taken.append(False)
        else:
            taken.append(True)

    assert [payload(name).is_valid(case) for name, case in cases] == taken
    assert taken.count(True) == 4


def test_what_a_server_sends_fits() -> None:
    payload("event").validate({"id": "120", "data": "{}"})
    payload("position").validate(0)
    payload("progress").validate(json.loads(wire.encode(Shown(worker_id(1), "job-1/1", 1, 2, 4))))

    assert not payload("event").is_valid({"id": 120, "data": "{}"})
    assert not payload("progress").is_valid({"worker": "worker-1"})
