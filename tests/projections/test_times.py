"""A time means the last position whose event is not later."""

import pytest

from domain.policy import DAY
from projections import times
from projections.explorer.events import Events
from projections.times import Moment
from tests.network import life
from tests.projections.lives import folded


async def test_each_time_is_the_last_position_that_is_not_later() -> None:
    it = life(signs=False)
    views, size = await folded(it.records, Events()), len(it.events)
    known = {each.at_us for each in it.events}
    for at_us in sorted({at_us + shift for at_us in known for shift in (-1, 0, 1)}):
        expected = max((each.pos for each in it.events if each.at_us <= at_us), default=0)
        assert await times.at(views, size, at_us) == Moment(expected, settled=at_us < max(known))
    assert await times.at(views, 0, max(known)) == Moment(0, settled=False)


async def test_a_view_that_is_behind_settles_nothing() -> None:
    it = life(signs=False)
    views = await folded(it.records[:30], Events())
    found = await times.at(views, len(it.events), it.events[-1].at_us)

    assert found.position < len(it.events)
    assert not found.settled


@pytest.mark.parametrize(
    ("text", "at_us"),
    [
        ("1970-01-01", 0),
        ("1970-01-02T00:00Z", DAY),
        ("2027-01-15T08:00:00.000001", 1_800_000_000_000_001),
        ("2027-01-15 08:00:00.1Z", 1_800_000_000_100_000),
        ("2027-01-15T10:00:00+02:00", 1_800_000_000_000_000),
        ("2255-06-05T23:47:34.740993Z", 9_007_199_254_740_993),
    ],
)
def test_times_are_read_to_the_microsecond(text: str, at_us: int) -> None:
    assert times.time_us(text) == at_us


@pytest.mark.parametrize(
    "text", ["", "now", "2027", "2027-W02-1", "20270115", "2027-13-01", "2027-01-15T25:00", "2027-01-15T08", "٢٠٢٧-01-15"]
)
def test_what_is_no_time_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        times.time_us(text)
