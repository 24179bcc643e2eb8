"""The command that reads a stream: everything that happened to one thing, as of any version."""

import asyncio
import json
from typing import Annotated

import typer

from adapters.client import Client
from cli.app import LOCAL, Json, Root, Server, fail, say
from domain.event import Event, Recorded
from domain.log import wire

VERSION_MAX = 2**53 - 1


def add(app: typer.Typer, root: Root) -> None:
    @app.command()
    def stream(
        id: Annotated[str, typer.Argument(help="e.g. job-100, job-100/17, worker-5 or ledger")],
        version: Annotated[int | None, typer.Option(min=1, max=VERSION_MAX, help="as it was then; as it is now if left out")] = None,
        server: Server = LOCAL,
        as_json: Json = False,
    ) -> None:
        """Print the events of one stream, up to a version."""
        events = asyncio.run(_read(server, id, version))
        if version is not None and len(events) < version:
            fail(f"{id} has no version {version}: it is at {len(events)}")
        facts = {"stream": id, "version": len(events), "events": [json.loads(wire.encode(event)) for event in events]}
        say(facts, as_json=as_json, text="\n".join(_told(event) for event in events) or f"{id} has no events yet")


async def _read(server: str, id: str, version: int | None) -> list[Recorded[Event]]:
    async with Client(server) as client:
        return await client.stream(id, version=version)


def _told(recorded: Recorded[Event]) -> str:
    facts = json.loads(wire.encode(recorded.event))
    name = facts.pop("type")
    return f"{recorded.ver:>5}  {recorded.pos:>8}  {name:<26} {json.dumps(facts, separators=(',', ':'))}"
