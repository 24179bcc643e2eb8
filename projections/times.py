"""A position asked for by a time: the last one whose event is not later."""

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from msgspec import UNSET

from projections.explorer.events import Line
from projections.views import Views

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIME = "[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
"""ISO 8601, UTC where it names no zone; a day alone is its begin."""


class Moment(NamedTuple):
    position: int
    settled: bool
    """Whether a later event is known: without one, more may come at or before that time."""


def time_us(text: str) -> int:
    """Of a `TIME`, in microseconds since 1970. Raises `ValueError`."""
    if not re.fullmatch(TIME, text):
        raise ValueError(text)
    time = datetime.fromisoformat(text)
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - EPOCH) // timedelta(microseconds=1)


async def at(views: Views, size: int, at_us: int) -> Moment:
    """Among the first `size` events. Times never fall along the log, so it is found by halving."""
    low, high, settled = 0, size, False
    while low < high:
        middle = (low + high + 1) // 2
        row = (await views.get(Line, middle)).row
        if row is not None and row.at_us is not UNSET and row.at_us <= at_us:
            low = middle
        else:
            high, settled = middle - 1, row is not None
    return Moment(low, settled)
