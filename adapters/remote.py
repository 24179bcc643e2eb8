"""The server that leads, as other processes of its ledger reach it: a request is handed on as it came, and the answer comes back as it
is; and what daemons ask for is decided there, many commands in one request.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec

from adapters.sequencer import settle
from domain.log import asks
from domain.log.log import Busy, OutcomeUnknown
from domain.log.receipts import Ask, Receipt

CONNECT_S, ANSWER_S, CONNECTIONS_MAX = 2.0, 30.0, 1_000
FIND_S = 1.0
"""How long a request waits while nobody leads, or until whoever broke it off is known to have gone."""
PAUSES_S = (0.05, 0.2, 0.75)
"""Between asking again a leader that says it is busy: it may be about to go, or have come a moment ago and not lead yet."""
NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
STATUS_OK, STATUS_BUSY = 200, 503
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
        self, method: str, target: str, headers: Mapping[str, str], body: AsyncIterator[bytes] | bytes
    ) -> AsyncIterator[tuple[int, list[tuple[str, str]], AsyncIterator[bytes]]]:
        """Status, headers and body of what the leader says to a request. A body that is all there (bytes) is of a request that may come
        twice: if the leader goes without having carried it out, the next one gets it. Raises `Busy` if none got it, `OutcomeUnknown` if
        one may have."""
        kept = {name: value for name, value in headers.items() if name.lower() not in PER_HOP}
        response = await self._answered(method, target, kept, body)
        try:
            back = [pair for pair in response.headers.multi_items() if pair[0].lower() not in PER_HOP]
            yield response.status_code, back, chunks(response)
        finally:
            await response.aclose()

    async def _answered(self, method: str, target: str, headers: Mapping[str, str], body: AsyncIterator[bytes] | bytes) -> httpx2.Response:
        pauses = list(PAUSES_S) if isinstance(body, bytes) else []
        while True:
            if not (address := await self._address(FIND_S)):
                raise Busy
            try:
                response = await self._sent(method, address + target, headers, body, address)
                if response.status_code != STATUS_BUSY or not pauses:
                    return response
                await response.aclose()
            except Busy:
                if not pauses:
                    raise
            except OutcomeUnknown:
                if not pauses or not await self._goes(address, FIND_S):
                    raise
            await self._goes(address, pauses.pop(0))

    async def _goes(self, address: str, within_s: float) -> bool:
        """Whether who leads there does not any more by then."""
        try:
            async with asyncio.timeout(within_s):
                await self._left(address)
        except TimeoutError:
            return False
        return True

    async def _sent(
        self, method: str, url: str, headers: Mapping[str, str], body: AsyncIterator[bytes] | bytes, address: str
    ) -> httpx2.Response:
        request = self._http.build_request(method, url, headers=headers, content=body)
        try:
            return await self._send(request, address)
        except NOT_SENT as silence:
            raise Busy from silence
        except httpx2.TransportError as silence:
            raise OutcomeUnknown from silence

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


class Remote:
    """`submit` of one account where somebody else leads: the same callable as the sequencer's. What is asked for while a request is on its
    way goes with the next one, together."""

    def __init__(self, leader: Leader, api_secret: str) -> None:
        """`api_secret` is the account's."""
        self._leader = leader
        self._headers = {"Authorization": f"Bearer {api_secret}", "Content-Type": "application/json"}
        self._waiting: deque[tuple[asks.Carried, asyncio.Future[Receipt]]] = deque()
        self._turn = asyncio.Lock()

    async def submit(self, ask: Ask) -> Receipt:
        """Raises what the leader's own `submit` raises, `Busy` if there is none, `OutcomeUnknown` if it did not answer, and `ValueError`
        for what no daemon asks for."""
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._waiting.append((asks.Carried.of(ask), answer))
        try:
            async with self._turn:
                if not answer.done():
                    await self._send(self._some())
            return await answer
        finally:
            if not answer.cancel() and not answer.cancelled():  # who does not wait any more asks for nothing
                answer.exception()  # nor does he want to hear what he asked for came to

    def _some(self) -> list[tuple[asks.Carried, asyncio.Future[Receipt]]]:
        """As many as fit into one request, the oldest first."""
        some, size = list[tuple[asks.Carried, asyncio.Future[Receipt]]](), 0
        while self._waiting and len(some) < asks.ASKS_MAX and size < asks.ASKS_BYTES_MAX:
            carried, answer = self._waiting.popleft()
            if not answer.done():
                some.append((carried, answer))
                size += len(bytes(carried.command))
        return some

    async def _send(self, some: list[tuple[asks.Carried, asyncio.Future[Receipt]]]) -> None:
        try:
            outcomes = await self._said(len(some), asks.encode([carried for carried, _ in some]))
        except Exception as fault:
            for _, answer in some:
                settle(answer, fault)
            return
        except BaseException:
            for _, answer in some:
                settle(answer, OutcomeUnknown())
            raise
        for (_, answer), outcome in zip(some, outcomes, strict=True):
            try:
                settle(answer, outcome.receipt())
            except Exception as refusal:
                settle(answer, refusal)

    async def _said(self, count: int, body: bytes) -> list[asks.Outcome]:
        """So many. Raises what the request as a whole came to."""
        async with self._leader.ask("POST", asks.PATH, self._headers, once(body)) as (status, _, chunks):
            said = b"".join([chunk async for chunk in chunks])
        try:
            if status == STATUS_OK and len(found := asks.read_outcomes(said)) == count:
                return found
            code = str(msgspec.json.decode(said)["code"])
        except (msgspec.MsgspecError, RecursionError, KeyError, TypeError) as nonsense:
            raise OutcomeUnknown from nonsense
        raise asks.fault(code, {})


async def once(body: bytes) -> AsyncIterator[bytes]:
    yield body
