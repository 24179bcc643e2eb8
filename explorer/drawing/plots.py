"""Charts over equal periods: drawn as SVG where no script runs, and handed as numbers to the script that lets a reader zoom and ask."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from domain.policy import DAY
from domain.value import Value

HEIGHT = 40
Values = Sequence[int | float | None]
"""One of each period; none: nobody knows, and the line has a gap."""


class Line(Value):
    name: str
    look: str
    """`c0` to `c3`: its colour."""
    values: Values


class Plot(Value):
    title: str
    answer: str
    """What it comes to, in words."""
    kind: Literal["steps", "bars"]
    """Bars of several lines stand beside each other."""
    start_us: int
    step_us: int
    lines: list[Line]
    asset: str = ""
    """Of which the values are minor units; empty: plain numbers."""
    total: int = 0
    """What it comes to, of an asset."""

    @property
    def count(self) -> int:
        return len(self.lines[0].values)

    @property
    def end_us(self) -> int:
        return self.start_us + self.count * self.step_us

    @property
    def last_us(self) -> int:
        """What stands at the end of the axis: the last one of days, of shorter periods where it ends."""
        return self.end_us - self.step_us * (self.step_us >= DAY)

    @property
    def top(self) -> float:
        """The highest value; nothing is drawn below zero."""
        return max((value for line in self.lines for value in line.values if value is not None), default=0)

    def path(self, place: int) -> str:
        """Of one line, in a frame of `count` by HEIGHT."""
        scale = (HEIGHT - 2) / (self.top or 1)
        heights = [None if value is None else HEIGHT - max(value, 0) * scale for value in self.lines[place].values]
        if self.kind == "bars":
            width = 0.8 / len(self.lines)
            left = 0.1 + place * width
            return "".join(
                f"M{n + left:.2f} {HEIGHT}V{y:.1f}h{width:.2f}V{HEIGHT}Z" for n, y in enumerate(heights) if y is not None and y < HEIGHT
            )
        return steps(heights)

    def filled(self, place: int) -> bool:
        """The first of several steps is, unless it has gaps."""
        return self.kind == "steps" and not place and None not in self.lines[0].values

    def numbers(self, decimals: int) -> str:
        """What the script draws from: times in seconds, amounts in the asset's own unit."""
        lines = [(line.name, line.look, scaled(line.values, decimals)) for line in self.lines]
        facts = {"kind": self.kind, "start": self.start_us / 1e6, "step": self.step_us / 1e6, "unit": self.asset.upper(), "lines": lines}
        return msgspec.json.encode(facts).decode()


def scaled(values: Values, decimals: int) -> Values:
    return [None if value is None else round(value / 10**decimals, max(decimals, 6)) for value in values]


def steps(heights: Sequence[float | None]) -> str:
    path, last = [], None
    for n, y in enumerate(heights):
        if y is not None:
            path.append(f"M{n} {y:.1f}H{n + 1}" if last is None else f"V{y:.1f}H{n + 1}")
        last = y
    return "".join(path)
