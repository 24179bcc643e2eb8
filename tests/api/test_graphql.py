"""GraphQL: the plan gives what the library's executor gives, lists go on where they ended, what costs too much is refused."""

import inspect
import json
from typing import Any

import pytest
from graphql import get_introspection_query

from api import problems
from api.graphql import graph, plan, schema
from api.reach import Reach
from api.reads.query import Query
from api.reads.views import Past, Several
from domain.log import wire
from projections import catalog
from projections.views import Read
from tests.api.house import House, lived, people, problem, running, submitted

BUILT = schema.build()


async def asked(house: House, query: str, **variables: Any) -> dict[str, Any]:
    answer = await house.post("", "/graphql", {"query": query, "variables": variables})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def settled(house: House) -> int:
    for projection in catalog.ALL:
        await house.parts.views.reached(projection.rows[0], house.follower.head.size, 2)
    return house.follower.head.size


QUERIES = (
    "{ jobs { position nodes { job status spent total frames wuMilli } } }",
    "{ tasks(first: 3, newest: true) { edges { cursor node { __typename task price class } } pageInfo { hasNextPage endCursor } } }",
    '{ a: workers(kind: "cpu") { nodes { worker classes devices earned } } b: workers(kind: "checker") { nodes { worker } } }',
    (
        "{ workers { nodes { ...w bidList { position nodes { class pricePerKwu } } } } }"
        "  fragment w on Worker { worker ... on Worker { owner } }"
    ),
    (
        "{ jobs(first: 3) { nodes { job taskList(first: 2) { nodes { task"
        "  attemptList { nodes { worker fence } } auditList { nodes { audit result } } } } } } }"
    ),
    (
        "{ audits { nodes { audit verdictList { nodes { checker verdict metrics evidenceSha256 } } } }"
        "  market { position classes { class averageBid } } }"
    ),
    "query ($n: Int = 2, $s: Boolean!) { events(first: $n) { nodes { position type line @skip(if: $s) } } __typename }",
    "{ accounts(first: 5) { nodes { account balanceList { nodes { account amount } } statement(first: 3) { nodes { event amount } } } } }",
    "{ payouts { nodes { payout status amount to } } postings(first: 4) { nodes { position line account amount } } }",
    '{ event(id: 7) { type stream } job(id: "job-999999") { job } jobs { nodes { job } nodes { status } } }',
    '{ jobs(asOf: 20) { position nodes { job } } __type(name: "Job") { name fields { name } } }',
    get_introspection_query(),
)


async def test_the_plan_gives_what_the_executor_gives() -> None:
    async with running(lived()) as house:
        await settled(house)
        past = Past(house.parts, Reach(house.follower, 1.0))

        def opened(given: dict[str, Any]) -> Several:
            return Several(past, Query({}, 1, None, False, 0, given.get("as_of")))

        for query in QUERIES:
            variables = {"s": True} if "$s" in query else {}
            found = await asked(house, query, **variables)
            expected = await BUILT[0].execute(query, variables, {"open": opened, "views": {}, "missing": lambda *_: None})

            assert expected.errors is None
            assert found == wire_form({"data": expected.data})
            assert found["data"]


def wire_form(body: Any) -> Any:
    return json.loads(wire.encode(body))


async def test_a_list_goes_on_where_it_ended() -> None:
    async with running(lived()) as house:
        await settled(house)
        for root, key in (("events", "position"), ("attempts", "task fence"), ("tasks", "task"), ("postings", "position line")):
            page_info = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
            asks = f"{root}(first: $n, after: $after) {{ nodes {{ {key} }} edges {{ cursor }} {page_info} }}"
            query = f"query ($n: Int, $after: String) {{ {asks} }}"
            whole = (await asked(house, query, n=100))["data"][root]["nodes"]
            walked, after = list[Any](), None
            while True:
                page = (await asked(house, query, n=7, after=after))["data"][root]
                walked += page["nodes"]
                info = page["pageInfo"]
                assert (info["startCursor"], info["endCursor"]) == (page["edges"][0]["cursor"], page["edges"][-1]["cursor"])
                assert info["hasPreviousPage"] == (after is not None)
                after = info["endCursor"]
                if not info["hasNextPage"] or len(walked) >= len(whole):
                    break

            assert len(whole) > 7
            assert walked[: len(whole)] == whole


