"""People who ask a server for things, each under its key until they know what became of it, and who note all of it."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Self

import httpx2
import msgspec

from adapters.client import uuid7
from domain.ids import Actor, command_id
from domain.log import wire
from domain.market import worker
from domain.treasury import account
from tests.faults.history import Deed, History

CLASS = "mitsuba-3.9.1/cpu"
PAUSE_S = 0.05


class _Done(msgspec.Struct):
    events: list[msgspec.Raw]


class GaveUp(Exception):
    """Nobody answered for so long that the test has failed."""


class Asked(Exception):
    """The server said something that no client can make sense of."""


class Crowd:
    """To be used as a context. Each of its people opens an account, changes it, registers a worker and asks for what is refused."""

    def __init__(self, url: str, history: History, *others: str, patience_s: float = 60.0, timeout_s: float = 20.0) -> None:
        """`others` are servers of the same ledger: whoever got no answer asks the next."""
        self.urls, self.history, self._name = (url, *others), history, uuid7()
        self._until = time.monotonic() + patience_s
        self._http = httpx2.AsyncClient(timeout=timeout_s, trust_env=False, limits=httpx2.Limits(max_connections=64))
        self._asked: list[tuple[str, str, bytes, str, Deed]] = []
        self.people, self._at = 0, 0
        self.waits_s = list[float]()
        """How long each command took, with all its attempts."""
        self.acknowledged_at = list[float]()
        self.positions = list[int]()
        """Of their first events, in the order in which people heard of them."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def live(self, goes_on: Callable[[], bool]) -> None:
        """One person after the other."""
        while goes_on():
            self.people += 1
            await self._person(sha256(f"{self._name} {self.people}".encode()).hexdigest())

    async def _person(self, secret: str) -> None:
        key = Actor(f"key-{sha256(secret.encode()).hexdigest()}")
        opened = await self.ask(key, secret, "/v1/accounts", {"roles": ["provider"]})
        assert isinstance(opened, account.Opened)
        me, address = opened.account, f"0x{secret[:40]}"
        await self.ask(me, secret, "/v1/me/account", {"payout_address": address})
        registered = await self.ask(me, secret, "/v1/workers", {"kind": "cpu", "classes": [CLASS]})
        assert isinstance(registered, worker.Registered)
        assert await self.ask(me, secret, "/v1/workers", {"kind": "cpu", "classes": ["no-such-engine/cpu"]}) is None

    async def ask(self, actor: Actor, secret: str, path: str, fields: Mapping[str, Any]) -> Any:
        """The first event of what came of it; None if it was refused."""
        key, body, began = uuid7(), json.dumps(fields).encode(), time.monotonic()
        deed = self.history.of(command_id(actor, key))
        self._asked.append((path, secret, body, key, deed))
        while not deed.settled:
            await self.attempt(path, secret, body, key, deed)
            if not deed.settled:
                if time.monotonic() > self._until:
                    raise GaveUp(f"{path}: {deed.unknown[-3:]}")
                await asyncio.sleep(PAUSE_S)
        self.waits_s.append(time.monotonic() - began)
        if not deed.receipts:
            return None
        self.acknowledged_at.append(time.monotonic())
        recorded = wire.event(deed.receipts[0][0])
        self.positions.append(recorded.pos)
        return recorded.event

    def heard_after(self, position: int) -> float:
        """When somebody first heard of something that was done after a position."""
        return next(at for at, done in zip(self.acknowledged_at, self.positions, strict=True) if done > position)

    async def attempt(self, path: str, secret: str, body: bytes, key: str, deed: Deed) -> int:
        """Once; the status, or 0 when there was none."""
        headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": key, "Content-Type": "application/json"}
        tried = self._at
        try:
            answer = await self._http.post(self.urls[tried] + path, content=body, headers=headers)
        except httpx2.TransportError as silence:
            deed.unknown.append(type(silence).__name__)
            if self._at == tried:  # else somebody went on already, and two steps would lead back
                self._at = (tried + 1) % len(self.urls)
            return 0
        if answer.status_code in {200, 201}:
            deed.receipts.append(lines_of(answer.content))
        elif answer.status_code in {202, 429, 500, 502, 503, 504}:
            deed.unknown.append(f"{answer.status_code} {answer.text[:200]}")
        elif answer.headers.get("content-type") == "application/problem+json":
            deed.refusals.append(str(answer.json()["code"]))
        else:
            raise Asked(f"{answer.status_code}: {answer.text[:200]}")
        return answer.status_code

    async def acknowledged(self, least: int) -> None:
        """Returns when so many commands are."""
        while len(self.acknowledged_at) < least:
            if time.monotonic() > self._until:
                raise GaveUp(f"{len(self.acknowledged_at)} of {least} commands are acknowledged")
            await asyncio.sleep(0.01)

    async def ask_again(self, most: int = 60) -> int:
        """The last acknowledged commands once more, each under its key; returns how many."""
        done = [each for each in self._asked if each[4].receipts][-most:]
        for path, secret, body, key, deed in done:
            assert await self.attempt(path, secret, body, key, deed) in {200, 201}, deed
        return len(done)


def lines_of(content: bytes) -> tuple[bytes, ...]:
    """The event lines of an answer, byte for byte as they came."""
    return tuple(bytes(line) for line in msgspec.json.decode(content, type=_Done).events)
