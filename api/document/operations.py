"""What the document says of each operation: by its id, which is where it and its route meet. A test holds them together."""

from collections.abc import Iterator
from typing import Any

from api import agents, commands, ops
from api.commands import Route
from api.document import examples
from api.document.schemas import AMOUNT, Schema, Schemas, reference
from api.graphql import endpoint
from api.objects import uploads
from api.proofs import audit
from api.reads import explain, market, pages, query, search
from api.reads.pages import Pages, Single
from domain import errors
from domain.errors import Refused
from domain.log import wire
from domain.value import Value
from domain.work import objects
from exports import bundle, export, forms, sheets
from projections import times
from projections.row import Column, shape

WHO = ("api_key_missing", "api_key_unknown", "api_key_expired")
SILENCE = ("busy", "unreachable", "outcome_unknown")
BODY = ("malformed", "invalid", "too_large", "not_json")
READ = ("invalid", "not_reached", "bad_cursor", "unreachable")
LOG = ("invalid", "not_reached", "busy")
BYTES = ("object_missing", "range_not_satisfiable")
INTAKE = ("invalid", "object_truncated", "object_too_large", "wrong_hash", "upload_limit")
KEYED = ("key_missing", "command_id_reused", "key_expired", "key_from_future")
CHECKED = {
    "job.Submit": ("scene_refused", "not_uploaded"),
    "proof.Commit": ("gate_failed", "not_uploaded"),
    "verdict.Reveal": ("evidence_swapped", "not_uploaded"),
}
DOMAIN = tuple(
    sorted(each.code for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Refused) and each is not Refused)
)
"""Whatever the ledger may say to a command."""

NUMBER: Schema = {"type": "integer", "minimum": 0, "maximum": query.POSITION_MAX}
DIGEST: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$", "examples": [examples.HASH]}
UNTIL: Schema = {"type": "string", "pattern": f"^(0|[1-9][0-9]{{0,15}}|{times.TIME})$", "examples": ["1200", "2026-11-26T08:00:21Z"]}
TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": query.TEXT_MAX}
STORED: Schema = {"enum": sorted(wire.NAMES)}
BINARY: Schema = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
STREAM: Schema = {
    "text/event-stream": {"schema": {"type": "string"}, "examples": {"event": examples.ANSWERS["live.events"]["text/event-stream"]}}
}
PATH_TYPES: dict[str, Schema] = {
    "worker": {"type": "string", "pattern": "^worker-[1-9][0-9]{0,14}$", "examples": ["worker-26"]},
    "job": {"type": "string", "pattern": "^job-[1-9][0-9]{0,14}$", "examples": ["job-100"]},
    "payout": {"type": "string", "pattern": "^payout-[1-9][0-9]{0,14}$", "examples": ["payout-307"]},
    "task": {"type": "string", "pattern": "^(job-[1-9][0-9]{0,14}/[1-9][0-9]{0,14}|bench-[1-9][0-9]{0,14})$", "examples": ["job-100/4"]},
    "upload": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "sha256": DIGEST,
    "position": {"type": "integer", "minimum": 1, "maximum": query.POSITION_MAX},
    "index": {"type": "integer", "minimum": 0, "maximum": 9_999},
    "id": TEXT,
    "posting": {"type": "string", "pattern": "^[1-9][0-9]{0,14}-[1-9][0-9]{0,3}$", "examples": ["120-2"]},
    "what": {"enum": [*sorted(export.TABLES), "bundle"]},
    "format": {"enum": [*sorted(export.forms_of("journal")), "tar"]},
    "tile": {"type": "string", "examples": ["0/000.p/17", "entries/x001/000"]},
}
KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "A UUIDv7 in lower case, made for this command. The same key with the same request is answered as the first time.",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"},
    "example": "019a9f60-7c00-7000-8000-000000000001",
}


