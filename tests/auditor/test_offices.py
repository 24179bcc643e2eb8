"""What people in office do: money frozen and let go, fees that rise, roles that are given; and what they may not do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from auditor.report import Report
from domain.accounts import USDC
from domain.body import Body
from domain.house import override
from domain.ids import AccountId
from domain.market import worker
from domain.treasury import account, batch
from domain.work import job
from tests import network
from tests.auditor import forging, sides
from tests.auditor.forging import Blocks, find
from tests.network import CHAIN_ID, DUMMY, TREASURY, Network

pytestmark = pytest.mark.system


def countersigned(it: Network, command: Body, by: AccountId) -> Body:
    claim = command.countersigned()
    assert claim is not None
    return command.model_copy(update={"approval": it.sign(claim, by)})


def admins(it: Network) -> list[AccountId]:
    return [person.id for person in it.world.people.values() if "admin" in person.roles]


def frozen() -> Network:
    """The watch stops the money while a job is quoted and a payout waits; two admins let it go, and both go on."""
    it, creator, _ = network.populated()
    one, two = admins(it)
    quoted, waiting = it.submit(creator), it.request(creator, "customer", 1_000_000)
    it.do(it.daemon("watch"), override.Override(action="freeze", reason="invariants", number=1))
    release = override.Override(action="release", reason="checked", number=2, approver=two, approval=DUMMY)
    it.do(one, countersigned(it, release, two), keyed=True)
    it.open(quoted)
    it.request(creator, "customer", 1_000_000)
    it.sign_batch([waiting])
    return it


def bumped(*, first: bool) -> Network:
    """The fee of a batch is raised; the chain takes its first bytes, or the later ones."""
    it, creator, _ = network.populated()
    it.sign_batch([it.request(creator, "customer", 1_000_000)])
    [of] = it.world.batches.values()
    items = [(id, it.world.payouts[id].to, int(it.world.payouts[id].amount)) for id in of.payouts]
    payer, before = it.daemon("payer"), of.tx_hash
    raw, tx = it.signers[payer].sign_payout_batch(TREASURY, of.nonce, items, chain_id=CHAIN_ID, fee_wei_max=2 * 10**9, tip_wei=2)
    it.do(payer, batch.Sign(asset=USDC, payouts=tuple(of.payouts), nonce=of.nonce, raw_tx=raw, tx_hash=tx, batch=of.id))
    it.world.batches[of.id].tx_hash = before if first else tx
    it.land()
    it.sign_batch([it.request(creator, "customer", 1_000_000)])
    return it


def granted(*, twice: bool) -> Network:
    """An admin gives a role with another one's signature, takes it back, and gives it once more."""
    it = Network()
    one, two = admins(it)
    someone = it.person("creator")
    give = {"account": someone, "roles": ["finance"], "approver": two, "approval": DUMMY}
    given = countersigned(it, account.Grant.model_validate(give), two)
    it.do(one, given, keyed=True)
    take = {"account": someone, "removed": ["finance"], "approver": two, "approval": DUMMY}
    it.do(one, countersigned(it, account.Grant.model_validate(take), two), keyed=True)
    if twice:
        it.do(one, given, keyed=True)
    return it


def audited(tmp_path: Path, of: Network, change: Callable[[Blocks], object] = lambda _: None) -> Report:
    blocks = forging.opened(of.records)
    change(blocks)
    return sides.both(forging.bundle(tmp_path / "b", of=of, records=forging.sealed(blocks, of.records)))


@pytest.mark.parametrize(
    "make",
    [frozen, lambda: bumped(first=True), lambda: bumped(first=False), lambda: granted(twice=False)],
    ids=["frozen and released", "a fee raised in vain", "a fee raised", "a role given and taken"],
)
def test_what_people_in_office_may_do_is_lawful(tmp_path: Path, make: Callable[[], Network]) -> None:
    assert audited(tmp_path, make()).findings == ()


def test_an_approval_that_is_used_again_is_found(tmp_path: Path) -> None:
    life = granted(twice=True)
    report = audited(tmp_path, life)

    assert [(it.check, it.position) for it in report.findings] == [("signatures", life.ledger.head.size)]


def never_released(blocks: Blocks) -> None:
    """As if nobody had let the money go before it went on."""
    del blocks[next(n for n, block in enumerate(blocks) if block[0]["event"].get("action") == "release")]
    forging.renumber(blocks)


@pytest.mark.parametrize("kind", [job.Opened, batch.Signed], ids=lambda kind: kind.verb())
def test_money_that_moves_while_it_is_frozen_is_found(tmp_path: Path, kind: type[job.Opened | batch.Signed]) -> None:
    life = frozen()
    position = next(it.pos for it in life.events if isinstance(it.event, kind)) - 1

    report = audited(tmp_path, life, never_released)

    assert ("freezes", position) in {(it.check, it.position) for it in report.findings}


def by_somebody(blocks: Blocks) -> None:
    find(blocks, "override.applied")["by"] = "account-14"


