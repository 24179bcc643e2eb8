"""Reasons to statuses, once. Every refusal is a document of RFC 9457; `code` is stable, and what clients match on.

What a caller sent is never repeated, except for names of fields that we know: it may be a secret in the wrong place.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import Request, Response
from pydantic import ValidationError

from domain.errors import Refused
from domain.log import wire
from domain.log.log import Busy, OutcomeUnknown, Unreachable
from domain.log.receipts import BadKey

MEDIA_TYPE = "application/problem+json"
ERRORS_MAX = 10
RETRY_S = 1
NAME = re.compile("[A-Za-z0-9_]{1,40}")

logger = structlog.get_logger()


class Malformed(Refused):
    """The body is not a JSON object that can be read in one way only: {reason}."""


class Invalid(Refused):
    """{field}: {reason}."""


class TooLarge(Refused):
    """The body is larger than {maximum} bytes."""


class TooSlow(Refused):
    """The body did not come whole within {seconds} s."""


class NotJson(Refused):
    """Send the body as application/json."""


class KeyMissing(Refused):
    """Send an Idempotency-Key: a UUIDv7 in lower case, made for this command."""


class ApiKeyMissing(Refused):
    """Send an API key: `Authorization: Bearer <secret>`."""


class ApiKeyUnknown(Refused):
    """Nobody has this API key."""


class ApiKeyWeak(Refused):
    """The secret of an API key is 32 to 128 letters, digits or any of `._~+/=-`, drawn at random."""


class ApiKeyExpired(Refused):
    """The API key has expired."""


class ScopeMissing(Refused):
    """The API key does not have the scope {scope}."""


class GateFailed(Refused):
    """The proof did not pass the gate: {reason}."""


class NotUploaded(Refused):
    """{what} was not uploaded by this account; upload it first."""


class SceneRefused(Refused):
    """The scene is refused by rule {rule}: {reason}."""


class RoundOpen(Refused):
    """The verdicts of this round are not all sealed; until then name your own rendering of the tile, uploaded before, as `evidence`."""


class EvidenceSwapped(Refused):
    """For region {region} another rendering was named before."""


class NotSigned(Refused):
    """This process has no key for checkpoints."""


class BadCursor(Refused):
    """The cursor is not one of this page, asked so."""


class NotAccepted(Refused):
    """The work on {task} is not accepted yet."""


class RangeNotSatisfiable(Refused):
    """The object has {size} bytes."""


class UploadLimit(Refused):
    """The account has reached its limit: {limit}."""


class TooManyLive(Refused):
    """Too many live connections."""


class TooManyRequests(Refused):
    """This address asks too much; come back in {seconds} s."""


class PathUnknown(Refused):
    """There is nothing at this path."""


class MethodUnknown(Refused):
    """This path does not take this method."""


STATUS = {
    # what is wrong with the request itself
    "malformed": 400,
    "key_missing": 400,
    "bad_cursor": 400,
    "invalid": 422,
    "too_large": 413,
    "too_slow": 408,
    "command_too_large": 413,
    "object_too_large": 413,
    "not_json": 415,
    "range_not_satisfiable": 416,
    "method_unknown": 405,
    "path_unknown": 404,
    # who asks
    "api_key_missing": 401,
    "api_key_unknown": 401,
    "api_key_expired": 401,
    "api_key_weak": 422,
    "scope_missing": 403,
    "role_missing": 403,
    "wrong_signature": 403,
    "approver_missing": 403,
    "not_drawn": 403,
    # what it is about
    "not_found": 404,
    "not_yours": 404,
    "not_signed": 404,
    "object_missing": 404,
    "upload_missing": 404,
    "not_live": 410,
    # whether it may happen now
    "insufficient_funds": 402,
    "not_allowed": 409,
    "number_used": 409,
    "address_not_usable": 409,
    "stale_fence": 409,
    "quote_expired": 409,
    "deadline_passed": 409,
    "too_early": 409,
    "wrong_beacon": 409,
    "wrong_nonce": 409,
    "wrong_offset": 409,
    "duplicate": 409,
    "frozen": 409,
    "money_frozen": 503,
    "round_open": 409,
    "not_accepted": 409,
    "not_uploaded": 409,
    "below_minimum": 422,
    "seal_broken": 422,
    "verdict_not_by_rule": 422,
    "evidence_swapped": 422,
    "wrong_tiles": 422,
    "unknown_engine": 422,
    "unknown_asset": 422,
    "command_id_reused": 422,
    "key_expired": 422,
    "key_from_future": 422,
    "object_truncated": 422,
    "wrong_hash": 422,
    "gate_failed": 422,
    "scene_refused": 422,
    "upload_limit": 429,
    "too_many_requests": 429,
    "too_many_live": 503,
    "busy": 503,
    "unreachable": 503,
    "too_far": 503,
    "store_full": 507,
    "form_missing": 501,
    "too_fine": 422,
    "not_reached": 202,
    "outcome_unknown": 504,
    "fault": 500,
}
RETRYABLE = {
    "too_many_requests",
    "busy",
    "unreachable",
    "store_full",
    "outcome_unknown",
    "upload_limit",
    "too_many_live",
    "fault",
    "round_open",
    "not_accepted",
}
SAID = {
    "busy": "Nothing was done. Come back later.",
    "unreachable": "The database cannot be reached now. Come back later.",
    "outcome_unknown": "The log did not answer. The same request with the same key is safe.",
    "not_reached": "The answer does not stand at this position yet. Ask again.",
    "too_far": "As of this position there is more than a server can hold. An export has it.",
    "fault": "This is a fault of ours. Nothing of it is told here; the server's log has it.",
}
"""What is said where no refusal has words for it."""
RESERVED = {"type", "title", "status", "code", "detail", "retryable"}


def problem(code: str, detail: str = "", facts: dict[str, Any] | None = None, headers: dict[str, str] | None = None) -> Response:
    """The document; without `detail` what is always said of the code. A fact whose name RFC 9457 has taken is called `its_<name>`."""
    status, headers = STATUS[code], dict(headers or {})
    more = {f"its_{name}" if name in RESERVED else name: value for name, value in (facts or {}).items()}
    title = HTTPStatus(status).phrase
    body = {
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail or SAID[code],
        "retryable": code in RETRYABLE,
    }
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in {429, 503}:
        headers.setdefault("Retry-After", str(RETRY_S))
    return Response(wire.encode(body | more), status, headers, MEDIA_TYPE)


async def refused(_: Request, reason: Exception) -> Response:
    assert isinstance(reason, Refused)
    return problem(reason.code, str(reason), reason.facts)


async def not_considered(_: Request, reason: Exception) -> Response:
    if isinstance(reason, Busy):
        return problem("busy")
    return problem("unreachable")


async def unanswered(_: Request, reason: Exception) -> Response:
    assert isinstance(reason, OutcomeUnknown)
    return problem("outcome_unknown")


async def bad_key(_: Request, reason: Exception) -> Response:
    assert isinstance(reason, BadKey)
    return problem("key_missing", str(KeyMissing()))


async def invalid(_: Request, reason: Exception) -> Response:
    """What Pydantic found: each field by name, RFC 6901 pointer and reason."""
    assert isinstance(reason, ValidationError)
    found = reason.errors(include_url=False, include_input=False)[:ERRORS_MAX]
    errors = [{"field": field(each["loc"]), "pointer": pointer(each["loc"]), "reason": explain(each)} for each in found]
    detail = f"{errors[0]['field']}: {errors[0]['reason']}"
    return problem("invalid", detail, {"field": errors[0]["field"], "pointer": errors[0]["pointer"], "errors": errors})


async def fault(request: Request, reason: Exception) -> Response:
    logger.error("request failed", path=request.url.path, why=type(reason).__name__, exc_info=reason)
    return problem("fault")


Answer = Callable[[Request, Exception], Awaitable[Response]]
ANSWERS: tuple[tuple[type[Exception], Answer], ...] = (
    (Refused, refused),
    (Busy, not_considered),
    (Unreachable, not_considered),
    (OutcomeUnknown, unanswered),
    (BadKey, bad_key),
    (ValidationError, invalid),
)
"""To whatever a command may come to, besides a receipt and a fault of ours."""


async def answer(request: Request, reason: Exception) -> Response:
    """What whoever asked for a command is told of it."""
    its = next((its for kind, its in ANSWERS if isinstance(reason, kind)), fault)
    return await its(request, reason)


def field(loc: Sequence[str | int]) -> str:
    """Where it is, as people write it: `tiles[1]`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{plain(step)}" for step in loc).lstrip(".") or "body"


def pointer(loc: Sequence[str | int]) -> str:
    return "".join("/" + plain(str(step)).replace("~", "~0").replace("/", "~1") for step in loc)


def plain(name: str) -> str:
    """A caller may send any name for a field that is not there; only those that could be one of ours are repeated."""
    return name if NAME.fullmatch(name) else "?"


def explain(error: Any) -> str:
    if error["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        return f"expected {error.get('ctx', {}).get('discriminator', 'a tag')} to be one of the known ones"
    return str(error["msg"]).removeprefix("Value error, ")
