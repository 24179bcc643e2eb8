"""Verify under everything that people do: whatever the ledger decides is found lawful, in random lives as in rare events."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from auditor.explain import explain
from auditor.verify import verify
from domain.body import Body
from domain.event import Event, Recorded
from domain.house import rules
from domain.ids import AccountId, Actor
from domain.treasury import account
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


def random_life(seed: int, steps: int, policy: str = "demo") -> Network:
    life = deeds.Life(Random(seed), policy)
    for _ in range(steps):
        life.step()
    return life.network


@pytest.mark.system
@pytest.mark.parametrize("policy", ["demo", "standard"])
@pytest.mark.parametrize("seed", range(4))
def test_a_random_life_is_lawful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, policy: str) -> None:
    monkeypatch.setattr(deeds, "Network", Signing)
    life = random_life(seed, 400, policy)

    report = verify(forging.bundle(tmp_path / "b", of=life))

    assert report.findings == ()
    assert (report.size, report.root) == (life.ledger.head.size, life.ledger.head.root)


@pytest.mark.system
def test_a_random_life_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deeds, "Network", Signing)
    life = random_life(7, 600)
    path = forging.bundle(tmp_path / "b", of=life)

    for name in list(life.world.balances)[:40]:
        root = explain(path, name).root
        assert root.adds_up is True
        assert abs(int(root.amount)) == abs(life.world.balances[name])


def ruled(policy: str) -> Network:
    """Two admins change the rules: a policy to come, another engine, another asset, a role."""
    it = Network()
    asker, approver = list(it.world.people)[:2]

    def carry(command: Body) -> None:
        claim = command.countersigned()
        assert claim is not None
        it.do(asker, command.model_copy(update={"approval": it.sign(claim, approver)}), keyed=True)

    someone = it.person("creator")
    by = {"approver": approver, "approval": DUMMY}
    carry(rules.Adopt.model_validate({"policy": policy, "effective_us": it.now_us + 5_000_000} | by))
    engine = {"engine": "other", "build": "other-1", "classes": ["other-1/cpu"], "bench_wu_milli": 1, "bench_tiles": 1}
    carry(rules.RegisterEngine.model_validate(engine | {"wu_milli_per_msample": 1} | by))
    token = {"asset": "eurc", "decimals": 6, "chain_id": 31337, "contract": "0x" + "4" * 40, "treasury": "0x" + "5" * 40}
    carry(rules.ListAsset.model_validate(token | by))
    carry(account.Grant.model_validate({"account": someone, "roles": ["finance"]} | by))
    it.wait(10_000_000)
    it.deposit(someone, 10_000_000)
    it.person("provider", funds=20_000_000, locked=1_000_000)
    return it


def test_changed_rules_are_lawful_and_hold_from_their_time_on(tmp_path: Path) -> None:
    life = ruled("standard")
    report = verify(forging.bundle(tmp_path / "b", of=life))

    assert life.policy.name == "standard"
    assert report.findings == ()


def test_rules_other_than_were_approved_are_found(tmp_path: Path) -> None:
    life = ruled("standard")
    blocks = forging.opened(life.records)
    line = forging.find(blocks, "policy.adopted", lambda it: it["approver"] != "")
    line["event"]["parameters"]["payout_min"] = "1"

    report = verify(forging.bundle(tmp_path / "b", of=life, records=forging.sealed(blocks)))

    assert (report.findings[0].check, report.findings[0].position) == ("signatures", line["pos"])


@pytest.mark.parametrize("make", SELDOM, ids=lambda make: make.__name__.strip("<>"))
def test_what_happens_seldom_is_lawful(tmp_path: Path, make: Callable[[], Network], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_ends, "Network", Signing, raising=False)
    report = verify(forging.bundle(tmp_path / "b", of=make()))

    assert report.findings == ()
