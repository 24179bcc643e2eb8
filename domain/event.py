"""What every event and every command is.

An **event** is a fact: a stored name, a stream, what it changes (`apply`) and the money it moves (`entry`). It carries results, not
formulas. Stored names and fields are for ever; a changed meaning is a new name. `apply` never refuses: what has happened has happened.
`entry` is asked once, when the event is decided; the log keeps the answer.

A **command** is a question: may this happen now? `decide` first raises `Refused`, or then yields the events that follow, one by one;
each is applied before the next is asked for, so that consequences see what caused them. It changes nothing itself, reads no clock and
draws no random number. A command whose work is already done yields nothing.
"""

from collections.abc import Iterator
from functools import cache
from typing import ClassVar, Generic, NoReturn, Protocol, TypeVar

from domain.accounts import NO_MONEY, Entry
from domain.errors import ApproverMissing, NotFound, NotLive, RoleMissing, WrongSignature
from domain.ids import HOUSE, NO_ACCOUNT, AccountId, Actor, CommandId, JobId, position
from domain.signing import Claim
from domain.value import Value
from domain.world import World


class Origin(Value):
    """Where a command comes from."""

    cmd: CommandId
    actor: Actor
    """Who acts: an account, a worker of the authenticated account, or the house."""
    at_us: int
    """Ledger time: microseconds since 1970, one value per block."""
    pos: int
    """Position of the command's first event: what it makes is named after that."""
    account: AccountId = NO_ACCOUNT
    """Whose key authenticated the request; for accounts the same as `actor`."""
    signer: str = ""
    """The address (lower-case hex) that the caller's signature recovers to, over the command's claim; empty if there is none."""
    approver: str = ""
    """The same for the second person's signature."""

    def missing(self, id: str) -> NoReturn:
        """For `world.jobs.get(id) or origin.missing(id)`: what is beyond the head or a part of something live was never there."""
        raise NotLive(id=id) if position(id) < self.pos else NotFound(id=id)

    def require(self, world: World, role: str) -> None:
        """Refuse whoever does not have the role; the house has every one."""
        if self.actor != HOUSE and not (self.account in world.people and role in world.people[self.account].roles):
            raise RoleMissing(id=self.actor, role=role)

    def require_signature(self, world: World, claim: Claim) -> None:
        """Refuse unless a key that the claim's account holds for this purpose signed it."""
        key = world.people[claim.account].keys.get(self.signer)
        if key is None or key.purpose != claim.purpose or 0 < key.expires_us <= self.at_us:
            raise WrongSignature(id=claim.account, purpose=claim.purpose)

    def require_approver(self, world: World, what: str, role: str = "admin") -> AccountId:
        """Two persons: the caller, and another one who signed with an owner key. Returns the other one."""
        self.require(world, role)
        other = world.keys.get(self.approver, NO_ACCOUNT)
        if other in {NO_ACCOUNT, self.account} or role not in world.people[other].roles:
            raise ApproverMissing(what=what, role=role)
        key = world.people[other].keys[self.approver]
        if key.purpose != "owner" or 0 < key.expires_us <= self.at_us:
            raise ApproverMissing(what=what, role=role)
        return other

    def missing_part(self, id: str, world: World) -> NoReturn:
        if JobId(id.partition("/")[0]) in world.jobs:
            raise NotFound(id=id)
        self.missing(id)


class Event(Value, tag_field="type"):
    who: ClassVar[str] = "the house, by rule"
    """Who causes it, for the manual."""

    @classmethod
    @cache
    def verb(cls) -> str:
        """The stored name without its version: what happens, as the lifecycles say it."""
        return str(cls.__struct_config__.tag).rpartition(".")[0]

    @property
    def stream(self) -> str:
        raise NotImplementedError

    def apply(self, world: World) -> None:
        """Called after the entry is posted, with `world.pos` and `world.at_us` those of this event."""
        raise NotImplementedError

    def entry(self) -> Entry:
        return NO_MONEY

    def claims(self) -> tuple[Claim, ...]:
        """What people signed, with their signatures: whoever audits recovers the signers from here."""
        return ()


class Command(Protocol):
    """From outside it is a Pydantic model (domain/body.py), from the house a plain value."""

    def decide(self, world: World, origin: Origin) -> Iterator[Event]: ...


E = TypeVar("E")


class Recorded(Value, Generic[E], omit_defaults=True):
    """An event in its place in the log. Its JSON is one line of a block, and one leaf of the tree."""

    pos: int
    stream: str
    ver: int
    at_us: int
    cmd: CommandId
    of: tuple[int, int]
    """Which of how many events of the command."""
    by: Actor
    event: E
    entry: Entry = NO_MONEY
    body: str = ""
    """On the first event of a keyed command: a digest of the request, so that its key cannot be used for anything else."""

    @property
    def originator_id(self) -> str:
        """With `originator_version`, the structural event protocol of the `eventsourcing` library."""
        return self.stream

    @property
    def originator_version(self) -> int:
        return self.ver
