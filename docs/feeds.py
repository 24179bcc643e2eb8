"""The AsyncAPI 3.0 document of the public feeds, from the code. An event's line is described where the relay's document has it
(docs/asyncapi.py): there is one description."""

import json
from typing import Any

from api.agents import Shown
from api.document.schemas import Schemas
from api.sockets import server
from docs.asyncapi import EVENTS, NUMBERED, VERSION, name_of

LINES = "asyncapi.json#/components/schemas/"
DESCRIPTION = (
    "Every event of a ledger as it happens, to whoever listens, by server-sent events and by Socket.IO with the same payloads. The id of a "
    "message is the event's position in the log, its data the event's line, byte for byte a leaf of the Merkle tree. Whoever comes "
    "again with the last position has no gap and no repetition. A client that does not take what waits for it is dropped, and comes again."
)
LINE: dict[str, Any] = {"oneOf": [{"$ref": f"{LINES}{name_of(event)}"} for event in EVENTS]}
TEXT: dict[str, Any] = {"type": "string", "contentMediaType": "application/json", "contentSchema": {"$ref": "#/components/schemas/line"}}
SEVERAL: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
QUERY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "type": {**SEVERAL, "description": "stored names, e.g. task.leased.v1; none: all"},
        "stream": {**SEVERAL, "description": "streams, e.g. job-100; none: all"},
        "after": {**NUMBERED, "description": "the last position that was seen; the header Last-Event-ID wins"},
        "progress": {"enum": ["true", "false"], "description": "progress of tiles, too"},
    },
}


def page() -> str:
    return json.dumps(document(), indent=1) + "\n"


def document() -> dict[str, Any]:
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Gridledger feeds", "version": VERSION, "description": DESCRIPTION, "license": {"name": "Apache-2.0"}},
        "defaultContentType": "application/json",
        "channels": {
            "live": channel("/v1/events", "Server-sent events: a GET that accepts text/event-stream.", "line", "progress"),
            "explorer": channel("/explorer", "A namespace of Socket.IO below /socket.io/.", "position", "event", "connectExplorer"),
            "job": channel("/job", "A namespace of Socket.IO below /socket.io/.", "position", "event", "connectJob"),
        },
        "operations": {
            "follow": operation("send", "live", "Send what the log has taken.", "line", "progress")
            | {"bindings": {"http": {"method": "GET", "query": QUERY, "bindingVersion": "0.3.0"}}},
            "connectExplorer": operation(
                "receive", "explorer", "A client says what it wants, as the connection's auth.", "connectExplorer"
            ),
            "followExplorer": operation(
                "send", "explorer", "Send where the feed begins, then what the log has taken.", "position", "event"
            ),
            "connectJob": operation("receive", "job", "A client says which job it wants, as the connection's auth.", "connectJob"),
            "followJob": operation("send", "job", "Send where the feed begins, then whatever concerns the job.", "position", "event"),
        },
        "components": {
            "messages": {
                "line": message("A fact. Its `id` is the position.", {"$ref": "#/components/schemas/line"}),
                "progress": message("How many tiles of a leased task are done. It has no id, and is nowhere kept.", progress()),
                "position": message("After which position the feed begins.", {"type": "integer", "minimum": 0}),
                "event": message("A fact: its position, and its line as text.", event()),
                "connectExplorer": message("What is wanted; without a position what comes next.", server.Wanted.model_json_schema()),
                "connectJob": message("Which job, and from where on.", server.OfJob.model_json_schema()),
            },
            "schemas": {"line": LINE},
        },
    }


def channel(address: str, text: str, *messages: str) -> dict[str, Any]:
    return {"address": address, "description": text, "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages}}


def operation(action: str, on: str, text: str, *messages: str) -> dict[str, Any]:
    named = [{"$ref": f"#/channels/{on}/messages/{name}"} for name in messages]
    return {"action": action, "channel": {"$ref": f"#/channels/{on}"}, "summary": text, "messages": named}


def message(text: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {"summary": text, "payload": payload}


def event() -> dict[str, Any]:
    return {"type": "object", "properties": {"id": NUMBERED, "data": TEXT}, "required": ["id", "data"], "additionalProperties": False}


def progress() -> dict[str, Any]:
    schemas = Schemas()
    name = schemas.of(Shown)["$ref"].rpartition("/")[2]
    return schemas.components[name]