class Operation(Value):
    tag: str
    answers: dict[int, Any]
    """Status -> content by media type; none: no body."""
    codes: tuple[str, ...]
    """Of the problems that it may answer, besides faults of ours."""
    scopes: tuple[str, ...] | None = None
    """One of which the API key must have; none: anybody may ask."""
    parameters: tuple[Schema, ...] = ()
    """Besides those in the path."""
    body: Schema | None = None
    security: str = "apiKey"


def header(name: str, schema: Schema, text: str, *, required: bool = False) -> Schema:
    return {"name": name, "in": "header", "required": required, "description": text, "schema": schema}


def asked(name: str, schema: Schema, text: str = "", *, required: bool = False) -> Schema:
    return {"name": name, "in": "query", "required": required, "description": text, "schema": schema}


MIN_POS = asked("min_pos", NUMBER, "The answer stands at this position or beyond; 202 when that takes too long.")
AS_OF = asked("as_of", NUMBER, "The answer as it was after the event at this position; it never changes.")
RANGE = header("Range", {"type": "string", "examples": ["bytes=0-1023"]}, "One range of the bytes; what is none is passed over (RFC 9110).")
LAST_EVENT = header("Last-Event-ID", NUMBER, "The last position that was seen; wins over `after`.")
AFTER = asked("after", NUMBER, "Go on after this position; without it, with what comes next.")


def json(schema: Schema, example: Any = None) -> Schema:
    return {"application/json": {"schema": schema} | ({"example": example} if example is not None else {})}


def all_of_them(schemas: Schemas) -> Iterator[tuple[str, Operation]]:
    for route in commands.ROUTES:
        yield commands.name(route.kind), command(route, schemas)
    yield "commands.several", several(schemas)
    for each in pages.PAGES:
        yield f"pages.{each.path[4:]}", paged(each, schemas)
    for one in pages.SINGLES:
        yield f"singles.{one.kind.table}", single(one, schemas)
    yield from bytes_in(schemas)
    yield from bytes_out()
    yield from feeds()
    yield from proofs(schemas)
    yield from rest(schemas)


def command(route: Route, schemas: Schemas) -> Operation:
    name = commands.name(route.kind)
    schemas.components["Receipt"] = {
        "type": "object",
        "description": "What the command came to: its event lines, byte for byte the leaves of the log's tree.",
        "properties": {"position": {"type": "integer"}, "events": {"type": "array", "items": schemas.line()}},
        "required": ["position", "events"],
        "additionalProperties": False,
    }
    done = json(reference("Receipt"), examples.OPENED)
    codes = (*BODY, *SILENCE, *DOMAIN, *CHECKED.get(name, ()), *(KEYED if route.keyed else ()))
    who = ("api_key_weak",) if not route.scope else (*WHO, "scope_missing")
    return Operation(
        "agents" if not route.keyed else "office" if route.scope == "office" else "commands",
        {201: done, 200: json(reference("Receipt"), {"position": 10, "events": []})},
        ("api_key_missing", *who, *codes),
        (route.scope,) if route.scope else (),
        (KEY,) if route.keyed else (),
        request_body(route, schemas),
        "apiKey" if route.scope else "newSecret",
    )


def several(schemas: Schemas) -> Operation:
    done = schemas.components["Receipt"]
    outcome: Schema = {"type": "integer", "description": "As if the command had come by itself."}
    problem: Schema = {"type": "object", "properties": {"status": outcome, "problem": reference("Problem")}}
    schemas.components["Outcome"] = {
        "oneOf": [
            done | {"properties": {"status": outcome} | done["properties"], "required": ["status", *done["required"]]},
            problem | {"required": ["status", "problem"], "additionalProperties": False},
        ]
    }
    body: Schema = {"type": "array", "items": commands.Item.model_json_schema(), "minItems": 1, "maxItems": commands.SEVERAL_MAX}
    example = [{"path": "/v1/jobs/job-100/open", "key": KEY["example"], "body": {}}]
    answers = json({"type": "array", "items": reference("Outcome")}, [{"status": 201} | examples.OPENED])
    return Operation("commands", {200: answers}, (*WHO, *BODY), (), (), {"required": True, "content": json(body, example)})


