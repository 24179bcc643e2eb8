"""Text goes out packed to whoever takes that, and means the same; feeds and strong tags are left alone."""

import gzip

import pytest
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from api.traffic import packed

LONG = "a page " * 1_000


def answered(answer: Response, said: str = "gzip, br") -> tuple[dict[str, str], bytes]:
    """Headers, and the bytes as they went out."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(scope, receive, send)

    with TestClient(packed.Packed(app)).stream("GET", "/", headers={"Accept-Encoding": said}) as found:
        return dict(found.headers), b"".join(found.iter_raw())


def test_a_long_text_is_packed_and_no_cache_mixes_the_two_forms_up() -> None:
    headers, body = answered(PlainTextResponse(LONG, headers={"Vary": "Cookie", "ETag": 'W/"7"'}))

    assert gzip.decompress(body).decode() == LONG
    assert (headers["content-encoding"], int(headers["content-length"])) == ("gzip", len(body))
    assert headers["vary"] == "Cookie, Accept-Encoding"
    assert headers["etag"] == 'W/"7"', "a weak tag stands for what both forms say"


@pytest.mark.parametrize("said", ["", "br", "gzip;q=0", "gzip; q=0.00", "identity"])
def test_whoever_does_not_take_it_has_it_plain(said: str) -> None:
    headers, body = answered(PlainTextResponse(LONG), said)

    assert body.decode() == LONG
    assert (headers.get("content-encoding"), headers["vary"]) == (None, "Accept-Encoding")


@pytest.mark.parametrize("said", ["gzip", "br, x-gzip;q=0.5", "*", "GZIP; q=1"])
def test_whoever_names_it_in_any_way_has_it(said: str) -> None:
    assert answered(PlainTextResponse(LONG), said)[0]["content-encoding"] == "gzip"


@pytest.mark.parametrize(
    "answer",
    [
        PlainTextResponse("short"),
        PlainTextResponse(LONG, headers={"ETag": '"7"'}),
        PlainTextResponse(LONG, headers={"Cache-Control": "no-store"}),
        PlainTextResponse(LONG, 404),
        Response(LONG.encode(), media_type="image/png"),
        Response(LONG.encode(), headers={"Content-Encoding": "br"}, media_type="text/html"),
    ],
    ids=["short", "strong", "secret", "refused", "picture", "packed before"],
)
def test_what_is_short_or_stands_for_its_bytes_or_is_no_text_is_left_as_it_is(answer: Response) -> None:
    headers, body = answered(answer)

    assert headers.get("content-encoding") != "gzip"
    assert body == bytes(answer.body)


def test_a_feed_is_passed_on_as_it_comes() -> None:
    headers, body = answered(StreamingResponse(iter([b"data: 1\n\n", b"data: 2\n\n"]), media_type="text/event-stream"))

    assert (body, headers.get("content-encoding"), headers.get("vary")) == (b"data: 1\n\ndata: 2\n\n", None, None)


def test_what_servers_hand_on_to_each_other_goes_as_it_is() -> None:
    """Whoever hands on does not look into what comes back."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(LONG)(scope, receive, send)

    found = TestClient(packed.Packed(app)).post("/", headers={"Accept-Encoding": "gzip"})
    assert (found.headers.get("content-encoding"), found.text) == (None, LONG)
