"""The OpenAPI document: whole, true to the types, and its examples could be sent."""

from http import HTTPStatus
from typing import Any

import pytest

from api import commands, problems
from api.document import examples, operations
from api.document.schemas import Schemas
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
        names = set(found["components"]["schemas"])

        assert references(found) - {f"#/components/schemas/{name}" for name in names} == set()
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


async def test_no_route_is_outside_the_known_rooms() -> None:
    async with running(people()) as house:
        paths = (await document(house))["paths"]

        assert [path for path in paths if not path.startswith(("/v1/", "/internal/v1/", "/livez", "/readyz", "/metrics", "/graphql"))] == []