def request_body(route: Route, schemas: Schemas) -> Schema:
    """The command's own schema, without what the path says."""
    name = f"{commands.name(route.kind)}.body"
    schema = route.kind.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.components |= schema.pop("$defs", {})
    in_path = {route.fills[1] if part == route.fills[0] else part for part in PATH_TYPES if f"{{{part}}}" in route.path}
    schema["properties"] = {field: each for field, each in schema.get("properties", {}).items() if field not in in_path}
    required = [field for field in schema.pop("required", []) if field not in in_path]
    schemas.components[name] = schema | ({"required": required} if required else {})
    return {"required": bool(required), "content": json(reference(name), examples.EXAMPLES[route.kind])}


def held(its: Column) -> Schema:
    """What a filter of the column takes."""
    return NUMBER if its.type is int else {"enum": list(its.words)} if its.words else TEXT


def paged(it: Pages, schemas: Schemas) -> Operation:
    filters = [asked(name, held(shape(it.kind).of[name])) for name in it.filters]
    return Operation("explorer", {200: json(page_of(schemas.of(it.kind), "items"))}, READ, None, (*filters, *paging()))


def page_of(item: Schema, name: str) -> Schema:
    return {
        "type": "object",
        "properties": {"as_of": {"type": "integer"}, name: {"type": "array", "items": item}, "next": {"type": ["string", "null"]}},
        "required": ["as_of", name, "next"],
        "additionalProperties": False,
    }


def paging() -> tuple[Schema, ...]:
    return (
        asked("limit", {"type": "integer", "minimum": 1, "maximum": query.LIMIT_MAX, "default": query.LIMIT}),
        asked("cursor", TEXT, "`next` of the page before, asked just so."),
        asked("order", {"enum": ["asc", "desc"]}),
        MIN_POS,
        AS_OF,
    )


def single(it: Single, schemas: Schemas) -> Operation:
    row = schemas.components[schemas.of(it.kind)["$ref"].rpartition("/")[2]]
    parts = {part.name: {"type": "array", "items": schemas.of(part.kind)} for part in it.parts}
    schema = row | {
        "properties": {"as_of": {"type": "integer"}} | row["properties"] | parts,
        "required": ["as_of", *row["required"], *parts],
    }
    return Operation("explorer", {200: json(schema)}, ("not_found", *READ), None, (MIN_POS, AS_OF))


def bytes_in(schemas: Schemas) -> Iterator[tuple[str, Operation]]:
    who, mine = (*WHO, "scope_missing"), ("upload_missing", "not_yours")
    begin = uploads.Begin.model_json_schema()
    progress, content = schemas.of(uploads.Progress), {"required": True, "content": BINARY}
    start = {"required": True, "content": json(begin, {"sha256": examples.HASH, "bytes": 691_376})}
    yield "uploads.begin", Operation("bytes", {201: json(progress)}, (*who, *BODY, *INTAKE), uploads.SCOPES, (), start)
    yield "uploads.progress", Operation("bytes", {204: None}, (*who, *mine), uploads.SCOPES)
    offset = header("Upload-Offset", NUMBER, "The number of the next byte.", required=True)
    patch = (*who, *mine, *INTAKE, "wrong_offset")
    yield "uploads.append", Operation("bytes", {200: json(progress)}, patch, uploads.SCOPES, (offset,), content)
    yield "uploads.abandon", Operation("bytes", {204: None}, (*who, *mine), uploads.SCOPES)
    stored = json(schemas.of(objects.Stored))
    yield "objects.put", Operation("bytes", {201: stored}, (*who, *INTAKE), uploads.SCOPES, (), content)


