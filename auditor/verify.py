"""Verify a bundle: everything that an outsider can recompute, from nothing but the bundle and a node of the chain.

The log goes by once, and what is remembered of it is what is still open (auditor/state.py); ranges of it may be verified side by side
(auditor/ranges.py). What needs the whole log is watched here: earlier heads, and the chain.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from auditor import ranges
from auditor.bundle import BadBundle, Bundle
from auditor.chain import Listening, Node, Source, Told
from auditor.checks.heads import Heads, Noted
from auditor.checks.onchain import OnChain
from auditor.facts import Facts
from auditor.ranges import Outcome, Progress
from auditor.reading import Taken
from auditor.report import CHECKS, OF_CHAIN, OF_LINES, Findings, Place, Report, bad_input
from domain.log import listing

CUT = "not to the end of the log"
"""Why a check is skipped that needs all of the log."""


def verify(
    path: Path,
    rpc_url: str | None = None,
    *,
    told: Facts | None = None,
    heads: Sequence[Noted] = (),
    jobs: int | None = None,
    progress: Progress = lambda _: None,
) -> Report:
    """Never raises for what is in the bundle; a node that fails leaves its checks skipped. `told` is what a node said before, for who
    verifies many bundles beside one chain. `heads` are those that the auditor noted earlier. `jobs` processes verify a large log, by
    default as many as there are cores; the report is the same."""
    try:
        with Bundle(path) as bundle, _asked(rpc_url, told) as source:
            return _verify(bundle, source, heads, jobs, progress)
    except BadBundle as reason:
        return bad_input(str(reason))


@contextmanager
def _asked(rpc_url: str | None, told: Facts | None) -> Iterator[Source | None]:
    if told or not rpc_url:
        yield Told(told) if told else None
        return
    with Node(rpc_url) as node:
        yield node


def _verify(bundle: Bundle, source: Source | None, noted: Sequence[Noted], jobs: int | None, progress: Progress) -> Report:
    findings = Findings()
    check_files(bundle, findings)
    kept = bundle.receipts()
    unheard = set[object](_facts(kept))
    heads = Heads(bundle, findings, noted)
    beside = Listening(source, unheard.discard) if source else Told(kept) if kept else None
    chain = OnChain(findings, beside, heads.root, strict=source is not None)

    def watch(taken: Taken) -> None:
        heads.take(taken)
        for recorded in taken.events or ():
            chain.take(recorded)

    outcome = ranges.verify(bundle, jobs, watch, progress)
    heads.finish(whole=outcome.whole)
    chain.finish(outcome.head.size)
    if source is None:
        for name in OF_CHAIN:
            findings.missing(name, "needs the chain: give its RPC")
    elif not chain.silent:
        check_receipts(bundle, outcome, kept, unheard, findings)
    check_manifest(bundle, outcome, chain, findings)
    if not (outcome.whole and outcome.understood and outcome.followed):
        unfinished(findings, () if not outcome.whole else ("records",) if not outcome.understood else OF_LINES)
    whole, head = outcome.findings, outcome.head
    whole.add(findings)
    return whole.report(head.log, head.size, head.root, outcome.records, dict(outcome.void))


def unfinished(findings: Findings, finished: tuple[str, ...]) -> None:
    """The log could not be followed to its end, so most checks are not either."""
    findings.note("the log could not be followed to its end: what comes after its damage was not checked")
    for name in CHECKS:
        if name not in {"manifest", "files", *finished}:
            findings.missing(name, CUT)


def _facts(kept: Facts | None) -> Iterator[object]:
    if kept:
        for name in ("blocks", "logs", "balances", "gas"):
            yield from getattr(kept, name)


def check_receipts(bundle: Bundle, outcome: Outcome, kept: Facts | None, unheard: set[object], findings: Findings) -> None:
    """Whatever the bundle brought of the chain is the chain's. It was made earlier, so the chain may have more."""
    if not (outcome.whole and outcome.understood and outcome.head.size >= bundle.manifest.size):
        # The chain was asked for what the log names: of what the unread rest names, nothing is known, so nothing of it can be called false.
        findings.missing("receipts", CUT)
    elif kept is None:
        findings.note("the bundle brought nothing of the chain: the chain itself was asked")
    else:
        for it in _facts(kept):
            findings.seen["receipts"] += 1
            if it in unheard:
                message = "one of the chain's facts is not the chain's"
                findings.found("receipts", message, expected="as on chain", actual=it, at=Place(listing.RECEIPTS))


def check_files(bundle: Bundle, findings: Findings) -> None:
    """Every listed file is there, byte for byte, and no other."""
    listed = {it.path: it for it in bundle.manifest.files}
    present = bundle.names() - {listing.MANIFEST}
    for name in sorted(present - listed.keys()):
        findings.found("files", "the file is not listed in the manifest", at=Place(name))
    for name, it in listed.items():
        findings.seen["files"] += 1
        try:
            digest, size = bundle.digest(name)
        except OSError:
            if name.startswith("evidence/"):
                findings.missing("evidence", "a region is not in the bundle")
            else:
                findings.found("files", "the file is missing", expected=it.sha256, at=Place(name))
            continue
        if (digest, size) != (it.sha256, it.bytes):
            expected, actual = f"{it.bytes} bytes, {it.sha256}", f"{size} bytes, {digest}"
            findings.found("files", "the file is not what the manifest says", expected=expected, actual=actual, at=Place(name))


def check_manifest(bundle: Bundle, outcome: Outcome, chain: OnChain, findings: Findings) -> None:
    """What it says of itself and of the log."""
    manifest, head, place = bundle.manifest, outcome.head, Place(listing.MANIFEST)
    findings.seen["manifest"] += 1
    if manifest.sha256 != bundle.sealed:
        findings.found("manifest", "the manifest was changed", expected=bundle.sealed, actual=manifest.sha256, at=place)
    expected = f"log {head.log} size {head.size} root {head.root}"
    actual = f"log {manifest.log} size {manifest.size} root {manifest.root}"
    if expected != actual and outcome.whole:
        findings.found("manifest", "the manifest names another head than its log has", expected=expected, actual=actual, at=place)
    listed = tuple(listing.OnChain(it.asset, it.chain_id, it.contract, it.treasury) for it in chain.assets.values())
    if outcome.understood and outcome.whole and manifest.assets != listed:
        findings.found("manifest", "the manifest names other contracts", expected=listed, actual=manifest.assets, at=place)
