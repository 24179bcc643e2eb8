"""What an audit comes to: each check by name, what it looked at, and what it found.

A check that could not be made is not passed: without the chain or without the evidence an audit is incomplete, and says so in its exit
code. A finding is stronger than that.

The JSON form is `Report` as it stands here, member by member; members may be added, none changes its meaning. `checks` are all of
`CHECKS` in that order. `findings` are by position, at most a hundred of each check; `found` of a check, and of the report, is how many
there are. `head` is what an auditor writes down, to hold a later copy of the log against it (`verify --head`).
"""

from collections import Counter
from typing import Literal

import msgspec

from domain.value import Value

Exit = Literal[0, 1, 2, 3]
CLEAN: Exit = 0
FOUND: Exit = 1
INCOMPLETE: Exit = 2
BAD_INPUT: Exit = 3
KEPT_MAX = 100
"""Findings of a check that are kept; the rest is counted. Likewise notes."""
TEXT_MAX = 400

CHECKS = {
    "manifest": "the manifest is whole, and says of the log what the log says",
    "files": "every file is listed, and has its size and hash",
    "heads": "the log goes on from every head that was noted earlier",
    "records": "every record builds on the head before it, and its lines fold to the root that it names",
    "lines": "every line is an event that this version knows, written in its one form",
    "positions": "positions and stream versions are dense",
    "times": "one time per block, rising",
    "commands": "commands are whole and named by rule, and a key is used once",
    "limits": "lines, commands, blocks and lists are within their limits, and numbers exact",
    "entries": "every entry balances, and is what its event makes it",
    "balances": "trial balance zero; nobody is owed less than nothing; escrow of closed jobs empty",
    "invariants": "what must hold of the world does, from time to time and at the end",
    "lifecycles": "nothing happens that its lifecycle forbids",
    "authority": "every command could be given by whom it came from, then",
    "house": "the house did what was due, in order, no earlier, and left nothing out",
    "freezes": "money is stopped and let go by whom it may be, and stands still meanwhile",
    "signatures": "every signature is by a key registered for that purpose then, and used once",
    "matching": "every lease is the one that bids and tasks lead to, at its price",
    "quotes": "quotes follow from the engine's rate and the creator's limit",
    "beacons": "a beacon seals the head that the log had at its grid time",
    "lottery": "every u and p recomputed",
    "regions": "the drawn regions recomputed",
    "checkers": "the drawn checkers recomputed",
    "seals": "every reveal opens its seal, and its verdict follows from its metrics",
    "tallies": "results follow from verdicts",
    "shares": "the shares of a price",
    "slashes": "what a conviction costs, and from what it is taken",
    "scores": "bench seeds, times and scores",
    "maturity": "shares mature in time, for what is left of them",
    "pool": "the checkers' pool is shared out by claims",
    "jobs": "jobs end, pay back and leave by rule",
    "batches": "the signed bytes of a batch pay what the ledger says",
    "evidence": "the comparator's numbers recomputed from the regions",
    "beacon blocks": "a beacon's block is the first at or after grid + delay",
    "deposits": "every deposit is in the chain's logs, and every log in the ledger",
    "payouts": "every payout is in the chain's logs, and every log in the ledger; gas as charged",
    "treasury": "the treasury's balance on chain is the ledger's",
    "anchors": "every anchored root is the log's own at that size",
    "receipts": "the chain facts that came with the bundle are the chain's",
}
"""Every check, and what it shows."""

OF_CHAIN = ("beacon blocks", "deposits", "payouts", "treasury", "anchors", "receipts")
"""Checks that ask the chain."""

OF_LINES = ("records", "lines", "times", "commands", "limits", "entries", "balances", "evidence")
"""Checks that need nothing but the events as they stand; the others follow what happened."""


