"""The ledger's own events: its beginning, its home, and who leads it."""

from typing import ClassVar

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
    """Where the log lives. A leader that finds itself elsewhere refuses to start."""

    who: ClassVar[str] = "whoever begins the ledger"

    home: str
    """`memory`, or `postgresql:<system identifier>`."""

    def apply(self, world: World) -> None:
        world.home = self.home


class LeaderElected(LedgerEvent, tag="ledger.leader_elected.v1"):
    """Who writes from here on; whatever an earlier leader still had on its way is in or out for good."""

    who: ClassVar[str] = "the leader"

    leader: str
    grace_us: int
    """Deadlines that were set before are due no earlier."""

    def apply(self, world: World) -> None:
        world.leader = self.leader
        world.delay_timers(GRACED, self.grace_us)
