"""The ledger under its commands: what it decides, what it refuses to fold, and that replay equals live."""

from collections.abc import Iterator
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.accounts import available, suspense, treasury
from domain.errors import CommandTooLarge, Duplicate, NotFound, Refused
from domain.event import Command, Event, Origin
from domain.house import house
from domain.house.ledger import LeaderElected
from domain.ids import HOUSE, NO_ACCOUNT, AccountId, Actor, DepositId, account_id, command_id
from domain.log import wire
from domain.log.block import BLOCK_BYTES_MAX, Broken, Void, seal
from domain.log.ledger import COMMAND_EVENTS_MAX, FULL_BYTES, Ledger, NotOpened
from domain.log.receipts import Ask
from domain.treasury import account, deposit
from domain.units import Units
from domain.value import Value
from domain.world import World
from tests.log.ledgers import NOW_US, START, USDC, final, key_of, opened, opening, replayed, seen, uuid7

GHOST = AccountId(Actor("account-999999"))


class Deposits(Value):
    """Test command: so many deposits with references of some length; at the end a refusal, if asked for."""

    count: int
    length: int = 66
    refuses: bool = False

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        for n in range(self.count):
            id = DepositId(f"deposit-{world.pos + 1}")
            yield deposit.Seen(id, NO_ACCOUNT, USDC, f"{n:x}".rjust(self.length, "0"), origin.pos, 1, Units(1))
        if self.refuses:
            raise NotFound(id="anything")


def house_ask(command: Command, subject: str = "test") -> Ask:
    return Ask.about(HOUSE, subject, command)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["open", "again", "see", "final", "seal", "elect"]), st.integers(0, 9)), max_size=40))
def test_replay_equals_live(deeds: list[tuple[str, int]]) -> None:
    live, first = opened()
    log, now_us, asks = [first.record], NOW_US, [opening(99)]
    for what, n in deeds:
        now_us += n * 10_000_000
        match what:
            case "open":
                asks.append(opening(len(asks), now_us))
            case "again":
                asks.append(asks[n % len(asks)])
            case "see":
                asks.append(seen(n, account_id(13 + n), n * 4_000_000 + 1))
            case "final":
                asks.append(final(n))
        if what in {"open", "again", "see", "final"}:
            before = deepcopy(live)
            try:
                receipt = live.decide(asks[-1], now_us)
            except Refused:
                assert live == before, "a refusal changes nothing"
            else:
                if receipt.count == 0:
                    assert live == before, "nor does a command that was done before"
            continue
        if block := live.seal(now_us):
            log.append(block.record)
        if what == "elect":
            log.append(live.election("me", now_us).record)
            live.fold(log[-1])
        assert replayed(*log) == live

    assert sum(live.world.balances.values()) == 0


def test_a_block_has_one_time_which_is_later_than_the_last() -> None:
    ledger, _ = opened()
    times = []
    for n, now_us in enumerate((NOW_US + 7, NOW_US - 1_000, NOW_US + 8, NOW_US + 9)):
        ledger.decide(opening(2 * n, NOW_US), now_us)
        ledger.decide(opening(2 * n + 1, NOW_US), now_us + 5)
        lines = list(ledger.pending)
        assert ledger.seal(now_us + 6)
        times.append({wire.event(line).at_us - NOW_US for line in lines})

    assert times == [{7}, {8}, {9}, {10}]


def test_each_event_is_applied_before_the_next_is_asked_for() -> None:
    ledger, _ = opened()
    receipt = ledger.decide(house_ask(Deposits(3)), NOW_US)

    assert [wire.event(line).stream for line in receipt.lines] == ["deposit-13", "deposit-14", "deposit-15"]
    assert [wire.event(line).of for line in receipt.lines] == [(1, 3), (2, 3), (3, 3)]


def test_money_moves_as_the_entries_say() -> None:
    ledger, _ = opened()
    person = account_id(ledger.decide(opening(1), NOW_US).position)
    ledger.decide(seen(1, person, 25_000_000), NOW_US)
    assert ledger.world.balances == {"usdc:1120.inbound": 25_000_000, suspense(USDC): -25_000_000}
    ledger.decide(final(1), NOW_US)

    assert ledger.world.balances == {treasury(USDC): 25_000_000, available(USDC, person): -25_000_000}


def test_a_new_account_is_said_to_have_opened_itself() -> None:
    ledger, _ = opened()
    ask = opening(1)
    receipt = ledger.decide(ask, NOW_US)
    recorded = wire.event(receipt.lines[0])

    assert recorded.by == recorded.stream == account_id(receipt.position)
    assert recorded.cmd == command_id(key_of(1), uuid7(NOW_US, 1)), "a retry finds it"
    assert ledger.decide(ask, NOW_US) == receipt


def test_before_the_first_block_there_is_nothing_to_decide() -> None:
    with pytest.raises(NotOpened):
        Ledger(START).decide(opening(1), NOW_US)
    with pytest.raises(NotOpened):
        Ledger(START).election("me", NOW_US)


def test_an_election_counts_only_when_it_is_read_back() -> None:
    ledger, first = opened()
    before = deepcopy(ledger)
    block = ledger.election("me", NOW_US + 5)
    assert ledger == before
    events = ledger.fold(block.record).events

    assert [each.event for each in events] == [LeaderElected("me", NOW_US + 5 + ledger.world.policy.grace_us)]
    assert ledger == replayed(first.record, block.record)
    assert ledger.world.leader == "me"


