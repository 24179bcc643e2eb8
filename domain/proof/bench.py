"""Benches: how fast a worker is in a class, measured by ledger time on a scene that nobody knew before; proved and checked like a task."""

from collections.abc import Iterator
from statistics import median_low
from typing import ClassVar

from msgspec import field

from domain.event import Event, Origin
from domain.ids import NO_JOB, AccountId, BeaconId, TaskId, WorkerId, bench_id
from domain.market.worker import WorkerEvent
from domain.parts import Draw, Task
from domain.proof import lottery
from domain.value import Value
from domain.world import World


class Opened(Event, tag="bench.opened.v1"):
    """The worker is to render the bench of its class, with the beacon's seed, within a fixed lease. It is not paid."""

    task: TaskId
    worker: WorkerId
    owner: AccountId
    cls: str = field(name="class")
    beacon: BeaconId
    fence: int
    seed: int
    wu_milli: int
    tiles: int
    expires_us: int

    @property
    def stream(self) -> str:
        return self.task

    def apply(self, world: World) -> None:
        world.benches_due = [due for due in world.benches_due if (due.subject, due.cls) != (self.worker, self.cls)]
        world.benches += 1
        task = Task(self.task, NO_JOB, self.wu_milli, self.tiles, self.cls, "leased")
        world.tasks[task.id] = task
        world.lease(task, world.workers[self.worker], self.fence, self.expires_us)


class Scored(WorkerEvent, tag="worker.scored.v1"):
    """The bench was valid: the worker's speed in the class."""

    who: ClassVar[str] = "the reveal that decided the audit of its bench"

    cls: str = field(name="class")
    task: TaskId
    seconds_us: int
    """From lease to commit, by ledger time."""
    score: int
    """Thousandths of a work unit per second; the median of the last benches."""

    def apply(self, world: World) -> None:
        task, worker = world.tasks[self.task], world.workers[self.worker]
        task.move(self.verb())
        standing = worker.classes[self.cls]
        standing.seconds_us = [*standing.seconds_us, self.seconds_us][-world.policy.benches :]
        standing.score, standing.scored_us = self.score, world.at_us
        leave(world, task)
        if worker.presence == "online":
            more = len(standing.seconds_us) < world.policy.benches
            world.want_bench(worker, self.cls, world.at_us + (0 if more else world.policy.score_age_us * 6 // 7))
        world.seat(worker)


def leave(world: World, task: Task) -> None:
    del world.tasks[task.id]
    world.versions.pop(task.id, None)


def score(world: World, task: Task) -> Scored:
    """The score after this bench. It was committed in time, so no time is zero."""
    assert task.proof is not None
    standing = world.workers[task.worker].classes[task.cls]
    seconds_us = task.proof.at_us - task.leased_us
    middle = median_low([*standing.seconds_us, seconds_us][-world.policy.benches :])
    return Scored(task.worker, task.cls, task.id, seconds_us, max(1, task.wu_milli * 1_000_000 // middle))


def next_bench(world: World) -> Draw | None:
    """The first that waits and may begin: benches beyond `bench_parallel` would slow each other down."""
    if world.policy.bench_parallel and world.benches >= world.policy.bench_parallel:
        return None
    for due in world.benches_due:
        worker = world.workers[WorkerId(due.subject)]  # type: ignore[arg-type]
        if worker.is_there and len(worker.leases) < worker.slots:
            return due
    return None


class Start(Value):
    """Open the bench of a worker whose beacon was drawn. By the house."""

    due: Draw

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        worker = world.workers[WorkerId(self.due.subject)]  # type: ignore[arg-type]
        engine = world.builds[self.due.cls.partition("/")[0]]
        yield Opened(
            bench_id(origin.pos),
            worker.id,
            worker.owner,
            self.due.cls,
            self.due.beacon,
            1,
            lottery.bench_seed(self.due.value, worker.id),
            engine.bench_wu_milli,
            engine.bench_tiles,
            origin.at_us + world.policy.bench_lease_us,
        )
