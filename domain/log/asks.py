"""Commands of our own daemons on their way between two processes of one ledger, and what they came to. They carry no key and no
signature: they are idempotent by their subject, and each says by itself which role may ask for it.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Self

import msgspec
from msgspec import UNSET, Raw, UnsetType

from domain.body import Body
from domain.errors import Refused
from domain.event import Event, Origin
from domain.house import override
from domain.ids import AccountId, Actor, CommandId
from domain.log import wire
from domain.log.log import Busy, OutcomeUnknown, Unreachable
from domain.log.receipts import Ask, Receipt
from domain.proof import beacon
from domain.treasury import anchor, batch, deposit
from domain.value import Value
from domain.world import World

PATH = "/internal/v1/asks"
"""Of the leader, by HTTP."""
ASKS_MAX, ASKS_BYTES_MAX = 100, 512 * 1024
"""In one request; and one more command, however large."""


class Nothing(Body):
    """Asks for nothing: the receipt says where the log ends."""

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        yield from ()


DAEMONS_MAY: tuple[type[Body], ...] = (
    *(deposit.See, deposit.Finalise, deposit.Orphan),
    *(batch.Sign, batch.Mine, batch.Unmine, batch.Finalise),
    *(anchor.Anchor, anchor.Reconcile, beacon.Bring),
    *(override.Override, Nothing),
)
"""What daemons in another process ask for. Presence and gate are where heartbeats and proofs arrive: in the leader's."""


class Carried(Value, forbid_unknown_fields=True):
    """One command."""

    cmd: CommandId
    kind: str
    command: Raw

    @classmethod
    def of(cls, ask: Ask) -> Self:
        """Raises `ValueError` for what is not a daemon's own command."""
        if ask.actor != ask.account or ask.body or ask.signer or ask.approver or not isinstance(ask.command, DAEMONS_MAY):
            raise ValueError(f"{ask.cmd} is no command of a daemon")
        return cls(ask.cmd, name(type(ask.command)), Raw(wire.encode(ask.command.model_dump(by_alias=True))))

    def ask(self, account: AccountId) -> Ask:
        """As that account asks for it. Raises `ValueError` for a kind that is none, or fields that are not its own."""
        if (kind := kinds().get(self.kind)) is None:
            raise ValueError(f"no daemon asks for {self.kind[:40]}")
        command = bytes(self.command)
        return Ask(self.cmd, Actor(account), kind.model_validate_json(command), account, size=len(command))


class Outcome(Value, forbid_unknown_fields=True):
    """What one command came to: a receipt, or the code of what it was refused for."""

    position: int = 0
    count: int = 0
    lines: tuple[Raw, ...] = ()
    code: str | UnsetType = UNSET
    facts: dict[str, str | int] = {}

    @classmethod
    def of(cls, found: Receipt | BaseException) -> Self:
        if isinstance(found, Receipt):
            return cls(found.position, found.count, tuple(Raw(line) for line in found.lines))
        if isinstance(found, Refused):
            return cls(code=found.code, facts=found.facts)
        return cls(code=next((code for code, kind in FAULTS.items() if isinstance(found, kind)), "outcome_unknown"))

    def receipt(self) -> Receipt:
        """Raises what it was refused for."""
        if self.code is not UNSET:
            raise fault(self.code, self.facts)
        return Receipt(self.position, self.count, tuple(bytes(line) for line in self.lines))


FAULTS: dict[str, type[Exception]] = {
    "busy": Busy,
    "unreachable": Unreachable,
    "outcome_unknown": OutcomeUnknown,
    "fault": OutcomeUnknown,
}


class RefusedThere(Refused):
    """The leader refused it: {reason}."""


def fault(code: str, facts: Mapping[str, str | int]) -> Exception:
    """What was raised where it was decided; a refusal that nobody here knows is one, too."""
    if code in FAULTS:
        return FAULTS[code]()
    kind = next((each for each in refusals(Refused) if each.code == code), None)
    try:
        return kind(**facts) if kind else RefusedThere(reason=code)
    except KeyError:
        return RefusedThere(reason=code)


def refusals(kind: type[Refused]) -> Iterator[type[Refused]]:
    for below in kind.__subclasses__():
        yield below
        yield from refusals(below)


def name(kind: type[Body]) -> str:
    """`batch.Sign`."""
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"


@cache
def kinds() -> dict[str, type[Body]]:
    return {name(kind): kind for kind in DAEMONS_MAY}


encode = msgspec.json.Encoder().encode
read_asks = msgspec.json.Decoder(Annotated[list[Carried], msgspec.Meta(max_length=ASKS_MAX)]).decode
read_outcomes = msgspec.json.Decoder(list[Outcome]).decode
