"""Who may read which bytes (DOMAIN.md §5.1). A name never makes a path: what is asked for is looked up among what the ledger names."""

from collections.abc import Iterator

from api.objects.deliveries import Deliveries
from api.parts import Reader
from api.problems import NotAccepted, RoundOpen
from domain.errors import NotDrawn, NotFound, NotYours
from domain.ids import AccountId, AuditId, JobId, WorkerId
from domain.parts import Audit, Job, Task
from domain.world import World

ACCEPTED = {"accepted", "matured"}


class Access:
    def __init__(self, reader: Reader, deliveries: Deliveries) -> None:
        self._reader, self._deliveries = reader, deliveries

    def scene(self, account: AccountId, job: Job) -> None:
        """The scene: for the creator, for whoever holds a lease of the job, for the drawn checkers of its open audits.
        Raises `NotYours`."""
        world = self._reader.world
        if account != job.creator and not holds_lease(world, account, job.id) and not checks(world, account, job):
            raise NotYours(id="the job")

    def raw(self, account: AccountId, task: Task, index: int, evidence: str = "") -> str:
        """The hash of a tile's raw object: for the creator once the task is accepted, for a drawn checker once its round has sealed
        its verdicts. Earlier it must name its own rendering of a region of its round, which it uploaded before, as `evidence`, and
        that for good: so nobody hands back what he was shown.
        Raises `NotYours`, `NotAccepted`, `RoundOpen`, `NotDrawn`, `EvidenceSwapped`, `NotFound`."""
        world = self._reader.world
        audit = world.audits.get(task.audit)
        number = drawn(world, account, audit) if audit else 0
        creator = bool(task.job) and world.jobs[task.job].creator == account
        if not creator and not number:
            raise NotYours(id="the task")
        if task.proof is None or index >= len(task.proof.raw):
            raise NotFound(id="tile of this name")
        if creator:
            if task.status not in ACCEPTED:
                raise NotAccepted(task=task.id)
        elif audit is not None and not sealed(audit, number):
            if not self._deliveries.has(account, evidence):
                raise RoundOpen
            if index not in audit.rounds[number - 1].regions:
                raise NotDrawn(id=f"tile {index}", audit=audit.id)
            self._deliveries.file(account, audit.id, index, evidence)
        return task.proof.raw[index]


def holds_lease(world: World, account: AccountId, job: JobId) -> bool:
    return any(lease.startswith(f"{job}/") for worker in world.workers.values() if worker.owner == account for lease in worker.leases)


def checks(world: World, account: AccountId, job: Job) -> bool:
    return any(drawn(world, account, world.audits[id]) for id in job.audits if world.audits[id].status != "closed")


def drawn(world: World, account: AccountId, audit: Audit) -> int:
    """The latest round for which a checker of the account was drawn, from 1; 0 for none."""
    found = 0
    for number, each in enumerate(audit.rounds, 1):
        if any(world.workers[checker].owner == account for checker in each.checkers):
            found = number
    return found


def sealed(audit: Audit, number: int) -> bool:
    """Whether the round takes no more verdicts."""
    return number < len(audit.rounds) or audit.status != "checking" or all(each in audit.seals for each in audit.rounds[-1].checkers)


def open_audits(world: World, checker: WorkerId) -> Iterator[AuditId]:
    """Audits that still want something of the checker."""
    for id, audit in world.audits.items():
        if audit.status != "closed" and any(checker in each.checkers for each in audit.rounds):
            yield id
