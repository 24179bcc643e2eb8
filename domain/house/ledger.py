"""The ledger's own events: its beginning, its home, who leads it, and how it moves: a seal where it was, a bind where it is."""

from typing import ClassVar, Literal

from domain.accounts import Asset
from domain.event import Event
from domain.ids import LogId
from domain.world import World

GRACED = ("expire", "cancel", "tally")
"""Timers of people, agents and checkers: an election moves them on, since whoever had to answer could not reach a leader."""


class LedgerEvent(Event):
    @property
    def stream(self) -> str:
        return "ledger"


class Opened(LedgerEvent, tag="ledger.opened.v1"):
    """The first event of every log."""

    who: ClassVar[str] = "whoever begins the ledger"

    log: LogId
    format: int
    assets: tuple[Asset, ...]
    policy: str

    def apply(self, world: World) -> None:
        world.log = self.log


class Bound(LedgerEvent, tag="ledger.bound.v1"):
    """Where the log lives. A leader that finds itself elsewhere refuses to start. After the first block it stands alone in a block of the
    kind `bind`, behind a seal, and names the home that the seal names."""

    who: ClassVar[str] = "whoever begins or moves the ledger"

    home: str
    """`memory`, `postgresql:<system identifier>`, or `kafka:<cluster id>:<topic id>`."""

    def apply(self, world: World) -> None:
        world.home, world.heir = self.home, ""


class Sealed(LedgerEvent, tag="ledger.sealed.v1"):
    """The log ends at its home: it goes on at another one, or nowhere. Alone in a block of the kind `seal`."""

    who: ClassVar[str] = "whoever moves the ledger"

    sealer: str
    """Of the process that sealed it, as leaders are named."""
    home: str
    """Where the log is to go on."""
    reason: Literal["moved", "lost"]
    """`lost`: its home was, and what is here was restored from a copy."""

    def apply(self, world: World) -> None:
        world.heir = self.home


class LeaderElected(LedgerEvent, tag="ledger.leader_elected.v1"):
    """Who writes from here on; whatever an earlier leader still had on its way is in or out for good."""

    who: ClassVar[str] = "the leader"

    leader: str
    grace_us: int
    """Deadlines that were set before are due no earlier."""

    def apply(self, world: World) -> None:
        world.leader = self.leader
        world.delay_timers(GRACED, self.grace_us)


STEERING = (LeaderElected, Sealed, Bound)
"""Events that whoever operates the ledger puts into the log past its rules, each in a block of its own; but for the first bind."""
