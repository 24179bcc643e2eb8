"""Every lifecycle, as tables of (status, what happens, next status). What is not in a table cannot happen.

Guards, folds, the diagrams of the manual and the tests all read these rows. What happens is an event's stored name without its version.
Where a row has a twin with another next status, the event itself says which.
"""

from collections.abc import Iterator
from typing import Generic, Literal, TypeVar

from domain.errors import NotAllowed

S = TypeVar("S", bound=str)


class Lifecycle(Generic[S]):
    def __init__(self, of: str, *rows: tuple[S, str, S]) -> None:
        self.of, self.rows = of, rows
        self._after: dict[tuple[S, str], list[S]] = {}
        for status, happens, after in rows:
            self._after.setdefault((status, happens), []).append(after)

    def __iter__(self) -> Iterator[tuple[S, str, S]]:
        return iter(self.rows)

    def allows(self, status: S, happens: str) -> bool:
        return (status, happens) in self._after

    def guard(self, id: str, status: S, happens: str) -> None:
        """Refuse what is not in the table."""
        if not self.allows(status, happens):
            raise NotAllowed(what=id, status=status, happens=happens)

    def after(self, status: S, happens: str, chosen: S | None = None) -> S:
        """The next status; `chosen` by the event where there is a choice. KeyError or ValueError: our own bug, or a forged log."""
        possible = self._after[status, happens]
        if chosen is None:
            (only,) = possible
            return only
        if chosen not in possible:
            raise ValueError(f"{self.of} {status}: {happens} does not lead to {chosen}")
        return chosen


JobStatus = Literal["submitted", "quoted", "open", "paused", "closing", "closed", "archived"]
JOB: Lifecycle[JobStatus] = Lifecycle(
    "job",
    ("submitted", "job.quoted", "quoted"),
    ("submitted", "job.closed", "closed"),
    ("quoted", "job.opened", "open"),
    ("quoted", "job.closed", "closed"),
    ("open", "job.paused", "paused"),
    ("open", "job.closing", "closing"),
    ("open", "job.closed", "closed"),
    ("paused", "job.resumed", "open"),
    ("paused", "job.closing", "closing"),
    ("paused", "job.closed", "closed"),
    ("closing", "job.closed", "closed"),
    ("closed", "job.archived", "archived"),
)

TaskStatus = Literal["ready", "leased", "committed", "auditing", "accepted", "matured", "dead", "cancelled"]
TASK: Lifecycle[TaskStatus] = Lifecycle(
    "task",
    ("ready", "task.leased", "leased"),
    ("ready", "job.closing", "cancelled"),
    ("ready", "job.closed", "cancelled"),
    ("leased", "proof.committed", "committed"),
    ("leased", "attempt.ended", "ready"),
    ("leased", "attempt.ended", "dead"),
    ("leased", "attempt.ended", "cancelled"),
    ("committed", "audit.opened", "auditing"),
    ("committed", "task.accepted", "accepted"),
    ("auditing", "task.accepted", "accepted"),
    ("auditing", "task.rejected", "ready"),
    ("auditing", "task.rejected", "dead"),
    ("auditing", "task.rejected", "cancelled"),
    ("auditing", "attempt.ended", "ready"),
    ("auditing", "attempt.ended", "dead"),
    ("auditing", "attempt.ended", "cancelled"),
    ("accepted", "earnings.matured", "matured"),
    ("cancelled", "earnings.matured", "cancelled"),
)

BenchStatus = Literal["leased", "committed", "auditing", "scored", "failed"]
BENCH: Lifecycle[BenchStatus] = Lifecycle(
    "bench",
    ("leased", "proof.committed", "committed"),
    ("leased", "attempt.ended", "failed"),
    ("committed", "audit.opened", "auditing"),
    ("auditing", "worker.scored", "scored"),
    ("auditing", "audit.closed", "failed"),
)

AuditStatus = Literal["checking", "revealing", "closed"]
AUDIT: Lifecycle[AuditStatus] = Lifecycle(
    "audit",
    ("checking", "verdict.committed", "checking"),
    ("checking", "audit.second_look", "checking"),
    ("checking", "verdict.revealed", "revealing"),
    ("checking", "audit.widened", "checking"),
    ("checking", "audit.closed", "closed"),
    ("revealing", "verdict.revealed", "revealing"),
    ("revealing", "audit.widened", "checking"),
    ("revealing", "audit.closed", "closed"),
)

PayoutStatus = Literal["requested", "approved", "signed", "mined", "final", "cancelled"]
PAYOUT: Lifecycle[PayoutStatus] = Lifecycle(
    "payout",
    ("requested", "payout.approved", "requested"),
    ("requested", "payout.approved", "approved"),
    ("requested", "payout.cancelled", "cancelled"),
    ("approved", "payout.cancelled", "cancelled"),
    ("requested", "batch.signed", "signed"),
    ("approved", "batch.signed", "signed"),
    ("signed", "batch.signed", "signed"),
    ("signed", "batch.mined", "mined"),
    ("mined", "batch.unmined", "signed"),
    ("mined", "batch.finalised", "final"),
)

DepositStatus = Literal["seen", "final", "orphaned"]
DEPOSIT: Lifecycle[DepositStatus] = Lifecycle(
    "deposit",
    ("seen", "deposit.finalised", "final"),
    ("seen", "deposit.orphaned", "orphaned"),
)

Presence = Literal["offline", "online"]
WORKER: Lifecycle[Presence] = Lifecycle(
    "worker",
    ("offline", "worker.online", "online"),
    ("online", "worker.online", "online"),
    ("online", "worker.offline", "offline"),
)

Mode = Literal["active", "paused", "draining", "retired"]
MODES: tuple[Mode, ...] = ("active", "paused", "draining", "retired")
MODE: Lifecycle[Mode] = Lifecycle(
    "worker's mode", *((mode, "worker.changed", after) for mode in MODES if mode != "retired" for after in MODES)
)

Quarantine = Literal["free", "quarantined"]
QUARANTINE: Lifecycle[Quarantine] = Lifecycle(
    "worker's quarantine",
    ("free", "worker.quarantined", "quarantined"),
    ("quarantined", "worker.released", "free"),
)

Money = Literal["running", "frozen"]
MONEY: Lifecycle[Money] = Lifecycle(
    "money",
    ("running", "override.applied", "frozen"),
    ("frozen", "override.applied", "running"),
)

LIFECYCLES: tuple[Lifecycle[str], ...] = (JOB, TASK, BENCH, AUDIT, PAYOUT, DEPOSIT, WORKER, MODE, QUARANTINE, MONEY)  # type: ignore[assignment]
