"""The AsyncAPI 3.0 document of the relay's topic, from the code: each event is a message, with the schema of its line."""

import json
from collections.abc import Callable
from inspect import cleandoc
from typing import Any, get_origin

from msgspec import inspect

from adapters.kafka import relay
from domain.event import Event, Recorded
from domain.ids import LogId
from domain.log import wire
from domain.units import Units

EVENTS = sorted(wire.EVENTS, key=lambda event: str(event.__struct_config__.tag))
VERSION = "1.0.0"
"""Of the contract. The names of events carry their own."""
DRAFT = "application/schema+json;version=draft-07"
NUMBERED: dict[str, Any] = {"type": "string", "pattern": "^[1-9][0-9]{0,14}$"}
AMOUNT = {"type": "string", "pattern": f"^({wire.DECIMAL.pattern})$", "description": "minor units of the asset"}
DESCRIPTION = (
    "Every event of a ledger, passed on by `gridledger relay`: at least once, each stream in order. A repeated record has the `pos` of the "
    "first: whoever remembers the positions that it has taken, in one transaction with their effects, takes each event once. The value is "
    "a leaf of the ledger's Merkle tree, byte for byte. Records are CloudEvents 1.0 in the Kafka protocol binding's binary mode."
)
NAMES: dict[type[inspect.Type], str] = {
    inspect.IntType: "integer",
    inspect.StrType: "string",
    inspect.BoolType: "boolean",
    inspect.NoneType: "null",
}
Notes = Callable[[type[Any]], dict[str, str]]


def name_of(event: type[Event]) -> str:
    return str(event.__struct_config__.tag)


def page(notes: Notes) -> str:
    """`notes` tells what is said of each field of a class."""
    return json.dumps(document(notes), indent=1) + "\n"


def document(notes: Notes) -> dict[str, Any]:
    names = [name_of(event) for event in EVENTS]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Gridledger events", "version": VERSION, "description": DESCRIPTION, "license": {"name": "Apache-2.0"}},
        "defaultContentType": "application/json",
        "channels": {
            "events": {
                "address": relay.topic_of(LogId("{ledger}")),
                "description": "The key, a stream, decides the partition.",
                "parameters": {"ledger": {"description": "id of the ledger's log: 32 hex digits"}},
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
                "bindings": {"kafka": {"partitions": relay.PARTITIONS, "bindingVersion": "0.5.0"}},
            }
        },
        "operations": {
            "passOn": {
                "action": "send",
                "channel": {"$ref": "#/channels/events"},
                "summary": "Pass on what the log has taken.",
                "messages": [{"$ref": f"#/channels/events/messages/{name}"} for name in names],
            }
        },
        "components": {
            "messages": {name_of(event): message(event) for event in EVENTS},
            "messageTraits": {"event": trait()},
            "schemas": {name_of(event): schema(event, notes) for event in EVENTS},
        },
    }


def message(event: type[Event]) -> dict[str, Any]:
    name = name_of(event)
    return {
        "name": name,
        "title": name,
        "summary": cleandoc(event.__doc__ or ""),
        "traits": [{"$ref": "#/components/messageTraits/event"}],
        "payload": {"schemaFormat": DRAFT, "schema": {"$ref": f"#/components/schemas/{name}"}},
    }


def trait() -> dict[str, Any]:
    """What all messages have in common: headers and key."""
    example = relay.headers(LogId("0" * 32), relay.Envelope(1, "ledger", 0, relay.Kind("ledger.opened.v1")))
    known: dict[str, dict[str, Any]] = {
        "pos": {**NUMBERED, "description": "position in the log, from 1; what repetitions are known by"},
        "type": {"type": "string", "description": "stored name of the event", "enum": [name_of(event) for event in EVENTS]},
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {"type": "string", "pattern": "^[0-9a-f]{32}/[1-9][0-9]{0,14}$", "description": "LEDGER/POS"},
        "ce_source": {"type": "string", "pattern": "^urn:gridledger:[0-9a-f]{32}$", "format": "uri"},
        "ce_type": {"type": "string", "description": "the same as `type`"},
        "ce_subject": {"type": "string", "description": "the stream, which is the key, too"},
        "ce_time": {"type": "string", "format": "date-time", "description": "ledger time"},
        "content-type": {"type": "string", "const": "application/json"},
    }
    return {
        "contentType": "application/json",
        "headers": {"type": "object", "properties": known, "required": [name for name, _ in example]},
        "bindings": {"kafka": {"key": {"type": "string", "description": "the stream"}, "bindingVersion": "0.5.0"}},
    }


def schema(event: type[Event], notes: Notes) -> dict[str, Any]:
    """Of an event's line, in JSON Schema draft 7, with everything that it is made of inside."""
    recorded: Any = Recorded[event]  # type: ignore[valid-type]
    return of(inspect.type_info(recorded), notes)


def of(kind: inspect.Type, notes: Notes) -> dict[str, Any]:
    match kind:
        case inspect.StructType():
            return of_struct(kind, notes)
        case inspect.CustomType(cls=cls) if issubclass(cls, Units):
            return AMOUNT
        case inspect.TupleType(item_types=types):
            items = [of(each, notes) for each in types]
            return {"type": "array", "items": items, "additionalItems": False, "minItems": len(items), "maxItems": len(items)}
        case inspect.VarTupleType(item_type=item):
            return {"type": "array", "items": of(item, notes)}
        case inspect.UnionType(types=types):
            return {"anyOf": [of(each, notes) for each in types]}
        case inspect.LiteralType(values=values):
            return {"enum": list(values)}
        case _:
            return {"type": NAMES[type(kind)]}


def of_struct(kind: inspect.StructType, notes: Notes) -> dict[str, Any]:
    """Whatever is written is written whole, but for what a struct says that it leaves out."""
    cls: Any = get_origin(kind.cls) or kind.cls
    said, properties = notes(cls), dict[str, Any]()
    if kind.tag_field:
        properties[kind.tag_field] = {"const": kind.tag}
    for field in kind.fields:
        note = {"description": said[field.name]} if field.name in said else {}
        properties[field.encode_name] = {**of(field.type, notes), **note}
    spared = {each.encode_name for each in kind.fields if cls.__struct_config__.omit_defaults and not each.required}
    required = [name for name in properties if name not in spared]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
