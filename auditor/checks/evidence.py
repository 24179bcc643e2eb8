"""Evidence: for every verdict of a closed audit, the checker's regions against the worker's own, by the comparator that checkers use.

What a reveal says is believed by nobody here: the objects are hashed, compared, and the numbers laid beside the revealed ones.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

from msgspec import Struct

from auditor.bundle import Bundle
from auditor.report import Findings, Place
from domain.event import Event, Recorded
from domain.ids import AuditId, JobId
from domain.proof import audit, comparator, proof, ruling, verdict
from domain.work import job, tiles

SKIPPED = "a region is not in the bundle"


class Region(NamedTuple):
    """One region of one verdict: as the checker rendered it, and as the worker did."""

    position: int
    """Of the reveal."""
    metric: verdict.Metric
    checker: str
    """SHA-256 of the object; likewise below, empty if there was no such tile."""
    worker: str
    spec: str
    """SHA-256 of what it is rendered to; empty for a bench, whose scene is not the log's."""


class Regions(Struct):
    """Reads the events, and names the regions of each audit as it closes: then they are public. What is open is remembered."""

    proofs: dict[str, tuple[str, ...]] = {}
    """By task and fence."""
    audits: dict[AuditId, str] = {}
    reveals: dict[AuditId, list[tuple[int, verdict.Revealed]]] = {}
    specs: dict[JobId, str] = {}

    def take(self, it: Recorded[Event]) -> Iterator[Region]:
        match it.event:
            case job.Submitted() as event:
                self.specs[event.job] = event.spec_sha256
            case job.Archived() as event:
                self.specs.pop(event.job, None)
            case proof.Committed() as event if not event.late:
                self.proofs[f"{event.task} {event.fence}"] = event.raw
            case ruling.Accepted() as event if event.basis == "waived":
                self.proofs.pop(f"{event.task} {event.fence}", None)
            case audit.Opened() as event:
                self.audits[event.audit] = f"{event.task} {event.fence}"
            case verdict.Revealed() as event:
                self.reveals.setdefault(event.audit, []).append((it.pos, event))
            case audit.Closed() as event:
                raw, spec = self.proofs.pop(self.audits.pop(event.audit, ""), ()), self.specs.get(event.job, "")
                for position, revealed in self.reveals.pop(event.audit, ()):
                    for metric, own in zip(revealed.metrics, revealed.evidence_sha256, strict=False):
                        yield Region(position, metric, own, raw[metric.region] if 0 <= metric.region < len(raw) else "", spec)
            case _:
                pass


class Evidence:
    """Compares the regions of closed audits again."""

    def __init__(self, bundle: Bundle, findings: Findings, regions: Regions) -> None:
        self._bundle, self._findings, self._regions = bundle, findings, regions

    def take(self, it: Recorded[Event]) -> None:
        for region in self._regions.take(it):
            self._compare(region)

    def _compare(self, it: Region) -> None:
        self._findings.seen["evidence"] += 1
        mine, theirs = self._object(it.checker, it.position), self._object(it.worker, it.position)
        if mine is None or theirs is None:
            return
        try:
            if it.spec and (spec := tiles.unpack(mine).spec.hex()) != it.spec:
                message = f"the checker's region {it.metric.region} is of another specification"
                self._findings.found("evidence", message, it.position, expected=it.spec, actual=spec)
            seen = comparator.compare(mine, theirs)
        except ValueError as error:
            self._findings.found("evidence", f"the checker's region {it.metric.region} is no rendering: {error}", it.position)
            return
        said = comparator.Metrics(it.metric.equal, it.metric.psnr_mdb, it.metric.differing_ppm)
        if seen != said:
            self._findings.found("evidence", f"the metrics of region {it.metric.region}", it.position, expected=seen, actual=said)

    def _object(self, digest: str, pos: int) -> bytes | None:
        """None where there is nothing to compare with, which is said."""
        data = self._bundle.evidence(digest, tiles.RAW_BYTES_MAX) if digest else None
        if data is None:
            self._findings.missing("evidence", SKIPPED)
            return None
        if (actual := sha256(data).hexdigest()) != digest:
            message, place = f"region {digest} was changed", Place(f"evidence/{digest}")
            self._findings.found("evidence", message, pos, expected=digest, actual=actual, at=place)
            return None
        return data
