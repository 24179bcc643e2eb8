"""`python -m benchmarks [G1 G2 ...]`: measures, and keeps results and the table of docs/benchmarks.md as figures come about."""

import argparse
import datetime as dt
import gc
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import gridledger
from benchmarks import limit, results, rounds, table
from benchmarks.figures import deadlines, feeds, pages, replays, servers, transfers, work
from benchmarks.results import Results, Run
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
ROW_S_MAX, RUN_MINUTES_MAX = 480.0, 25.0
"""The first row of a data set also makes it, and folds it once."""
KEPT = table.PAGE.with_suffix(".json")


class Time:
    """How long a row may take, and all of them together."""

    def __init__(self, row_s_max: float, run_s_max: float) -> None:
        self._row_s_max, self._ends = row_s_max, time.monotonic() + run_s_max

    def row_s(self) -> float:
        """Raises `TooLong` when the run's time is over."""
        if (left := self._ends - time.monotonic()) <= 0:
            raise limit.TooLong("not measured: the run's time was over (--minutes)")
        return min(self._row_s_max, left)


def measure(names: Sequence[str], options: Options, allowed: Time, found: Results, when: str, keep: Callable[[], None]) -> bool:
    """Each row within its time. Whatever breaks is named, and the others are measured all the same. Returns whether none did."""
    whole = True
    for name in names:
        try:
            for figure in timed(FIGURES[name](options), allowed):
                found.take(figure, when)
                keep()
            found.held(name, when)
        except (Exception, limit.TooLong) as fault:
            traceback.print_exc()
            whole = False
            found.broke(name, f"{type(fault).__name__}: {' '.join(str(fault).split())}", when)
        keep()
    return whole


def timed(figures: Iterator[Figure], allowed: Time) -> Iterator[Figure]:
    """Each of them within its time, which it tells."""
    while True:
        began = time.monotonic()
        with limit.within(allowed.row_s()):
            figure = next(figures, None)
        if figure is None:
            return
        figure.seconds = round(time.monotonic() - began, 1)
        yield figure


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Gridledger's figures, beside others' on the same machine.")
    parser.add_argument("figures", nargs="*", metavar="G1", help="of " + " ".join(FIGURES))
    parser.add_argument("--rounds", type=int, default=ROUNDS_MIN)
    parser.add_argument("--quick", action="store_true", help="short rounds on small data: to see that it runs, no figures, no page written")
    parser.add_argument("--events", type=int, default=1_000_000, help="of the large data sets")
    parser.add_argument("--large", action="store_true", help="ten times as many, too, where a figure is of both sizes: takes an hour more")
    parser.add_argument("--row-s-max", type=float, default=ROW_S_MAX, help="seconds that one row of the table may take")
    parser.add_argument("--minutes", type=float, default=RUN_MINUTES_MAX, help="that the run may take; what is not done by then is named")
    parser.add_argument("--json", type=Path, help=f"keep what was measured there, and leave {KEPT.name} and the page alone")
    own = parser.parse_args()
    if unknown := set(own.figures) - set(FIGURES):
        parser.error(f"no figure {', '.join(sorted(unknown))}")
    if own.rounds < (least := 1 if own.quick else ROUNDS_MIN):
        parser.error(f"--rounds {own.rounds}: {least} at least (fewer than {ROUNDS_MIN} are no figure: only with --quick)")
    return own


def main() -> int:
    own = arguments()
    gc.set_threshold(*gridledger.COLLECT)  # as the program does, of whose loops some run in this process
    file = own.json or (None if own.quick else KEPT)
    run = Run(dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC"), dict(rounds.versions()))
    found = Results.load(file) if file else Results()
    found.begin(run)

    def keep() -> None:
        if file:
            found.save(file)
        if file == KEPT:
            table.write(table.table(found))

    options = Options(own.rounds, own.quick, own.events, own.large)
    names = own.figures or sorted(FIGURES, key=results.order)
    whole = measure(names, options, Time(own.row_s_max, 60 * own.minutes), found, run.when, keep)
    print(table.table(found))
    return int(not whole or any(row.figure.failures for row in found.rows if row.when == run.when))


if __name__ == "__main__":
    sys.exit(main())
