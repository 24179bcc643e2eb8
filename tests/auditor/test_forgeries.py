"""Forgeries: each changes one thing of a true log, gives it the entry and the hashes that go with it, and is found where it is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from adapters import signer
from auditor.report import Finding, Report
from auditor.verify import verify
from domain.ids import HOUSE
from domain.proof import verdict
from domain.signing import Claim, typed_data
from tests.auditor import forging
from tests.auditor.forging import Blocks, Line, find, opened
from tests.network import CHAIN_ID, LOG, key

Change = Callable[[Line], object]


def audited(tmp_path: Path, change: Callable[[Blocks], None]) -> Report:
    return verify(forging.bundle(tmp_path / "b", records=forging.forged(change)))


def first(report: Report) -> Finding:
    return report.findings[0]


def put(*path: str, to: object) -> Change:
    """Sets a field of the event."""

    def change(line: Line) -> None:
        *above, last = path
        at = line["event"]
        for name in above:
            at = at[name]
        at[last] = to(at[last]) if callable(to) else to

    return change


def more(amount: str) -> str:
    return str(int(amount) + 1)


def job_task(event: Line) -> bool:
    return bool(event["job"])


def paid_less(line: Line) -> None:
    shares = line["event"]["shares"]
    shares["worker"], shares["fee"] = str(int(shares["worker"]) - 10), str(int(shares["fee"]) + 10)


def other_checker(line: Line) -> None:
    checkers = {"worker-51", "worker-57", "worker-63"}
    line["event"]["checkers"] = [min(checkers - set(line["event"]["checkers"]))]


def slash_less(line: Line) -> None:
    line["event"]["from_stake"] = "5"


def other_verdict(line: Line) -> None:
    """With another seal it would have to be; a verdict that its own metrics do not give."""
    line["event"]["verdict"] = "invalid"


def flip(hexadecimal: str) -> str:
    return hexadecimal[:-1] + ("0" if hexadecimal[-1] != "0" else "1")


def not_everybody(line: Line) -> None:
    line["event"]["lines"] = line["event"]["lines"][:-1]


def anything(_: Line) -> bool:
    return True


def as_event(line: Line) -> Line:
    return {"event": line["event"]["lines"][0]}


def sign_lock(line: Line) -> None:
    """By a key of the account's own, which is not for money."""
    event = line["event"]
    fields = (
        ("account", event["account"]),
        ("asset", "usdc"),
        ("amount", event["amount"]),
        ("source", event["source"]),
        ("number", event["number"]),
    )
    claim = Claim("StakeLock", fields, event["account"], "owner", "")
    agent = forging.life().agents[event["account"]]
    event["signature"] = agent.sign_typed(typed_data(LOG, CHAIN_ID, claim))