def bytes_out() -> Iterator[tuple[str, Operation]]:
    manifest: Schema = {"application/json": {"schema": {"type": "object"}}}
    evidence = asked("evidence", DIGEST, "One's own rendering of the tile, uploaded before.")
    for id, content, codes, parameters in (
        ("jobs.manifest", manifest, ("not_yours",), (RANGE,)),
        ("jobs.asset", BINARY, ("not_yours", "not_found"), (RANGE,)),
        ("tasks.raw", BINARY, ("not_yours", "not_found", "not_accepted", "not_drawn", "round_open", "evidence_swapped"), (RANGE, evidence)),
    ):
        yield id, Operation("bytes", {200: content, 206: content}, (*WHO, *BYTES, *codes), (), parameters)
    yield "audit.evidence", Operation("proofs", {200: BINARY, 206: BINARY}, (*BYTES, "not_found"), None, (RANGE,))


def feeds() -> Iterator[tuple[str, Operation]]:
    types: Schema = {"type": "array", "maxItems": 25, "items": STORED}
    streams: Schema = {"type": "array", "maxItems": 25, "items": TEXT}
    chosen = (asked("type", types, "Stored names, e.g. `task.leased.v1`."), asked("stream", streams, "Streams, e.g. `job-100`."))
    progress = asked("progress", {"enum": ["true", "false"]}, "Progress of tiles, too, as events of that name without an id.")
    live = (LAST_EVENT, AFTER, *chosen, progress)
    yield "live.events", Operation("live", {200: STREAM}, ("invalid", "too_many_live"), None, live)
    own = (*WHO, "scope_missing", "not_yours", "invalid", "too_many_live")
    yield "agents.tasks", Operation("agents", {200: STREAM}, own, ("agent",), (LAST_EVENT, AFTER))


def note_of(text: str) -> Schema:
    return {"text/plain": {"schema": {"type": "string", "description": text}}}


def proofs(schemas: Schemas) -> Iterator[tuple[str, Operation]]:
    yield "audit.checkpoint", Operation("proofs", {200: json(schemas.of(audit.Checkpoint))}, LOG, None, (MIN_POS, AS_OF))
    size = asked("size", NUMBER, "Of the tree; all events without it.")
    yield "audit.proof", Operation("proofs", {200: json(schemas.of(audit.Inclusion))}, ("not_found", *LOG), None, (size, MIN_POS, AS_OF))
    sizes = asked("first", NUMBER, required=True), asked("second", NUMBER, "All events without it.")
    for id in ("audit.consistency", "proof.consistency"):
        yield id, Operation("proofs", {200: json(schemas.of(audit.Consistency))}, ("not_found", *LOG), None, (*sizes, MIN_POS, AS_OF))
    yield "tlog.checkpoint", Operation("proofs", {200: note_of("A signed note.")}, ("not_signed",))
    yield "tlog.key", Operation("proofs", {200: note_of("NAME+ID+KEY")}, ("not_signed",))
    yield "tlog.tile", Operation("proofs", {200: BINARY}, ("not_found",))
    records = {"application/x-ndjson": {"schema": {"type": "string"}}}
    yield "audit.log", Operation("proofs", {200: records}, ("invalid", "unreachable"), None, (asked("after", NUMBER),))


