"""Events in their place, made of what matters to a test."""

from typing import Any, TypeVar

import msgspec

from domain.event import Event, Recorded
from domain.ids import HOUSE, CommandId

E = TypeVar("E", bound=Event)


def event(kind: type[E], **known: Any) -> E:
    """The event with these fields; what is not named is nothing."""
    others: dict[str, Any] = {field.name: 0 for field in msgspec.structs.fields(kind) if field.required}
    return kind(**(others | known))


def recorded(made: Event, pos: int = 9, at_us: int = 7) -> Recorded[Any]:
    return Recorded(pos, made.stream, 1, at_us, CommandId(""), (1, 1), HOUSE, made)
