"""Attempts over time, a lane for each worker: who did what when, and what was said of it."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from msgspec import structs

from domain.ids import order
from domain.units import Units
from domain.value import Value
from explorer import states
from explorer.drawing import charts
from projections.explorer.tasks import Attempt
from projections.explorer.workers import Standing

LANES_MAX = 24
WIDTH_MIN, NAME_MIN, EDGE = 0.4, 3.2, 97
"""In percent: of a bar; from a verdict to the next one, if the former's number is to stand between them; from where on it stands on the
other side of its glyph."""


class Bar(Value):
    attempt: Attempt
    piece: int
    state: str
    x: float
    width: float
    verdict_x: float | None
    """Where it was accepted or rejected, if that was after its proof."""
    named: bool
    """Whether there is room for its number beside the verdict."""

    @property
    def turned(self) -> bool:
        """Whether the number stands before the verdict, which is too near to the end."""
        return self.verdict_x is not None and self.verdict_x >= EDGE


class Off(Value):
    """A stretch in which the worker gets nothing, up to the end of the lane."""

    x: float
    width: float
    word: str


class Away(NamedTuple):
    """Why a worker gets nothing, and since when."""

    since_us: int
    word: str


class Lane(Value):
    worker: str
    bid: Units | None
    accepted: int
    rejected: int
    bars: list[Bar]
    off: Off | None
    expires_x: float | None
    """Where the lease that it holds comes to its end."""


class Lanes(Value):
    span: charts.Span
    now_x: float | None
    lanes: list[Lane]
    others: int
    """Workers that have no lane: there are too many."""


GOOD, WRONG = {"accepted", "auditing", "committed", "leased"}, {"rejected", "overdue"}
"""Looks."""
Standings = Mapping[tuple[str, str], Standing]


def draw(
    attempts: Sequence[Attempt], standings: Standings, now_us: int, *, live: bool, away: Mapping[str, Away] | None = None
) -> Lanes | None:
    """None: nobody has worked yet."""
    if not attempts:
        return None
    names = workers(attempts)
    others = len({each.worker for each in attempts}) - len(names)
    attempts = [each for each in attempts if each.worker in names]
    ends = [end(each, now_us) for each in attempts]
    verdicts = [each.ended_us or 0 for each in attempts if each.ended_us]
    starts = [each.leased_us or 0 for each in attempts]
    soon = now_us + (now_us - min(starts)) // 2
    expiries = [each.expires_us for each in attempts if live and each.status == "leased" and now_us < (each.expires_us or 0) <= soon]
    span = charts.span([*starts, *ends, *verdicts, *([now_us] if live else []), *(int(each or 0) for each in expiries)])
    drawn = [lane(who, attempts, standings, span, now_us, (away or {}).get(who)) for who in names]
    return Lanes(span, span.x(now_us) if live else None, drawn, others)


def workers(attempts: Sequence[Attempt]) -> list[str]:
    """Those who have a lane: if there are too many, whose work came to nothing goes first, then who did most."""
    done, wrong = (Counter(str(each.worker) for each in attempts if states.look(each.status) in looks) for looks in (GOOD, WRONG))
    every = sorted({str(each.worker) for each in attempts}, key=order)
    first = sorted(every, key=lambda who: (-wrong[who], -done[who]))[:LANES_MAX]
    return [who for who in every if who in set(first)]


def lane(worker: str, attempts: Sequence[Attempt], standings: Standings, span: charts.Span, now_us: int, away: Away | None = None) -> Lane:
    its = [each for each in attempts if each.worker == worker]
    standing = standings.get((worker, str(its[0].cls)))
    bars = named([bar(each, span, now_us, standing) for each in reversed(its)])
    accepted = sum(each.state in {"accepted", "matured"} for each in bars)
    rejected = sum(each.state == "rejected" for each in bars)
    bid = (standing.price_per_kwu or None) if standing else None
    expiries = [int(each.expires_us or 0) for each in its if each.status == "leased" and now_us < (each.expires_us or 0) < span.end_us]
    return Lane(worker, bid, accepted, rejected, bars, off(away, span), span.x(expiries[0]) if expiries else None)


def off(away: Away | None, span: charts.Span) -> Off | None:
    """None: it is there, or went after what is drawn."""
    if away is None or away.since_us >= span.end_us:
        return None
    x = span.x(away.since_us)
    return Off(x, round(100 - x, 3), away.word)


def bar(attempt: Attempt, span: charts.Span, now_us: int, standing: Standing | None) -> Bar:
    score = (standing.score or 0) if standing else 0
    expected_us = (attempt.wu_milli or 0) * 1_000_000 // score if score else 0
    start = span.x(attempt.leased_us or 0)
    stop = span.x(end(attempt, now_us))
    decided = attempt.ended_us if attempt.committed_us and attempt.ended_us else None
    state = states.of_attempt(attempt, now_us, expected_us)
    return Bar(
        attempt,
        order(attempt.task)[1],
        state,
        start,
        round(max(stop - start - 0.12, WIDTH_MIN), 3),
        span.x(decided) if decided else None,
        False,
    )


def named(bars: Sequence[Bar]) -> list[Bar]:
    """With the numbers of those verdicts that have room for it: before the next one, and at the very end behind the one before."""
    places = sorted(each.verdict_x for each in bars if each.verdict_x is not None)
    free = {x for x, after in pairwise([*places, math.inf]) if after - x >= NAME_MIN}
    if len(places) > 1 and places[-1] >= EDGE and places[-1] - places[-2] < 2 * NAME_MIN:
        free.discard(places[-1])
    return [structs.replace(each, named=each.verdict_x in free) for each in bars]


def end(attempt: Attempt, now_us: int) -> int:
    """When the worker was done with it, one way or the other."""
    return int(attempt.committed_us or attempt.ended_us or max(now_us, attempt.leased_us or 0))
