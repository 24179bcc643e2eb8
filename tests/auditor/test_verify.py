"""Verify as a whole: what is clean, what is incomplete, and what the chain contradicts. The node is a real HTTP server with a made-up
chain; tests/auditor/test_anvil.py has a real one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rlp
from eth_account import Account
from eth_account.messages import _hash_eip191_message, encode_typed_data

from adapters.evm import transaction
from auditor.checks import batches, signatures
from auditor.checks.heads import Noted
from auditor.export import ExportFailed, export
from auditor.facts import Facts
from auditor.report import OF_CHAIN, Report
from auditor.verify import verify
from domain.log import listing
from domain.log.merkle import leaf_hash, tree_hash
from domain.signing import typed_data
from domain.treasury import batch
from tests import network
from tests.auditor import forging
from tests.auditor import served as nodes
from tests.auditor.served import served
from tests.network import CHAIN_ID, LOG


@dataclass
class Case:
    bundle: Path
    report: Report


def exported(tmp_path: Path, told: Facts | None = None, exported_from: Facts | None = None, heads: Sequence[Noted] = ()) -> Report:
    """The life, exported by HTTP, and verified against a node that says `told`."""
    life, true = forging.life(), forging.facts(forging.life())
    with served(life.records, life.objects, exported_from or told or true) as url:
        export(url, url, tmp_path / "b")
    with served([], {}, told or true) as url:
        return verify(tmp_path / "b", url, heads=heads)


def statuses(report: Report, *names: str) -> set[str]:
    return {check.status for check in report.checks if not names or check.name in names}


def found(report: Report) -> list[tuple[str, int]]:
    return [(it.check, it.position) for it in report.findings]


def position(kind: str) -> int:
    """Of the first event of this kind in the life."""
    line = forging.find(forging.opened(forging.life().records), kind)
    return int(line["pos"])


def test_an_honest_life_is_clean_in_every_check(tmp_path: Path) -> None:
    report = exported(tmp_path, heads=[noted(0), noted(218), noted(forging.life().ledger.head.size)])

    assert (report.exit, found(report), statuses(report)) == (0, [], {"passed"})
    assert [check.name for check in report.checks if not check.seen] == []
    assert (report.size, report.root) == (forging.life().ledger.head.size, forging.life().ledger.head.root)


def noted(size: int) -> Noted:
    """A head of the life that somebody wrote down."""
    lines = [line for record in forging.life().records for line in record.split(b"\n")[1:-1]]
    return Noted(size, tree_hash([*map(leaf_hash, lines[:size])]).hex())


def test_a_longer_life_with_waived_proofs_is_clean(tmp_path: Path) -> None:
    life = network.life(frames=24)
    report = verify(forging.bundle(tmp_path / "b", of=life))

    assert found(report) == []
    assert "waived" in {getattr(it.event, "basis", "") for it in life.events}


def test_the_standard_policy_is_verified_as_well(tmp_path: Path) -> None:
    report = verify(forging.bundle(tmp_path / "b", of=network.populated("standard")[0]))

    assert found(report) == []


def test_without_the_chain_a_clean_bundle_is_incomplete(tmp_path: Path) -> None:
    report = verify(forging.bundle(tmp_path / "b"))

    assert (report.exit, found(report)) == (2, [])
    assert {check.name for check in report.checks if check.status == "skipped"} == set(OF_CHAIN)


def test_a_node_that_does_not_answer_leaves_the_bundle_incomplete(tmp_path: Path, free_port: int) -> None:
    report = verify(forging.bundle(tmp_path / "b"), f"http://127.0.0.1:{free_port}")

    assert (report.exit, statuses(report, *OF_CHAIN)) == (2, {"skipped"})


def test_a_node_of_another_chain_proves_nothing(tmp_path: Path) -> None:
    other = msgspec.structs.replace(forging.facts(forging.life()), chain_id=1)
    with served([], {}, other) as url:
        report = verify(forging.bundle(tmp_path / "b"), url)

    assert (report.exit, statuses(report, *OF_CHAIN)) == (2, {"skipped"})


def test_a_missing_region_makes_the_bundle_incomplete(tmp_path: Path) -> None:
    path = forging.bundle(tmp_path / "b")
    next((path / "evidence").iterdir()).unlink()
    for region in sorted((path / "evidence").iterdir())[:6]:
        region.unlink()

    with served([], {}, forging.facts(forging.life())) as url:
        report = verify(path, url)

    assert (report.exit, statuses(report, "evidence")) == (2, {"skipped"})


def test_findings_win_over_what_is_missing(tmp_path: Path) -> None:
    path = forging.bundle(tmp_path / "b")
    (path / "log" / "extra").write_bytes(b"")

    assert verify(path).exit == 1


def change(name: str, index: int, **fields: Any) -> Facts:
    """The true facts, but for one."""
    true = forging.facts(forging.life())
    rows = list(getattr(true, name))
    rows[index] = msgspec.structs.replace(rows[index], **fields)
    return msgspec.structs.replace(true, **{name: tuple(rows)})


def without(name: str, where: Callable[[Any], bool]) -> Facts:
    true = forging.facts(forging.life())
    return msgspec.structs.replace(true, **{name: tuple(row for row in getattr(true, name) if not where(row))})


def log_index(kind: str) -> int:
    return next(n for n, log in enumerate(forging.facts(forging.life()).logs) if log.kind == kind)


def invented() -> Facts:
    true = forging.facts(forging.life())
    more = msgspec.structs.replace(true.logs[0], tx="0x" + "e" * 64)
    return msgspec.structs.replace(true, logs=(*true.logs, more))


CHAINS: list[tuple[str, Callable[[], Facts], str, str]] = [
    ("a beacon of another block", lambda: change("blocks", 1, hash="0x" + "0" * 64), "beacon blocks", "beacon.drawn"),
    ("a beacon of a later block", lambda: change("blocks", 0, timestamp_s=2 * 10**9), "beacon blocks", "beacon.drawn"),
    ("a beacon of an earlier block", lambda: change("blocks", 1, timestamp_s=1), "beacon blocks", "beacon.drawn"),
    ("a deposit of less", lambda: change("logs", 0, amount="1"), "deposits", "deposit.finalised"),
    ("a deposit for another account", lambda: change("logs", 0, subject="account-3"), "deposits", "deposit.finalised"),
    ("a deposit that is not there", lambda: without("logs", lambda log: log.kind == "Deposited"), "deposits", "deposit.finalised"),
    ("a deposit that the ledger has not", invented, "deposits", "chain.reconciled"),
    ("a payout that is not there", lambda: without("logs", lambda log: log.kind == "Paid"), "payouts", "batch.finalised"),
    ("a payout of less", lambda: change("logs", log_index("Paid"), amount="1"), "payouts", "batch.finalised"),
    ("a payout to another", lambda: change("logs", log_index("Paid"), who="0x" + "0" * 40), "payouts", "batch.finalised"),
    ("a payout that failed", lambda: change("logs", log_index("Paid"), kind="Failed"), "payouts", "batch.finalised"),
    ("a failure that was paid", lambda: change("logs", log_index("Failed"), kind="Paid"), "payouts", "batch.finalised"),
    ("another price of gas", lambda: change("gas", 0, wei="1"), "payouts", "batch.finalised"),
    ("a smaller treasury", lambda: change("balances", 0, amount="1"), "treasury", "chain.reconciled"),
    ("an anchor of another root", lambda: change("logs", log_index("Anchored"), subject="0" * 64), "anchors", "checkpoint.anchored"),
    ("an anchor that is not there", lambda: without("logs", lambda log: log.kind == "Anchored"), "anchors", "checkpoint.anchored"),
]


@pytest.mark.system
@pytest.mark.parametrize(("told", "check", "kind"), [row[1:] for row in CHAINS], ids=[row[0] for row in CHAINS])
def test_what_the_chain_does_not_have_is_found(tmp_path: Path, told: Callable[[], Facts], check: str, kind: str) -> None:
    report = exported(tmp_path, told())

    assert report.exit == 1
    assert (check, position(kind)) in found(report)
    assert {it.check for it in report.findings} <= {check}


def test_a_deposit_that_was_passed_over_is_found_though_nothing_was_reconciled(tmp_path: Path) -> None:
    """Later ones are final in the ledger: it takes no older one any more."""
    life = forging.life()
    cut = next(n for n, record in enumerate(life.records) if b'"chain.reconciled.v1"' in record)
    path = forging.bundle(tmp_path / "b", records=life.records[:cut], chain=invented())
    last = max(it.pos for it in life.events if isinstance(it.event, batch.Finalised))

    assert found(verify(path)) == [("deposits", last)]


def test_what_the_bundle_says_of_the_chain_is_checked_against_the_chain(tmp_path: Path) -> None:
    report = exported(tmp_path, exported_from=change("logs", 0, who="0x" + "0" * 40))

    assert [(it.check, it.file) for it in report.findings] == [("receipts", listing.RECEIPTS)]


def test_what_the_bundle_says_of_the_chain_can_contradict_its_log(tmp_path: Path) -> None:
    report = verify(forging.bundle(tmp_path / "b", chain=change("logs", 0, amount="1")))

    assert (report.exit, found(report)) == (1, [("deposits", position("deposit.finalised"))])


def test_an_anchor_beyond_the_bundle_is_noted(tmp_path: Path) -> None:
    """A log that was cut short looks like this; so does one that has grown since."""
    life = forging.life()
    path = forging.bundle(tmp_path / "b", records=life.records[:-6])

    report = verify(path)

    assert report.exit == 2
    assert any("anchor of size" in note for note in report.notes)


def test_a_bundle_made_without_a_node_is_clean_with_one(tmp_path: Path) -> None:
    life = forging.life()
    with served(life.records, life.objects, forging.facts(life)) as url:
        export(url, None, tmp_path / "b")
        report = verify(tmp_path / "b", url)

    assert (report.exit, found(report)) == (0, [])
    assert not (tmp_path / "b" / listing.RECEIPTS).exists()


def test_a_node_that_refuses_long_ranges_is_asked_for_shorter_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "RANGE_MAX", 1 << 27)
    report = exported(tmp_path)

    assert (report.exit, found(report)) == (0, [])


def test_an_export_leaves_out_what_the_server_has_not(tmp_path: Path) -> None:
    life = forging.life()
    with served(life.records, {}, forging.facts(life)) as url:
        export(url, url, tmp_path / "b")
        report = verify(tmp_path / "b", url)

    assert (report.exit, statuses(report, "evidence")) == (2, {"skipped"})


def test_an_export_refuses_evidence_that_is_something_else(tmp_path: Path) -> None:
    life = forging.life()
    with served(life.records, dict.fromkeys(life.objects, b"noise"), forging.facts(life)) as url, pytest.raises(ExportFailed):
        export(url, url, tmp_path / "b")

    assert list(tmp_path.iterdir()) == []


def test_an_export_of_a_broken_log_leaves_nothing(tmp_path: Path) -> None:
    life = forging.life()
    with served([life.records[0], life.records[2]], {}, forging.facts(life)) as url, pytest.raises(ExportFailed):
        export(url, None, tmp_path / "b")

    assert list(tmp_path.iterdir()) == []


def test_nobody_there_makes_no_export(tmp_path: Path, free_port: int) -> None:
    with pytest.raises(ExportFailed):
        export(f"http://127.0.0.1:{free_port}", None, tmp_path / "b")

    assert list(tmp_path.iterdir()) == []


def test_our_digest_is_eth_accounts() -> None:
    claims = [claim for it in forging.life().events for claim in it.event.claims()]
    ours = [signatures.digest(LOG, CHAIN_ID, claim) for claim in claims]
    theirs = [_hash_eip191_message(encode_typed_data(full_message=typed_data(LOG, CHAIN_ID, claim))) for claim in claims]

    assert len(claims) > 40
    assert ours == theirs


def test_we_read_signed_bytes_as_those_who_write_them() -> None:
    signed = next(it.event for it in forging.life().events if isinstance(it.event, batch.Signed))
    ours, theirs = batches.read(signed.raw_tx), transaction.decode_batch(signed.raw_tx)

    assert [tuple(item) for item in ours.items] == [(it.payout, it.to, it.amount) for it in theirs.items]
    assert (ours.tx, ours.sender, ours.chain_id, ours.nonce, ours.to) == (
        theirs.tx,
        theirs.payer,
        theirs.chain_id,
        theirs.nonce,
        theirs.treasury,
    )


def signed_batch() -> str:
    return next(it.event.raw_tx for it in forging.life().events if isinstance(it.event, batch.Signed))


def test_who_signed_is_whom_eth_account_finds() -> None:
    raw = signed_batch()

    assert batches.read(raw).sender == Account.recover_transaction(raw).lower()


def rewritten(change: Callable[[list[Any]], Any]) -> str:
    """The batch's bytes after a change of their fields, written again as bytes are to be written."""
    fields = rlp.decode(bytes.fromhex(signed_batch()[4:]))
    change(fields)
    return f"0x02{rlp.encode(fields).hex()}"