REFUSED = (
    ("{ jobs { nodes { job } }", "Syntax Error"),
    ("{ nobody { job } }", "Cannot query field"),
    ("{ jobs(first: 100) { nodes { taskList(first: 100) { nodes { task } } } } }", "may cost"),
    ("{ " + " ".join(f"a{n}: jobs(first: 100) {{ nodes {{ job }} }}" for n in range(30)) + " }", "may cost"),
    ("{ jobs { nodes { " + "job " * 1_000 + "} } }", "Syntax Error"),
    ("query a { __typename } query b { __typename }", "Name one"),
    ("mutation { submit }", "mutation"),
    ("query ($n: Int!) { jobs(first: $n) { position } }", "$n"),
    ("{ ...f } fragment f on Query { ...f }", "Cannot spread"),
    ("{ jobs(asOf: -1) { position } }", "whole number"),
)


async def test_what_cannot_be_carried_out_is_refused_whole() -> None:
    async with running(people()) as house:
        for query, said in REFUSED:
            answer = await house.post("", "/graphql", {"query": query})

            assert answer.status_code == 400
            assert said in answer.json()["errors"][0]["message"], answer.text
            assert "data" not in answer.json()


def doubled(count: int, last: str) -> str:
    """A document that names a field twice as often with each fragment."""
    between = "".join(f" fragment f{n} on Query {{ ...f{n + 1} ...f{n + 1} }}" for n in range(count))
    return "{ ...f0 }" + between + f" fragment f{count} on Query {{ {last} }}"


def branched(depth: int) -> str:
    """Thirty of the same list below each of thirty rows, and so on: written once for each depth."""
    names = [("Query", "tasks", "Task"), ("Task", "auditList", "Audit"), ("Audit", "verdictList", "Verdict")]
    of = "".join(
        f" fragment f{n} on {kind} {{ " + " ".join(f"a{m}: {field}(first: 1) {{ nodes {{ ...f{n + 1} }} }}" for m in range(12)) + " }"
        for n, (kind, field, _) in enumerate(names[:depth])
    )
    return "{ ...f0 }" + of + f" fragment f{depth} on {names[depth - 1][2]} {{ __typename }}"


async def test_short_documents_that_select_very_much_are_carried_out_or_refused_at_once() -> None:
    """The more so since everything else in the process waits meanwhile: thirty doublings would take an hour."""
    async with running(people()) as house:
        twice = await asked(house, doubled(60, "jobs(first: 1) { position }"))
        much = await house.post("", "/graphql", {"query": branched(3)})
        types = " ".join(f"a{n}: types {{ fields {{ args {{ name }} type {{ name }} }} }}" for n in range(40))
        schemas = await house.post("", "/graphql", {"query": f"{{ __schema {{ {types} }} }}"})
        below = await house.post("", "/graphql", {"query": doubled(8, f"__schema {{ {types} }}")})

        assert twice["data"]["jobs"]["position"] > 0
        assert (much.status_code, "more than 2000 fields" in much.text) == (400, True)
        assert [(each.status_code, "too much of the schema" in each.text) for each in (schemas, below)] == [(400, True)] * 2


def test_the_whole_schema_may_be_asked_for_as_tools_do() -> None:
    names = [name for name in inspect.signature(get_introspection_query).parameters if name != "descriptions"]
    query = plan.Documents(*BUILT).read(get_introspection_query(**dict.fromkeys(names, True)))

    assert query.introspection(query.operation(None), {})["__schema"]["types"]


