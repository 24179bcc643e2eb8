"""Every event of the domain can be written and read, and each has one form."""

import importlib
import pkgutil
import re

import msgspec
import pytest

import domain
from domain.accounts import Asset
from domain.event import Event, Recorded
from domain.ids import NO_ACCOUNT, Actor, CommandId, DepositId
from domain.log import wire
from domain.log.block import Block, Broken
from domain.log.merkle import Head
from domain.treasury import deposit
from domain.units import Units
from tests.log.ledgers import LOG, opened


def descendants(kind: type[Event]) -> list[type[Event]]:
    return [kind, *(below for child in kind.__subclasses__() for below in descendants(child))]


def test_every_event_of_the_domain_is_known() -> None:
    for module in pkgutil.walk_packages(domain.__path__, f"{domain.__name__}."):
        importlib.import_module(module.name)
    stored = {each for each in descendants(Event) if each.__module__.startswith(f"{domain.__name__}.") and not each.__subclasses__()}

    assert set(wire.EVENTS) == stored - {Event}


def test_stored_names_are_unique_and_carry_a_version() -> None:
    names = [str(each.__struct_config__.tag) for each in wire.EVENTS]

    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"[a-z]+\.[a-z_]+\.v[1-9]", name)] == []


def recorded(amount: int) -> Recorded[Event]:
    event = deposit.Seen(DepositId("deposit-1"), NO_ACCOUNT, Asset("usdc"), "0x", 0, 1, Units(amount))
    return Recorded(1, event.stream, 1, 5, CommandId("c"), (1, 1), Actor("house"), event, event.entry())


@pytest.mark.parametrize("amount", [1, 2**63, 10**30, -(10**30), 10**77])
def test_amounts_are_decimal_strings_of_any_size(amount: int) -> None:
    line = wire.encode(recorded(amount))

    assert f'"amount":"{amount}"'.encode() in line
    assert wire.event(line) == recorded(amount)
    assert type(wire.event(line).entry[0][1]) is Units


def test_nothing_empty_is_written() -> None:
    line = wire.encode(msgspec.structs.replace(recorded(0), body=""))

    assert b'"entry"' not in line
    assert b'"body"' not in line


@pytest.mark.parametrize("amount", ["012", "1.0", "1e3", " 12", "+1", "-0", "", "0x1", "1" * 79, "\u0661"])
def test_an_amount_has_one_form(amount: str) -> None:
    line = wire.encode(recorded(7)).replace(b'"amount":"7"', f'"amount":"{amount}"'.encode())
    with pytest.raises(Broken):
        wire.event(line)


@pytest.mark.parametrize("end", [0, 10, -1])
def test_half_a_line_is_broken(end: int) -> None:
    with pytest.raises(Broken):
        wire.event(wire.encode(recorded(7))[:end])


def test_what_is_no_event_of_ours_is_broken() -> None:
    for line in (b"", b"{}", b"null", b"[" * 5_000, b'{"a":' * 5_000):
        with pytest.raises(Broken):
            wire.event(line)


def test_positions_follow_the_head() -> None:
    lines = opened()[1].record.split(b"\n")[1:-1]
    after = Head(LOG).extend(lines)

    assert [each.pos for each in wire.events(Block(lines, after))] == list(range(1, 13))
    with pytest.raises(Broken):
        wire.events(Block([lines[1], lines[0]], Head(LOG).extend(lines[:2])))


def test_a_struct_comes_back_as_it_was() -> None:
    ledger, _ = opened()

    assert wire.struct(type(ledger), wire.encode(ledger)) == ledger
