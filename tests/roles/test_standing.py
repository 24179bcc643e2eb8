"""Readers say how far they are behind: beside each answer, in the status, and where the views cannot be read at all."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec

from api.app import create_app, create_ops
from projections.views import Unavailable
from tests.api.house import House, people, problem, running


class Away:
    """Views that can be read until they are taken away."""

    def __init__(self, views: Any) -> None:
        self._views, self.away = views, False

    def __getattr__(self, name: str) -> Any:
        if self.away and name in {"get", "page", "reached"}:
            return self._silent
        return getattr(self._views, name)

    async def _silent(self, *_: Any, **__: Any) -> Any:
        raise Unavailable("away")


@asynccontextmanager
async def read(*, ops: bool = False) -> AsyncIterator[tuple[House, Away, httpx2.AsyncClient]]:
    async with running(people()) as house:
        for each in house.parts.projections:
            await house.parts.views.reached(each.rows[0], house.follower.head.size, 30.0)
        views = Away(house.parts.views)
        parts = msgspec.structs.replace(house.parts, views=views, role="api")
        app = create_ops(parts) if ops else create_app(parts)
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://gridledger") as http:
            yield house, views, http


async def test_beside_the_position_of_an_answer_stands_the_head_of_the_log() -> None:
    async with read() as (house, _, http):
        view, other = await http.get("/v1/jobs"), await http.get("/livez")

        assert 100 < int(view.headers["gridledger-position"]) <= int(view.headers["gridledger-head"]) == house.follower.head.size
        assert "gridledger-head" not in other.headers, "what stands at no position is behind nothing"


async def test_without_views_an_answer_says_where_the_log_is_and_where_the_views_were() -> None:
    async with read() as (house, views, http):
        seen = await http.get("/v1/jobs")
        views.away = True
        same = await http.get("/v1/jobs")
        answer, status, event = await http.get("/v1/jobs?limit=7"), await http.get("/v1/status"), await http.get("/v1/events/1")
        views.away = False
        back = (await http.get("/v1/status")).json()

        assert same.content == seen.content, "the log stands still, so that it is still true"
        assert problem(answer) == (503, "unreachable")
        assert answer.headers["retry-after"] == "1"
        assert (answer.json()["head"], answer.json()["position"]) == (house.follower.head.size, int(seen.headers["gridledger-position"]))
        assert (status.status_code, status.json()["views"], len(status.json()["projections"])) == (200, "away", 1)
        assert event.status_code == 200, "the log is read without them"
        assert (back["views"], len(back["projections"])) == ("reached", len(house.parts.projections))


async def test_every_process_has_a_status_and_one_without_an_api_has_nothing_else() -> None:
    async with read(ops=True) as (house, views, http):
        status, metrics = (await http.get("/v1/status")).json(), (await http.get("/metrics")).text
        other = await http.get("/v1/jobs")
        views.away = True
        away = (await http.get("/metrics")).text

        assert (status["role"], status["ready"], status["head"]) == ("api", True, house.follower.head.size)
        assert all(row["position"] + row["behind"] == status["head"] for row in status["projections"])
        assert 'gridledger_projection_behind{projection="jobs"}' in metrics
        assert ("gridledger_views_reached 1.0" in metrics, "gridledger_views_reached 0.0" in away) == (True, True)
        assert problem(other) == (404, "path_unknown")
