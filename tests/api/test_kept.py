"""An answer is given again as long as nothing can have changed it, and not a moment longer."""

from typing import Any

import pytest
from starlette.responses import Response
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from api.traffic import kept
from projections.explorer.jobs import Job
from tests.api.house import people, running, secret_of, submitted
from tests.api.test_reads import settled


class Application:
    """Counts how often it was asked."""

    def __init__(self, *, says: bool = True) -> None:
        self.head, self.position, self.asked, self.says = 7, 7, 0, says

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        if self.says:
            scope[kept.MARK] = True
        await Response(f"{self.asked}", headers={"Gridledger-Position": str(self.position)})(scope, receive, send)


def client(app: Application) -> TestClient:
    return TestClient(kept.Kept(app, head=lambda: app.head))


def test_the_same_question_has_the_same_answer_until_the_log_grows() -> None:
    app = Application()
    its = client(app)

    assert [its.get("/v1/jobs").text for _ in range(3)] == ["1", "1", "1"]
    assert its.get("/v1/jobs?limit=3").text == "2"
    app.head = app.position = 8
    assert [its.get("/v1/jobs").text for _ in range(2)] == ["3", "3"]
    app.head = 9
    assert [its.get("/v1/jobs").text for _ in range(2)] == ["4", "5"], "the view is behind: what comes next may be another answer"


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Bearer a"}, {"Cookie": "a=b"}, {"If-None-Match": 'W/"7"'}, {"Range": "bytes=0-1"}, {"Accept": "text/event-stream"}],
)
def test_what_is_of_one_caller_only_is_asked_for_each_time(headers: dict[str, str]) -> None:
    app = Application()
    its = client(app)
    its.get("/v1/jobs")

    assert [its.get("/v1/jobs", headers=headers).text for _ in range(2)] == ["2", "3"]


def test_an_answer_that_does_not_say_that_it_may_be_kept_is_not() -> None:
    app = Application(says=False)
    assert [client(app).get(path).text for path in ("/v1/market", "/v1/market", "/jobs")] == ["1", "2", "3"]
    assert client(Application()).post("/v1/jobs").text == "1"


async def test_a_job_that_was_read_is_read_from_the_views_once_and_anew_when_something_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(people()) as house:
        job, reads, views = await submitted(house), list[Any](), house.parts.views
        await settled(house)
        read = views.get

        async def counted(kind: Any, *key: Any) -> Any:
            reads.append(kind)
            return await read(kind, *key)

        monkeypatch.setattr(views, "get", counted)
        first, second = [await house.get("", f"/v1/jobs/{job}") for _ in range(2)]
        assert (first.content, reads) == (second.content, [Job])
        assert second.headers["gridledger-head"] == second.headers["gridledger-position"]
        assert first.headers["x-request-id"] != second.headers["x-request-id"]
        await house.post(secret_of(people().creator), f"/v1/jobs/{job}/cancel")
        await settled(house)
        assert (await house.get("", f"/v1/jobs/{job}")).json()["status"] != first.json()["status"]
