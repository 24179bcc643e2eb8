"""What a server answers that has a whole life behind it, as examples of the OpenAPI document: `python -m tests.answers` writes them."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from fastapi.sse import format_sse_event

from api.document import examples
from domain.log import wire
from projections.finance.journal import JournalLine
from tests.api.house import House, alive, running, scene, secret_of
from tests.api.test_reads import settled

FILE = Path(examples.__file__).parent / "answers.json"
KINDS = ("jobs", "tasks", "workers", "audits", "payouts", "batches", "accounts")
SIZE = 17
"""Up to where exports go: a few rows."""
Said = dict[str, dict[str, dict[str, Any]]]


async def answers() -> Said:
    """Operation -> media type -> what was asked, and the answer."""
    async with running(alive(), leads=False) as house:
        await settled(house)
        things, found = await one_of_each(house), Said()
        for template, methods in house.app.openapi()["paths"].items():
            it = methods.get("get")
            if it is None or it["operationId"] in APART or "application/octet-stream" in it["responses"]["200"]["content"]:
                continue
            path = filled(template, things, "limit" in {each["name"] for each in it.get("parameters", ())})
            found[it["operationId"]] = await said(house, path)
        return dict(sorted((found | await apart(house)).items()))


APART = {"jobs.manifest", "agents.tasks", "live.events", "exports.file", "audit.log", "ops.metrics", "graphql.schema"}
"""Those that are not asked just so: they never end, are long, or need what this life has not."""


async def one_of_each(house: House) -> dict[str, str]:
    """Where things are listed -> the id of one."""
    things = dict[str, str]()
    for kind in KINDS:
        (item,) = (await house.get("", f"/v1/{kind}?limit=1")).json()["items"]
        things[kind] = next(iter(item.values()))
    (line,) = (await house.parts.views.page(JournalLine, limit=1)).rows
    return things | {"posting": f"{line.position}-{line.line}", "streams": things["payouts"]}


def filled(template: str, things: dict[str, str], is_page: bool) -> str:
    """An address that there is an answer under."""
    path = template.replace("{posting}", things["posting"]).replace("{position}", "7")
    path = path.replace("{id}", things.get(template.split("/")[2], "") if "{id}" in template else "")
    more = {"/v1/search": f"q={things['jobs']}", "/v1/proof/consistency": "first=3", "/v1/consistency": "first=3"}
    asked = "limit=1" if is_page else more.get(template, "")
    return f"{path}?{asked}" if asked else path


async def said(house: House, path: str) -> dict[str, dict[str, Any]]:
    answer = await house.get(secret_of(alive().creator), path)
    assert answer.status_code == 200, (path, answer.text)
    kind = answer.headers["content-type"].partition(";")[0]
    return {kind: {"summary": f"GET {path}", "value": answer.json() if kind == "application/json" else answer.text}}


async def apart(house: House) -> Said:
    opened = next(each for each in alive().network.events if each.event.verb() == "account.opened")
    line, numbers = wire.encode(opened).decode(), (await house.get("", "/metrics")).text
    feed = {
        "text/event-stream": shown("GET /v1/events, as text/event-stream", format_sse_event(data_str=line, id=str(opened.pos)).decode())
    }
    files = [await said(house, f"/v1/exports/journal.{form}?as_of={SIZE}") for form in ("csv", "jsonl", "beancount")]
    graph = (await house.post("", "/graphql", examples.QUERY)).json()
    (head,) = re.findall("(?:# .* gridledger_head .*\n)?(?:# .*gridledger_head .*\n)+gridledger_head .*\n", numbers)
    record, log = alive().network.records[0], (await house.get("", "/v1/log")).content
    assert log.startswith(record)
    schema = (await house.get("", "/graphql")).text
    return {
        "account.Open": {"application/json": shown("POST /v1/accounts", {"position": opened.pos, "events": [json.loads(line)]})},
        "agents.tasks": feed,
        "audit.log": {"application/x-ndjson": shown("GET /v1/log, its first record", record.decode())},
        "events.page": feed | await said(house, "/v1/events?limit=1"),
        "exports.file": {kind: it for file in files for kind, it in file.items()},
        "graphql.query": {"application/json": shown("POST /graphql", graph)},
        "graphql.schema": {
            "text/plain": shown("GET /graphql, one of its types", schema[schema.index("type Job {") :].partition("\n\n")[0])
        },
        "jobs.manifest": {"application/json": shown("GET /v1/jobs/job-100/manifest", json.loads(scene()[0].encode()))},
        "live.events": feed,
        "ops.metrics": {"text/plain": shown("GET /metrics, one of its numbers", head)},
    }


def shown(summary: str, value: Any) -> dict[str, Any]:
    return {"summary": summary, "value": value}


def text(found: Said) -> str:
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(asyncio.run(answers())))
