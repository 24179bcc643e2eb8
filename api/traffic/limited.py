"""How much one address may ask: so many requests a minute, those that are answered from more than an index counted several times, and so
many at once. Whoever asks for more is told when to come back.

The server's own machine is not limited: its agents, daemons and proxies have that address. What another server hands on was counted there.
"""

from collections import Counter
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from math import ceil
from time import time
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Receive, Scope, Send

from api import forward, problems
from api.parts import Limits
from domain.log import asks

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.strategies import RateLimiter

COSTLY, COST = ("/graphql", "/v1/search", "/v1/explain", "/v1/proof", "/v1/consistency", "/v1/log", "/v1/exports"), 10
FREE = {"/livez", "/readyz", asks.PATH}
TRY_AGAIN = 1013
"""Why a websocket is closed (IANA's registry of RFC 6455 codes)."""
NETWORK_BITS = 64
"""What somebody with IPv6 has all addresses of."""
MARK = forward.MARK.encode()


class Limited:
    """Around the application."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits
        self._open = Counter[str]()
        self._buckets: tuple[RateLimiter, RateLimitItem] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = whose(scope) if scope["type"] in {"http", "websocket"} else ""
        if not address or scope["path"] in FREE or handed_on(scope):
            await self._app(scope, receive, send)
            return
        wait_s = self._wait_s(address, scope)
        if wait_s and scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": TRY_AGAIN})
            return
        if wait_s:
            headers = {"Retry-After": str(wait_s)}
            answer = problems.problem("too_many_requests", str(problems.TooManyRequests(seconds=wait_s)), {"seconds": wait_s}, headers)
            await answer(scope, receive, send)
            return
        self._open[address] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]

    def _wait_s(self, address: str, scope: Scope) -> int:
        """After how many seconds the address may ask this; zero: now."""
        if self._open[address] >= self._limits.address_open_max:
            return problems.RETRY_S
        limiter, item = self._buckets or self._filled()
        if limiter.hit(item, address, cost=cost(scope)):
            return 0
        return max(1, ceil(limiter.get_window_stats(item, address).reset_time - time()))

    def _filled(self) -> "tuple[RateLimiter, RateLimitItem]":
        """When the first stranger comes: the library's store has a thread."""
        from limits import RateLimitItemPerMinute  # noqa: PLC0415 - a server that only its own machine asks starts without
        from limits.storage import MemoryStorage  # noqa: PLC0415
        from limits.strategies import SlidingWindowCounterRateLimiter  # noqa: PLC0415

        self._buckets = SlidingWindowCounterRateLimiter(MemoryStorage()), RateLimitItemPerMinute(self._limits.address_minute_max)
        return self._buckets


def whose(scope: Scope) -> str:
    """The address that is counted; nothing: of this machine, or no address at all."""
    client: Any = scope.get("client")
    return network_of(client[0]) if client else ""


@lru_cache(10_000)
def network_of(text: str) -> str:
    """The same, from the address as a text."""
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if address.is_loopback:
        return ""
    if isinstance(address, IPv6Address):
        return f"{int(address) >> NETWORK_BITS:x}"
    return str(address)


def handed_on(scope: Scope) -> bool:
    """By another server, to this one that leads. Nobody gains by saying so: reads are not handed on, and commands need a key."""
    return scope["type"] == "http" and forward.concerns_leader(scope) and any(name == MARK for name, _ in scope["headers"])


def cost(scope: Scope) -> int:
    return COST if scope["path"].startswith(COSTLY) or b"as_of=" in scope["query_string"] else 1
