"""Explanations: every amount is the sum of what made it, down to bids, and the same as what the ledger holds."""

from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from auditor.bundle import BadBundle
from auditor.explain import Node, Tree, Unknown, explain
from auditor.verify import verify
from domain.event import Event
from domain.log import listing
from domain.proof import audit
from domain.treasury import batch, payout
from domain.units import Units
from domain.work import job, task
from tests import network
from tests.auditor import forging
from tests.network import ENGINE, Network


@cache
def cancelled() -> Network:
    """A job that its creator gave up while workers were long at it: they have a fee."""
    it, creator, _ = network.populated("standard")
    it.deposit(creator, 100_000_000)
    scene = sha256(b"manifest").hexdigest()
    large = job.Submit(engine=ENGINE, manifest_sha256=scene, frames=1, size=(64, 64), samples=65_536, limit_price=Units(200_000_000))
    submitted = it.do(creator, large, keyed=True)[0].event
    assert isinstance(submitted, job.Submitted)
    it.open(submitted.job)
    it.wait(65_000_000)
    it.do(creator, job.Cancel(job=submitted.job), keyed=True)
    it.wait(31_000_000)
    return it


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return forging.bundle(tmp_path_factory.mktemp("life") / "b")


def below(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from below(child)


def texts(tree: Tree) -> str:
    return tree.text()


def position(kind: type[Event]) -> int:
    return next(it.pos for it in forging.life().events if isinstance(it.event, kind))


@pytest.mark.system
def test_every_account_is_what_the_ledger_holds_and_adds_up(path: Path) -> None:
    balances = forging.life().world.balances
    accounts = {account for it in forging.life().events for account, _ in it.entry}
    assert len(accounts) > 30

    for account in sorted(accounts):
        tree = explain(path, account)
        sign = 1 if account.partition(":")[2].startswith(("1", "5")) else -1
        assert int(tree.root.amount) == sign * balances.get(account, 0)
        assert {node.adds_up for node in below(tree.root)} <= {None, True}, account
        assert tree.root.adds_up is True


@pytest.mark.system
def test_every_thing_can_be_explained_and_adds_up(path: Path) -> None:
    streams = {it.stream for it in forging.life().events}
    things = sorted(
        one for one in streams if one.partition("-")[0] in {"account", "worker", "job", "bench", "audit", "payout", "batch", "deposit"}
    )
    assert len(things) > 60

    for thing in things:
        assert {node.adds_up for node in below(explain(path, thing).root)} <= {None, True}, thing


@pytest.mark.system
def test_every_event_can_be_explained_and_its_entry_is_shown(path: Path) -> None:
    for it in forging.life().events:
        tree = explain(path, str(it.pos))
        assert [node.text.rpartition(":")[0] for node in tree.root.children] == [account for account, _ in it.entry]
        assert {node.adds_up for node in below(tree.root)} <= {None, True}, it.pos


def test_an_account_at_a_position_is_what_it_was_then(path: Path) -> None:
    account = "usdc:2310.stake.account-18"
    slashed = next(it.pos for it in forging.life().events if it.event.verb() == "stake.slashed")

    assert [explain(path, f"{account}@{at}").root.amount for at in (slashed - 1, slashed)] == ["5000000", "4894850"]


def test_a_worker_pay_leads_down_to_the_bid_that_made_it(path: Path) -> None:
    story = texts(explain(path, "usdc:2220.payable.account-32"))

    for words in ("matured", "the worker's share of job-104/3: 103678 of 119170", "⌈170000000 × 701 / 10⁶⌉", "asks 170000000 per kWU"):
        assert words in story


def test_a_conviction_is_told_with_its_verdicts_and_its_cost(path: Path) -> None:
    story = texts(explain(path, "worker-23"))

    assert "worker-23 was slashed" in story
    assert story.count("found invalid") >= 2


def test_a_job_hold_is_its_prices_and_what_went_back(path: Path) -> None:
    [held, *_] = explain(path, "job-104").root.children

    assert held.adds_up is True
    assert [int(child.amount) > 0 for child in held.children] == [True] * 9


def test_a_payout_shows_where_it_came_from_and_what_became_of_it(path: Path) -> None:
    id = next(it.event.payout for it in forging.life().events if isinstance(it.event, payout.Requested))
    tree = explain(path, id)
    signed = next(it.event for it in forging.life().events if isinstance(it.event, batch.Finalised))

    assert tree.root.children[0].amount == tree.root.amount
    assert f"finalised: block {signed.block}" in texts(tree)


def test_a_fee_for_a_late_cancellation_adds_up(tmp_path: Path) -> None:
    life = cancelled()
    path = forging.bundle(tmp_path / "b", of=life)
    accounts = {account for it in life.events for account, _ in it.entry}
    assert sum(int(it.event.fee) for it in life.events if isinstance(it.event, task.Ended)) > 0

    for account in sorted(accounts):
        assert {node.adds_up for node in below(explain(path, account).root)} <= {None, True}, account
    id = next(it.event.job for it in life.events if isinstance(it.event, job.Closed))
    assert explain(path, id).root.children[0].adds_up is True
    assert verify(path).findings == ()


@pytest.mark.parametrize(
    "what",
    ["", "nothing", "job-1", "worker-999999", "usdc:2220.payable.account-1", "0", "219", "job-104@0", "job-104@9999", "job-104@5", "²"],
)
def test_what_is_not_there_is_unknown(path: Path, what: str) -> None:
    with pytest.raises(Unknown):
        explain(path, what)


def test_a_damaged_bundle_is_not_explained(tmp_path: Path) -> None:
    path = forging.bundle(tmp_path / "b")
    segment = path / "log/segment-000000.ndjson"
    segment.write_bytes(segment.read_bytes().replace(b'"price":"119170"', b'"price":"919170"', 1))

    with pytest.raises(BadBundle):
        explain(path, "account-32")


def test_an_explanation_is_json_as_well(path: Path) -> None:
    decoded = msgspec.json.decode(explain(path, f"{position(audit.Closed)}").json())

    assert (decoded["what"], decoded["until"]) == (str(position(audit.Closed)), forging.life().ledger.head.size)
    assert decoded["root"]["position"] == position(audit.Closed)


def test_no_bundle_no_explanation(tmp_path: Path) -> None:
    (tmp_path / listing.MANIFEST).write_bytes(b"{}")

    with pytest.raises(BadBundle):
        explain(tmp_path, "1")
