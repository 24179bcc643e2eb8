"""How two renderings of one tile are compared, and what follows (DOMAIN.md §5.7; thresholds from research/engines.md §1).

Checkers and the auditor use this one function. It is plain Python with sums that do not depend on order, so that whoever holds
both objects finds the same numbers.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from domain.work import tiles

Verdict = Literal["valid", "invalid", "inconclusive"]

VALID_MDB = 60_000
INVALID_MDB = 50_000
DIFFERING_PPM_MAX = 1_000
DIFFERENCE = 0.016
"""A step of the sRGB-encoded value (about 4 of 255) from which a pixel counts as differing."""
_MILLION = 1_000_000


class Metrics(NamedTuple):
    """`equal`: bit for bit. `psnr_mdb`: peak signal to noise in thousandths of a decibel, None where there is no noise at all.
    `differing_ppm`: pixels of a million that differ by more than `DIFFERENCE` in some channel."""

    equal: bool
    psnr_mdb: int | None
    differing_ppm: int


EQUAL = Metrics(True, None, 0)
FOREIGN = Metrics(False, 0, _MILLION)
"""Not a rendering of this tile to this specification: unreadable, of another shape or of another specification."""


def encode(linear: float) -> float:
    """The sRGB transfer function (IEC 61966-2-1) of a linear value, clipped to 0..1."""
    if linear <= 0.0031308:
        return 12.92 * max(linear, 0.0)
    return 1.055 * math.pow(min(linear, 1.0), 1 / 2.4) - 0.055


def _steps(expected: Sequence[float], claimed: Sequence[float]) -> Iterable[float]:
    """The encoded difference per value. Where one is no number the difference is the whole range, unless neither is."""
    for mine, other in zip(expected, claimed, strict=True):
        if mine == other:
            yield 0.0
        elif math.isfinite(mine) and math.isfinite(other):
            yield abs(encode(mine) - encode(other))
        else:
            yield 0.0 if math.isnan(mine) and math.isnan(other) else 1.0


def compare(expected: bytes, claimed: bytes) -> Metrics:
    """The metrics of a claimed raw object against our own. Raises `ValueError` if our own is not one; a claim never raises."""
    mine = tiles.unpack(expected)
    if expected == claimed:
        return EQUAL
    try:
        other = tiles.unpack(claimed)
    except ValueError:
        return FOREIGN
    if (mine.height, mine.width, mine.spec) != (other.height, other.width, other.spec):
        return FOREIGN
    steps = [*_steps(mine.values(), other.values())]
    noise = math.fsum(step * step for step in steps) / len(steps)
    pixels = range(0, len(steps), mine.channels)
    differing = sum(max(steps[at : at + mine.channels]) > DIFFERENCE for at in pixels)
    # Rounded up: one pixel too many is never rounded away.
    share = -(-differing * _MILLION // len(pixels))
    return Metrics(False, round(-10_000 * math.log10(noise)) if noise else None, share)


def verdict(metrics: Metrics, same_class: bool = True) -> Verdict:
    """What the metrics say. Another class (engine build and device) may render differently: it can clear, but not convict."""
    if metrics.equal:
        return "valid"
    infinite = metrics.psnr_mdb is None
    if (infinite or (metrics.psnr_mdb or 0) >= VALID_MDB) and metrics.differing_ppm <= DIFFERING_PPM_MAX:
        return "valid"
    if same_class and not infinite and (metrics.psnr_mdb or 0) < INVALID_MDB:
        return "invalid"
    return "inconclusive"


def worst(regions: Iterable[Metrics]) -> Metrics:
    """The metrics that decide over one or more regions: equal only if all are, the lowest PSNR, the largest share."""
    seen = [*regions]
    noisy = [metrics.psnr_mdb for metrics in seen if metrics.psnr_mdb is not None]
    return Metrics(
        equal=all(metrics.equal for metrics in seen),
        psnr_mdb=min(noisy) if noisy else None,
        differing_ppm=max(metrics.differing_ppm for metrics in seen),
    )
