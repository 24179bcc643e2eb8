"""Stored names and bytes are for ever: tests/golden/ holds one line of every event version that there ever was."""

from typing import Any

import pytest

from domain.event import Event
from domain.lifecycle import LIFECYCLES, Lifecycle
from domain.log import wire
from tests.golden_lines import GOLDEN, events

LINES = {file.stem: file.read_bytes().rstrip(b"\n") for file in sorted(GOLDEN.glob("*.json"))}


def test_every_event_has_a_golden_line() -> None:
    assert {event.__struct_config__.tag for event in wire.EVENTS} <= LINES.keys()


@pytest.mark.parametrize("name", LINES)
def test_a_golden_line_is_read_and_written_byte_for_byte_and_its_entry_derived_again(name: str) -> None:
    recorded = wire.event(LINES[name])

    assert wire.encode(recorded) == LINES[name]
    assert recorded.event.entry() == recorded.entry, "the posting rule changed under a stored name"
    assert recorded.event.stream == recorded.stream


@pytest.mark.parametrize("event", wire.EVENTS, ids=lambda event: str(event.__struct_config__.tag))
def test_an_event_says_its_stream_its_effect_its_cause_and_what_it_means(event: type[Event]) -> None:
    assert event.apply is not Event.apply
    assert event.stream is not Event.stream
    assert event.who
    assert event.__doc__
    assert event.__doc__ != Event.__doc__


@pytest.mark.parametrize("table", LIFECYCLES, ids=lambda table: str(table.of))
def test_a_lifecycle_speaks_of_events_that_exist(table: Lifecycle[Any]) -> None:
    verbs = {event.verb() for event in wire.EVENTS}

    assert {happens for _, happens, _ in table} <= verbs
    assert len(set(table.rows)) == len(table.rows)


def test_the_lives_of_the_tests_make_every_event_there_is() -> None:
    assert {type(recorded.event) for recorded in events()} == set(wire.EVENTS)
