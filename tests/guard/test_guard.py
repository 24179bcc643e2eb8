"""The guard: what it does about what it finds, and what it leaves alone."""

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest

from domain import accounts
from domain.accounts import USDC
from domain.errors import MoneyFrozen
from domain.house import override
from domain.ids import AccountId
from domain.log.ledger import Ledger
from domain.log.log import Unreachable
from domain.log.merkle import Head
from domain.treasury import anchor
from domain.units import Units
from projections.finance.balances import Balance, TrialLine
from projections.row import Row
from tests.daemons.rig import Rig
from tests.deeds import Life
from tests.guard import planted
from tests.guard.place import Place
from tests.network import LOG, Network, populated
from worker_runtime.daemons import guard, loop

DEEDS = 400


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard lets others have their turn after every piece, and is never away for long."""
    monkeypatch.setattr(guard, "TURN_S", -1.0)
    monkeypatch.setattr(guard, "PAUSE_S", 0.0)


async def opened() -> tuple[Place, AccountId]:
    """Somebody with money, and views that show it."""
    net, creator, _ = populated(signs=False)
    place = Place(net)
    await place.show()
    return place, creator


async def evidence(place: Place, digest: str) -> Any:
    return msgspec.json.decode(b"".join([chunk async for chunk in await place.store.open(digest)]))


async def test_a_ledger_that_is_as_it_must_be_is_left_alone() -> None:
    place, _ = await opened()
    await place.step(3)

    assert (place.overrides(), place.looked_twice()) == ([], 0)


@pytest.mark.parametrize("seed", range(4))
async def test_in_no_life_is_anything_found_however_the_looks_fall(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "ROWS", 3)
    doing, random = Life(Random(seed), "standard" if seed % 2 else "demo"), Random(seed)
    place = Place(doing.network)
    await place.show()

    async def turn(_: float) -> None:
        doing.step()
        if not random.randint(0, 3):
            await place.show()

    monkeypatch.setattr("asyncio.sleep", turn)
    while doing.done < DEEDS:
        await place.guard.step()

    assert (place.overrides(), place.looked_twice()) == ([], 0)
    assert len(place.net.events) > DEEDS // 2


async def test_a_breach_freezes_money_once_and_says_what_was_seen() -> None:
    place, creator = await opened()
    place.net.world.balances[accounts.available(USDC, creator)] -= 7
    job = place.net.submit(creator)
    await place.show()
    await place.step(3)
    (frozen,) = place.overrides()
    seen = await evidence(place, frozen.evidence_sha256)

    with pytest.raises(MoneyFrozen):
        place.net.open(job)
    assert (frozen.action, frozen.reason, frozen.number, frozen.approver) == ("freeze", "invariants", 1, "")
    assert {"what": "entries balance", "subject": "usdc", "expected": "0", "actual": "-7"} in seen["findings"]
    assert (seen["log"], seen["size"], len(seen["root"])) == (LOG, len(place.net.events) - 1, 64)
    assert seen["balances"][f"usdc:2110.available.{creator}"] == str(place.net.world.balances[accounts.available(USDC, creator)])


@pytest.mark.parametrize("name", ["insolvent", "lost_share", "endless_lease", "miscounted_benches", "timer_of_another_time"])
async def test_whatever_the_invariants_find_freezes(name: str) -> None:
    doing = Life(Random(4))
    spoilt = False
    while not spoilt:
        doing.step()
        try:
            planted.PLANTS[name](doing.network.world)
            spoilt = True
        except StopIteration:
            continue
    place = Place(doing.network)
    await place.show()
    await place.step()

    assert [it.action for it in place.overrides()] == ["freeze"]


async def test_a_world_that_cannot_be_looked_at_freezes() -> None:
    place, _ = await opened()
    place.net.world.free["nothing"] = [(1, 0, 0, 0, 999_999)]
    await place.step()
    (frozen,) = place.overrides()

    assert "the world can be looked at" in [it["what"] for it in (await evidence(place, frozen.evidence_sha256))["findings"]]


def wrong_amount(of: AccountId) -> Row:
    return Balance(f"usdc:2110.available.{of}", amount=Units(1))


def wrong_total(_: AccountId) -> Row:
    return TrialLine("usdc", "2110.available", amount=Units(1))


def nobodys_account(_: AccountId) -> Row:
    return Balance("usdc:2110.available.account-1", amount=Units(1))


def nobodys_code(_: AccountId) -> Row:
    return TrialLine("usdc", "6660.abyss", amount=Units(1))


@pytest.mark.parametrize("spoilt", [wrong_amount, wrong_total, nobodys_account, nobodys_code], ids=lambda it: it.__name__)
async def test_a_view_that_shows_other_than_the_world_holds_freezes(spoilt: Callable[[AccountId], Row]) -> None:
    place, creator = await opened()
    place.spoil(spoilt(creator))
    await place.step()
    (frozen,) = place.overrides()

    assert frozen.reason == "views"


async def test_an_account_that_the_view_lost_freezes() -> None:
    place, creator = await opened()
    held = place.net.world.balances[accounts.available(USDC, creator)]
    place.spoil(Balance(f"usdc:2110.available.{creator}", amount=-held))
    await place.step()

    assert [it.reason for it in place.overrides()] == ["views"]


async def test_accounts_are_looked_at_in_turn_until_all_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "ROWS", 3)
    monkeypatch.setattr(guard, "PAGES", 1)
    place, _ = await opened()
    last = max(place.net.world.balances)
    place.spoil(Balance(last, amount=Units(1)))
    steps = 0
    while not place.overrides():
        await place.step()
        steps += 1

    assert steps == -(-len(place.net.world.balances) // 3) > 2


class Late(Rig):
    """A reader that has not read all of the log yet: the views are ahead of it."""

    def __init__(self, net: Network, records: int) -> None:
        super().__init__(net=net)
        self.own, self._records = Ledger(Head(LOG)), iter(net.records)
        for _ in range(records):
            self.own.fold(next(self._records))

    @property
    def head(self) -> Head:
        return self.own.head

    @property
    def world(self) -> Any:
        return self.own.world

    async def reached(self, position: int, timeout_s: float) -> None:
        while self.own.head.size < position:
            self.own.fold(next(self._records))


async def test_views_may_be_ahead_of_the_world() -> None:
    place, _ = await opened()
    late = Late(place.net, len(place.net.records) // 2)
    await guard.Guard(late.desk("watch"), place.books, place.store).step()

    assert late.asks == []
    assert late.head == place.net.ledger.head


async def test_views_that_are_far_behind_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "APART_MAX", 3)
    place, creator = await opened()
    place.net.submit(creator)
    place.net.submit(creator)
    with pytest.raises(loop.Waits):
        await place.guard.step()
    await place.show()
    await place.step()

    assert (place.overrides(), place.looked_twice()) == ([], 0)


async def test_what_was_seen_once_and_never_again_freezes_nothing() -> None:
    place, _ = await opened()
    place.books.errs = 1
    await place.step(2)

    assert (place.overrides(), place.looked_twice()) == ([], 1)


async def test_without_views_the_world_is_guarded_all_the_same() -> None:
    place, creator = await opened()
    place.books.silent = True
    with pytest.raises(Unreachable):
        await place.guard.step()
    place.net.world.balances[accounts.available(USDC, creator)] -= 7
    await place.guard.step()

    assert [it.action for it in place.overrides()] == ["freeze"]


@pytest.mark.parametrize(("breaks", "frozen"), [(-1, ["treasury"]), (0, []), (1, [])])
async def test_a_treasury_that_is_short_freezes_and_a_gift_does_not(breaks: int, frozen: list[str]) -> None:
    place, _ = await opened()
    held = place.net.world.balances[accounts.treasury(USDC)]
    facts = anchor.Reconcile(asset=USDC, block=place.net.world.final_block, balance=str(held + breaks))
    place.net.do(place.net.daemon("watch"), facts)
    await place.show()
    await place.step(2)

    assert [it.reason for it in place.overrides()] == frozen


async def test_what_two_admins_let_stand_freezes_no_more_and_something_else_does() -> None:
    place, creator = await opened()
    place.spoil(wrong_amount(creator))
    await place.step()
    await place.release()
    await place.step(2)
    assert [it.action for it in place.overrides()] == ["freeze", "release"]

    place.guard = place.start()
    await place.step(2)
    assert [it.action for it in place.overrides()] == ["freeze", "release"], "a new process knows what was let stand"

    place.spoil(nobodys_account(creator))
    await place.step(2)
    *_, again = place.overrides()
    named = [it["subject"] for it in (await evidence(place, again.evidence_sha256))["findings"]]
    assert (again.action, again.number) == ("freeze", 3)
    assert sorted(named) == sorted(["usdc:2110.available.account-1", f"usdc:2110.available.{creator}"]), "all that stands is named"

    await place.release()
    await place.step(2)
    assert [it.action for it in place.overrides()] == ["freeze", "release"] * 2


async def test_a_release_that_the_views_do_not_show_yet_is_waited_for() -> None:
    place, creator = await opened()
    place.spoil(wrong_amount(creator))
    await place.step()
    await place.release(shown=False)
    with pytest.raises(loop.Waits):
        await place.guard.step()
    await place.show()
    await place.step(2)

    assert [it.action for it in place.overrides()] == ["freeze", "release"]


async def test_a_freeze_of_others_without_evidence_makes_nobody_forget_what_was_let_stand() -> None:
    place, creator = await opened()
    place.spoil(wrong_amount(creator))
    await place.step()
    await place.release()
    place.net.do(place.net.daemon("watch"), override.Override(action="freeze", reason="chain_reorganised", number=3))
    await place.release()
    await place.step(2)

    assert [it.reason for it in place.overrides()] == ["views", "checked", "chain_reorganised", "checked"]
