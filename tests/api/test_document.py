"""The OpenAPI document: whole, true to the types, and its examples could be sent."""

from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from api import commands, problems
from api.document import examples, operations, refusals
from api.document.schemas import Schemas
from exports import sheets
from tests import answers
from tests.api.house import House, people, running


async def document(house: House) -> dict[str, Any]:
    answer = await house.get("", "/openapi.json")
    found: dict[str, Any] = answer.json()
    return found


async def test_every_route_is_described_and_nothing_else_is() -> None:
    async with running(people()) as house:
        described = {each["operationId"] for path in (await document(house))["paths"].values() for each in path.values()}
        known = {id for id, _ in operations.all_of_them(Schemas())}

        assert described == known
        assert {commands.name(route.kind) for route in commands.ROUTES} <= known


async def test_every_reference_leads_somewhere() -> None:
    async with running(people()) as house:
        found = await document(house)

        parts = {f"#/components/{kind}/{name}" for kind, named in found["components"].items() for name in named}
        assert references(found) - parts == set()
        assert not [name for name, schema in found["components"]["schemas"].items() if not schema]


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        tagged = node.get("discriminator")
        mapped = set(tagged["mapping"].values()) if isinstance(tagged, dict) and "mapping" in tagged else set()
        return own.union(mapped, *map(references, node.values()))
    return set[str]().union(*map(references, node)) if isinstance(node, list) else set()


async def test_every_operation_has_a_summary_and_says_how_it_refuses() -> None:
    async with running(people()) as house:
        for path in (await document(house))["paths"].values():
            for each in path.values():
                assert each["summary"], each["operationId"]
                assert any(int(status) < 300 for status in each["responses"])
                assert "500" in each["responses"]
                if "security" in each:
                    assert "401" in each["responses"]


@pytest.mark.parametrize("route", commands.ROUTES, ids=lambda route: commands.name(route.kind))
def test_the_example_of_a_command_is_one(route: commands.Route) -> None:
    in_path = {"worker": "worker-26", "job": "job-100", "payout": "payout-307"}
    named = {name: id for name, id in in_path.items() if f"{{{name}}}" in route.path}

    assert type(commands.build(route, named, dict(examples.EXAMPLES[route.kind]))) is route.kind


def test_a_status_is_one_that_http_knows() -> None:
    assert all(HTTPStatus(status) for status in problems.STATUS.values())


async def test_every_read_has_an_answer_that_was_given_once() -> None:
    async with running(people()) as house:
        for path, methods in (await document(house))["paths"].items():
            if "get" in methods:
                for kind, content in methods["get"]["responses"]["200"]["content"].items():
                    assert kind in BINARY or content["examples"], (path, kind)


BINARY = {"application/octet-stream", "application/x-tar", "application/vnd.apache.parquet", sheets.Workbook.media_type}


async def test_the_answers_are_those_of_a_scripted_life_today() -> None:
    assert answers.text(await answers.answers()) == answers.FILE.read_text(), "python -m tests.answers"


@pytest.mark.system
async def test_every_example_is_what_its_schema_says() -> None:
    async with running(people()) as house:
        found = await document(house)
        checked = Counter[str]()
        for where, schema, example in shown(found, ""):
            checked[where.rpartition("/")[2]] += 1
            Draft202012Validator({**schema, "components": found["components"]}).validate(example)

        assert {"parameter", "body", "answer", "problem", "schema"} == set(checked)
        assert min(checked.values()) > 20


async def test_an_example_of_something_else_is_found() -> None:
    async with running(people()) as house:
        found = await document(house)
        for where, schema, example in shown(found, ""):
            if where.endswith("/answer") and isinstance(example, dict):
                validator = Draft202012Validator({**schema, "components": found["components"]})
                assert not any(validator.is_valid(wrong) for wrong in ([example], None)), where
                assert not validator.is_valid(example | {"nobody": 1}) or where.split("/")[-2] in FREE, where


FREE = {"jobs.manifest"}
"""Whose form is not fixed here."""


def shown(found: Any, where: str) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Where it stands, the schema, and an example of it: of everything that the document shows."""
    for name, whole in found["components"]["schemas"].items():
        yield from ((f"{name}/schema", schema, each) for schema in below(whole) for each in schema.get("examples", ()))
    for path in found["paths"].values():
        for it in path.values():
            id = it["operationId"]
            for each in it.get("parameters", ()):
                whole = {"examples": {"": {"value": each["example"]}}, "schema": each["schema"]} if "example" in each else each
                yield from content_of(f"{id}/parameter", whole, found)
            for each in it.get("requestBody", {"content": {}})["content"].values():
                yield from content_of(f"{id}/body", each, found)
            for status, answer in it["responses"].items():
                for kind, each in answer.get("content", {}).items():
                    is_problem = kind == problems.MEDIA_TYPE
                    for where_, schema, example in content_of(f"{id}/{'problem' if is_problem else 'answer'}", each, found):
                        assert not is_problem or str(example["status"]) == status, (id, status)
                        yield where_, schema, example


def below(node: Any) -> Iterator[dict[str, Any]]:
    """The schema and all that stand in it."""
    if isinstance(node, dict):
        if isinstance(node.get("examples", ()), list):
            yield node
        for each in node.values():
            yield from below(each)
    if isinstance(node, list):
        for each in node:
            yield from below(each)


def content_of(where: str, it: Any, found: Any) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """The examples of a parameter, or of a body of one media type."""
    named = [each if "value" in each else resolved(found, each["$ref"]) for each in it.get("examples", {}).values()]
    whole = [it["example"]] if "example" in it else []
    for example in (*whole, *(each["value"] for each in named), *it["schema"].get("examples", ())):
        yield where, it["schema"], example


def resolved(found: Any, reference: str) -> Any:
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


async def test_every_refusal_has_an_example_of_each_of_its_codes() -> None:
    async with running(people()) as house:
        for path in (await document(house))["paths"].values():
            for it in path.values():
                for status, answer in it["responses"].items():
                    content = answer.get("content", {}).get(problems.MEDIA_TYPE)
                    if content:
                        assert all(problems.STATUS[code] == int(status) for code in content["examples"]), it["operationId"]
                        assert content["examples"]


@pytest.mark.parametrize("code", sorted(problems.STATUS))
def test_the_example_of_a_refusal_has_all_that_its_text_tells(code: str) -> None:
    made = refusals.example(code)

    assert (made["code"], made["type"], made["status"]) == (code, f"/problems/{code}", problems.STATUS[code])
    assert made["detail"]
    assert "{" not in made["detail"]


async def test_no_route_is_outside_the_known_rooms() -> None:
    async with running(people()) as house:
        paths = (await document(house))["paths"]

        assert [path for path in paths if not path.startswith(("/v1/", "/internal/v1/", "/livez", "/readyz", "/metrics", "/graphql"))] == []
