"""Whatever is asked, and whatever goes wrong: every answer has its headers, a fault is a page or a problem, and none tells what broke."""

import json

import pytest

from projections import memory
from tests.api.house import people, running
from tests.explorer.served import guarded, with_pages

ASKED = (
    *(("GET", path, 200) for path in ("/", "/jobs.json", "/events.csv", "/static/explorer.css", "/v1/jobs", "/openapi.json", "/livez")),
    *(("GET", path, 404) for path in ("/x", "/jobs/x", "/static/x", "/jobs/x.json", "/v1/x", "/v1/events/999999", "/pictures/x/1/1.png")),
    *(("GET", path, 400) for path in ("/?as_of=x", "/jobs.json?order=x", "/events?after=x")),
    *(("POST", path, 405) for path in ("/", "/jobs", "/static/explorer.css", "/v1/events")),
    *(("GET", path, 422) for path in ("/v1/events?after=x", "/v1/jobs?limit=x")),
    ("POST", "/v1/jobs", 401),
    ("HEAD", "/", 200),
    ("GET", "/jobs/", 307),
    ("GET", "/search?q=1", 303),
)


async def test_every_answer_is_guarded_whatever_was_asked() -> None:
    async with running(people()) as house, (await with_pages(house)).client() as http:
        found = [await http.request(method, path) for method, path, _ in ASKED]

    assert [each.status_code for each in found] == [status for *_, status in ASKED]
    assert [str(each.url) for each in found if not guarded(dict(each.headers))] == []


@pytest.mark.system
@pytest.mark.parametrize("path", ["/jobs", "/jobs.json", "/v1/jobs"])
async def test_a_fault_of_ours_says_nothing_of_itself(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("the secret")

    async with running(people()) as house, (await with_pages(house)).client() as http:
        monkeypatch.setattr(memory.MemoryViews, "page", breaks)
        answer = await http.get(path)

    assert answer.status_code == 500
    assert guarded(dict(answer.headers))
    assert "secret" not in answer.text
    if path == "/jobs":
        assert "A fault of ours" in answer.text
    else:
        assert answer.headers["content-type"] == "application/problem+json"
        assert json.loads(answer.text)["status"] == 500
