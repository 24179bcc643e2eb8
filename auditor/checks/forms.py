"""How blocks and commands are put together (LOG.md §2, §6 and §7): what can be said of the lines without the world that they make."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import get_args

import msgspec

from auditor.reading import Taken
from auditor.report import Findings
from auditor.state import State
from domain.event import Event, Recorded
from domain.house import ledger
from domain.house.ledger import STEERING
from domain.ids import HOUSE
from domain.log.ledger import COMMAND_BYTES_MAX, COMMAND_EVENTS_MAX, FULL_BYTES, misplaced

Events = Sequence[Recorded[Event]]
EXACT_MAX = 2**53 - 1
WHOLE_NUMBER = re.compile(rb"[:,\[](-?[0-9]{16,})(?=[,}\]])")
"""One that may be too large to be exact everywhere; amounts are strings."""
DIGEST = re.compile("[0-9a-f]{32}")
LIST_MAX, RUNS_MAX = 100, 500
COMMANDS_MAX = 500
"""Of others than the house, in a block."""
RUNS = {"wu", "plan"}
"""Fields that are lists of runs."""


class Forms:
    """Follows what is needed of the state: the time, and the keys that were used."""

    def __init__(self, findings: Findings, state: State) -> None:
        self._findings, self._state = findings, state

    def take(self, taken: Taken) -> None:
        events = taken.events
        if events is None:
            return
        self._order(events, taken.block.start)
        self._whole(events)
        self._limits(taken.block.lines, events)
        self._alone(events)
        self._kind(taken, [it.event for it in events])
        for it in events:
            self._key(it)
            self._state.remember(it)

    def _order(self, events: Events, start: int) -> None:
        findings = self._findings
        findings.seen["positions"] += len(events)
        findings.seen["times"] += 1
        at_us, before_us = events[0].at_us, self._state.at_us
        if at_us <= before_us:
            findings.found("times", "time does not rise from block to block", start, expected=f"later than {before_us}", actual=at_us)
        for position, it in enumerate(events, start):
            if it.pos != position:
                findings.found("positions", "positions are not dense", position, expected=position, actual=it.pos)
            if it.at_us != at_us:
                findings.found("times", "a block has one time", position, expected=at_us, actual=it.at_us)
            if it.stream != it.event.stream:
                findings.found("positions", "not the event's stream", position, expected=it.event.stream, actual=it.stream)

    def _whole(self, events: Events) -> None:
        which, count, first = 0, 0, events[0]
        for it in events:
            if which == count:
                which, count, first = 0, it.of[1], it
                self._findings.seen["commands"] += 1
            which += 1
            if it.of != (which, count) or (it.cmd, it.by) != (first.cmd, first.by) or (it.body and which > 1):
                expected = f"event {which} of {count} of {first.cmd} by {first.by}"
                actual = f"event {it.of[0]} of {it.of[1]} of {it.cmd} by {it.by}"
                self._findings.found("commands", "the command is not whole", it.pos, expected=expected, actual=actual)
                return
        if which != count:
            self._findings.found("commands", "the command is not whole", events[-1].pos, expected=f"{count} events", actual=f"{which}")

    def _limits(self, lines: Sequence[bytes], events: Events) -> None:
        """Of a command's events and bytes, of what a block holds when a command begins, of numbers and lists."""
        found, block, command, first = self._findings.found, 0, 0, events[0]
        if (asked := sum(it.of[0] == 1 and it.by != HOUSE for it in events)) > COMMANDS_MAX:
            found("limits", "so many commands in a block", first.pos, expected=f"at most {COMMANDS_MAX}", actual=asked)
        for line, it in zip(lines, events, strict=True):
            self._findings.seen["limits"] += 1
            if it.of[0] == 1:
                command, first = 0, it
                if block >= FULL_BYTES:
                    found("limits", "decided into a block that was full", it.pos, expected=f"less than {FULL_BYTES} bytes", actual=block)
            block, command = block + len(line) + 1, command + len(line) + 1
            if command > COMMAND_BYTES_MAX:
                found("limits", "the command is too long", first.pos, expected=f"{COMMAND_BYTES_MAX} bytes", actual=command)
            if it.of[1] > COMMAND_EVENTS_MAX:
                found("limits", "the command is too long", first.pos, expected=f"{COMMAND_EVENTS_MAX} events", actual=it.of[1])
            for number in WHOLE_NUMBER.findall(line):
                if abs(int(number)) > EXACT_MAX:
                    found("limits", "a number that is not exact everywhere", it.pos, expected=f"±{EXACT_MAX}", actual=number.decode())
            for name, count, most in _long(it.event):
                found("limits", f"{name} is too long a list", it.pos, expected=most, actual=count)

    def _kind(self, taken: Taken, events: Sequence[Event]) -> None:
        """A header says what the events of its block say: that the log is sealed, that it is bound again, or neither."""
        heir = next((it.home for it in events if isinstance(it, ledger.Bound)), "")
        if fault := misplaced(taken.before, taken.block.after, heir, events):
            expected, actual = "the kind of block that its events make", ", ".join(sorted({it.verb() for it in events}))
            self._findings.found("records", f"the record {fault}", taken.block.after.size, expected=expected, actual=actual)

    def _alone(self, events: Events) -> None:
        """The beginning of a log, an election, a seal and a bind are a block each."""
        if events[0].pos == 1:
            count = events[0].of[1]
        elif any(isinstance(it.event, STEERING) for it in events):
            count = 1
        else:
            return
        if len(events) > count:
            self._findings.found("commands", "the command is to be alone in its block", events[0].pos, expected=count, actual=len(events))

    def _key(self, it: Recorded[Event]) -> None:
        """Names of commands are digests; a key is used once for as long as it is valid, and only by people (LOG.md §6)."""
        found, receipts = self._findings.found, self._state.receipts
        if not DIGEST.fullmatch(it.cmd) or (it.body and not DIGEST.fullmatch(it.body)):
            found("commands", "not the digests of a command", it.pos, expected="32 hex digits", actual=f"{it.cmd} {it.body}")
        if not it.body:
            return
        if it.by == HOUSE or it.by.startswith("worker-"):
            found("commands", f"{it.by} needs no key", it.pos, actual=it.body)
        if done := receipts.new.get(it.cmd) or receipts.old.get(it.cmd):
            found("commands", f"this key was used at position {done.position}", it.pos, actual=it.cmd)


def _long(event: Event) -> Iterator[tuple[str, int, int]]:
    """(field, items, how many there may be)."""
    for name in _lists(type(event)):
        most = RUNS_MAX if name in RUNS else LIST_MAX
        if (count := len(getattr(event, name) or ())) > most:
            yield name, count, most


@cache
def _lists(kind: type[Event]) -> tuple[str, ...]:
    """The fields of an event that are lists."""
    fields = msgspec.structs.fields(kind)
    return tuple(it.name for it in fields if any(... in get_args(each) for each in (it.type, *get_args(it.type))))