Row = tuple[str, str, Callable[[Line], bool], Change, str]
FORGERIES: list[Row] = [
    ("a lease at a higher price", "task.leased", anything, put("price", to=more), "matching"),
    ("a lease to another worker", "task.leased", anything, put("worker", to="worker-30"), "matching"),
    ("another price of the runner-up", "task.leased", anything, put("runner_up_price", to="1"), "matching"),
    ("another number of candidates", "task.leased", anything, put("candidates", to=9), "matching"),
    ("a longer lease", "task.leased", anything, put("expires_us", to=lambda us: us + 1), "matching"),
    ("a dearer quote", "job.quoted", anything, put("total", to=more), "quotes"),
    ("a hold above the quote", "job.opened", anything, put("hold", to=more), "authority"),
    ("another seed", "bench.opened", anything, put("seed", to=1), "scores"),
    ("a better score", "worker.scored", anything, put("score", to=lambda score: score + 1), "scores"),
    ("a faster bench", "worker.scored", anything, put("seconds_us", to=lambda us: us - 1), "scores"),
    ("another u", "audit.opened", job_task, put("u", to="1"), "lottery"),
    ("another p", "audit.opened", job_task, put("p_ppm", to=500_000), "lottery"),
    ("other regions", "audit.opened", job_task, put("regions", to=lambda tiles: [(tiles[0] + 1) % 4]), "regions"),
    ("other checkers", "audit.opened", job_task, other_checker, "checkers"),
    ("other regions when widened", "audit.widened", anything, put("regions", to=lambda tiles: [(tiles[0] + 1) % 4]), "regions"),
    ("checkers in another order", "audit.widened", anything, put("checkers", to=lambda them: them[::-1]), "checkers"),
    ("votes miscounted", "audit.closed", job_task, put("valid", to=lambda n: n + 1), "tallies"),
    ("another result", "audit.closed", lambda it: it["result"] == "invalid", put("result", to="inconclusive"), "tallies"),
    ("a verdict against its metrics", "verdict.revealed", anything, other_verdict, "seals"),
    ("a nonce that does not open the seal", "verdict.revealed", anything, put("nonce", to=flip), "seals"),
    ("other evidence than was sealed", "verdict.revealed", anything, put("evidence_sha256", to=["0" * 64]), "seals"),
    ("shares moved from the worker to the fee", "task.accepted", anything, paid_less, "shares"),
    ("an earlier maturity", "task.accepted", anything, put("matures_us", to=lambda us: us - 1), "shares"),
    ("a milder penalty", "stake.slashed", anything, slash_less, "slashes"),
    ("a shorter quarantine", "worker.quarantined", anything, put("until_us", to=lambda us: us - 1), "slashes"),
    ("rejected work that is dead", "task.rejected", anything, put("next", to="cancelled"), "tallies"),
    ("less matured than was earned", "earnings.matured", anything, lambda line: put("worker", to="1")(as_event(line)), "maturity"),
    ("a pool shared out otherwise", "pool.distributed", lambda it: len(it["lines"]) > 1, not_everybody, "pool"),
    ("a larger refund", "job.closed", anything, put("refund", to=more), "jobs"),
    ("a sealed root of another log", "beacon.drawn", anything, put("sealed_root", to=flip), "beacons"),
    ("a later seal", "beacon.drawn", anything, put("sealed_size", to=lambda size: size - 1), "beacons"),
    ("a payout of more", "payout.requested", anything, put("amount", to=more), "signatures"),
    ("a payout to somebody else", "payout.requested", anything, put("to", to="0x" + "7" * 40), "signatures"),
    (
        "signed bytes that pay otherwise",
        "batch.signed",
        anything,
        put("raw_tx", to=lambda raw: raw.replace("7061796f75742d323039", "7061796f75742d323038")),
        "batches",
    ),
    ("another hash of the signed bytes", "batch.signed", anything, put("tx_hash", to=flip), "batches"),
    ("another nonce than was signed", "batch.signed", anything, put("nonce", to=5), "batches"),
    ("a bid that nobody signed", "bid.set", anything, put("price_per_kwu", to="1"), "signatures"),
    ("a broken signature", "stake.locked", anything, put("signature", to=flip), "signatures"),
    ("a signature by an agent's key where an owner's is needed", "stake.locked", anything, sign_lock, "signatures"),
    ("other tiles than were proved", "proof.committed", job_task, put("raw", to=lambda raw: raw[::-1]), "signatures"),
    ("a proof said to be late", "proof.committed", job_task, put("late", to=True), "authority"),
    ("a deposit credited to somebody else", "deposit.finalised", anything, put("account", to="account-3"), "authority"),
    ("a deposit credited below the minimum", "deposit.finalised", anything, put("credited", to=False), "authority"),
    ("a block that nobody's signed bytes are in", "batch.mined", anything, put("tx_hash", to=flip), "batches"),
    ("another root than was anchored", "checkpoint.anchored", anything, put("root", to=flip), "anchors"),
    ("another log's name", "ledger.opened", anything, put("log", to="b" * 32), "authority"),
    ("a number that is not exact everywhere", "proof.committed", job_task, put("seconds_us", to=2**53), "limits"),
    ("a list that is too long", "earnings.matured", anything, put("lines", to=lambda lines: lines[:1] * 101), "limits"),
    ("a lapse of another worker", "worker.offline", anything, put("worker", to="worker-37"), "house"),
    ("an end by error instead of silence", "attempt.ended", lambda it: it["outcome"] == "no_reply", put("outcome", to="error"), "house"),
]


