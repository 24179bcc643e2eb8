"""What two renderings of a tile are to each other."""

import math
import random
import struct

import pytest

from domain.proof import comparator
from domain.work import tiles

SPEC = bytes(range(32))


def tile(values: list[float], width: int = 20, spec: bytes = SPEC) -> bytes:
    return tiles.pack(struct.pack(f"<{len(values)}f", *values), len(values) // 3 // width, width, spec)


def noisy(values: list[float], amount: float) -> list[float]:
    source = random.Random(1)
    return [value + source.uniform(-amount, amount) for value in values]


VALUES = [random.Random(3).uniform(0.2, 0.8) for _ in range(20 * 50 * 3)]
TRUE = tile(VALUES)


def test_equal_bytes_are_valid() -> None:
    assert comparator.compare(TRUE, TRUE) == comparator.Metrics(True, None, 0)
    assert comparator.verdict(comparator.EQUAL) == "valid"


def test_psnr_is_that_of_srgb_encoded_values_in_thousandths_of_a_decibel() -> None:
    black, grey = tile([0.0] * 60), tile([0.0031308] * 60)
    step = 12.92 * 0.0031308
    assert comparator.compare(black, grey).psnr_mdb == round(-20_000 * math.log10(step))


def test_the_share_counts_pixels_not_values_and_is_rounded_up() -> None:
    values = [*VALUES]
    values[0:3] = [0.9, 0.9, 0.9]
    assert comparator.compare(TRUE, tile(values)).differing_ppm == 1_000
    assert comparator.compare(tile([0.5] * 3 * 7, 7), tile([0.5] * 3 * 6 + [0.9] * 3, 7)).differing_ppm == 142_858


def test_a_difference_beyond_the_screen_is_not_equal_but_has_no_noise() -> None:
    metrics = comparator.compare(tile([2.0] * 60), tile([3.0] * 60))
    assert metrics == comparator.Metrics(False, None, 0)
    assert comparator.verdict(metrics) == "valid"


@pytest.mark.parametrize(("amount", "expected"), [(0.0005, "valid"), (0.004, "inconclusive"), (0.02, "invalid")])
def test_more_noise_makes_a_worse_verdict(amount: float, expected: str) -> None:
    assert comparator.verdict(comparator.compare(TRUE, tile(noisy(VALUES, amount)))) == expected


@pytest.mark.parametrize(
    ("psnr_mdb", "differing_ppm", "expected"),
    [
        (60_000, 1_000, "valid"),
        (60_000, 1_001, "inconclusive"),
        (59_999, 0, "inconclusive"),
        (50_000, 0, "inconclusive"),
        (49_999, 0, "invalid"),
        (0, 1_000_000, "invalid"),
        (None, 0, "valid"),
    ],
)
def test_verdicts_change_exactly_at_the_thresholds(psnr_mdb: int | None, differing_ppm: int, expected: str) -> None:
    assert comparator.verdict(comparator.Metrics(False, psnr_mdb, differing_ppm)) == expected


def test_another_class_never_convicts() -> None:
    assert comparator.verdict(comparator.FOREIGN, same_class=False) == "inconclusive"


@pytest.mark.parametrize("claimed", [b"", TRUE[:-1], tile(VALUES, 50), tile(VALUES, spec=bytes(32))])
def test_what_is_not_a_rendering_to_this_specification_is_invalid(claimed: bytes) -> None:
    assert comparator.compare(TRUE, claimed) == comparator.FOREIGN
    assert comparator.verdict(comparator.FOREIGN) == "invalid"


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_values_that_are_no_numbers_count_as_wholly_different(poison: float) -> None:
    metrics = comparator.compare(TRUE, tile([poison] * len(VALUES)))
    assert metrics == comparator.Metrics(False, 0, 1_000_000)


def test_our_own_tile_must_be_one() -> None:
    with pytest.raises(ValueError, match=r"^raw:"):
        comparator.compare(b"", TRUE)


def test_regions_are_decided_by_the_worst() -> None:
    bad = comparator.Metrics(False, 30_000, 5)
    assert comparator.worst([comparator.EQUAL, bad]) == bad
    assert comparator.worst([comparator.EQUAL, comparator.EQUAL]) == comparator.EQUAL


def test_metrics_do_not_depend_on_which_side_is_ours() -> None:
    other = tile(noisy(VALUES, 0.01))
    assert comparator.compare(TRUE, other) == comparator.compare(other, TRUE)
