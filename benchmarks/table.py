"""Results as a table in docs/benchmarks.md, between two marks; the rest of the page is written by people."""

import statistics
from pathlib import Path
from string import ascii_lowercase

from benchmarks.results import Results, Run
from benchmarks.rounds import Figure, spread, unit_of

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- written by make bench -->", "<!-- end -->"
HEAD = "| | what | ours | against | peer | ratio or value | must | stretch | met | run |\n|---|---|--:|---|--:|--:|--:|--:|---|---|"
MET = {"stretch": "yes, stretch too", "must": "yes", "missed": "no", "failed": "**failed its checks**"}


def row(figure: Figure, run: str) -> str:
    ours, peer = f"{spread(figure.ours)} {figure.unit}".strip(), f"{spread(figure.peer)} {figure.unit}" if figure.peer else "–"
    ratio = f"{spread(figure.ratios)}{unit_of(figure.goal.unit)}"
    goal = figure.goal
    cells = (figure.id, figure.what, ours, figure.peer_name or "–", peer, ratio, goal.shown(goal.must), goal.shown(goal.stretch))
    return f"| {' | '.join(cells)} | {MET[figure.verdict]} | {run} |"


def table(found: Results) -> str:
    """As Markdown: medians, from least to most in brackets; below it what was missed, failed its checks or broke, and the runs."""
    names = {run.when: letter(number) for number, run in enumerate(found.shown())}
    figures = [each.figure for each in found.rows]
    checks = sorted({name for figure in figures for name in figure.checks})
    lines = [
        "Each value is the median of its rounds, with the least and the most in brackets; the last column says of which run it is.",
        "",
        HEAD,
        *[row(each.figure, names[each.when]) for each in found.rows],
        "",
        *([f"Looked at, each where it applies: {'; '.join(checks)}.", ""] if checks else []),
        *[f"* {figure.id} {figure.what}: missed" for figure in figures if figure.verdict == "missed"],
        *[f"* {figure.id} {figure.what}: {fault}" for figure in figures for fault in figure.failures],
        *[f"* {each.id} broke in run {names[each.when]}: {each.why}" for each in found.broken],
        "",
        *[f"* Run {names[run.when]}: {told(found, run)}" for run in found.shown()],
    ]
    return "\n".join(lines)


def letter(number: int) -> str:
    """A name for a run: a to z, and then on with numbers."""
    return ascii_lowercase[number] if number < len(ascii_lowercase) else f"r{number}"


def told(found: Results, run: Run) -> str:
    """When it was, how busy the machine, and of what versions."""
    figures = [each.figure for each in found.rows if each.when == run.when]
    load = [each for figure in figures for each in figure.load]
    least = min((len(figure.ours) for figure in figures), default=0)
    of = f"{len(figures)} rows, {least} rounds or more each" if figures else "no rows"
    busy = f"load average of the machine before a round: median {statistics.median(load):.1f}, at most {max(load):.1f}" if load else ""
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items() if version)
    return "; ".join(each for each in (f"{run.when}, {of}", busy, versions) if each) + "."


def write(text: str, page: Path = PAGE) -> None:
    """Replaces what the last run wrote."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
