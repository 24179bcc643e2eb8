"""Accounts: who acts, with which keys and roles, and where his payouts go. Nothing here says who a person is: only a salted commitment."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from domain import body
from domain.errors import Duplicate, NotAllowed, NotFound
from domain.event import Event, Origin
from domain.ids import AccountId, account_id
from domain.parts import Key, Person
from domain.signing import Claim
from domain.value import Value
from domain.world import World

FREE_ROLES = ("creator", "provider", "checker")
OFFICES = ("admin", "finance", "operator")
DAEMONS = ("watch", "payer", "gate", "anchorer", "presence")
SCOPES = ("account", "create", "provide", "agent", "payout", "office")
"""What an API key may be used for: its account and keys; jobs; workers, bids and stakes; an agent's work; payouts; the house's business."""
OPENING_SCOPES = SCOPES[:-1]
KEYS_MAX = 32
ADMINS_MIN = 2
"""With fewer nobody could grant a role any more."""

Kind = Literal["person", "company", "daemon"]


class KeyLine(Value):
    """A key, as the log holds it: never the secret."""

    key: str
    """SHA-256 of an API key's secret, or an address in lower case."""
    alg: Literal["api", "eip712"]
    purpose: Literal["api", "owner", "agent"]
    scopes: tuple[str, ...] = ()
    expires_us: int = 0
    """Zero: never."""


class AccountEvent(Event):
    account: AccountId

    @property
    def stream(self) -> str:
        return self.account


class Opened(AccountEvent, tag="account.opened.v1"):
    """Somebody opened an account with a key of his own."""

    who: ClassVar[str] = "anybody, with a key of his own"

    kind: Kind
    roles: tuple[str, ...]
    identity_commitment: str
    keys: tuple[KeyLine, ...]

    def apply(self, world: World) -> None:
        world.people[self.account] = Person(self.account, list(self.roles))
        add_keys(world, self.account, self.keys)


class Changed(AccountEvent, tag="account.changed.v1"):
    """Roles or keys were added or removed, or the payout address set."""

    who: ClassVar[str] = "its owner; roles that are not free: two admins"

    roles_added: tuple[str, ...] = ()
    roles_removed: tuple[str, ...] = ()
    keys_added: tuple[KeyLine, ...] = ()
    keys_removed: tuple[str, ...] = ()
    payout_address: str = ""
    usable_us: int = 0
    """From when payouts may go to the new address."""
    approver: str = ""
    approval: str = ""

    def apply(self, world: World) -> None:
        person = world.people[self.account]
        kept = [role for role in person.roles if role not in self.roles_removed]
        person.roles = kept + [role for role in self.roles_added if role not in kept]
        for key in self.keys_removed:
            del person.keys[key], world.keys[key]
        add_keys(world, self.account, self.keys_added)
        if self.payout_address:
            person.payout_address, person.usable_us = self.payout_address, self.usable_us
            world.arm_payday(self.account)

    def claims(self) -> tuple[Claim, ...]:
        if not self.approval:
            return ()
        approver = AccountId(self.approver)  # type: ignore[arg-type]
        return (granted(self.account, self.roles_added, self.roles_removed, approver, self.approval),)


def add_keys(world: World, account: AccountId, keys: tuple[KeyLine, ...]) -> None:
    for line in keys:
        world.people[account].keys[line.key] = Key(line.alg, line.purpose, list(line.scopes), line.expires_us)
        world.keys[line.key] = account


class ApiKey(body.Body):
    """An API key, by the SHA-256 of its secret. The secret itself never reaches the ledger."""

    alg: Literal["api"]
    key: body.Digest
    scopes: Annotated[tuple[Literal[SCOPES], ...], Field(min_length=1, max_length=len(SCOPES), strict=False)]  # type: ignore[valid-type]
    expires_us: body.Count = 0

    def line(self) -> KeyLine:
        return KeyLine(self.key, "api", "api", tuple(sorted(set(self.scopes))), self.expires_us)


class SigningKey(body.Body):
    """A key for EIP-712 signatures, by its address."""

    alg: Literal["eip712"]
    key: body.Address
    purpose: Literal["owner", "agent"]
    expires_us: body.Count = 0

    def line(self) -> KeyLine:
        return KeyLine(self.key, "eip712", self.purpose, (), self.expires_us)


