"""What an audit comes to: each check by name, what it looked at, and what it found.

A check that could not be made is not passed: without the chain or without the evidence an audit is incomplete, and says so in its exit
code. A finding is stronger than that.
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
FINDINGS_MAX = 1_000
"""So many are kept; the rest is counted."""
TEXT_MAX = 400

CHECKS = {
    "manifest": "the manifest is whole, and says of the log what the log says",
    "files": "every file is listed, and has its size and hash",
    "records": "every record builds on the head before it, and its lines fold to the root that it names",
    "lines": "every line is an event that this version knows, written in its one form",
    "positions": "positions and stream versions are dense",
    "times": "one time per block, rising",
    "commands": "commands are whole, and a key is used once",
    "entries": "every entry balances, and is what its event makes it",
    "balances": "trial balance zero; nobody is owed less than nothing; escrow of closed jobs empty",
    "lifecycles": "nothing happens that its lifecycle forbids",
    "authority": "every command could be given by whom it came from, then",
    "house": "the house did what was due, in order, no earlier, and left nothing out",
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


OF_LINES = ("records", "lines", "positions", "times", "commands", "entries", "balances", "evidence")
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


class Check(Value):
    name: str
    shows: str
    status: Literal["passed", "failed", "skipped"]
    seen: int
    """How many things it looked at."""
    note: str = ""


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

    def json(self) -> bytes:
        return msgspec.json.encode(self)

    def text(self) -> str:
        """For people: one line per check, then the findings."""
        if self.error:
            return f"bad input: {self.error}\n"
        marks = {"passed": "ok     ", "failed": "FAILED ", "skipped": "skipped"}
        lines = [f"log {self.log}  size {self.size}  root {self.root}"]
        lines += [f"{marks[it.status]}  {it.name:<14} {it.seen:>9}  {it.note or it.shows}" for it in self.checks]
        lines += [_line(it) for it in self.findings]
        if self.found > len(self.findings):
            lines.append(f"and {self.found - len(self.findings)} more findings")
        lines += [f"note: {note}" for note in self.notes]
        lines.append(("clean", f"{self.found} findings", "incomplete: a skipped check is not a pass", "bad input")[self.exit])
        return "\n".join(lines) + "\n"


def _line(it: Finding) -> str:
    where = [f"position {it.position}"] if it.position else []
    where += [f"{it.file} record {it.record} byte {it.offset}" if it.record else it.file] if it.file else []
    facts = f": expected {it.expected or 'nothing'}, actual {it.actual or 'nothing'}" if it.expected or it.actual else ""
    return f"finding: {it.check}: {', '.join(where) or 'bundle'}: {it.message}{facts}"


def bad_input(error: str) -> Report:
    return Report(BAD_INPUT, "", 0, "", 0, {}, (), (), 0, error=error)


class Findings:
    """What the checks write down as they go."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.skipped: dict[str, str] = {}
        self.failed: dict[str, int] = {}
        self.kept: list[Finding] = []
        self.notes: list[str] = []
        self._known: set[tuple[str, int, str]] = set()

    def found(
        self, check: str, message: str, position: int = 0, *, expected: object = "", actual: object = "", at: "Place | None" = None
    ) -> None:
        """Something is wrong. Said twice of one event and check by two ways of checking, it counts once."""
        place = at or Place()
        key = check, position, f"{place.file} {place.offset} {message if not position else ''}"
        if key in self._known:
            return
        self._known.add(key)
        self.failed[check] = self.failed.get(check, 0) + 1
        if len(self.kept) < FINDINGS_MAX:
            texts = _short(expected), _short(actual)
            self.kept.append(Finding(check, message, position, *texts, place.file, place.record, place.offset))

    def missing(self, check: str, why: str) -> None:
        """The check, or a part of it, could not be made."""
        self.skipped.setdefault(check, why)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def report(self, log: str, size: int, root: str, records: int, void: dict[str, int]) -> Report:
        checks = tuple(self._check(name, shows) for name, shows in CHECKS.items())
        found = sum(self.failed.values())
        exit_: Exit = FOUND if found else INCOMPLETE if self.skipped else CLEAN
        ordered = sorted(self.kept, key=lambda it: it.position)
        return Report(exit_, log, size, root, records, void, checks, tuple(ordered), found, tuple(self.notes))

    def _check(self, name: str, shows: str) -> Check:
        if count := self.failed.get(name):
            return Check(name, shows, "failed", self.seen[name], f"{count} findings" if count > 1 else "1 finding")
        if name in self.skipped:
            return Check(name, shows, "skipped", self.seen[name], self.skipped[name])
        return Check(name, shows, "passed", self.seen[name])


class Place(Value):
    """Where in the bundle."""

    file: str = ""
    record: int = 0
    offset: int = -1


def _short(value: object) -> str:
    if isinstance(value, str):
        text = value
    elif isinstance(value, int):
        text = str(int(value))
    else:
        text = msgspec.json.encode(value, enc_hook=str).decode()
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}… ({len(text)} characters)"
