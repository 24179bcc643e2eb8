"""Who asks without a key gets nothing that is not on the log, or computed from it alone.

Two looks at every answer: what this server holds besides the log stands in none of them, and every text in one is on the log or of a kind
that anybody can compute. What is excepted, pictures and the evidence of closed audits, is bytes: tests/api/test_proofs.py and
tests/explorer have it.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

from api.graphql import graph
from domain.log import wire
from projections import catalog
from tests.api.house import House, lived, running, secret_of
from tests.api.test_graphql import BUILT

COMPUTED = re.compile(
    r"-?\d{1,78}"  # sums
    r"|[0-9a-f]{64}"  # nodes and roots of the tree
    r"|\d{1,15}-\d{1,4}"  # a posting
    r"|-?\d{1,40}\.\d{6,18}|\d{4}(-\d\d){2}T\d\d(:\d\d){2}\.\d{6}Z"  # amounts and times of exports
    r"|CPU"  # the model of a machine that names none
    r"|\d{4}\.[a-z-]+|[0-9]{4}"  # parts of an account's name
    r"|/v1/[a-z/-]+(\?[a-z]+=)?[a-z0-9/_.-]*"  # where something is read
    r"|[a-z]{1,16}([._][a-z_]{1,20})*(\.v\d)?",  # words of ours: statuses, kinds of events
)
CURSOR = re.compile("[A-Za-z0-9_-]{8,}")
OPEN_ENDED = {"live.events", "audit.log", "ops.metrics"}
KEYS = {"next", "cursor", "startCursor", "endCursor"}
PICKS = {"position": "30", "posting": "", "sha256": "0" * 64, "tile": "0/000.p/9", "version": "1"}


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    match node:
        case dict():
            for name, each in node.items():
                yield from leaves(each, name)
        case list():
            for each in node:
                yield from leaves(each, key)
        case str():
            yield key, node


def on_the_log(house: House) -> set[str]:
    """Every text of every event, and every account."""
    found = set[str]()
    for recorded in house.network.events:
        found.update(text for _, text in leaves(json.loads(wire.encode(recorded))))
        found.add(wire.encode(recorded).decode())
    return found


def unknown(body: Any, known: set[str]) -> list[str]:
    """Texts that are neither on the log nor computed from it."""
    return [
        text
        for key, text in leaves(body)
        if text and text not in known and not COMPUTED.fullmatch(text) and not (key in KEYS and CURSOR.fullmatch(text))
    ]


async def public(house: House) -> AsyncIterator[tuple[str, Any]]:
    """Every answer to who has no key: each route with ids that there are, and each root of GraphQL with all of its plain fields."""
    for path, methods in house.app.openapi()["paths"].items():
        operation = methods.get("get")
        if operation is None or "security" in operation or operation["operationId"] in OPEN_ENDED or path.startswith("/graphql"):
            continue
        for target in [each async for each in filled(house, path)]:
            answer = await house.get("", target, params={"q": "worker.registered"} if path == "/v1/search" else {})
            if answer.headers["content-type"].startswith("application/json"):
                yield target, answer.json()
            if answer.headers["content-type"] == "application/x-ndjson":
                yield target, [json.loads(line) for line in answer.text.splitlines()]
    for root in (kind for kind in graph.KINDS if kind.many):
        fields = " ".join(name for name, field in BUILT[1][root.name].items() if field.fetch is None)
        query = f"{{ {root.many}(first: 100) {{ edges {{ cursor node {{ {fields} }} }} pageInfo {{ endCursor }} }} }}"
        yield root.many, (await house.post("", "/graphql", {"query": query})).json()["data"]


async def filled(house: House, path: str) -> AsyncIterator[str]:
    name = re.search(r"\{(\w+)\}", path)
    if name is None:
        yield f"{path}?limit=200" if path in {"/v1/journal", "/v1/events"} else path
    elif name[1] == "what":
        for what in ("journal", "payouts", f"statement.jsonl?account={lived().creator}"):
            yield f"/v1/exports/{what}" if "?" in what else f"/v1/exports/{what}.jsonl"
    elif name[1] == "posting":
        for row in (await house.get("", "/v1/journal")).json()["items"]:
            yield f"/v1/explain/{row['position']}-{row['line']}"
    elif name[1] == "id":
        kind = path.split("/")[2]
        rows = (await house.get("", "/v1/jobs" if kind == "streams" else f"/v1/{kind}")).json()["items"]
        for row in rows[:20]:
            yield path.replace("{id}", str(next(iter(row.values()))))
    else:
        yield path.replace(name[0], PICKS[name[1]])


async def test_no_public_answer_holds_what_is_not_on_the_log() -> None:
    async with running(lived()) as house:
        for projection in catalog.ALL:
            await house.parts.views.reached(projection.rows[0], house.follower.head.size, 2)
        known = on_the_log(house) | {house.follower.head.log}
        secrets = [secret_of(person) for person in house.world.people]
        seen = 0
        async for target, body in public(house):
            text = json.dumps(body)
            assert not [secret for secret in secrets if secret in text], target
            assert unknown(body, known) == [], target
            seen += 1

        assert seen > 60


def test_what_is_not_on_the_log_is_found() -> None:
    assert unknown({"items": [{"name": "Frame 0 of my film"}], "next": "not a cursor!"}, {"x"}) == ["Frame 0 of my film", "not a cursor!"]
    assert unknown({"salt": "5f2b9c0d11aa43e75f2b9c0d11aa43e7", "name": "anna/scene 4.xml"}, set()) != []
