"""Evidence: for every verdict of a closed audit, the checker's regions against the worker's own, by the comparator that checkers use.

What a reveal says is believed by nobody here: the objects are hashed, compared, and the numbers laid beside the revealed ones.
"""

from hashlib import sha256

from auditor.bundle import Bundle
from auditor.report import Findings, Place
from domain.event import Event, Recorded
from domain.ids import AuditId, TaskId
from domain.proof import audit, comparator, proof, ruling, verdict
from domain.work import tiles

SKIPPED = "a region is not in the bundle"


class Evidence:
    """Collects what was revealed, and compares it when its audit is closed: then the regions are public."""

    def __init__(self, bundle: Bundle, findings: Findings) -> None:
        self._bundle, self._findings = bundle, findings
        self._proofs: dict[tuple[TaskId, int], tuple[str, ...]] = {}
        self._audits: dict[AuditId, tuple[TaskId, int]] = {}
        self._reveals: dict[AuditId, list[Recorded[Event]]] = {}

    def take(self, it: Recorded[Event]) -> None:
        event = it.event
        if isinstance(event, proof.Committed) and not event.late:
            self._proofs[event.task, event.fence] = event.raw
        elif isinstance(event, ruling.Accepted) and event.basis == "waived":
            self._proofs.pop((event.task, event.fence), None)
        elif isinstance(event, audit.Opened):
            self._audits[event.audit] = event.task, event.fence
        elif isinstance(event, verdict.Revealed):
            self._reveals.setdefault(event.audit, []).append(it)
        elif isinstance(event, audit.Closed):
            key = self._audits.pop(event.audit, (event.task, 0))
            raw = self._proofs.pop(key, ())
            for revealed in self._reveals.pop(event.audit, ()):
                self._compare(revealed, raw)

    def _compare(self, it: Recorded[Event], raw: tuple[str, ...]) -> None:
        event = it.event
        assert isinstance(event, verdict.Revealed)
        for metric, own in zip(event.metrics, event.evidence_sha256, strict=False):
            self._findings.seen["evidence"] += 1
            claimed = raw[metric.region] if metric.region < len(raw) else ""
            mine, theirs = self._object(own, it.pos), self._object(claimed, it.pos)
            if mine is None or theirs is None:
                continue
            try:
                seen = comparator.compare(mine, theirs)
            except ValueError as error:
                self._findings.found("evidence", f"the checker's region {metric.region} is no rendering: {error}", it.pos)
                continue
            said = comparator.Metrics(metric.equal, metric.psnr_mdb, metric.differing_ppm)
            if seen != said:
                self._findings.found("evidence", f"the metrics of region {metric.region}", it.pos, expected=seen, actual=said)

    def _object(self, digest: str, pos: int) -> bytes | None:
        data = self._bundle.evidence(digest, tiles.RAW_BYTES_MAX) if digest else None
        if data is None:
            self._findings.missing("evidence", SKIPPED)
            return None
        if sha256(data).hexdigest() != digest:
            place = Place(f"evidence/{digest}")
            self._findings.found("evidence", "a region was changed", pos, expected=digest, actual=sha256(data).hexdigest(), at=place)
            return None
        return data
