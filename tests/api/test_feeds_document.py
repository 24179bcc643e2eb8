"""The AsyncAPI document of the feeds: whole, and true of what is sent and taken. That it is current: tests/test_generated.py."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft7Validator
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
