"""The invariants: each finds what it is for, and none takes for a breach what people may do, however slowly it is looked at."""

from collections.abc import Iterator
from functools import cache
from random import Random

import pytest
from msgspec.structs import replace

from domain.house import invariants
from domain.house.invariants import Finding, Findings
from domain.ids import WorkerId
from domain.log import snapshot
from domain.market import worker
from domain.world import World
from tests.deeds import Life
from tests.guard.planted import PLANTS
from tests.network import LOG, Network, populated

FOLD = "f" * 64
DEEDS_MAX = 400


@cache
def spoilt() -> dict[str, World]:
    """By plant, the first world of a life that has what is to be spoilt; spoilt. Nothing was found in it before."""
    doing, found = Life(Random(5)), dict[str, World]()
    for _ in range(DEEDS_MAX):
        doing.step()
        frozen = snapshot.freeze(doing.network.ledger, FOLD)
        for name, plant in PLANTS.items():
            if name not in found:
                world = snapshot.thaw(frozen, LOG, FOLD).world
                try:
                    plant(world)
                except StopIteration:
                    continue
                invariants.check(doing.network.world)
                found[name] = world
        if len(found) == len(PLANTS):
            break
    return found


@pytest.mark.parametrize("name", PLANTS)
def test_what_is_wrong_is_found(name: str) -> None:
    findings = [it for it in invariants.breaches(spoilt()[name]) if it]

    assert findings
    assert all(it.expected != it.actual and it.what and it.subject for it in findings)


def slowly(doing: Life, walk: Findings) -> Iterator[Finding]:
    """Looks at a living world: between two pieces somebody does something."""
    for finding in walk:
        if finding:
            yield finding
        else:
            doing.step()


@pytest.mark.parametrize("seed", range(4))
def test_a_world_that_moves_while_it_is_looked_at_gives_no_false_alarm(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invariants, "PIECE", 1 + seed)
    doing = Life(Random(seed), "standard" if seed % 2 else "demo")
    while doing.done < DEEDS_MAX:
        assert list(slowly(doing, invariants.breaches(doing.network.world))) == []


def test_who_keeps_totals_across_pieces_would_raise_one() -> None:
    """The control of the test above: it sees a walk that compares what is not of one moment."""

    def careless(world: World) -> Findings:
        total = sum(map(int, world.balances.values()))
        yield None
        for account in list(world.balances):
            total -= world.balances.get(account, 0)
            yield None
        yield from invariants.differ("total", "all", 0, total)

    doing = Life(Random(1))
    assert any(list(slowly(doing, careless(doing.network.world))) for _ in range(20))


def leased_twice() -> tuple[Network, WorkerId]:
    """A worker that works on two tasks at once."""
    it, creator, workers = populated()
    id = workers["cheat"]
    it.do(it.world.workers[id].owner, worker.Change(worker=id, slots=2), keyed=True)
    it.open(it.submit(creator, 2))
    assert len(it.world.workers[id].leases) == 2
    return it, id


def test_an_owner_may_want_fewer_leases_than_run() -> None:
    it, id = leased_twice()
    it.do(it.world.workers[id].owner, worker.Change(worker=id, slots=1), keyed=True)

    assert len(it.world.workers[id].leases) == 2
    invariants.check(it.world)


def test_who_was_convicted_may_hold_more_than_a_newcomer() -> None:
    it, id = leased_twice()
    (standing,) = it.world.workers[id].classes.values()
    standing.clean = 0
    it.world.policy = replace(it.policy, probation=1)
    it.world.seat(it.world.workers[id])

    assert standing.held == 2
    invariants.check(it.world)
