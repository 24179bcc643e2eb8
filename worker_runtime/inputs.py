"""What every agent sees and does. An agent is a state machine without I/O: `handle(input, now)` returns the actions that
worker_runtime/loop.py then performs; what becomes of them comes back as input. What is told twice is done once."""

from collections.abc import Sequence
from typing import Any, Protocol

from domain.value import Value


class Input(Value): ...


class Action(Value): ...


class Started(Input):
    """The agent's process runs."""


class Ticked(Input):
    """It is as late as the agent wanted to be told, or later."""


class Answered(Input):
    """What was asked is done."""

    action: Action
    position: int = 0


class Refused(Input):
    """The server said no."""

    action: Action
    code: str
    facts: dict[str, Any] = {}

    def time_us(self, name: str) -> int:
        """The fact of this name if it is a time, else zero."""
        value = self.facts.get(name)
        return value if type(value) is int else 0


class Silent(Input):
    """No answer came."""

    action: Action


class Left(Input):
    """Somebody ends the agent, who stops what it does and says so."""


class WentOffline(Input):
    """The ledger holds the agent for gone."""


class GoOnline(Action):
    session: str


class GoOffline(Action): ...


class Beat(Action):
    session: str


class Stop(Action):
    """There is nothing left to do."""

    reason: str


class Agent(Protocol):
    def handle(self, seen: Input, at_us: int) -> Sequence[Action]:
        """`at_us` is now, in microseconds since 1970."""
        ...

    def wake_us(self) -> int | None:
        """When it wants to be told that time has passed, if nothing else happens before."""
        ...