@pytest.mark.system
@pytest.mark.parametrize(("kind", "where", "change", "check"), [row[1:] for row in FORGERIES], ids=[row[0] for row in FORGERIES])
def test_a_forgery_is_found_where_it_is(tmp_path: Path, kind: str, where: Callable[[Line], bool], change: Change, check: str) -> None:
    position = 0

    def forge(blocks: Blocks) -> None:
        nonlocal position
        line = find(blocks, kind, where)
        position = line["pos"]
        change(line)
        if line["event"]["type"] != "payout.requested.v1":
            forging.booked(line)

    report = audited(tmp_path, forge)

    assert (report.exit, first(report).position) == (1, position)
    assert check in {it.check for it in report.findings if it.position == position}


def test_an_untouched_log_that_is_sealed_again_is_the_same() -> None:
    assert forging.sealed(opened(forging.life().records)) == forging.life().records


def test_a_dropped_event_is_found(tmp_path: Path) -> None:
    def drop(blocks: Blocks) -> None:
        at = next(n for n, block in enumerate(blocks) for line in block if line["event"]["type"] == "task.leased.v1")
        blocks[at].pop()

    report = audited(tmp_path, drop)

    gap = next(it for it in report.findings if it.check == "positions")
    assert int(gap.actual) == int(gap.expected) + 1


def test_a_lease_that_was_owed_and_left_out_is_found(tmp_path: Path) -> None:
    """Renumbered, so that nothing but the house's duty tells."""
    owed = 0

    def omit(blocks: Blocks) -> None:
        nonlocal owed
        at = next(n for n, block in enumerate(blocks) for line in block if line["event"]["type"] == "task.leased.v1")
        del blocks[at + 1 :]
        gone = blocks[at].pop()
        owed = gone["pos"] - 1

    report = audited(tmp_path, omit)

    assert ("house", owed) in {(it.check, it.position) for it in report.findings}


def test_an_event_told_twice_is_found(tmp_path: Path) -> None:
    def repeat(blocks: Blocks) -> None:
        at = next(n for n, block in enumerate(blocks) for line in block if line["event"]["type"] == "deposit.seen.v1")
        blocks.insert(at + 1, blocks[at])

    report = audited(tmp_path, repeat)

    assert {"positions", "times"} <= {it.check for it in report.findings}


def test_two_blocks_in_another_order_are_found(tmp_path: Path) -> None:
    def swap(blocks: Blocks) -> None:
        blocks[20], blocks[21] = blocks[21], blocks[20]

    report = audited(tmp_path, swap)

    assert {"positions", "times"} <= {it.check for it in report.findings}


def test_a_time_that_does_not_rise_is_found(tmp_path: Path) -> None:
    position = 0

    def rewind(blocks: Blocks) -> None:
        nonlocal position
        for line in blocks[30]:
            line["at_us"] = blocks[29][0]["at_us"]
        position = blocks[30][0]["pos"]

    report = audited(tmp_path, rewind)

    assert ("times", position) in {(it.check, it.position) for it in report.findings}


def test_an_entry_that_its_event_does_not_make_is_found(tmp_path: Path) -> None:
    position = 0

    def cook(blocks: Blocks) -> None:
        nonlocal position
        line = find(blocks, "task.accepted")
        line["entry"][1][0] = "usdc:2210.accrued.account-3"
        position = line["pos"]

    assert (first(report := audited(tmp_path, cook)).position, first(report).check) == (position, "entries")


def test_an_entry_that_does_not_balance_is_found(tmp_path: Path) -> None:
    def cook(blocks: Blocks) -> None:
        find(blocks, "task.accepted")["entry"][1][1] = "-1"

    findings = audited(tmp_path, cook).findings

    assert {("entries", True), ("balances", False)} <= {(it.check, it.position > 0) for it in findings}


def test_maturity_before_its_time_is_found(tmp_path: Path) -> None:
    """The whole block that matured shares is told a moment after their acceptance."""

    def hasten(blocks: Blocks) -> None:
        at = next(n for n, block in enumerate(blocks) for line in block if line["event"]["type"] == "earnings.matured.v1")
        del blocks[at + 1 :]
        for line in blocks[at]:
            line["at_us"] = blocks[at - 1][0]["at_us"] + 1

    report = audited(tmp_path, hasten)

    assert "maturity" in {it.check for it in report.findings}


