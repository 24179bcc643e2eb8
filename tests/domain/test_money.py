"""Prices, shares and entries: exact to the smallest unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import accounts
from domain.accounts import ETH, USDC, entry, is_balanced, move
from domain.ids import AccountId, Actor, JobId, TaskId
from domain.policy import STANDARD
from domain.proof import ruling
from domain.units import Units, price, split, total

ME = AccountId(Actor("account-17"))
AMOUNTS = st.integers(0, 10**30).map(Units)
WEIGHTS = st.lists(st.integers(0, 10**12), min_size=1, max_size=20)


def test_the_golden_vector_of_a_price_and_its_shares() -> None:
    paid = price(Units(120_000), 6_400)

    assert paid == 768
    assert split(paid, STANDARD.shares_ppm) == [668, 77, 23]


@pytest.mark.parametrize(
    ("per_kwu", "wu_milli", "expected"),
    [(1, 1, 1), (1, 1_000_000, 1), (1, 1_000_001, 2), (999_999, 1, 1), (1_000_000, 1, 1), (1_000_001, 1, 2), (10**30, 10**6, 10**30)],
)
def test_a_price_is_rounded_up(per_kwu: int, wu_milli: int, expected: int) -> None:
    assert price(Units(per_kwu), wu_milli) == expected


@given(AMOUNTS, WEIGHTS)
def test_shares_add_up_and_are_within_one_unit_of_their_weight(amount: Units, weights: list[int]) -> None:
    shares = split(amount, weights)
    whole = sum(weights)

    assert sum(shares) == (amount if whole else 0)
    assert all(abs(share * whole - amount * weight) < whole for share, weight in zip(shares, weights, strict=True) if whole)


@given(AMOUNTS, WEIGHTS)
def test_shares_are_units_and_more_weight_is_never_less_money(amount: Units, weights: list[int]) -> None:
    shares = split(amount, sorted(weights, reverse=True))

    assert {type(share) for share in shares} == {Units}
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(
    ("amount", "weights", "expected"),
    [
        (1, (1, 1, 1), [1, 0, 0]),
        (2, (1, 1, 1), [1, 1, 0]),
        (5, (3, 3), [3, 2]),
        (1, (1, 2), [0, 1]),
        (7, (0, 0), [0, 0]),
        (7, (0, 5), [0, 7]),
    ],
)
def test_spare_units_go_to_the_largest_remainder_and_of_equals_to_the_first(
    amount: int, weights: tuple[int, ...], expected: list[int]
) -> None:
    assert split(Units(amount), weights) == expected


def test_the_shares_of_an_accepted_task_leave_its_escrow_to_the_last_unit() -> None:
    job, task = JobId("job-9"), TaskId("job-9/1")
    shares = ruling.Shares(Units(668), Units(77), Units(23))
    worker, audit, beacon = "worker-3", "", "beacon-5"
    accepted = ruling.Accepted(task, job, USDC, 1, worker, ME, "b/cpu", Units(768), "waived", audit, beacon, 1, "1", shares, 0)  # type: ignore[arg-type]

    assert accepted.entry() == (
        ("usdc:2120.task.job-9/1", 768),
        ("usdc:2210.accrued.account-17", -668),
        ("usdc:2240.checkers", -77),
        ("usdc:2410.fee-deferred", -23),
    )


LINES = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.integers(0, 99).map(Units), st.sampled_from([USDC, ETH])))


@given(LINES)
def test_an_entry_of_moves_balances_and_names_each_account_once(lines: list[tuple[str, str, Units, accounts.Asset]]) -> None:
    moves = [move(amount, debit=accounts.account(of, a), credit=accounts.account(of, b)) for a, b, amount, of in lines]
    made = entry(*moves)

    assert is_balanced(made)
    assert len({account for account, _ in made}) == len(made)
    assert all(amount for _, amount in made)


def test_an_entry_across_assets_does_not_balance() -> None:
    assert not is_balanced(((accounts.treasury(USDC), Units(5)), (accounts.treasury(ETH), Units(-5))))


def test_arithmetic_of_units_stays_units() -> None:
    one, two = Units(1), Units(2)

    assert {type(each) for each in (one + two, two - one, one * 3, 3 * one, -one, sum([one, two]), total([one, two]))} == {Units}
