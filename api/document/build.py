"""The OpenAPI document: every route, with what it takes, what it answers, and how it refuses."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from msgspec import structs

from api import problems
from api.document import examples, refusals
from api.document.operations import PATH_TYPES, Operation, all_of_them
from api.document.schemas import Schema, Schemas, reference

TEXT = """An event-sourced ledger of a compute network. Commands are answered with their event lines, byte for byte the leaves of the
log's Merkle tree; every read names the position at which it stands. Refusals are problem documents (RFC 9457) with a stable `code`."""
PROBLEM: Schema = {
    "type": "object",
    "description": "Why not (RFC 9457). Further members are the facts of the matter.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"enum": sorted(problems.STATUS)},
        "detail": {"type": "string"},
        "retryable": {"type": "boolean"},
        "field": {"type": "string", "description": "What is wrong, as people write it."},
        "pointer": {"type": "string", "description": "The same as an RFC 6901 pointer into the body."},
    },
    "required": ["type", "title", "status", "code", "detail", "retryable"],
}
HEADERS: Schema = {
    name: {"description": text, "schema": {"type": kind}}
    for name, kind, text in (
        ("Gridledger-Position", "integer", "Where the answer stands."),
        ("Gridledger-Head", "integer", "Where the log stood when it was given."),
        ("ETag", "string", "To be sent again as `If-None-Match`."),
        ("Cache-Control", "string", "What is past is `immutable`."),
        ("Link", "string", 'The page that goes on, `rel="next"` (RFC 8288).'),
        ("Retry-After", "integer", "After so many seconds."),
    )
}
SECURITY: Schema = {
    "apiKey": {"type": "http", "scheme": "bearer", "description": "The secret of an API key."},
    "newSecret": {"type": "http", "scheme": "bearer", "description": "A secret that the caller drew for the account that it opens."},
}


def document(routers: Iterable[APIRouter]) -> Schema:
    schemas = Schemas()
    schemas.components["Problem"] = PROBLEM
    known = dict(all_of_them(schemas))
    paths: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for route in (route for router in routers for route in router.routes):
        if isinstance(route, APIRoute):
            for method in sorted(route.methods or ()):
                paths[route.path_format][method.lower()] = described(route, known[str(route.operation_id)])
    return {
        "openapi": "3.1.0",
        "info": {"title": "Gridledger", "version": "1", "description": " ".join(TEXT.split())},
        "paths": dict(paths),
        "components": {
            "schemas": schemas.components,
            "headers": HEADERS,
            "examples": {code: {"value": refusals.example(code)} for code in problems.STATUS},
            "securitySchemes": SECURITY,
        },
    }


def described(route: APIRoute, it: Operation) -> Schema:
    in_path = [part for part in PATH_TYPES if f"{{{part}}}" in route.path_format]
    fixed = [{"name": part, "in": "path", "required": True, "schema": PATH_TYPES[part]} for part in in_path]
    text = " ".join(route.description.split())
    found: Schema = {"operationId": route.operation_id, "tags": [it.tag], "summary": text.split(". ")[0].rstrip("."), "description": text}
    if parameters := [*fixed, *it.parameters]:
        found["parameters"] = parameters
    if it.body:
        found["requestBody"] = it.body
    if it.scopes is not None:
        found["security"] = [{it.security: []}]
        found["description"] += f" Scope: {' or '.join(it.scopes)}." if it.scopes else ""
    answered = examples.ANSWERS.get(str(route.operation_id), {})
    return found | {"responses": responses(structs.replace(it, answers=it.answers | shown(it.answers.get(200), answered)))}


def shown(content: Any, answered: dict[str, dict[str, Any]]) -> dict[int, Any]:
    """The answer with what was answered once."""
    if not content:
        return {}
    return {200: {kind: each | ({"examples": {"answer": answered[kind]}} if kind in answered else {}) for kind, each in content.items()}}


def responses(it: Operation) -> Schema:
    """By status; several codes may share one."""
    codes: defaultdict[int, list[str]] = defaultdict(list)
    for code in dict.fromkeys((*it.codes, "too_many_requests", "fault")):
        codes[problems.STATUS[code]].append(code)
    found: Schema = {}
    for status, names in codes.items():
        content = {"schema": reference("Problem"), "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in names}}
        found[str(status)] = {"description": ", ".join(names), "content": {problems.MEDIA_TYPE: content}}
    for status, content in it.answers.items():
        told = found.get(str(status), {"content": {}})["content"]
        found[str(status)] = {"description": "Done." if status < 400 else "Refused."} | ({"content": told | content} if content else {})
    if any(status == 200 for status in it.answers):
        found["304"] = {"description": "You have it already."}
    for code, known in headers(it).items():
        if code in found and known:
            found[code]["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in known}
    return dict(sorted(found.items()))


def headers(it: Operation) -> dict[str, tuple[str, ...]]:
    """Names of those that an answer may have, by status."""
    asked = {each["name"] for each in it.parameters}
    read = ("Gridledger-Position", "Gridledger-Head", "ETag", "Cache-Control") if "min_pos" in asked else ()
    return dict.fromkeys(("202", "429", "503"), ("Retry-After",)) | {"304": read, "200": read + (("Link",) if "cursor" in asked else ())}
