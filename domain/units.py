"""Amounts of money: integers of an asset's smallest unit, decimal strings on the wire, never floats."""

from collections.abc import Sequence

AMOUNT_MAX = 10**30
"""No amount from outside is larger: far beyond every token's supply in minor units, far below what breaks a spreadsheet."""


class Units(int):
    """A count of minor units. Arithmetic keeps the type, so that a plain `int` never slips into an event."""

    def __add__(self, other: int) -> "Units":
        return Units(int.__add__(self, other))

    __radd__ = __add__

    def __sub__(self, other: int) -> "Units":
        return Units(int.__sub__(self, other))

    def __mul__(self, other: int) -> "Units":
        return Units(int.__mul__(self, other))

    __rmul__ = __mul__

    def __neg__(self) -> "Units":
        return Units(int.__neg__(self))


ZERO = Units(0)


def total(amounts: Sequence[Units]) -> Units:
    return Units(sum(amounts))


def price(per_kwu: Units, wu_milli: int) -> Units:
    """What `wu_milli` thousandths of a work unit cost at `per_kwu` minor units per thousand work units: rounded up (DOMAIN.md §1)."""
    return Units(-(-per_kwu * wu_milli // 1_000_000))


def split(amount: Units, weights: Sequence[int]) -> list[Units]:
    """Shares of `amount` by weight that add up to it exactly: each rounded down, then one spare unit each to the largest remainders,
    the earlier of equals first. All zero if no weight is positive."""
    whole = sum(weights)
    if not whole:
        return [ZERO for _ in weights]
    parts = [divmod(amount * weight, whole) for weight in weights]
    spare = amount - sum(floor for floor, _ in parts)
    favoured = set(sorted(range(len(parts)), key=lambda n: -parts[n][1])[:spare])
    return [Units(floor + (n in favoured)) for n, (floor, _) in enumerate(parts)]
