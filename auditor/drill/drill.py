"""The drill: every fraud that there is, committed on copies of an honest bundle, each to be found by the check that should.

A fraud that the log alone does not show is tried both ways: without what shows it, where an outsider sees nothing, and with it.
"""

import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random

import msgspec

from auditor.bundle import BadBundle
from auditor.chain import Node, Silent
from auditor.checks.heads import Noted
from auditor.drill import amounts, hidden, judgements, order
from auditor.drill.desk import Draft, NoPlace, Original, Shelf
from auditor.drill.fraud import Fraud, Mark, catches
from auditor.export import collect
from auditor.facts import Facts
from auditor.report import FOUND, Report
from auditor.verify import verify
from domain.log import wire
from domain.value import Value

FRAUDS: tuple[Fraud, ...] = (*amounts.FRAUDS, *judgements.FRAUDS, *order.FRAUDS, *hidden.FRAUDS)
TRIES_MAX = 30
"""Places that are looked for with one seed."""
SLICE = 100
"""Seeds of one fraud that a process does in one go: some come to the same forgery, which is looked for once in each process."""
MISSED_MAX = 3


class Seen(Value):
    """What an outsider sees of a fraud."""

    caught: bool
    blind: bool
    """Without what shows it, nothing was found."""
    alone: bool
    """No other check found anything."""
    seconds: float


class Tried(Value):
    """One fraud with one seed."""

    fraud: str
    seed: int
    did: str
    """What the forger did; empty if the log has no place for it."""
    digest: str
    """Of the forged bundle."""
    seen: Seen


class Row(Value):
    """One fraud with all its seeds."""

    fraud: str
    check: str
    """That is to find it."""
    held: str
    shown_by: str
    """What shows it, if the log alone does not: `chain` or `head`."""
    seeds: int
    """That found a place."""
    different: int
    """How many bundles they came to."""
    caught: int
    unseen: int
    """How many showed nothing without it."""
    alone: int
    """How many no other check found."""
    median_ms: float
    did: str
    """An example."""
    missed: tuple[int, ...]
    """Some of the seeds that were not caught."""


class Drilled(Value):
    """What a drill comes to."""

    size: int
    root: str
    rows: tuple[Row, ...]
    tried: int
    caught: int
    seconds: float

    @property
    def passed(self) -> bool:
        """Everything was caught, and something was tried."""
        return 0 < self.tried == self.caught

    def json(self) -> bytes:
        return msgspec.json.encode(self)

    def summary(self) -> str:
        """For people, below the table."""
        lines = [f"MISSED: {it.fraud}: seeds {', '.join(map(str, it.missed))}" for it in self.rows if it.missed]
        kinds = sum(it.seeds > 0 for it in self.rows)
        lines.append(f"{self.caught} of {self.tried} frauds of {kinds} kinds caught in {self.seconds:.1f} s")
        if kinds < len(self.rows):
            lines.append(f"{len(self.rows) - kinds} kinds had no place in this log: they were not tried")
        return "\n".join([*lines, NOT_TRIED])


HEADING = f"{'fraud':<32} {'caught':>9} {'ways':>5}  {'by check':<13} {'alone':>5} {'median':>9}  {'held':<15} {'shown by':<24} an example"
NOT_TRIED = (
    "not tried: pixels that a worker and the checkers of his audit agreed on need their keys; what shows them is the scene, rendered again"
)


def line(it: Row) -> str:
    """Of the table."""
    if not it.seeds:
        return f"{it.fraud:<32} {'-':>9} {'-':>5}  {it.check:<13} {'-':>5} {'-':>9}  no place for it in this log, or the chain is not known"
    shown = f"the {it.shown_by}; without it {it.seeds - it.unseen}" if it.shown_by else "the bundle alone"
    counts = f"{it.fraud:<32} {f'{it.caught}/{it.seeds}':>9} {it.different:>5}  {it.check:<13} {it.alone:>5} {it.median_ms:>6.0f} ms"
    return f"{counts}  {it.held:<15} {shown:<24} {it.did}"


def commit(original: Original, fraud: Fraud, seed: int) -> tuple[Draft, Mark]:
    """The fraud at a place that fits the seed. Raises `NoPlace`."""
    for attempt in range(TRIES_MAX):
        draft = original.draft()
        try:
            mark = fraud.commit(draft, Random(f"{fraud.name} {seed} {attempt}"))
        except NoPlace as reason:
            why = reason
            continue
        if fraud.held != "the bundle" and (not fraud.eyes or seed % 2):
            # Of what a bundle brings of the chain nothing is believed, so a careful forger may as well bring nothing that contradicts him.
            draft.receipts = None
        return draft, mark
    raise why