def by_one_admin(blocks: Blocks) -> None:
    find(blocks, "override.applied", lambda it: it["action"] == "release")["event"] |= {"approver": "", "approval": ""}


def by_himself(blocks: Blocks) -> None:
    line = find(blocks, "override.applied", lambda it: it["action"] == "release")
    line["by"] = line["event"]["approver"]


def out_of_turn(blocks: Blocks) -> None:
    find(blocks, "override.applied")["event"]["number"] = 7


@pytest.mark.parametrize("change", [by_somebody, by_one_admin, by_himself, out_of_turn], ids=lambda it: it.__name__)
def test_money_stopped_or_let_go_by_whom_it_may_not_be_is_found(tmp_path: Path, change: Callable[[Blocks], None]) -> None:
    report = audited(tmp_path, frozen(), change)

    assert (report.findings[0].check, report.exit) == ("freezes", 1)


def signed(blocks: Blocks) -> list[forging.Line]:
    return [line for block in blocks for line in block if line["event"]["type"] == "batch.signed.v1"]


@pytest.mark.parametrize(("which", "nonce"), [(1, 1), (2, 0), (2, 2)], ids=["another one for higher fees", "one for two", "one left out"])
def test_a_nonce_that_is_not_the_batchs_own_and_next_is_found(tmp_path: Path, which: int, nonce: int) -> None:
    position = 0

    def count(blocks: Blocks) -> None:
        nonlocal position
        line = signed(blocks)[which]
        line["event"]["nonce"], position = nonce, line["pos"]

    report = audited(tmp_path, bumped(first=False), count)

    assert ("batches", position) in {(it.check, it.position) for it in report.findings}


def test_other_payouts_under_a_higher_fee_are_found(tmp_path: Path) -> None:
    position = 0

    def add(blocks: Blocks) -> None:
        nonlocal position
        line = signed(blocks)[1]
        line["event"]["payouts"], position = ["payout-1"], line["pos"]

    report = audited(tmp_path, bumped(first=False), add)

    assert ("batches", position) in {(it.check, it.position) for it in report.findings}


def elected() -> Network:
    """A lease runs out while nobody leads: a new leader gives it the grace of the policy."""
    it, creator, _ = network.populated()
    it.open(it.submit(creator))
    it.wait(1_000)
    sealed = it.ledger.election("leader-2", it.now_us + 11_000_000)
    it.ledger.fold(sealed.record)
    it._keep(sealed.record)
    it.now_us = it.ledger.at_us
    it.wait(it.policy.grace_us)
    it.wait(it.policy.lease_max_us)
    return it


def no_grace(blocks: Blocks) -> None:
    """Deadlines run on as if somebody had led all the time."""
    find(blocks, "ledger.leader_elected")["event"]["grace_us"] = 1


def in_the_grace(blocks: Blocks) -> None:
    """The first lease that ran out is said to have done so a moment after the election."""
    at = next(n for n, block in enumerate(blocks) if any(it["event"].get("outcome") == "no_reply" for it in block))
    for line in blocks[at]:
        line["at_us"] = blocks[at - 1][0]["at_us"] + 1


def two_at_once(blocks: Blocks) -> None:
    """The election shares its block with what came next."""
    at = next(n for n, block in enumerate(blocks) if block[0]["event"]["type"] == "ledger.leader_elected.v1")
    blocks[at] += [{**line, "at_us": blocks[at][0]["at_us"]} for line in blocks.pop(at + 1)]


def test_a_new_leader_gives_the_grace_of_the_policy(tmp_path: Path) -> None:
    life = elected()

    assert any(getattr(it.event, "outcome", "") == "no_reply" for it in life.events)
    assert audited(tmp_path, life).findings == ()


@pytest.mark.parametrize(("change", "check"), [(no_grace, "house"), (in_the_grace, "house"), (two_at_once, "commands")])
def test_a_grace_that_was_not_given_is_found(tmp_path: Path, change: Callable[[Blocks], None], check: str) -> None:
    report = audited(tmp_path, elected(), change)

    assert (report.exit, check in {it.check for it in report.findings}) == (1, True)


def silent(before_us: int) -> Network:
    """The presence daemon puts a worker offline that it heard of so long ago."""
    it, _, workers = network.populated()
    id = workers["fast"]
    it.now_us += it.policy.presence_us
    said = worker.Silence(worker=id, session=it.world.workers[id].session, last_seen_us=it.now_us - before_us)
    it.do(it.daemon("presence"), said)
    return it


def test_a_worker_that_was_heard_of_lately_is_not_silent(tmp_path: Path) -> None:
    long, short = silent(10_000_000), silent(1_000_000)
    for name in ("long", "short"):
        (tmp_path / name).mkdir()

    assert audited(tmp_path / "long", long).findings == ()
    assert [(it.check, it.position) for it in audited(tmp_path / "short", short).findings] == [("authority", short.ledger.head.size)]
