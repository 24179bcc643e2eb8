"""Conditional requests (RFC 9110 §13): whoever has an answer already is told so, and nothing is read or sent for him again."""

from collections.abc import Mapping

from fastapi import Request, Response

FOR_EVER, ASK_AGAIN = "public, max-age=31536000, immutable", "no-cache"


def tagged(tag: object, *, immutable: bool = False, weak: bool = True) -> dict[str, str]:
    """Headers of an answer that is the same as long as its tag is; a weak tag stands for what it says, a strong one for its bytes."""
    return {"ETag": f'W/"{tag}"' if weak else f'"{tag}"', "Cache-Control": FOR_EVER if immutable else ASK_AGAIN}


def unchanged(request: Request, headers: Mapping[str, str]) -> Response | None:
    """What is said to a caller who has the answer with these headers; None: he has another one, or none."""
    known = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    return Response(None, 304, headers) if known & {"*", headers["ETag"].removeprefix("W/")} else None
