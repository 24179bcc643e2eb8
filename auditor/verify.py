"""Verify a bundle: everything that an outsider can recompute, from nothing but the bundle and a node of the chain."""

from pathlib import Path

from auditor import bundle as bundles
from auditor.bundle import BadBundle, Bundle
from auditor.chain import Node, Silent, collect
from auditor.checks.decisions import Decisions
from auditor.checks.evidence import Evidence
from auditor.checks.money import Books
from auditor.checks.onchain import OnChain
from auditor.checks.signatures import Signatures
from auditor.facts import Facts
from auditor.reading import Reader
from auditor.report import CHECKS, OF_CHAIN, OF_LINES, Findings, Place, Report, bad_input

CUT = "not to the end of the log"
"""Why a check is skipped that needs all of the log."""


def verify(path: Path, rpc_url: str | None = None, *, told: Facts | None = None) -> Report:
    """Never raises for what is in the bundle; a node that fails leaves its checks skipped. `told` is what a node said before, for who
    verifies many bundles beside one chain."""
    try:
        with Bundle(path) as bundle:
            return _verify(bundle, rpc_url, told)
    except BadBundle as reason:
        return bad_input(str(reason))


def _verify(bundle: Bundle, rpc_url: str | None, told: Facts | None) -> Report:
    findings = Findings()
    check_files(bundle, findings)
    reader, books, chain = Reader(bundle, findings), Books(findings), OnChain(findings)
    decisions, evidence = Decisions(findings, Signatures(findings)), Evidence(bundle, findings)
    for taken in reader.blocks():
        chain.take(taken)
        decisions.take(taken)
        for recorded in taken.events or ():
            books.take(recorded)
            evidence.take(recorded)
    books.finish()
    check_chain(bundle, reader, chain, findings, rpc_url, told)
    check_manifest(bundle, reader, chain, findings)
    if decisions.lost or not reader.whole:
        unfinished(findings, () if not reader.whole else ("records",) if not reader.understood else OF_LINES)
    return findings.report(reader.head.log, reader.head.size, reader.head.root, reader.records, dict(reader.void))


def unfinished(findings: Findings, finished: tuple[str, ...]) -> None:
    """The log could not be followed to its end, so most checks are not either."""
    findings.note("the log could not be followed to its end: what comes after its damage was not checked")
    for name in CHECKS:
        if name not in {"manifest", "files", *finished}:
            findings.missing(name, CUT)


def check_chain(bundle: Bundle, reader: Reader, chain: OnChain, findings: Findings, rpc_url: str | None, told: Facts | None = None) -> None:
    """With a node, all that the log and the bundle say of the chain. Without one, what came with the bundle can contradict the log, but
    it proves nothing."""
    kept = bundle.receipts()
    if not rpc_url and told is None:
        for name in OF_CHAIN:
            findings.missing(name, "needs the chain: give its RPC")
        if kept:
            chain.compare(kept)
        return
    try:
        facts = told or ask(rpc_url or "", chain)
    except Silent as reason:
        for name in OF_CHAIN:
            findings.missing(name, str(reason))
        return
    chain.compare(facts)
    if reader.whole and reader.understood and reader.head.size >= bundle.manifest.size:
        check_receipts(kept, facts, findings)
    else:
        # The chain is asked for what the log names: of what the unread rest names, nothing is known, so nothing of it can be called false.
        findings.missing("receipts", CUT)


def ask(rpc_url: str, chain: OnChain) -> Facts:
    """All that the log asks of its chain. Raises `Silent`."""
    with Node(rpc_url) as node:
        if (id_ := node.chain_id()) != chain.chain_id:
            raise Silent(f"the node is of chain {id_}, the log of chain {chain.chain_id}")
        return collect(node, chain.wanted())


def check_receipts(kept: Facts | None, facts: Facts, findings: Findings) -> None:
    """Whatever the bundle brought of the chain is the chain's. It was made earlier, so the chain may have more."""
    if kept is None:
        findings.note("the bundle brought nothing of the chain: the chain itself was asked")
        return
    for name in ("blocks", "logs", "balances", "gas"):
        mine = getattr(facts, name)
        for it in getattr(kept, name):
            findings.seen["receipts"] += 1
            if it not in mine:
                place = Place(bundles.RECEIPTS)
                findings.found("receipts", f"one of the {name} is not the chain's", expected="as on chain", actual=it, at=place)


def check_files(bundle: Bundle, findings: Findings) -> None:
    """Every listed file is there, byte for byte, and no other."""
    listed = {it.path: it for it in bundle.manifest.files}
    present = bundle.names() - {bundles.MANIFEST}
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


def check_manifest(bundle: Bundle, reader: Reader, chain: OnChain, findings: Findings) -> None:
    """What it says of itself and of the log."""
    manifest, head, place = bundle.manifest, reader.head, Place(bundles.MANIFEST)
    findings.seen["manifest"] += 1
    if manifest.sha256 != bundle.sealed:
        findings.found("manifest", "the manifest was changed", expected=bundle.sealed, actual=manifest.sha256, at=place)
    expected = f"log {head.log} size {head.size} root {head.root}"
    actual = f"log {manifest.log} size {manifest.size} root {manifest.root}"
    if expected != actual and reader.whole:
        findings.found("manifest", "the manifest names another head than its log has", expected=expected, actual=actual, at=place)
    listed = tuple(bundles.OnChain(it.asset, it.chain_id, it.contract, it.treasury) for it in chain.assets.values())
    if reader.understood and reader.whole and manifest.assets != listed:
        findings.found("manifest", "the manifest names other contracts", expected=listed, actual=manifest.assets, at=place)
