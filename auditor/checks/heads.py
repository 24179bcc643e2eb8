"""The log's own heads at earlier sizes: what the chain holds of them, and what auditors noted.

To keep all is too much: some are marked, and the log is read again from the mark before the one that is asked for.
"""

from collections import deque
from collections.abc import Sequence

from auditor.bundle import Bundle
from auditor.reading import Taken
from auditor.report import Findings, Place
from domain.log.block import Broken, Diverged, Void, accept
from domain.log.merkle import Head
from domain.value import Value

MARKS_MAX, APART = 1_000, 1_000
"""So many marks, and at first so many events between two; the longer the log, the further apart."""
RECENT_MAX = 256


class Noted(Value):
    """A head that an auditor wrote down."""

    size: int
    root: str


class Heads:
    def __init__(self, bundle: Bundle, findings: Findings, noted: Sequence[Noted] = ()) -> None:
        self._bundle, self._findings = bundle, findings
        self._noted = sorted(noted, key=lambda it: it.size)
        if not noted:
            findings.remarks["heads"] = "no earlier head was given"
        self._marks: list[tuple[Head, Place]] = []
        """A head, and the record after it."""
        self._apart = APART
        """Events between two marks, at least."""
        self._recent = deque[tuple[int, str]](maxlen=RECENT_MAX)
        self._size = 0

    def take(self, taken: Taken) -> None:
        """The next block."""
        before, after = taken.before, taken.block.after
        if not self._marks or before.size - self._marks[-1][0].size >= self._apart:
            self._marks.append((before, taken.place))
        if len(self._marks) > MARKS_MAX:
            self._marks, self._apart = self._marks[::2], 2 * self._apart
        self._recent.append((after.size, taken.root))
        self._size = after.size
        while self._noted and self._noted[0].size <= after.size:
            it = self._noted.pop(0)
            self._compare(it, before.extend(taken.block.lines[: max(0, it.size - before.size)]).root)

    def finish(self, *, whole: bool) -> None:
        """The rest of the noted heads is beyond the log."""
        for it in self._noted:
            if whole:
                self._findings.seen["heads"] += 1
                message = f"the log is shorter than when it had {it.size} events: it was cut"
                self._findings.found("heads", message, it.size, expected=f"{it.size}:{it.root}", actual=f"{self._size} events")
            else:
                self._findings.missing("heads", f"the log could not be read up to size {it.size}")

    def _compare(self, it: Noted, root: str) -> None:
        self._findings.seen["heads"] += 1
        if root != it.root:
            message = "the log had another root at this size when it was noted: its past was changed"
            self._findings.found("heads", message, it.size, expected=f"{it.size}:{it.root}", actual=f"{it.size}:{root}")

    def root(self, size: int) -> str | None:
        """At a size that was passed; None if the log was never of that size, or cannot be read any more."""
        if not 0 < size <= self._size:
            return None
        recent = next((root for each, root in self._recent if each == size), None)
        return recent or self._again(size)

    def _again(self, size: int) -> str | None:
        head, place = next(mark for mark in reversed(self._marks) if mark[0].size < size)
        for record in self._bundle.records(place):
            try:
                block = accept(head, record.data)
            except Void:
                continue
            except (Broken, Diverged):
                return None
            if block.after.size >= size:
                return head.extend(block.lines[: size - head.size]).root
            head = block.after
        return None