class Finding(Value, omit_defaults=True):
    """Something is not as it should be."""

    check: str
    message: str
    position: int = 0
    """Of the event; zero if it is about no single one."""
    expected: str = ""
    actual: str = ""
    file: str = ""
    record: int = 0
    """Number of the record in the log, from 1."""
    offset: int = -1
    """Of the record's or line's first byte in the file."""
    look: str = ""
    """How to look at it again: a command, to be given in the bundle's folder."""


class Check(Value):
    name: str
    shows: str
    status: Literal["passed", "failed", "skipped"]
    seen: int
    """How many things it looked at."""
    note: str = ""
    found: int = 0


class Report(Value):
    """An audit's result. `exit` is the process's exit code."""

    exit: Exit
    log: str
    size: int
    root: str
    records: int
    void: dict[str, int]
    """Records that do not count, by why."""
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    found: int
    """How many findings there are; more than are listed if there are very many."""
    notes: tuple[str, ...] = ()
    error: str = ""
    """Why there was nothing to audit (exit 3)."""
    head: str = ""
    """`SIZE:ROOT`, as far as the log could be read."""

    def json(self) -> bytes:
        return msgspec.json.encode(self)

    def text(self) -> str:
        """For people: one line per check, then the findings."""
        if self.error:
            return f"bad input: {self.error}\n"
        marks = {"passed": "ok     ", "failed": "FAILED ", "skipped": "skipped"}
        lines = [f"log {self.log}  size {self.size}  root {self.root}"]
        lines += [f"{marks[it.status]}  {it.name:<14} {it.seen:>9}  {it.note or it.shows}" for it in self.checks]
        for it in self.findings:
            lines += [f"finding: {it.check}: {where(it)}: {it.message}{facts(it)}", *([f"         {it.look}"] if it.look else [])]
        lines += self._more()
        lines += [f"note: {note}" for note in self.notes]
        if not self.found:
            lines.append(f"to note for the next time: --head {self.head}")
        lines.append(self.verdict)
        return "\n".join(lines) + "\n"

    def markdown(self) -> str:
        """For a file that is kept."""
        if self.error:
            return f"# Audit\n\nBad input: {self.error}\n"
        lines = [
            "# Audit",
            "",
            f"Log `{self.log}`, {self.size} events in {self.records} records, root `{self.root}`: **{self.verdict}**.",
            "",
        ]
        lines += ["| check | status | looked at | found | what it shows |", "|---|---|--:|--:|---|"]
        lines += [f"| {it.name} | {it.status} | {it.seen} | {it.found} | {it.note or it.shows} |" for it in self.checks]
        lines += ["", "## Findings", ""] if self.findings else []
        for it in self.findings:
            lines += [f"* **{it.check}**, {where(it)}: {_cell(it.message + facts(it))}", *([f"  `{it.look}`"] if it.look else [])]
        lines += ["", *(f"* {line}" for line in (*self._more(), *self.notes))]
        return "\n".join([*lines, "", *([] if self.found else [f"To note for the next time: `--head {self.head}`", ""])])

    @property
    def verdict(self) -> str:
        return ("clean", f"{self.found} findings", "incomplete: a skipped check is not a pass", "bad input")[self.exit]

    def _more(self) -> list[str]:
        return [f"and {it.found - KEPT_MAX} more findings of {it.name}" for it in self.checks if it.found > KEPT_MAX]


def where(it: Finding) -> str:
    parts = [f"position {it.position}"] if it.position else []
    parts += [f"{it.file} record {it.record} byte {it.offset}" if it.record else it.file] if it.file else []
    return ", ".join(parts) or "bundle"


def facts(it: Finding) -> str:
    return f": expected {it.expected or 'nothing'}, actual {it.actual or 'nothing'}" if it.expected or it.actual else ""


def _cell(text: str) -> str:
    """Without what Markdown would take for its own."""
    return "".join(f"\\{each}" if each in "\\`*_[]<>|#" else each for each in text)


def bad_input(error: str) -> Report:
    return Report(BAD_INPUT, "", 0, "", 0, {}, (), (), 0, error=error)


class Place(Value):
    """Where in the bundle."""

    file: str = ""
    record: int = 0
    offset: int = -1