def test_the_house_cannot_be_played_by_others(tmp_path: Path) -> None:
    position = 0

    def pose(blocks: Blocks) -> None:
        nonlocal position
        line = find(blocks, "earnings.matured")
        line["by"] = "account-3"
        position = line["pos"]

    assert (first(report := audited(tmp_path, pose)).position, first(report).check) == (position, "maturity")


def test_others_cannot_hide_behind_the_house(tmp_path: Path) -> None:
    position = 0

    def pose(blocks: Blocks) -> None:
        nonlocal position
        line = find(blocks, "payout.requested")
        line["by"] = HOUSE
        position = line["pos"]

    assert first(audited(tmp_path, pose)).position == position


def test_a_signature_used_twice_is_found(tmp_path: Path) -> None:
    """The same lock once more, with everything renumbered as it should be."""

    def again(blocks: Blocks) -> None:
        at = next(n for n, block in enumerate(blocks) for line in block if line["event"]["type"] == "stake.locked.v1")
        del blocks[at + 1 :]
        twin = [dict(line) for line in blocks[at]]
        for line in twin:
            line["pos"], line["ver"], line["at_us"] = line["pos"] + 1, line["ver"] + 1, line["at_us"] + 1
        blocks.append(twin)

    report = audited(tmp_path, again)

    assert "signatures" in {it.check for it in report.findings}


def test_a_convict_cleared_by_a_forged_verdict_needs_the_checkers_seal(tmp_path: Path) -> None:
    """A verdict of `valid` with a seal to match is signed by nobody."""
    position = 0

    def clear(blocks: Blocks) -> None:
        nonlocal position
        revealed = find(blocks, "verdict.revealed", lambda it: it["verdict"] == "invalid")["event"]
        revealed["verdict"], revealed["metrics"][0]["equal"] = "valid", True
        metrics = tuple(verdict.Metric(**metric) for metric in revealed["metrics"])
        evidence = tuple(revealed["evidence_sha256"])
        seal = verdict.seal_of(revealed["audit"], revealed["checker"], "valid", metrics, evidence, revealed["nonce"])
        line = find(blocks, "verdict.committed", lambda it: (it["audit"], it["checker"]) == (revealed["audit"], revealed["checker"]))
        line["event"]["seal"] = seal
        position = line["pos"]

    report = audited(tmp_path, clear)

    assert (first(report).position, first(report).check) == (position, "signatures")


def test_money_that_an_entry_moves_elsewhere_is_missed_where_the_world_says_it_is(tmp_path: Path) -> None:
    def cook(blocks: Blocks) -> None:
        find(blocks, "task.accepted")["entry"][1][0] = "usdc:2210.accrued.account-3"
        del blocks[next(n for n, block in enumerate(blocks) if any("earnings.matured" in line["event"]["type"] for line in block)) :]

    report = audited(tmp_path, cook)

    assert {"entries", "invariants"} <= {it.check for it in report.findings}


def test_a_payer_that_nobody_appointed_is_found(tmp_path: Path) -> None:
    position = 0

    def steal(blocks: Blocks) -> None:
        nonlocal position
        line = find(blocks, "batch.signed")
        it = forging.life()
        items = [(e.event.payout, e.event.to, int(e.event.amount)) for e in it.events if e.event.verb() == "payout.requested"]  # type: ignore[attr-defined]
        raw, tx = key(99).sign_payout_batch("0x" + "2" * 40, 0, items, chain_id=CHAIN_ID, fee_wei_max=10**9, tip_wei=1)
        assert isinstance(key(99), signer.Signer)
        line["event"]["raw_tx"], position = raw, line["pos"]
        for kind in ("batch.signed", "batch.mined", "batch.finalised"):
            find(blocks, kind)["event"]["tx_hash"] = tx

    report = audited(tmp_path, steal)

    assert [(it.check, it.position) for it in report.findings if it.check == "batches"] == [("batches", position)]
