"""Geometry of pictures, in percent of their frame: the templates write it down as SVG attributes, so that text keeps its size and no
style stands in the page."""

from collections.abc import Sequence

from domain.value import Value

STEPS_US = tuple(n * unit for unit in (1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000) for n in (1, 2, 5, 10, 15, 30))
TICKS_MAX = 12
HEIGHT, TOP = 40, 38
"""Of a step chart's frame, and of its highest level."""


class Part(Value):
    """Of a bar: where it begins and how wide it is, in percent."""

    name: str
    start: float
    width: float


class Tick(Value):
    at_us: int
    x: float


class Span(Value):
    """A stretch of time, drawn from left to right."""

    start_us: int
    end_us: int

    def x(self, at_us: int) -> float:
        return round(100 * (min(max(at_us, self.start_us), self.end_us) - self.start_us) / (self.end_us - self.start_us), 3)

    @property
    def ticks(self) -> list[Tick]:
        """Round times, a dozen at most."""
        length = self.end_us - self.start_us
        step = next((each for each in STEPS_US if length / each <= TICKS_MAX), length)
        first = -(-self.start_us // step)
        return [Tick(n * step, self.x(n * step)) for n in range(first, self.end_us // step + 1)]


def span(times: Sequence[int]) -> Span:
    """With a little air on both sides."""
    start, end = min(times), max(times)
    air = max((end - start) // 50, 100_000)
    return Span(start - air, end + air)


def bar(amounts: Sequence[tuple[str, int]]) -> list[Part]:
    """Parts of a whole, side by side."""
    whole = sum(amount for _, amount in amounts)
    parts, start = [], 0
    for name, amount in amounts:
        if amount > 0:
            parts.append(Part(name, round(100 * start / whole, 3), round(max(100 * amount / whole - 0.15, 0.1), 3)))
            start += amount
    return parts


def heights(counts: Sequence[int]) -> list[Part]:
    """Bars beside each other: `start` is the left edge, `width` the height."""
    most, each = max(counts, default=0) or 1, 100 / max(len(counts), 1)
    return [Part(str(count), round(n * each, 3), round(100 * count / most, 2)) for n, count in enumerate(counts)]


def buckets(times: Sequence[int], count: int) -> list[int]:
    """How many of the times, which are sorted, lie in each of so many equal parts of their stretch."""
    if not times:
        return []
    first, length = times[0], max(times[-1] - times[0], 1)
    found = [0] * count
    for each in times:
        found[min((each - first) * count // length, count - 1)] += 1
    return found


def steps(changes: Sequence[tuple[int, int]], over: Span, level: int = 0, top: int = 0) -> str:
    """The path of a step chart in a frame of 100 by HEIGHT, of running sums of (time, change) from a level on. `top` is what the whole
    height stands for, if that is not the highest level."""
    start, points, levels = level, dict[float, int](), [1, level]
    for at_us, change in changes:
        level += change
        levels.append(level)
        points[over.x(at_us)] = level
    scale = TOP / (top or max(levels))
    return f"M0 {HEIGHT - start * scale:g}" + "".join(f"H{x:.2f}V{HEIGHT - each * scale:.2f}" for x, each in points.items()) + "H100"
