"""What the demo knows of the network, from the feed alone: which parts run, how each task stands, who cheated, who was killed."""

from collections.abc import Iterator

from domain.event import Event, Recorded
from domain.market import worker
from domain.proof import audit, bench, proof, ruling
from domain.treasury import batch, deposit, earnings, payout, stake
from domain.units import Units
from domain.work import job, task

WAITING = "waiting"
DONE = ("accepted", "matured")


class Board:
    """A fold of the feed. `take` returns the lines that are worth saying aloud."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        """What people call an account or worker."""
        self.job: job.Submitted | None = None
        self.status = WAITING
        self.total = Units(0)
        self.eta_s = 0
        self.tasks: dict[str, str] = {}
        self.progress: dict[str, tuple[int, int]] = {}
        """Of leased tasks: (tiles rendered, tiles)."""
        self.fences: dict[str, int] = {}
        self.scores: dict[str, int] = {}
        self.rejected: dict[str, list[str]] = {}
        """By worker, its tasks."""
        self.results = {"valid": 0, "invalid": 0, "inconclusive": 0}
        self.audits = 0
        self.ended: list[task.Ended] = []
        self.leases: list[task.Leased] = []
        self.slashed: dict[str, int] = {}
        self.unmatured = 0
        self.position = 0
        self.finalised: list[batch.Finalised] = []
        self.credited: list[str] = []
        """Accounts with a final deposit."""
        self.accepted_from: dict[str, str] = {}
        """By task, whose work on it was accepted."""
        self.proofs: dict[str, tuple[str, ...]] = {}
        """By task, the hashes of its last proof's tiles."""

    def name(self, id: str) -> str:
        return f"{self.names[id]} ({id})" if id in self.names else id

    @property
    def accepted(self) -> int:
        return sum(status in DONE for status in self.tasks.values())

    def cells(self) -> Iterator[list[tuple[str, str]]]:
        """For each frame, (task, status) of its tasks."""
        if self.job is None or not self.tasks:
            return
        groups = self.job.spec.groups
        rows = list(self.tasks.items())
        for frame in range(self.job.spec.frames):
            yield rows[frame * groups : (frame + 1) * groups]

    def take(self, recorded: Recorded[Event]) -> Iterator[str]:
        self.position = recorded.pos
        match recorded.event:
            case deposit.Finalised(credited=True) as it:
                self.credited.append(it.account)
                yield f"{self.name(it.account)} deposited {usdc(it.amount)}"
            case worker.Online() as it:
                yield f"{self.name(it.worker)} is online"
            case worker.Offline(reason="no_reply" | "silent") as it:
                yield f"{self.name(it.worker)} does not answer and is taken for offline"
            case worker.Quarantined() as it:
                yield f"{self.name(it.worker)} is quarantined"
            case bench.Scored() as it:
                self.scores[it.worker] = it.score
                yield f"{self.name(it.worker)} scored {it.score} in its bench, {it.seconds_us / 1e6:.2f} s"
            case audit.Opened():
                self.audits += 1
            case audit.Closed() as it:
                self.results[it.result] += 1
            case audit.Widened() as it:
                yield f"audit of {it.task}: a checker found it wrong, {len(it.checkers)} more were drawn"
            case stake.Slashed() as it:
                self.slashed[it.worker] = self.slashed.get(it.worker, 0) + it.from_stake + it.from_accrued
                yield f"{self.name(it.worker)} is slashed by {usdc(Units(it.from_stake + it.from_accrued))}"
            case _:
                yield from self._take_job(recorded.event)
                yield from self._take_task(recorded.event)
                yield from self._take_payout(recorded.event)

    def _take_job(self, event: Event) -> Iterator[str]:
        match event:
            case job.Submitted() as it:
                self.job, self.status = it, "submitted"
            case job.Quoted() as it:
                self.status, self.total, self.eta_s = "quoted", it.total, it.eta_s
                yield f"quote for {it.job}: {usdc(it.total)}, about {it.eta_s} s"
            case job.Opened() as it:
                self.status = "open"
                for run in it.plan:
                    self.tasks |= {f"{it.job}/{number}": "ready" for number in range(run.range[0], run.range[1] + 1)}
                yield f"{it.job} is open: {usdc(it.hold)} held in escrow for {len(self.tasks)} tasks"
            case job.Closed() as it:
                self.status = it.outcome
                yield f"{it.job} is {it.outcome}: {usdc(it.refund)} back to {self.name(it.creator)}"

    def _take_task(self, event: Event) -> Iterator[str]:
        match event:
            case task.Leased() as it:
                self.tasks[it.task] = "leased"
                self.fences[it.task] = it.fence
                self.progress.pop(it.task, None)
                self.leases.append(it)
                if it.fence > 1:
                    yield f"{it.task} is leased again, to {self.name(it.worker)}"
            case proof.Committed(late=False) as it if it.job:
                self.tasks[it.task] = "committed"
                self.proofs[it.task] = it.raw
            case ruling.Accepted() as it:
                self.tasks[it.task] = "accepted"
                self.accepted_from[it.task] = it.worker
                self.unmatured += 1
                yield f"{it.task} by {self.name(it.worker)} is accepted ({self.accepted}/{len(self.tasks)})"
            case ruling.Rejected() as it:
                self.tasks[it.task] = "rejected" if it.next == "ready" else it.next
                self.rejected.setdefault(it.worker, []).append(it.task)
                yield f"{it.task} by {self.name(it.worker)} is WRONG and rejected by independent checkers"
            case task.Ended() as it if it.job:
                self.tasks[it.task] = it.next
                self.ended.append(it)
                why = it.outcome if it.code in {"", it.outcome} else f"{it.outcome} ({it.code})"
                yield f"attempt {it.fence} of {it.task} by {self.name(it.worker)} ended: {why}"

    def _take_payout(self, event: Event) -> Iterator[str]:
        match event:
            case earnings.Matured() as it:
                self.unmatured -= len(it.lines)
            case payout.Requested() as it:
                yield f"{self.name(it.account)} asks for {usdc(it.amount)}"
            case batch.Signed() as it:
                yield f"{it.batch} signed: {len(it.payouts)} payouts in one transaction, nonce {it.nonce}"
            case batch.Finalised() as it:
                self.finalised.append(it)
                yield f"{it.batch} is final in block {it.block}: {usdc(Units(sum(item.amount for item in it.paid)))} paid on chain"

    def tile(self, name: str, done: int, of: int) -> None:
        self.progress[name] = done, of


def usdc(amount: Units | int) -> str:
    return f"{int(amount) / 1e6:,.6f}".rstrip("0").rstrip(".") + " USDC"
