"""What readers are told of the money: the port through which the live watch compares the views with the world."""

from typing import Protocol

from domain.accounts import Asset
from domain.value import Value


class Shown(Value):
    """Amounts by name, debits minus credits, as they stand at a position."""

    position: int
    amounts: dict[str, int]
    last: str = ""
    """Of a page: the name that it ends with, where more follow."""


class Stopped(Value):
    """How the money was stopped and let go."""

    number: int
    """Of the last override."""
    evidence: str
    """Of the last freeze by the watch alone that has some; empty if none has."""


class Books(Protocol):
    """All of it raises `Unreachable` when the views cannot be read."""

    async def trial(self) -> Shown:
        """The trial balance, by asset and code: `usdc:2110.available`."""
        ...

    async def page(self, after: str, limit: int) -> Shown:
        """The balances of the next accounts, in the order of their names."""
        ...

    async def breaks(self, asset: Asset) -> int:
        """What the chain held more than the ledger said when they were compared last; negative: less."""
        ...

    async def stopped(self) -> Stopped: ...