class Bench:
    """Where frauds are committed and looked for, one after the other."""

    def __init__(self, original: Original, folder: Path) -> None:
        self.original, self.shelf = original, Shelf(folder)
        self._known: dict[tuple[str, str, str], Seen] = {}
        self._plain: dict[str, bool] = {}
        """Whether a bundle alone shows nothing, by its digest."""

    def attempt(self, fraud: Fraud, seed: int) -> Tried:
        """Commits the fraud, and has it looked for."""
        try:
            draft, mark = commit(self.original, fraud, seed)
            draft.publish(self.shelf)
        except NoPlace:
            return Tried(fraud.name, seed, "", "", Seen(False, False, False, 0.0))
        digest = self.shelf.digest()
        # The same forgery is found in the same way.
        way = fraud.name, mark.did, digest
        if way not in self._known:
            self._known[way] = self._seen(draft, fraud, mark, digest)
        return Tried(fraud.name, seed, mark.did, digest, self._known[way])

    def _seen(self, draft: Draft, fraud: Fraud, mark: Mark, digest: str) -> Seen:
        started = time.perf_counter()
        report = self.look(draft, fraud)
        seconds = time.perf_counter() - started
        alone = {it.check for it in report.findings} <= {mark.check or fraud.check}
        return Seen(catches(report, mark, fraud.check), self._blind(fraud, digest, alone=alone), alone, seconds)

    def _blind(self, fraud: Fraud, digest: str, *, alone: bool) -> bool:
        """Whether an outsider finds nothing who has only the bundle. Earlier heads add one check to the others, the chain changes some."""
        if fraud.eyes == "head":
            return alone
        if fraud.eyes == "chain" and digest not in self._plain:
            self._plain[digest] = verify(self.shelf.path, jobs=1).exit != FOUND
        return fraud.eyes == "chain" and self._plain[digest]

    def look(self, draft: Draft, fraud: Fraud) -> Report:
        """As an outsider does who has what shows the fraud."""
        match fraud.eyes:
            case "chain":
                return verify(self.shelf.path, told=draft.chain, jobs=1)
            case "head":
                kept = draft.original.heads[-1]
                return verify(self.shelf.path, heads=(Noted(kept.size, kept.root),), jobs=1)
            case _:
                return verify(self.shelf.path, jobs=1)


_bench: Bench
"""Of a process of the pool."""


def _begin(path: Path, told: Facts | None, folder: Path) -> None:
    global _bench  # noqa: PLW0603 - read once for all that the process does
    _bench = Bench(Original(path, told), folder / str(os.getpid()))
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def _slice(name: str, seeds: Sequence[int]) -> list[Tried]:
    fraud = next(it for it in FRAUDS if it.name == name)
    return [_bench.attempt(fraud, seed) for seed in seeds]


def drill(
    path: Path,
    seeds: Iterable[int],
    rpc_url: str | None = None,
    *,
    jobs: int = 1,
    frauds: Sequence[Fraud] = FRAUDS,
    say: Callable[[Row], None] = lambda _: None,
) -> Drilled:
    """Every fraud with every seed. Raises `BadBundle` where the bundle is none, or not an honest one."""
    started, seeds = time.monotonic(), list(seeds)
    told = asked(path, rpc_url) if rpc_url else None
    honest = verify(path, told=told)
    if honest.error or honest.exit == FOUND:
        raise BadBundle(f"{path}: a drill begins with an honest bundle: {honest.error or f'{honest.found} findings'}")
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="gridledger-drill-") as folder,
        ProcessPoolExecutor(jobs, get_context("spawn"), _begin, (path, told, Path(folder))) as pool,
    ):
        slices = {it.name: [pool.submit(_slice, it.name, seeds[at : at + SLICE]) for at in range(0, len(seeds), SLICE)] for it in frauds}
        try:
            for fraud in frauds:
                rows.append(_row(fraud, [tried for each in slices[fraud.name] for tried in each.result()]))
                say(rows[-1])
        finally:
            pool.shutdown(cancel_futures=True)
    tried, caught = sum(it.seeds for it in rows), sum(it.caught for it in rows)
    return Drilled(honest.size, honest.root, tuple(rows), tried, caught, time.monotonic() - started)


def asked(path: Path, rpc_url: str) -> Facts:
    """What a node says to the honest log."""
    original = Original(path)
    try:
        with Node(rpc_url) as node:
            return collect(node, [wire.event(line) for lines in original.lines for line in lines])
    except Silent as reason:
        raise BadBundle(f"{rpc_url}: {reason}") from reason


def _row(fraud: Fraud, all_: Sequence[Tried]) -> Row:
    tried = [it for it in all_ if it.did]
    return Row(
        fraud.name,
        fraud.check,
        fraud.held,
        fraud.eyes,
        len(tried),
        len({(it.did, it.digest) for it in tried}),
        sum(it.seen.caught for it in tried),
        sum(it.seen.blind for it in tried),
        sum(it.seen.alone for it in tried),
        statistics.median(it.seen.seconds for it in tried) * 1000 if tried else 0.0,
        tried[0].did if tried else "",
        tuple([it.seed for it in tried if not it.seen.caught][:MISSED_MAX]),
    )