def test_a_command_with_too_large_a_body_is_refused_and_changes_nothing() -> None:
    ledger, _ = opened()
    before = deepcopy(ledger)
    with pytest.raises(CommandTooLarge):
        ledger.decide(house_ask(Deposits(1, length=60_000)), NOW_US)

    assert ledger == before


@pytest.mark.parametrize(
    "command", [Deposits(2, refuses=True), Deposits(COMMAND_EVENTS_MAX + 1), Deposits(10, length=30_000)], ids=["late", "many", "long"]
)
def test_a_command_that_fails_half_way_spoils_the_ledger(command: Command) -> None:
    ledger, _ = opened()
    with pytest.raises(AssertionError):
        ledger.decide(house_ask(command), NOW_US)

    assert ledger.spoiled


def test_a_command_that_fails_before_its_first_event_does_not() -> None:
    ledger, _ = opened()
    before = deepcopy(ledger)
    with pytest.raises(ZeroDivisionError):
        ledger.decide(house_ask(Fails()), NOW_US)

    assert ledger == before


class Fails(Value):
    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        yield from [deposit.Seen(DepositId("deposit-1"), NO_ACCOUNT, USDC, "", 0, 1 // 0, Units(1))]


def test_the_largest_command_fits_into_the_fullest_block(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, first = opened()
    fillers = iter(range(1_000_000))
    monkeypatch.setattr(house, "chores", lambda world, at_us, asked: ((f"test/{n}", Deposits(1, 50_000)) for n in fillers))
    while ledger.pending_bytes < FULL_BYTES - 8_000:
        ledger.decide(house_ask(Deposits(10, 300), f"f{next(fillers)}"), NOW_US)
    assert not ledger.full
    ledger.decide(house_ask(Deposits(5, 51_000)), NOW_US)
    assert ledger.full
    done = next(fillers)
    block = ledger.seal(NOW_US)

    assert block is not None
    assert FULL_BYTES < len(block.record) <= BLOCK_BYTES_MAX
    assert next(fillers) == done + 1, "the house adds nothing to a full block"
    assert replayed(first.record, block.record) == ledger
    later = ledger.seal(NOW_US + 1)
    assert later is not None
    assert FULL_BYTES < len(later.record) <= BLOCK_BYTES_MAX, "and goes on in the next, up to the same limit"


def test_without_anything_to_do_there_is_no_block() -> None:
    ledger, _ = opened()
    before = deepcopy(ledger)

    assert ledger.seal(NOW_US + 10**12) is None
    assert ledger == before


def test_the_same_key_for_two_accounts_is_refused() -> None:
    ledger, _ = opened()
    ledger.decide(opening(1), NOW_US)
    other = Ask.keyed(key_of(1), uuid7(NOW_US, 77), account.Open(), b"")
    with pytest.raises(Duplicate):
        ledger.decide(other, NOW_US)


def two_lines() -> tuple[Ledger, list[bytes]]:
    """A ledger after its first block, and lines that it would take next."""
    ledger, _ = opened()
    fresh = deepcopy(ledger)
    ledger.decide(house_ask(Deposits(2)), NOW_US + 5)
    return fresh, list(ledger.pending)


TAMPERED = {
    "another time": (0, b'"at_us":1800000000000005', b'"at_us":1800000000000006'),
    "a time before the last block": (None, b'"at_us":1800000000000005', b'"at_us":1800000000000000'),
    "a version too many": (1, b'"ver":1', b'"ver":2'),
    "another stream": (1, b'"stream":"deposit-14"', b'"stream":"deposit-15"'),
    "another position": (1, b'"pos":14', b'"pos":15'),
    "half a command": (None, b'2],"by"', b'3],"by"'),
    "a command out of order": (1, b'"of":[2,2]', b'"of":[1,2]'),
    "an entry that does not balance": (0, b'"usdc:1120.inbound","1"', b'"usdc:1120.inbound","2"'),
    "two assets in one line": (0, b'"usdc:1120.inbound"', b'"eth:1120.inbound"'),
    "an unknown event": (0, b"deposit.seen.v1", b"deposit.seen.v9"),
    "a number for an amount": (0, b'"amount":"1"', b'"amount":1'),
    "an unknown field": (0, b'"amount":"1"', b'"amount":"1","fee":"1"'),
    "a field twice": (0, b'"amount":"1"', b'"amount":"2","amount":"1"'),
    "a leading zero": (0, b'"amount":"1"', b'"amount":"01"'),
    "a space": (0, b'"amount":"1"', b'"amount": "1"'),
    "no JSON": (0, b"{", b"["),
    "no UTF-8": (0, b'"by":"house"', b'"by":"hous\xff"'),
}


@pytest.mark.parametrize(("which", "right", "wrong"), TAMPERED.values(), ids=TAMPERED)
def test_a_block_that_says_what_cannot_be_is_broken(which: int | None, right: bytes, wrong: bytes) -> None:
    ledger, lines = two_lines()
    assert ledger.fold(seal(ledger.head, lines).record).events, "as it is, it is fine"
    ledger, lines = two_lines()
    tampered = [line.replace(right, wrong, 1) if which in (None, n) else line for n, line in enumerate(lines)]
    assert tampered != lines
    with pytest.raises(Broken):
        ledger.fold(seal(ledger.head, tampered).record)


def test_a_void_record_changes_nothing() -> None:
    ledger, first = opened()
    before = deepcopy(ledger)
    for record in (first.record, b"junk"):
        with pytest.raises(Void):
            ledger.fold(record)

    assert ledger == before