def test_what_nests_too_deep_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "DEPTH_MAX", 3)
    query = plan.Documents(*BUILT).read("{ jobs { edges { node { job } } } }")
    with pytest.raises(plan.Refusal, match="deeper than 3"):
        query.plan(query.operation(None), query.variables(query.operation(None), {}))


def test_a_document_is_read_once_and_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "KEPT_MAX", 2)
    documents = plan.Documents(*BUILT)
    first = documents.read("{ a: __typename }")
    documents.read("{ b: __typename }")

    assert documents.read("{ a: __typename }") is first
    documents.read("{ c: __typename }")
    assert documents.read("{ a: __typename }") is first
    assert len(documents._kept) == 2


async def test_one_field_that_fails_leaves_the_others_alone() -> None:
    async with running(people()) as house:
        head = await settled(house)
        query = f"""{{
            a: jobs(first: 0) {{ position }}
            b: jobs(after: "x") {{ position }}
            c: jobs(asOf: {head + 99}) {{ position }}
            d: tasks(status: "ready", worker: "worker-1") {{ position }}
            e: job(id: "?") {{ job }}
            f: jobs(minPos: {head + 99}) {{ position }}
            g: workers(first: 1) {{ nodes {{ bidList(first: 0) {{ position }} worker }} }}
        }}"""
        found = await asked(house, query)
        codes = {each["path"][0]: each["extensions"]["code"] for each in found["errors"]}

        assert codes == {
            "a": "invalid",
            "b": "bad_cursor",
            "c": "invalid",
            "d": "invalid",
            "e": "invalid",
            "f": "not_reached",
            "g": "invalid",
        }
        assert [found["data"][name] for name in "abcdef"] == [None] * 6
        assert found["data"]["g"]["nodes"][0]["worker"].startswith("worker-")
        assert found["errors"][-1]["path"] == ["g", "nodes", 0, "bidList"]


async def test_of_a_fault_of_ours_nothing_is_told_and_what_is_late_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("password=hunter2")

    async with running(people()) as house:
        head = await settled(house)
        late = (await asked(house, f"{{ jobs(minPos: {head + 99}) {{ position }} }}"))["errors"]
        monkeypatch.setattr(type(house.parts.views), "page", broken)
        fault = (await asked(house, "{ jobs { position } }"))["errors"]

    assert [each["message"] for each in (*late, *fault)] == [problems.SAID["not_reached"], problems.SAID["fault"]]
    assert fault[0]["extensions"] == {"code": "fault"}


async def test_a_thing_that_is_only_late_is_not_said_to_be_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(people()) as house:
        head = await settled(house)
        job = await submitted(house)

        async def behind(*_: Any) -> Read[Any]:
            return Read(None, head)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(house.parts.views), "get", behind)
            late = await asked(house, f'{{ job(id: "{job}") {{ job }} }}')
        never = await asked(house, '{ job(id: "job-999999") { job } }')

        assert late["errors"][0]["extensions"] == {"code": "not_reached", "position": head, "min_pos": head + 1}
        assert never == {"data": {"job": None}}


async def test_the_answers_form_is_the_one_that_is_asked_for_and_bodies_are_bounded() -> None:
    async with running(people()) as house:
        form = {"Accept": "application/graphql-response+json"}
        answer = await house.post("", "/graphql", {"query": "{ __typename }"}, headers=form)
        bodies: list[Any] = [
            {},
            {"query": ""},
            {"query": "{ __typename }", "x": 1},
            {"query": "x" * 20_000},
            {"query": "{ a }", "variables": []},
        ]
        refused = [await house.post("", "/graphql", each) for each in bodies]
        text = (await house.get("", "/graphql")).text

        assert (answer.headers["content-type"], answer.json()) == (form["Accept"], {"data": {"__typename": "Query"}})
        assert {problem(each) for each in refused} == {(422, "invalid")}
        assert "type Job {" in text
        assert "type Mutation" not in text


def test_names_of_fields_and_lists_are_their_own() -> None:
    for relation in graph.RELATIONS:
        assert relation.name not in {*graph.BY_NAME[relation.of].row.__struct_fields__}
