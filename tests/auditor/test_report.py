"""What checks write down: however much there is, it stays small, is counted exactly, and says where to look."""

from msgspec import json

from auditor import report as reports
from auditor.chain import Told
from auditor.checks.onchain import OnChain
from auditor.report import CHECKS, KEPT_MAX, Findings, Place, Report
from tests.auditor import forging


def late(first: int, count: int) -> Findings:
    findings = Findings()
    for position in range(first, first + count):
        findings.found("times", f"late by {position}", position, expected=1, actual=2)
    return findings


def written(findings: Findings) -> Report:
    return findings.report("a" * 32, 9, "b" * 64, 3, {})


def test_of_very_many_findings_a_hundred_are_kept_and_all_are_counted() -> None:
    report = written(late(1, 250))
    times = next(it for it in report.checks if it.name == "times")

    assert (len(report.findings), report.found, times.found, times.note) == (KEPT_MAX, 250, 250, "250 findings")
    assert f"and {250 - KEPT_MAX} more findings of times" in report.text()
    assert f"and {250 - KEPT_MAX} more findings of times" in report.markdown()


def test_findings_of_several_are_those_of_one() -> None:
    parts = late(1, 70)
    parts.add(late(71, 70))
    parts.add(late(141, 110))

    assert written(parts) == written(late(1, 250))


def test_what_is_said_twice_of_one_event_counts_once() -> None:
    findings = Findings()
    findings.found("shares", "by the rule", 7)
    findings.found("shares", "by the formula", 7)
    findings.found("slashes", "by the rule", 7)
    findings.begin(Place("log/segment-000000.ndjson", 2, 0), b"header\nline\n", 8)
    findings.found("shares", "by the rule", 8)

    assert [(it.check, it.position, it.offset) for it in findings.kept] == [("shares", 7, -1), ("slashes", 7, -1), ("shares", 8, 7)]


def test_a_report_has_every_check_and_the_head_to_note() -> None:
    report = json.decode(written(Findings()).json())

    assert [it["name"] for it in report["checks"]] == [*CHECKS]
    assert (report["exit"], report["head"]) == (0, f"9:{'b' * 64}")


def test_what_stands_in_markdown_is_text() -> None:
    findings = Findings()
    findings.found("files", "<script>", at=Place("log/*evil*|file"))

    assert "\\<script\\>" in written(findings).markdown()
    assert reports.where(findings.kept[0]) == "log/*evil*|file"


def test_of_the_chain_only_what_is_open_is_kept() -> None:
    life = forging.life()
    chain = OnChain(Findings(), Told(forging.facts(life)), lambda _: None)
    for it in life.events:
        chain.take(it)
    chain.finish(life.ledger.head.size)

    assert (chain._mine, chain._theirs, chain._to, chain._anchored) == ({}, {}, {}, [])
