"""The journal and its statements: every line of every entry, in order, and again by whose account it is on."""

from collections.abc import Iterator
from typing import ClassVar

from msgspec import UNSET

from domain.event import Event, Recorded
from domain.units import ZERO, Units
from projections.finance.balances import parts
from projections.row import Change, First, Index, Key, Projection, Row, Sum


class JournalLine(Row):
    """One line of an event's entry."""

    table: ClassVar[str] = "journal_line"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("account",)), Index(("stream",)), Index(("event",)))
    position: Key[int]
    line: Key[int]
    """Within the entry, from 1."""
    at_us: First[int] = UNSET
    event: First[str] = UNSET
    """What happened, e.g. `task.accepted`."""
    stream: First[str] = UNSET
    by: First[str] = UNSET
    account: First[str] = UNSET
    amount: Sum[Units] = ZERO
    """A debit is positive, a credit negative."""


class Journal(Projection):
    name = "journal"
    rows = (JournalLine,)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        for number, (account, amount) in enumerate(e.entry, 1):
            yield JournalLine(e.pos, number, e.at_us, e.event.verb(), e.stream, e.by, account, amount)


class StatementLine(Row):
    """One line on an account of an owner: of a person, or of a job, task or payout."""

    table: ClassVar[str] = "statement_line"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("account",), "position"),)
    owner: Key[str]
    position: Key[int]
    line: Key[int]
    at_us: First[int] = UNSET
    event: First[str] = UNSET
    stream: First[str] = UNSET
    account: First[str] = UNSET
    amount: Sum[Units] = ZERO


class Statements(Projection):
    name = "statements"
    rows = (StatementLine,)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        for number, (account, amount) in enumerate(e.entry, 1):
            if owner := parts(account).owner:
                yield StatementLine(owner, e.pos, number, e.at_us, e.event.verb(), e.stream, account, amount)