def loosely(raw: str) -> str:
    """The same fields, a number in a form that no chain takes: a small byte with a length before it."""
    fields = rlp.decode(bytes.fromhex(raw[4:]))
    items = [rlp.encode(field) for field in fields]
    items[6] = b"\x81\0"
    body = b"".join(items)
    return "0x02" + (b"\xf9" + len(body).to_bytes(2, "big") + body).hex()


def test_bytes_of_another_form_or_with_more_in_them_are_no_batch() -> None:
    assert batches.read(rewritten(lambda _: None)) == batches.read(signed_batch())
    for raw, why in (
        (rewritten(lambda fields: fields.__setitem__(1, b"\0" + fields[1])), "zeros before it"),
        (rewritten(lambda fields: fields.__setitem__(8, [[bytes(20), []]])), "an access list"),
        (rewritten(lambda fields: fields.__setitem__(9, b"\x02")), "no signature"),
        (rewritten(lambda fields: fields.__setitem__(10, b"\1" + bytes(32))), "no signature"),
        (rewritten(lambda fields: fields.append(b"")), "one form"),
        (loosely(signed_batch()), "one form"),
        (signed_batch() + "00", "one form"),
    ):
        with pytest.raises(ValueError, match=why):
            batches.read(raw)


@pytest.mark.parametrize("raw", ["", "0x", "0x02", "0x02c0", "0x01c0", "0x02ff", "0x02f8", "0x02" + "f8" * 40, "nothing"])
def test_what_are_no_signed_bytes_is_refused(raw: str) -> None:
    with pytest.raises((ValueError, TypeError, IndexError)):
        batches.read(raw)


def test_a_report_is_json_and_text(tmp_path: Path) -> None:
    report = verify(forging.bundle(tmp_path / "b"))
    decoded = msgspec.json.decode(report.json())

    assert (decoded["exit"], decoded["size"], len(decoded["checks"])) == (2, report.size, len(report.checks))
    assert report.text().splitlines()[-1] == "incomplete: a skipped check is not a pass"
