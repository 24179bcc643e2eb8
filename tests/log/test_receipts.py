"""A retry is safe for ever, in bounded memory."""

from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import CommandIdReused, Duplicate, KeyExpired, KeyFromFuture, Refused
from domain.ids import AccountId, Actor, CommandId
from domain.log import receipts
from domain.log.receipts import BUCKET_US, KEY_AGE_US, KEY_AHEAD_US, Ask, BadKey, Done, Receipts
from domain.treasury import account
from tests.log.ledgers import NOW_US, WATCH, key_of, opened, opening, replayed, seen, uuid7

HOUR = 3_600_000_000


@settings(deadline=None)
@given(made=st.integers(1_000 - KEY_AGE_US, KEY_AHEAD_US), waits=st.lists(st.integers(0, KEY_AGE_US), max_size=8))
def test_a_command_is_never_carried_out_twice(made: int, waits: list[int]) -> None:
    ledger, _ = opened()
    now_us, ask = NOW_US + 1, opening(0, NOW_US + made)
    first = ledger.decide(ask, now_us)
    for n, wait_us in enumerate(waits, 1):
        ledger.seal(now_us)
        now_us += wait_us
        ledger.decide(opening(n, now_us), now_us)
        try:
            again = ledger.decide(ask, now_us)
        except KeyExpired:
            assert ask.key_us is not None
            assert now_us >= ask.key_us + KEY_AGE_US
        else:
            assert (again.position, again.count) == (first.position, first.count)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 3 * HOUR), st.integers(-30 * HOUR, HOUR)), max_size=60), st.integers(1, 6))
def test_what_was_forgotten_is_refused(steps: list[tuple[int, int]], most: int) -> None:
    """The fold alone, with few receipts kept: every key that was done is either known or not valid any more."""
    kept, now_us, done = Receipts(), NOW_US, dict[CommandId, int]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(receipts, "RECEIPTS_MAX", 2 * most)
        for n, (wait_us, made) in enumerate(steps):
            now_us += wait_us
            cmd, key_us = CommandId(str(n)), now_us + made
            try:
                kept.guard(key_us, now_us)
            except (KeyExpired, KeyFromFuture):
                continue
            done[cmd] = key_us
            kept.take(cmd, Done(n, 1, "x"), now_us)
            assert len(kept.new) + len(kept.old) <= 2 * most
            for earlier, made_us in done.items():
                if earlier not in kept.new and earlier not in kept.old:
                    with pytest.raises(KeyExpired):
                        kept.guard(made_us, now_us)


def test_a_key_is_valid_for_its_whole_window_when_there_is_room() -> None:
    kept = Receipts()
    for n in range(200):
        now_us = NOW_US + n * HOUR
        for key_us in (now_us - KEY_AGE_US + 1, now_us, now_us + KEY_AHEAD_US):
            kept.guard(key_us, now_us)
        kept.take(CommandId(str(n)), Done(n, 1, "x"), now_us)

    assert len(kept.new) + len(kept.old) <= 2 * (BUCKET_US // HOUR + 1)


def test_a_key_from_a_fast_clock_is_known_until_its_last_moment() -> None:
    ledger, _ = opened()
    ask = opening(1, NOW_US + KEY_AHEAD_US)
    first, now_us = ledger.decide(ask, NOW_US + 1), NOW_US
    ledger.seal(now_us)
    for n in range(2, 50):
        now_us += (KEY_AHEAD_US + KEY_AGE_US) // 48 - 1
        ledger.decide(opening(n, now_us), now_us)
        ledger.seal(now_us)

    assert ledger.decide(ask, now_us).position == first.position


def test_keys_from_outside_the_window_are_refused() -> None:
    ledger, _ = opened()
    now_us = NOW_US + 1_000
    with pytest.raises(KeyExpired):
        ledger.decide(opening(1, now_us - KEY_AGE_US - 1_000), now_us)
    with pytest.raises(KeyFromFuture):
        ledger.decide(opening(1, now_us + KEY_AHEAD_US + 1_000), now_us)
    ledger.decide(opening(1, now_us - KEY_AGE_US), now_us)
    ledger.decide(opening(2, now_us + KEY_AHEAD_US), now_us)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "k1",
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "6ba7b810-9dad-71d1-80b4-00c04fd430cx",
        "6BA7B810-9DAD-71D1-80B4-00C04FD430C8",
        "6ba7b8109dad71d180b400c04fd430c8",
        "6ba7b810-9dad-71d1-c0b4-00c04fd430c8",
        " 6ba7b810-9dad-71d1-80b4-00c04fd430c8",
        "6ba7b810-9dad-71d1-80b4-00c04fd430c8\n",
    ],
)
def test_a_key_has_one_form(key: str) -> None:
    with pytest.raises(BadKey):
        receipts.uuid7_us(key)


def test_the_time_of_a_key_is_that_of_the_rfc() -> None:
    """RFC 9562, appendix A.6: 2022-02-22T19:22:22 UTC."""
    assert receipts.uuid7_us("017f22e2-79b0-7cc3-98c4-dc0c0c07398f") == 1_645_557_742_000_000


def test_a_key_stands_for_one_request_also_after_a_recovery() -> None:
    ledger, first = opened()
    ledger.decide(opening(1), NOW_US + 1)
    block = ledger.seal(NOW_US + 1)
    assert block is not None
    other = opening(1, command=account.Open(roles=("provider",)))
    assert other.cmd == opening(1).cmd
    for each in (ledger, replayed(first.record, block.record)):
        before = deepcopy(each)
        with pytest.raises(CommandIdReused):
            each.decide(other, NOW_US + 2)
        assert each == before


def test_two_callers_may_use_the_same_key() -> None:
    ledger, _ = opened()
    one, two = (Ask.keyed(key_of(n), uuid7(NOW_US), account.Open(), b"") for n in (1, 2))

    assert ledger.decide(one, NOW_US).position != ledger.decide(two, NOW_US).position


def test_daemons_commands_are_not_remembered_and_do_nothing_the_second_time() -> None:
    ledger, _ = opened()
    first = ledger.decide(seen(1, WATCH), NOW_US)
    again = ledger.decide(seen(1, WATCH), NOW_US)

    assert (first.count, again.count, again.last) == (1, 0, first.last)
    assert ledger.receipts == Receipts()


def test_a_refused_command_may_be_sent_again_under_its_key() -> None:
    ledger, _ = opened()
    person = AccountId(Actor(f"account-{ledger.decide(opening(1), NOW_US).position}"))
    thief = Ask.keyed(key_of(1), uuid7(NOW_US, 5), account.Open(), b"")
    for _ in range(2):
        with pytest.raises(Duplicate):
            ledger.decide(thief, NOW_US)
    with pytest.raises(Refused):
        ledger.decide(Ask.keyed(person, uuid7(NOW_US, 6), account.Grant.model_construct(), b""), NOW_US)

    assert len(ledger.receipts.new) == 1
