"""`python -m benchmarks [G1 G2 ...]`: measures, prints, and writes the table of docs/benchmarks.md."""

import argparse
import datetime as dt
import json
import statistics
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from benchmarks import rounds, table
from benchmarks.figures import deadlines, feeds, pages, replays, servers, transfers, work
from benchmarks.rounds import Figure, Options

FIGURES: Mapping[str, Callable[[Options], Iterator[Figure]]] = {
    "G1": transfers.g1,
    "G2": transfers.g2,
    "G3": transfers.g3,
    "G6": work.g6,
    "G7": replays.g7,
    "G8": replays.g8,
    "G10": replays.g10,
    "G11": servers.g11,
    "G12": pages.g12,
    "G13": pages.g13,
    "G14": work.g14,
    "G15": replays.g15,
    "G17": servers.g17,
    "G18": transfers.g18,
    "G20": servers.g20,
    "G21": feeds.g21,
    "G22": deadlines.g22,
    "G26": pages.g26,
    "G27": pages.g27,
}

ROUNDS_MIN = 5


def order(name: str) -> int:
    return int(name.removeprefix("G"))


def measure(names: list[str], options: Options) -> tuple[list[Figure], list[str]]:
    """All that came about, and a line for each figure that broke: the others are measured all the same."""
    found, broken = list[Figure](), list[str]()
    for name in names:
        try:
            for each in FIGURES[name](options):
                found.append(each)
        except Exception as fault:
            traceback.print_exc()
            broken.append(f"{name} broke: {type(fault).__name__}: {' '.join(str(fault).split())}")
    return found, broken


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Gridledger's figures, beside others' on the same machine.")
    parser.add_argument("figures", nargs="*", metavar="G1", help="of " + " ".join(FIGURES))
    parser.add_argument("--rounds", type=int, default=ROUNDS_MIN)
    parser.add_argument("--quick", action="store_true", help="short rounds on small data: to see that it runs, no figures")
    parser.add_argument("--events", type=int, default=1_000_000, help="of the large data sets")
    parser.add_argument("--large", action="store_true", help="ten times as many, too, where a figure is of both sizes")
    parser.add_argument("--json", type=Path, help="write all that was measured there, too")
    own = parser.parse_args()
    names = own.figures or sorted(FIGURES, key=order)
    if unknown := set(names) - set(FIGURES):
        parser.error(f"no figure {', '.join(sorted(unknown))}")
    if own.rounds < (least := 1 if own.quick else ROUNDS_MIN):
        parser.error(f"--rounds {own.rounds}: {least} at least (fewer than {ROUNDS_MIN} are no figure: only with --quick)")
    figures, broken = measure(names, Options(own.rounds, own.quick, own.events, own.large))
    when, versions = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"), rounds.versions()
    text = table.table(figures, versions, when, broken) if figures else "\n".join(broken)
    print(text)
    if own.json:
        raw = {"when": when, "versions": versions, "figures": [plain(each) for each in figures], "broken": broken}
        own.json.write_text(json.dumps(raw, indent=1), encoding="utf-8")
    if figures and not own.quick:
        table.write(text)
    return int(bool(broken) or any(each.failures for each in figures))


def plain(figure: Figure) -> dict[str, object]:
    return {**msgspec.to_builtins(figure), "ratio": statistics.median(figure.ratios), "verdict": figure.verdict}


if __name__ == "__main__":
    sys.exit(main())
