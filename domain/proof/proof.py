"""Proofs: a worker commits to what it rendered, by one hash per tile, before anybody knows what will be checked."""

from bisect import insort
from collections.abc import Iterator
from hashlib import sha256
from typing import Annotated, ClassVar

from msgspec import field
from pydantic import Field

from domain import body
from domain.errors import DeadlinePassed, NotAllowed, StaleFence, WrongTiles
from domain.event import Event, Origin
from domain.ids import AccountId, TaskId, WorkerId
from domain.parts import Proof, Task
from domain.signing import Claim
from domain.work.task import TaskEvent, find, me
from domain.world import World


class Committed(TaskEvent, tag="proof.committed.v1"):
    """The worker stands for these pixels. A late one, under a fence that is over, is recorded once and never paid."""

    who: ClassVar[str] = "the worker"

    fence: int
    worker: WorkerId
    owner: AccountId
    cls: str = field(name="class")
    late: bool
    raw: tuple[str, ...]
    """SHA-256 of each tile's raw object, in the order of the task's tiles."""
    raw_bytes: int
    log_sha256: str
    seconds_us: int
    """What the worker says it rendered."""
    build: str
    device: str
    signature: str

    def apply(self, world: World) -> None:
        task = world.tasks[self.task]
        if self.late:
            task.past.remove((self.fence, self.worker))
            return
        task.move(self.verb())
        task.proof = Proof(world.pos, world.at_us, list(self.raw))
        world.release(task)
        world.benches -= not task.job
        insort(world.proofs_waiting, (world.at_us, world.pos, task.id))

    def claims(self) -> tuple[Claim, ...]:
        digest = raw_root(self.raw)
        return (committing(self.task, self.fence, self.worker, digest, self.build, self.owner, self.signature),)


def raw_root(raw: tuple[str, ...]) -> str:
    """One hash for all tiles: SHA-256 of their hashes, joined by a line feed."""
    return sha256("\n".join(raw).encode()).hexdigest()


def committing(task: TaskId, fence: int, worker: WorkerId, digest: str, build: str, owner: AccountId, signature: str) -> Claim:
    fields = (("task", task), ("fence", fence), ("worker", worker), ("raw", digest), ("build", build))
    return Claim("Proof", fields, owner, "agent", signature)


class Commit(body.Body):
    """Commit to the tiles of a leased task. Their objects are in the store already; signed by an agent key of the worker's owner."""

    worker: body.Worker
    task: body.Task
    fence: body.Number
    raw: Annotated[tuple[body.Digest, ...], Field(min_length=1, max_length=100, strict=False)]
    raw_bytes: body.Count
    log_sha256: body.Digest | None = None
    seconds_us: body.Count
    build: body.Word
    device: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9 ._()/+-]{0,79}$")]
    signature: body.Signature

    def claim(self, account: AccountId) -> Claim:
        return committing(self.task, self.fence, self.worker, raw_root(self.raw), self.build, account, self.signature)

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        worker, task = me(world, origin), find(world, self.task, origin)
        origin.require_signature(world, self.claim(worker.owner))
        if worker.id != self.worker:
            raise NotAllowed(what=self.worker, status="not the caller", happens=Committed.verb())
        if (task.worker, task.fence) == (worker.id, self.fence) and task.proof and task.proof.raw == list(self.raw):
            return
        if len(self.raw) != task.tiles:
            raise WrongTiles(task=task.id, expected=task.tiles, given=len(self.raw))
        late = self._is_late(world, task, worker.id, origin.at_us)
        yield Committed(
            task.id,
            task.job,
            self.fence,
            worker.id,
            worker.owner,
            task.cls,
            late,
            self.raw,
            self.raw_bytes,
            self.log_sha256 or "",
            self.seconds_us,
            self.build,
            self.device,
            self.signature,
        )

    def _is_late(self, world: World, task: Task, worker: WorkerId, at_us: int) -> bool:
        if (self.fence, worker) in task.past:
            return True
        if task.worker != worker or task.fence != self.fence or task.status != "leased":
            raise StaleFence(task=task.id, fence=task.fence, given=self.fence)
        due = min(due for verb in ("expire", "cancel") if (due := world.timer(verb, task.id)) is not None)
        if at_us >= due:
            raise DeadlinePassed(what=f"the proof of {task.id}", due_us=due)
        return False
