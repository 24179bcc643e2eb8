"""Verify a bundle: everything that an outsider can recompute, from nothing but the bundle and a node of the chain."""

from pathlib import Path

from auditor import bundle as bundles
from auditor.bundle import BadBundle, Bundle
from auditor.checks.money import Books
from auditor.reading import Reader
from auditor.report import OF_CHAIN, Findings, Place, Report, bad_input


def verify(path: Path, rpc_url: str | None = None) -> Report:
    """Never raises for what is in the bundle; a node that fails leaves its checks skipped."""
    try:
        with Bundle(path) as bundle:
            return _verify(bundle, rpc_url)
    except BadBundle as reason:
        return bad_input(str(reason))


def _verify(bundle: Bundle, rpc_url: str | None) -> Report:
    findings = Findings()
    check_files(bundle, findings)
    reader, books = Reader(bundle, findings), Books(findings)
    for taken in reader.blocks():
        if taken.events is not None:
            for recorded in taken.events:
                books.take(recorded)
    books.finish()
    if not rpc_url:
        for name in OF_CHAIN:
            findings.missing(name, "needs the chain: give --rpc")
    check_manifest(bundle, reader, findings)
    return findings.report(reader.head.log, reader.head.size, reader.head.root, reader.records, dict(reader.void))


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


def check_manifest(bundle: Bundle, reader: Reader, findings: Findings) -> None:
    """What it says of itself and of the log."""
    manifest, head, place = bundle.manifest, reader.head, Place(bundles.MANIFEST)
    findings.seen["manifest"] += 1
    if manifest.sha256 != bundle.sealed:
        findings.found("manifest", "the manifest was changed", expected=bundle.sealed, actual=manifest.sha256, at=place)
    expected = f"log {head.log} size {head.size} root {head.root}"
    actual = f"log {manifest.log} size {manifest.size} root {manifest.root}"
    if expected != actual and reader.whole:
        findings.found("manifest", "the manifest names another head than its log has", expected=expected, actual=actual, at=place)
