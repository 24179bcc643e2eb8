"""API keys: a secret that the caller drew, known to the ledger by its SHA-256 only.

The hash is looked up, never the secret compared, so that how long it takes says nothing about a secret.
"""

import re
from collections.abc import Awaitable, Callable
from hashlib import sha256

from fastapi import Request

from api.parts import Parts
from api.problems import ApiKeyExpired, ApiKeyMissing, ApiKeyUnknown, ApiKeyWeak, ScopeMissing
from api.reach import Reach
from domain.errors import NotYours
from domain.ids import AccountId, Actor, WorkerId
from domain.parts import Key, Worker
from domain.value import Value
from domain.world import World

SECRET = re.compile(r"[A-Za-z0-9._~+/=-]{32,128}")


class Caller(Value):
    """Who asks, by the API key that came with the request."""

    account: AccountId
    scopes: tuple[str, ...]

    def require(self, *scopes: str) -> None:
        """One of them."""
        if not any(scope in self.scopes for scope in scopes):
            raise ScopeMissing(scope=scopes[0])


Authenticate = Callable[[Request], Awaitable[Caller]]


def secret(request: Request) -> str:
    """The bearer token. Raises `ApiKeyMissing`."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise ApiKeyMissing
    return token.strip()


def fingerprint(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def opening_actor(request: Request) -> Actor:
    """Who opens an account: a key that nobody has yet. A weak secret is refused while it is worth nothing."""
    token = secret(request)
    if not SECRET.fullmatch(token):
        raise ApiKeyWeak
    return Actor(f"key-{fingerprint(token)}")


def authenticator(parts: Parts, reach: Reach) -> Authenticate:
    async def authenticate(request: Request) -> Caller:
        """Raises `ApiKeyMissing`, `ApiKeyUnknown`, `ApiKeyExpired`."""
        digest = fingerprint(secret(request))
        if (found := find(parts.reader.world, digest)) is None:
            await reach.settle()
            found = find(parts.reader.world, digest)
        if found is None:
            raise ApiKeyUnknown
        account, key = found
        if 0 < key.expires_us <= parts.now_us():
            raise ApiKeyExpired
        return Caller(account, tuple(key.scopes))

    return authenticate


def find(world: World, digest: str) -> tuple[AccountId, Key] | None:
    if (account := world.keys.get(digest)) is None:
        return None
    key = world.people[account].keys[digest]
    return (account, key) if key.alg == "api" else None


async def own_worker(parts: Parts, reach: Reach, caller: Caller, id: str) -> Worker:
    """The caller's own worker. Raises `NotYours`, also for one that is not there: nobody learns which."""
    if id not in parts.reader.world.workers:
        await reach.settle()
    worker = parts.reader.world.workers.get(WorkerId(Actor(id)))
    if worker is None or worker.owner != caller.account:
        raise NotYours(id="the worker")
    return worker