def explained(schemas: Schemas) -> Schema:
    """Events inside stand there as they are in the log, which their type here does not say."""
    properties = {
        "as_of": {"type": "integer"},
        "posting": PATH_TYPES["posting"],
        "account": {"type": "string"},
        "amount": AMOUNT,
        "entry": schemas.of(list[explain.Posted]),
        "sum_of": schemas.of(list[explain.Share]),
        "event": schemas.line(),
        "rests_on": {"type": "array", "items": schemas.line()},
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def exported() -> Operation:
    texts = {form.media_type.partition(";")[0] for form in export.FORMS.values()}
    content: Schema = {kind: {"schema": {"type": "string"}} for kind in sorted(texts)}
    content |= dict.fromkeys((sheets.Workbook.media_type, forms.PARQUET, bundle.MEDIA_TYPE), BINARY["application/octet-stream"])
    account = asked("account", TEXT, "Whose statement (which needs one) or payouts; of the journal, an account of the ledger.")
    codes = ("invalid", "not_found", "not_reached", "unreachable", "form_missing", "too_fine")
    until = asked("as_of", UNTIL, "Up to the event at this position, or to the last one at or before this time. The file never changes.")
    return Operation("exports", {200: content}, codes, None, (account, MIN_POS, until))


def rest(schemas: Schemas) -> Iterator[tuple[str, Operation]]:
    lines = json(page_of(schemas.line(), "events"))
    filters = tuple(asked(name, STORED if name == "type" else TEXT) for name in ("stream", "type", "by", "cmd"))
    yield "events.page", Operation("explorer", {200: lines | STREAM}, (*READ, "too_many_live"), None, (*filters, *paging()))
    yield "events.one", Operation("explorer", {200: json(schemas.line())}, ("not_found", *LOG), None, (MIN_POS, AS_OF))
    version = asked("version", NUMBER, "Events up to this version: the stream as it was then.")
    yield "streams.events", Operation("explorer", {200: lines}, (*READ, "not_found"), None, (asked("type", STORED), version, *paging()))
    yield "overview", Operation("explorer", {200: json(schemas.of(market.Network))}, READ, None, (MIN_POS, AS_OF))
    yield "market", Operation("explorer", {200: json(schemas.of(market.Market))}, READ, None, (MIN_POS, AS_OF))
    what = asked("q", TEXT, "An id, a position, a hash, an address, a transaction, or a kind of event.", required=True)
    yield "search", Operation("explorer", {200: json(schemas.of(search.Search))}, READ, None, (what, MIN_POS, AS_OF))
    answer = explained(schemas)
    yield "exports.file", exported()
    yield "explain", Operation("explorer", {200: json(answer)}, ("not_found", *READ), None, (MIN_POS, AS_OF))
    answered: Schema = {
        "type": "object",
        "properties": {"data": {"type": ["object", "null"]}, "errors": {"type": "array", "items": {"type": "object"}}},
        "additionalProperties": False,
    }
    body = {"required": True, "content": json(endpoint.Asked.model_json_schema(), examples.QUERY)}
    both: Schema = {kind: {"schema": answered} for kind in ("application/json", endpoint.MEDIA_TYPE)}
    yield "graphql.query", Operation("graphql", {200: both, 400: both}, BODY, None, (), body)
    yield "graphql.schema", Operation("graphql", {200: note_of("GraphQL's own language")}, ())
    yield "map", Operation("explorer", {200: json(schemas.of(market.Map))}, READ, None, (MIN_POS, AS_OF))
    yield "me", Operation("explorer", {200: json(schemas.of(market.Me))}, WHO, ())
    codes = (*WHO, "scope_missing", "not_yours", *BODY)
    for id, kind, example in (
        ("agents.presence", agents.Presence, {"session": "5f2b9c0d11aa43e7"}),
        ("agents.progress", agents.Progress, {"task": "job-100/4", "fence": 1, "tile": 2, "tiles": 4}),
    ):
        body = {"required": True, "content": json(kind.model_json_schema(), example)}
        yield id, Operation("agents", {204: None}, codes, ("agent",), (), body)
    status: Schema = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"], "additionalProperties": False}
    yield "ops.livez", Operation("operations", {200: json(status)}, ())
    yield "ops.status", Operation("operations", {200: json(schemas.of(ops.Status))}, ())
    yield "ops.readyz", Operation("operations", {200: json(status), 503: json(status)}, ())
    yield "ops.metrics", Operation("operations", {200: {"text/plain": {"schema": {"type": "string"}}}}, ())
