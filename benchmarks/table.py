"""Results as a table in docs/benchmarks.md, between two marks; the rest of the page is written by people."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.rounds import Figure, spread, unit_of

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- written by make bench -->", "<!-- end -->"
HEAD = "| | what | ours | against | peer | ratio or value | must | stretch | met |\n|---|---|--:|---|--:|--:|--:|--:|---|"
MET = {"stretch": "yes, stretch too", "must": "yes", "missed": "no", "failed": "**failed its checks**"}


def row(figure: Figure) -> str:
    ours, peer = f"{spread(figure.ours)} {figure.unit}", f"{spread(figure.peer)} {figure.unit}" if figure.peer else "–"
    ratio = f"{spread(figure.ratios)}{unit_of(figure.goal.unit)}"
    goal = figure.goal
    cells = (figure.id, figure.what, ours, figure.peer_name or "–", peer, ratio, goal.shown(goal.must), goal.shown(goal.stretch))
    return f"| {' | '.join(cells)} | {MET[figure.verdict]} |"


def table(figures: Sequence[Figure], versions: Mapping[str, str], when: str, broken: Sequence[str] = ()) -> str:
    """As Markdown: medians, from least to most in brackets; below it what was missed, failed its checks or broke."""
    checks = sorted({name for figure in figures for name in figure.checks})
    faults = [f"* {figure.id} {figure.what}: {fault}" for figure in figures for fault in figure.failures]
    missed = [f"* {figure.id} {figure.what}: missed" for figure in figures if figure.verdict == "missed"]
    load = [each for figure in figures for each in figure.load]
    lines = [
        f"{when}; {len(figures)} figures, {min(len(figure.ours) for figure in figures)} rounds or more each.",
        f"Load average of the machine before a round: median {statistics.median(load):.1f}, at most {max(load):.1f}.",
        "Each value is the median of its rounds, with the least and the most in brackets.",
        "",
        HEAD,
        *[row(figure) for figure in figures],
        "",
        f"Looked at in every run that appends: {'; '.join(checks) or 'nothing'}." if checks else "",
        *missed,
        *faults,
        *[f"* {each}" for each in broken],
        "",
        "Versions: " + "; ".join(f"{name} {version}" for name, version in versions.items() if version) + ".",
    ]
    return "\n".join(lines)


def write(text: str, page: Path = PAGE) -> None:
    """Replaces what the last run wrote."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
