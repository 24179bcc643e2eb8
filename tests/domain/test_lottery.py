"""What is drawn from a beacon, against fixed numbers and against what must hold of every draw."""

from collections import Counter
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import accounts
from domain.accounts import USDC
from domain.ids import AccountId, Actor, WorkerId
from domain.policy import STANDARD
from domain.proof import lottery
from domain.proof.lottery import MILLION, RANGE, Candidate
from domain.units import Units
from tests.network import CLASS, Network

VALUE = "0x" + "0123456789abcdef" * 4
VALUES = st.binary(min_size=32, max_size=32).map(lambda raw: "0x" + raw.hex())
POSITIONS = st.integers(1, 2**53)


def test_the_preimage_is_tag_value_position_index() -> None:
    preimage = bytes.fromhex(
        "676c2f6c6f74746572792f31"  # gl/lottery/1
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
        "00000000075bcd15"  # 123,456,789
        "00000002"
    )

    assert lottery.number("gl/lottery/1", VALUE, 123_456_789, 2) == int.from_bytes(sha256(preimage).digest()[:8], "big")


@pytest.mark.parametrize(
    ("tag", "position", "index", "expected"),
    [
        (lottery.LOTTERY, 1, 0, 664451000823172200),
        (lottery.LOTTERY, 123_456_789, 2, 13004244659589610582),
        (lottery.REGION, 1, 0, 13894328223037753707),
        (lottery.CHECKER, 1, 0, 5753741721129436173),
        (lottery.SECOND, 1, 0, 642123215931693450),
        (lottery.BENCH, 1, 0, 11302788252156560068),
    ],
)
def test_numbers_of_every_stream_are_these_for_ever(tag: str, position: int, index: int, expected: int) -> None:
    assert lottery.number(tag, VALUE, position, index) == expected