NewKey = Annotated[ApiKey | SigningKey, Field(discriminator="alg")]


class Open(body.Body):
    """Open an account. The caller makes an API key and sends its secret as the bearer token; the log keeps the secret's hash."""

    kind: Literal["person", "company"] = "person"
    roles: Annotated[tuple[Literal[FREE_ROLES], ...], Field(max_length=3, strict=False)] = ()  # type: ignore[valid-type]
    identity_commitment: body.Digest | None = None

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        fingerprint = origin.actor.removeprefix("key-")
        if fingerprint in world.keys:
            raise Duplicate(what="the key")
        key = KeyLine(fingerprint, "api", "api", OPENING_SCOPES)
        roles = tuple(dict.fromkeys(self.roles))
        yield Opened(account_id(origin.pos), self.kind, roles, self.identity_commitment or "", (key,))


class Change(body.Body):
    """Add or remove keys and free roles of one's own account, or set where its payouts go."""

    roles_added: Annotated[tuple[Literal[FREE_ROLES], ...], Field(max_length=3, strict=False)] = ()  # type: ignore[valid-type]
    roles_removed: Annotated[tuple[Literal[FREE_ROLES], ...], Field(max_length=3, strict=False)] = ()  # type: ignore[valid-type]
    keys_added: Annotated[tuple[NewKey, ...], Field(max_length=8, strict=False)] = ()
    keys_removed: Annotated[tuple[body.KeyId, ...], Field(max_length=8, strict=False)] = ()
    payout_address: body.Address | None = None

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        person = world.people.get(origin.account) or origin.missing(origin.account)
        added = {line.key: line for line in (key.line() for key in self.keys_added)}
        for key in self.keys_removed:
            if key not in person.keys:
                raise NotFound(id="the key to remove")
        fresh = tuple(line for line in added.values() if line.key not in person.keys)
        for line in fresh:
            if line.key in world.keys:
                raise Duplicate(what=f"the key {line.key}")
        kept = [key for id, key in person.keys.items() if id not in self.keys_removed]
        if self.keys_removed and not any(key.alg == "api" for key in kept):
            raise NotAllowed(what=person.id, status="left without an API key", happens="account.changed")
        if len(kept) + len(fresh) > KEYS_MAX:
            raise NotAllowed(what=person.id, status=f"at the limit of {KEYS_MAX} keys", happens="account.changed")
        gone = tuple(role for role in dict.fromkeys(self.roles_removed) if role in person.roles)
        roles = tuple(role for role in dict.fromkeys(self.roles_added) if role not in person.roles or role in gone)
        address = "" if self.payout_address in {None, person.payout_address} else str(self.payout_address)
        if roles or gone or fresh or self.keys_removed or address:
            usable = origin.at_us + world.policy.address_delay_us if address else 0
            yield Changed(person.id, roles, gone, fresh, tuple(dict.fromkeys(self.keys_removed)), address, usable)


def granted(account: AccountId, roles: tuple[str, ...], removed: tuple[str, ...], approver: AccountId, signature: str) -> Claim:
    fields = (("account", account), ("roles", " ".join(roles)), ("removed", " ".join(removed)))
    return Claim("Grant", fields, approver, "owner", signature)


class Grant(body.Body):
    """Give an account roles that are not free, or take them. Two admins: one asks, another signs."""

    account: body.Account
    roles: Annotated[tuple[Literal[OFFICES + DAEMONS], ...], Field(max_length=8, strict=False)] = ()  # type: ignore[valid-type]
    removed: Annotated[tuple[Literal[OFFICES + DAEMONS], ...], Field(max_length=8, strict=False)] = ()  # type: ignore[valid-type]
    approver: body.Account
    approval: body.Signature

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        approver = origin.require_approver(world, "account.changed")
        person = world.people.get(self.account) or origin.missing(self.account)
        gone = [role for role in self.removed if role in person.roles]
        admins = sum("admin" in each.roles for each in world.people.values())
        if "admin" in gone and admins <= ADMINS_MIN:
            raise NotAllowed(what=person.id, status=f"one of {admins} admins", happens="account.changed")
        if gone or any(role not in person.roles for role in self.roles):
            yield Changed(person.id, self.roles, self.removed, approver=approver, approval=self.approval)

    def countersigned(self) -> Claim:
        return granted(self.account, self.roles, self.removed, self.approver, self.approval)
