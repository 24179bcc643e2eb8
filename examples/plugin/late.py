"""A projection of one's own: how often each worker's proof came too late. Once this is installed beside gridledger, the server makes
its table, fills it from the log's first event on, and keeps it. Everything below the imports is all there is to it."""

from collections.abc import Iterator
from typing import ClassVar

from gridledger.domain.event import Event, Recorded
from gridledger.domain.proof import proof
from gridledger.projections.row import Change, Id, Projection, Row, Sum


class Late(Row):
    table: ClassVar[str] = "late"
    worker: Id
    proofs: Sum[int] = 0


class LateProofs(Projection):
    name, rows = "late_proofs", (Late,)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        if isinstance(e.event, proof.Committed) and e.event.late:
            yield Late(e.event.worker, 1)
