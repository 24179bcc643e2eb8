"""The server that leads, as another server reaches it: a request is handed on as it came, and the answer comes back as it is."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from domain.log.log import Busy, OutcomeUnknown

CONNECT_S, ANSWER_S, CONNECTIONS_MAX = 2.0, 30.0, 1_000
FIND_S = 1.0
"""How long a request waits while nobody leads."""
NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
PER_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"}
"""Headers that concern one connection (RFC 9110 §7.6.1)."""


class Leader:
    def __init__(
        self,
        address: Callable[[float], Awaitable[str]],
        left: Callable[[str], Coroutine[Any, Any, None]],
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """`address` says within so many seconds where the leader is now, nothing if it cannot; `left` returns when it is not there any
        more. To be closed."""
        self._address, self._left = address, left
        limits = httpx2.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=32)
        timeout = httpx2.Timeout(ANSWER_S, connect=CONNECT_S)
        self._http = httpx2.AsyncClient(timeout=timeout, limits=limits, trust_env=False, transport=transport)

    async def aclose(self) -> None:
        await self._http.aclose()

    @asynccontextmanager
    async def ask(
        self, method: str, target: str, headers: Mapping[str, str], body: AsyncIterator[bytes]
    ) -> AsyncIterator[tuple[int, list[tuple[str, str]], AsyncIterator[bytes]]]:
        """Status, headers and body of what the leader says to a request. Raises `Busy` if it did not get it, `OutcomeUnknown` if it may
        have."""
        if not (address := await self._address(FIND_S)):
            raise Busy
        kept = {name: value for name, value in headers.items() if name.lower() not in PER_HOP}
        request = self._http.build_request(method, address + target, headers=kept, content=body)
        try:
            response = await self._send(request, address)
        except NOT_SENT as silence:
            raise Busy from silence
        except httpx2.TransportError as silence:
            raise OutcomeUnknown from silence
        try:
            back = [pair for pair in response.headers.multi_items() if pair[0].lower() not in PER_HOP]
            yield response.status_code, back, chunks(response)
        finally:
            await response.aclose()

    async def _send(self, request: httpx2.Request, address: str) -> httpx2.Response:
        """Whoever is stopped, or cut off, does not answer: one waits for him no longer than he leads."""
        sending, leaving = asyncio.create_task(self._http.send(request, stream=True)), asyncio.create_task(self._left(address))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise OutcomeUnknown
            return sending.result()
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)


async def chunks(response: httpx2.Response) -> AsyncIterator[bytes]:
    """As they come. Raises `OutcomeUnknown` where they end early."""
    try:
        async for chunk in response.aiter_raw():
            yield chunk
    except httpx2.TransportError as silence:
        raise OutcomeUnknown from silence