NOWHERE = Place()


class Findings:
    """What the checks write down as they go. However much there is to write, it stays small."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.skipped: dict[str, str] = {}
        self.failed: Counter[str] = Counter()
        self.kept: list[Finding] = []
        self.notes: list[str] = []
        self.remarks: dict[str, str] = {}
        """What is to be said of a check that passed."""
        self._listed: Counter[str] = Counter()
        self._known: set[tuple[str, int, str]] = set()
        self._place, self._record, self._start = NOWHERE, b"", 0

    def begin(self, place: Place, record: bytes, start: int) -> None:
        """Of what follows, the most is about this record, whose first event is at `start`."""
        self._known.clear()
        self._place, self._record, self._start = place, record, start

    def found(
        self,
        check: str,
        message: str,
        position: int = 0,
        *,
        expected: object = "",
        actual: object = "",
        about: str = "",
        at: Place | None = None,
    ) -> None:
        """Something is wrong. Said twice of one event and check by two ways of checking, it counts once; `about` says what else it is
        about than the event."""
        key = check, position, f"{about} {at or ''} {'' if position else message}"
        if key in self._known:
            return
        self._known.add(key)
        self.failed[check] += 1
        if self._listed[check] < KEPT_MAX:
            place = at or self._line(position)
            texts = _short(expected), _short(actual)
            self._keep(Finding(check, message, position, *texts, place.file, place.record, place.offset, _look(place, position)))

    def _keep(self, it: Finding) -> None:
        self._listed[it.check] += 1
        self.kept.append(it)

    def _line(self, position: int) -> Place:
        """Where the event's line is, if it is in this record."""
        lines = self._record.split(b"\n") if position >= self._start > 0 else []
        at = position - self._start + 1
        if at >= len(lines) - 1:
            return NOWHERE
        return Place(self._place.file, self._place.record, self._place.offset + sum(len(line) + 1 for line in lines[:at]))

    def missing(self, check: str, why: str) -> None:
        """The check, or a part of it, could not be made."""
        self.skipped.setdefault(check, why)

    def note(self, text: str) -> None:
        if text not in self.notes and len(self.notes) < KEPT_MAX:
            self.notes.append(text)

    def add(self, later: "Findings") -> None:
        """What was found in what follows, by somebody else."""
        self.seen.update(later.seen)
        self.failed.update(later.failed)
        for check, why in later.skipped.items():
            self.missing(check, why)
        for it in later.kept:
            if self._listed[it.check] < KEPT_MAX:
                self._keep(it)
        for text in later.notes:
            self.note(text)
        self.remarks.update(later.remarks)

    def report(self, log: str, size: int, root: str, records: int, void: dict[str, int]) -> Report:
        checks = tuple(self._check(name, shows) for name, shows in CHECKS.items())
        found = sum(self.failed.values())
        exit_: Exit = FOUND if found else INCOMPLETE if self.skipped else CLEAN
        ordered = tuple(sorted(self.kept, key=lambda it: it.position))
        return Report(exit_, log, size, root, records, void, checks, ordered, found, tuple(self.notes), head=f"{size}:{root}")

    def _check(self, name: str, shows: str) -> Check:
        if count := self.failed[name]:
            return Check(name, shows, "failed", self.seen[name], f"{count} findings" if count > 1 else "1 finding", count)
        if name in self.skipped:
            return Check(name, shows, "skipped", self.seen[name], self.skipped[name])
        return Check(name, shows, "passed", self.seen[name], self.remarks.get(name, ""))


def _look(place: Place, position: int) -> str:
    if place.offset >= 0:
        return f"tail -c +{place.offset + 1} {place.file} | head -n 1"
    return f"gridledger explain {position} --bundle ." if position else ""


def _short(value: object) -> str:
    if isinstance(value, str):
        text = value
    elif isinstance(value, int):
        text = str(int(value))
    else:
        text = msgspec.json.encode(value, enc_hook=str).decode()
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}… ({len(text)} characters)"
