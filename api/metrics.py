"""Numbers for Prometheus: what the process did, and where the ledger stands, read when somebody asks."""

import itertools
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.live import Live
from api.parts import Parts
from api.reads.standing import Standing

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

POSITION, HEAD = b"gridledger-position", b"gridledger-head"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Ledger(Collector):
    """Where the ledger stands."""

    def __init__(self, parts: Parts, feeds: Live, standing: Standing) -> None:
        self._parts, self._feeds, self._standing = parts, feeds, standing

    def collect(self) -> Iterator[Metric]:
        for name, text, value in self._numbers():
            yield GaugeMetricFamily(f"gridledger_{name}", text, value)
        world = self._parts.reader.world
        yield labelled("jobs", "Live jobs", "status", Counter[str](job.status for job in world.jobs.values()))
        yield labelled("tasks", "Live tasks and benches", "status", Counter[str](task.status for task in world.tasks.values()))
        yield labelled("projection_behind", "Events that a projection has not folded yet", "projection", self._standing.behind)

    def _numbers(self) -> Iterator[tuple[str, str, float]]:
        reader = self._parts.reader
        world = reader.world
        yield "head", "Events in the log, as this process has folded it", reader.head.size
        yield "behind_seconds", "Age of the last block", max(0, self._parts.now_us() - reader.at_us) / 1e6
        yield "views_reached", "Whether the views can be read", float(not self._standing.away)
        yield "ready", "Whether commands are decided", float(self._parts.ready())
        yield "frozen", "Whether payouts and new escrow are stopped", float(world.frozen)
        yield "live_connections", "Live feeds", len(self._feeds.open)
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

    def __init__(self, app: App, requests: Histogram, head: Callable[[], int]) -> None:
        """`head` is where the log stands, as this process has read it."""
        self._app, self._requests, self._head = app, requests, head
        self._counted: dict[tuple[str, str, int], Histogram] = {}
        self._name, self._numbers = secrets.token_hex(8), itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, id = time.perf_counter(), 500, f"{self._name}{next(self._numbers):016x}"

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*self._beside(message.get("headers", ())), (b"x-request-id", id.encode())]
            await send(message)

        tokens = structlog.contextvars.bind_contextvars(request=id)
        try:
            await self._app(scope, receive, named)
        finally:
            structlog.contextvars.reset_contextvars(**tokens)
            of = getattr(scope.get("route"), "path", "none"), scope["method"], status
            its = self._counted.get(of) or self._counted.setdefault(of, self._requests.labels(*map(str, of)))
            its.observe(time.perf_counter() - began)

    def _beside(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Beside the position of an answer the head of the log: how far behind it is."""
        named = [name for name, _ in headers]
        head = [(HEAD, b"%d" % self._head())] if POSITION in named and HEAD not in named else []
        return [*headers, *head]


def router(parts: Parts, feeds: Live, standing: Standing) -> tuple[APIRouter, Histogram]:
    """The page, and what counts requests for it."""
    registry, routes = CollectorRegistry(), APIRouter()
    requests = Histogram(
        "gridledger_request_seconds", "Requests by route", ["route", "method", "status"], buckets=SECONDS, registry=registry
    )
    ledger = Ledger(parts, feeds, standing)
    registry.register(ledger)

    async def metrics(_: Request) -> Response:
        """Numbers of this process and of the ledger, for Prometheus."""
        await standing.look()
        return Response(generate_latest(registry), media_type=CONTENT_TYPE)

    routes.add_api_route("/metrics", metrics, methods=["GET"], operation_id="ops.metrics")
    return routes, requests