@pytest.mark.parametrize(
    ("u", "p_ppm", "audited"),
    [
        (0, 0, False),
        (0, 1, True),
        (RANGE - 1, MILLION, True),
        (RANGE - 1, MILLION - 1, False),
        (RANGE // 2, 500_000, False),
        (RANGE // 2 - 1, 500_000, True),
        (RANGE // 10, 100_000, True),
        (RANGE // 10 + 1, 100_000, False),
    ],
)
def test_an_audit_is_drawn_iff_u_millionths_is_less_than_p(u: int, p_ppm: int, audited: bool) -> None:
    assert lottery.is_audited(u, p_ppm) is audited


def seasoned(*, stake: int, accrued: int = 0, clean: int = 10) -> tuple[Network, WorkerId]:
    """A worker with so many clean audits, and so much to lose."""
    it = Network("standard", signs=False)
    owner = it.person("provider")
    id = it.worker(owner)
    it.world.workers[id].classes[CLASS].clean = clean
    it.world.post(accounts.move(Units(stake), debit=accounts.treasury(USDC), credit=accounts.stake(USDC, owner)))
    it.world.post(accounts.move(Units(accrued), debit=accounts.treasury(USDC), credit=accounts.accrued(USDC, owner)))
    return it, id


@pytest.mark.parametrize(
    ("gross", "stake", "accrued", "clean", "expected"),
    [
        (768, 5_000_000, 0, 9, MILLION),
        (768, 0, 0, 10, MILLION),
        (768, 5_000_000, 0, 10, 100_000),
        (500_000, 5_000_000, 0, 10, 100_000),
        (500_001, 5_000_000, 0, 10, 100_001),
        (500_001, 5_000_000, 1, 10, 100_001),
        (500_001, 5_000_000, 100, 10, 100_000),
        (1_000_000, 2_000_000, 1_000_000, 10, 333_334),
        (1_000_000, 0, 1_000_000, 10, MILLION),
        (1_000_001, 1_000_000, 0, 10, MILLION),
    ],
)
def test_p_is_what_makes_a_lie_cost_more_than_it_brings(gross: int, stake: int, accrued: int, clean: int, expected: int) -> None:
    it, id = seasoned(stake=stake, accrued=accrued, clean=clean)

    assert lottery.audit_ppm(it.world, id, CLASS, Units(gross), USDC) == expected


@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_no_penalty_times_its_chance_is_below_the_price(gross: int, at_risk: int) -> None:
    p_ppm = min(MILLION, max(STANDARD.audit_floor_ppm, -(-MILLION * gross // at_risk)))
    penalty = gross * MILLION // p_ppm

    assert p_ppm == MILLION or penalty <= at_risk
    assert (penalty + 1) * p_ppm > gross * MILLION


@pytest.mark.parametrize(("tiles", "expected"), [(1, 1), (3, 1), (4, 1), (7, 1), (8, 2), (11, 2), (12, 3), (100, 3)])
def test_a_round_has_a_region_for_four_tiles_and_three_at_most(tiles: int, expected: int) -> None:
    assert lottery.regions_per_round(tiles) == expected


@given(VALUES, POSITIONS, st.integers(1, 100))
def test_regions_of_three_rounds_differ_as_long_as_there_are_any(value: str, position: int, tiles: int) -> None:
    seen, index = list[int](), 0
    for _ in range(3):
        drawn = lottery.draw_regions(value, position, index, tiles, seen)
        assert drawn.picks == sorted(set(drawn.picks))
        assert all(0 <= tile < tiles for tile in drawn.picks)
        assert drawn.used == index + len(drawn.picks) == index + lottery.regions_per_round(tiles)
        seen, index = seen + drawn.picks, drawn.used

    assert len(set(seen)) == min(tiles, len(seen))


def candidates(*rows: tuple[int, int, int]) -> list[Candidate]:
    return [Candidate(WorkerId(Actor(f"worker-{n}")), AccountId(Actor(f"account-{owner}")), stake) for n, owner, stake in rows]


OWNERS = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 10**9)), max_size=8).map(
    lambda rows: candidates(*[(n, owner, stake) for n, (owner, stake) in enumerate(rows, 1)])
)


@given(VALUES, POSITIONS, OWNERS, st.integers(1, 5))
def test_checkers_are_of_different_owners_and_as_many_as_there_are(value: str, position: int, able: list[Candidate], count: int) -> None:
    drawn = lottery.draw_checkers(value, position, 4, count, able)
    owner_of = {each.checker: each.owner for each in able}
    owners = [owner_of[checker] for checker in drawn.picks]

    assert len(set(owners)) == len(owners) == min(count, len({each.owner for each in able}))
    assert drawn.used == 4 + len(drawn.picks)


def test_checkers_are_drawn_by_stake() -> None:
    able = candidates((1, 1, 1), (2, 2, 2), (3, 3, 7))
    first = Counter(lottery.draw_checkers(VALUE, position, 0, 1, able).picks[0] for position in range(1, 4_001))

    for checker, share in (("worker-1", 0.1), ("worker-2", 0.2), ("worker-3", 0.7)):
        assert first[WorkerId(Actor(checker))] / 4_000 == pytest.approx(share, abs=0.03)


def checked() -> tuple[Network, dict[str, AccountId], dict[str, WorkerId]]:
    it = Network("demo", signs=False)
    names = ("worker", "creator", "one", "two", "three", "poor")
    people = {name: it.person("creator", "provider", "checker", funds=20_000_000) for name in names}
    for name in names:
        it.lock(people[name], 999_999 if name == "poor" else 5_000_000)
    workers = {name: it.worker(people[name], "checker") for name in names} | {"one more": it.worker(people["one"], "checker")}
    for id in workers.values():
        it.online(id)
    return it, people, workers


def able(it: Network, people: dict[str, AccountId], before: list[WorkerId] | None = None) -> list[Candidate]:
    return lottery.checker_candidates(it.world, CLASS, USDC, [people["worker"], people["creator"]], before or [])


def test_who_may_check_has_stake_is_there_and_is_no_party() -> None:
    it, people, workers = checked()

    assert [each.checker for each in able(it, people)] == [workers[name] for name in ("one", "two", "three", "one more")]


def test_checkers_of_one_owner_share_his_stake() -> None:
    it, people, workers = checked()
    stakes = {each.checker: each.stake for each in able(it, people)}

    assert stakes[workers["one"]] == stakes[workers["one more"]] == 2_500_000
    assert stakes[workers["two"]] == 5_000_000


def test_who_shares_a_payout_address_with_a_party_is_a_party() -> None:
    it, people, _ = checked()
    it.world.people[people["two"]].payout_address = it.world.people[people["worker"]].payout_address
    it.world.people[people["three"]].payout_address = it.world.people[people["creator"]].payout_address

    assert [each.owner for each in able(it, people)] == [people["one"]] * 2


def test_who_checked_before_is_not_drawn_again_nor_is_his_other_checker() -> None:
    it, people, workers = checked()

    assert [each.checker for each in able(it, people, [workers["one"]])] == [workers["two"], workers["three"]]


def test_who_is_offline_paused_or_quarantined_checks_nothing() -> None:
    it, people, workers = checked()
    for name, change in (("one", {"presence": "offline"}), ("two", {"mode": "paused"}), ("three", {"quarantined_us": 1})):
        for field, value in change.items():
            setattr(it.world.workers[workers[name]], field, value)
        it.world.seat(it.world.workers[workers[name]])

    assert [each.checker for each in able(it, people)] == [workers["one more"]]
