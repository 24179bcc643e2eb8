"""Verify under everything that people do: whatever the ledger decides is found lawful, in random lives as in rare events."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from auditor.explain import explain
from auditor.verify import verify
from domain.body import Body
from domain.event import Event, Recorded
from domain.ids import AccountId, Actor
from tests import deeds
from tests.auditor import forging
from tests.domain import test_ends
from tests.network import DUMMY, Network

SELDOM: tuple[Callable[[], Network], ...] = (
    test_ends.reorganised_deposit,
    test_ends.unmined_batch,
    test_ends.approved_payout,
    test_ends.elected,
    test_ends.paused_job,
    lambda: test_ends.released_cheat()[0],
)


class Signing(Network):
    """Whatever is to be signed, is."""

    def __init__(self, policy: str = "demo", *, signs: bool = True) -> None:
        super().__init__(policy, signs=bool(signs) or True)

    def do(self, actor: Actor, command: Body, of: AccountId | None = None, *, keyed: bool = False) -> list[Recorded[Event]]:
        claim = command.claim(of or AccountId(actor))
        if claim and claim.signature == DUMMY:
            signed = self.signed if claim.purpose == "owner" else self.agent_signed
            command = signed(command, claim.account)
        return super().do(actor, command, of, keyed=keyed)


def random_life(seed: int, steps: int) -> Network:
    life = deeds.Life(Random(seed))
    for _ in range(steps):
        life.step()
    return life.network


@pytest.mark.parametrize("seed", range(6))
def test_a_random_life_is_lawful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(deeds, "Network", Signing)
    life = random_life(seed, 400)

    report = verify(forging.bundle(tmp_path / "b", of=life))

    assert report.findings == ()
    assert (report.size, report.root) == (life.ledger.head.size, life.ledger.head.root)


def test_a_random_life_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deeds, "Network", Signing)
    life = random_life(7, 600)
    path = forging.bundle(tmp_path / "b", of=life)

    for account in list(life.world.balances)[:40]:
        root = explain(path, account).root
        assert root.adds_up is True
        assert abs(int(root.amount)) == abs(life.world.balances[account])


@pytest.mark.parametrize("make", SELDOM, ids=lambda make: make.__name__.strip("<>"))
def test_what_happens_seldom_is_lawful(tmp_path: Path, make: Callable[[], Network], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_ends, "Network", Signing, raising=False)
    report = verify(forging.bundle(tmp_path / "b", of=make()))

    assert report.findings == ()
