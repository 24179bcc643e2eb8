"""A log in ranges, each verified by itself from what is known where it begins.

To know that costs little: to fold is all that the checks do, but for the checks. So one process folds and hands out ranges, and as many
others as there are cores verify them. A range has to end where the next one begins, byte for byte: then what they find is what one
process finds that goes through all of it. Where that is not so, or somebody gets lost, one of them goes on alone to the end.
"""

import gc
import os
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

from msgspec import Struct

from auditor.bundle import Bundle
from auditor.checks.decisions import Decisions
from auditor.checks.evidence import Evidence
from auditor.checks.forms import Forms
from auditor.checks.money import Books
from auditor.reading import Reader, Taken, log_of
from auditor.report import Findings, Place
from auditor.state import State, digest
from domain.log.merkle import Head

RANGE_EVENTS = 10_000
SMALL_BYTES = 12 << 20
"""Of a log for which processes are not worth their start."""

Watch = Callable[[Taken], None]
Progress = Callable[[int], None]
"""Called with the number of events that are verified."""


class Outcome(Struct):
    """Of one range, or of several that follow each other."""

    findings: Findings
    void: Counter[str]
    records: int
    head: Head
    whole: bool
    """Every record was read; likewise every line understood, and every decision followed."""
    understood: bool
    followed: bool
    end: str
    """Digest of the state after it."""

    def add(self, later: "Outcome") -> None:
        self.findings.add(later.findings)
        self.void.update(later.void)
        self.records += later.records
        self.head, self.end = later.head, later.end
        self.whole, self.understood, self.followed = later.whole, later.understood, later.followed


class Range(Struct):
    """From a record on, to another one that is not part of it any more; zero: to the end of the log."""

    begins: bytes
    """The state, frozen."""
    since: Place | None
    until: int = 0
    ends: str = ""
    """Digest of the state in which the next range begins."""


def audit(bundle: Bundle, state: State, since: Place | None, until: int, watch: Watch = lambda _: None) -> Outcome:
    """All checks that need the bundle alone, on a range that begins in `state`, which goes on with it. `watch` sees its blocks first."""
    findings = Findings()
    reader = Reader(bundle, findings, state.head, since, until)
    forms, decisions = Forms(findings, state), Decisions(findings, state)
    books, evidence = Books(findings, state.world.balances), Evidence(bundle, findings, state.regions)
    for taken in reader.blocks():
        watch(taken)
        forms.take(taken)
        decisions.take(taken)
        for recorded in taken.events or ():
            books.take(recorded)
            evidence.take(recorded)
    if not until:
        books.finish()
        decisions.finish()
    end = digest(state.freeze()) if until else ""
    return Outcome(findings, reader.void, reader.records, reader.head, reader.whole, reader.understood, not decisions.lost, end)


def alone(bundle: Bundle, watch: Watch, progress: Progress) -> Outcome:
    """The whole log, in this process."""

    def see(taken: Taken) -> None:
        watch(taken)
        progress(taken.before.size)

    return audit(bundle, State(Head(log_of(bundle))), None, 0, see)


def together(bundle: Bundle, jobs: int, watch: Watch, progress: Progress) -> Outcome:
    """The whole log, by so many processes besides this one."""
    state = State(Head(log_of(bundle)))
    reader, begun, folds = Reader(bundle, Findings(), state.head), 0, True
    with workers(jobs) as pool:
        line = Line(pool, bundle.path, jobs, progress)
        at = Range(state.freeze(), None)
        for taken in reader.blocks():
            watch(taken)
            if not folds:
                continue
            if taken.before.size - begun >= RANGE_EVENTS:
                frozen, begun = state.freeze(), taken.before.size
                line.give(Range(at.begins, at.since, taken.place.record, digest(frozen)))
                at = Range(frozen, taken.place)
            folds = _fold(state, taken)
        line.give(at)
        return line.end()


def _fold(state: State, taken: Taken) -> bool:
    """Whether a world can follow: if not, whoever verifies this range says why."""
    if taken.events is None:
        return False
    try:
        state.fold(taken)
    except Exception:
        return False
    return True


class Line:
    """Ranges on their way through the workers, and what comes out, in order."""

    def __init__(self, pool: Executor, path: Path, jobs: int, progress: Progress) -> None:
        self._pool, self._path, self._progress, self._waiting_max = pool, path, progress, jobs + 2
        self._waiting = deque[tuple[Range, Future[Outcome]]]()
        self._all: Outcome | None = None
        self._done = False

    def give(self, range_: Range) -> None:
        """Waits while there are enough on their way."""
        if not self._done:
            self._waiting.append((range_, self._submit(range_)))
        while len(self._waiting) > self._waiting_max:
            self._take()

    def end(self) -> Outcome:
        while self._waiting:
            self._take()
        assert self._all
        return self._all

    def _submit(self, range_: Range) -> "Future[Outcome]":
        return self._pool.submit(work, self._path, range_.begins, range_.since, range_.until)

    def _take(self) -> None:
        range_, future = self._waiting.popleft()
        outcome = future.result()
        if range_.until and not (outcome.whole and outcome.understood and outcome.followed and outcome.end == range_.ends):
            self._done = True
            for _, other in self._waiting:
                other.cancel()
            self._waiting.clear()
            outcome = self._submit(Range(range_.begins, range_.since)).result()
        if self._all is None:
            self._all = outcome
        else:
            self._all.add(outcome)
        self._progress(self._all.head.size)


def workers(jobs: int) -> AbstractContextManager[Executor]:
    """Fresh interpreters: nothing of this process is theirs but how often Python's collector looks for cycles."""
    return ProcessPoolExecutor(jobs, get_context("spawn"), initializer=gc.set_threshold, initargs=gc.get_threshold())


@lru_cache(1)
def _opened(path: Path) -> Bundle:
    return Bundle(path)


def work(path: Path, frozen: bytes, since: Place | None, until: int) -> Outcome:
    """In another process."""
    return audit(_opened(path), State.thaw(frozen), since, until)


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def verify(bundle: Bundle, jobs: int | None, watch: Watch, progress: Progress) -> Outcome:
    """With `jobs` processes at most, by default as many as there are cores; a small log is verified by this one."""
    count = cores() if jobs is None else jobs
    if count < 2 or bundle.log_bytes < SMALL_BYTES:
        return alone(bundle, watch, progress)
    return together(bundle, count, watch, progress)
