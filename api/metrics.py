"""Numbers for Prometheus: what the process did, and where the ledger stands, read when somebody asks."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from typing import Any
from uuid import uuid4

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.live import Live
from api.parts import Parts

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Ledger(Collector):
    """Where the ledger stands."""

    def __init__(self, parts: Parts, feeds: Live) -> None:
        self._parts, self._feeds = parts, feeds
        self.behind: dict[str, int] = {}

    async def look(self) -> None:
        """How far the views have come; a collector cannot wait for that."""
        for projection in self._parts.projections:
            stands = await self._parts.views.reached(projection.rows[0], 0, 0.0)
            self.behind[projection.name] = max(0, self._parts.reader.head.size - stands)

    def collect(self) -> Iterator[Metric]:
        for name, text, value in self._numbers():
            yield GaugeMetricFamily(f"gridledger_{name}", text, value)
        world = self._parts.reader.world
        yield labelled("jobs", "Live jobs", "status", Counter[str](job.status for job in world.jobs.values()))
        yield labelled("tasks", "Live tasks and benches", "status", Counter[str](task.status for task in world.tasks.values()))
        yield labelled("projection_behind", "Events that a projection has not folded yet", "projection", self.behind)

    def _numbers(self) -> Iterator[tuple[str, str, float]]:
        reader = self._parts.reader
        world = reader.world
        yield "head", "Events in the log, as this process has folded it", reader.head.size
        yield "behind_seconds", "Age of the last block", max(0, self._parts.now_us() - reader.at_us) / 1e6
        yield "ready", "Whether commands are decided", float(self._parts.ready())
        yield "frozen", "Whether payouts and new escrow are stopped", float(world.frozen)
        yield "live_connections", "Live feeds", self._feeds.connections
        yield "leases", "Leases", sum(len(worker.leases) for worker in world.workers.values())
        yield "workers_online", "Workers and checkers online", sum(worker.presence == "online" for worker in world.workers.values())
        yield "audits_open", "Open audits", sum(audit.status != "closed" for audit in world.audits.values())
        yield "payouts_waiting", "Payouts that are not final", len(world.payouts)
        yield "proofs_waiting", "Proofs that wait for a beacon", len(world.proofs_waiting)
        yield "shares_waiting", "Shares that are not mature", len(world.shares)
        for name, value in self._parts.gauges().items():
            yield name, "Of this process", value


def labelled(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(f"gridledger_{name}", text, labels=[label])
    for of, count in counts.items():
        family.add_metric([of], count)
    return family


class Metered:
    """Around the application: counts and times each request, and gives it a name that its log lines carry."""

    def __init__(self, app: App, requests: Histogram) -> None:
        self._app, self._requests = app, requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, id = time.perf_counter(), 500, uuid4().hex

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", id.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(request=id):
            try:
                await self._app(scope, receive, named)
            finally:
                path = getattr(scope.get("route"), "path", "none")
                self._requests.labels(path, scope["method"], str(status)).observe(time.perf_counter() - began)


def router(parts: Parts, feeds: Live) -> tuple[APIRouter, Histogram]:
    """The page, and what counts requests for it."""
    registry, routes = CollectorRegistry(), APIRouter()
    requests = Histogram(
        "gridledger_request_seconds", "Requests by route", ["route", "method", "status"], buckets=SECONDS, registry=registry
    )
    ledger = Ledger(parts, feeds)
    registry.register(ledger)

    async def metrics(_: Request) -> Response:
        """Numbers of this process and of the ledger, for Prometheus."""
        await ledger.look()
        return Response(generate_latest(registry), media_type=CONTENT_TYPE)

    routes.add_api_route("/metrics", metrics, methods=["GET"], operation_id="ops.metrics")
    return routes, requests
