"""What a fraud is: what is done to a log, where it is to be found, by which check, and what a verifier needs besides the bundle to find
it."""

from collections.abc import Callable
from random import Random
from typing import Literal, NamedTuple

from auditor.drill.desk import Draft, Line
from auditor.report import Report

Eyes = Literal["", "chain", "head"]
"""What shows a fraud that the log alone does not show: the chain, or a head of the log that somebody kept."""


class Mark(NamedTuple):
    """What was done, and where it is to be found."""

    did: str
    line: Line | None = None
    """The finding is at this event; none: it is about no single one."""
    check: str = ""
    """Which check finds it, where the fraud has several ways; else the fraud's own."""
    last: Line | None = None
    """Or at any event up to this one."""
    withheld: bool = False
    """Nothing is false, something is missing: the check says that it could not be made."""


class Fraud(NamedTuple):
    name: str
    check: str
    """Which check is to find it."""
    commit: Callable[[Draft, Random], Mark]
    """Changes the draft, at a place and in a way that the seed chooses. Raises `NoPlace`."""
    eyes: Eyes = ""
    held: str = "the log"
    """What the forger is assumed to hold."""


def catches(report: Report, mark: Mark, check: str) -> bool:
    """Whether the check that should find it did, where it is."""
    name = mark.check or check
    if mark.withheld:
        return report.exit != 0 and any((it.name, it.status) == (name, "skipped") for it in report.checks)
    first = mark.line["pos"] if mark.line else 0
    last = mark.last["pos"] if mark.last else first
    return any(it.check == name and (not mark.line or first <= it.position <= last) for it in report.findings)
