"""Jobs: what a creator wants computed, and the money set aside for it.

submitted → quoted → open ⇄ paused → closing → closed → archived. The escrow of a closed job is empty; an archived one leaves the world.
A job's tasks are numbered `frame × groups + group + 1`; an event names the job, never its tasks.
"""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from domain import accounts, body
from domain.accounts import Asset, Entry, move
from domain.errors import DeadlinePassed, InsufficientFunds, MoneyFrozen, NotAllowed, NotYours, QuoteExpired, UnknownAsset, UnknownEngine
from domain.event import Event, Origin
from domain.ids import AccountId, JobId, job_id, order, task_id
from domain.lifecycle import JOB
from domain.parts import Job, Task
from domain.units import Units
from domain.work import tiles
from domain.work.terms import Constraints, Counts, Run, Spec
from domain.world import World, drop

Outcome = Literal["completed", "cancelled", "failed"]
TASKS_MAX = 100_000


class JobEvent(Event):
    job: JobId

    @property
    def stream(self) -> str:
        return self.job


class Submitted(JobEvent, tag="job.submitted.v1"):
    """A creator described a job. The scene is known to the log by its manifest's hash only."""

    who: ClassVar[str] = "a creator"

    creator: AccountId
    asset: Asset
    kind: Literal["render"]
    engine: str
    build: str
    spec_sha256: str
    manifest_sha256: str
    spec: Spec
    constraints: Constraints
    limit_price: Units
    """Per thousand work units."""
    deadline_us: int
    """Zero: none."""
    policy: str

    def apply(self, world: World) -> None:
        spec = self.spec
        world.jobs[self.job] = Job(
            self.job,
            self.creator,
            self.asset,
            self.engine,
            self.build,
            self.policy,
            self.spec_sha256,
            self.manifest_sha256,
            spec.frames,
            spec.size[0] * spec.size[1],
            spec.samples,
            spec.tiles,
            spec.group,
            self.limit_price,
            self.constraints.vram_mib,
            list(self.constraints.countries),
            list(self.constraints.models),
            self.deadline_us,
            spec.frames * spec.groups,
        )
        world.quoting.append(self.job)


class Quoted(JobEvent, tag="job.quoted.v1"):
    """The house's offer: the work of each task, the total at the creator's limit, and the time it takes with all workers that ask
    for no more."""

    wu: tuple[Run, ...]
    total: Units
    eta_s: int
    """Seconds; zero if nobody is there to do it."""
    evidence: str
    valid_until_us: int

    def apply(self, world: World) -> None:
        job = world.jobs[self.job]
        job.move(self.verb())
        job.wu_milli, job.total, job.valid_us = self.wu[0].wu_milli, self.total, self.valid_until_us
        world.quoting.remove(self.job)
        world.set_timer("quote", self.job, self.valid_until_us)


class Opened(JobEvent, tag="job.opened.v1"):
    """The creator took the quote: the total moved into escrow, and every task is ready."""

    who: ClassVar[str] = "its creator"

    creator: AccountId
    asset: Asset
    hold: Units
    plan: tuple[Run, ...]
    groups: int
    """Tasks per frame."""

    def apply(self, world: World) -> None:
        job = world.jobs[self.job]
        job.move(self.verb())
        world.drop_timer("quote", self.job)
        if job.deadline_us:
            world.set_timer("deadline", self.job, job.deadline_us)
        whole, groups = job.tiles[0] * job.tiles[1], job.tasks // job.frames
        for run in self.plan:
            for number in range(run.range[0], run.range[1] + 1):
                count = min(job.group, whole - (number - 1) % groups * job.group)
                task = Task(task_id(self.job, number), self.job, run.wu_milli, count)
                world.tasks[task.id] = task
                job.open_tasks += 1
                world.offer(task)

    def entry(self) -> Entry:
        return move(self.hold, debit=accounts.available(self.asset, self.creator), credit=accounts.unallocated(self.asset, self.job))


class Paused(JobEvent, tag="job.paused.v1"):
    """No more tasks are leased; what is leased goes on."""

    who: ClassVar[str] = "its creator, an operator, or the house"

    reason: Literal["owner", "errors", "operator"]

    def apply(self, world: World) -> None:
        job = world.jobs[self.job]
        if job.ready:
            drop(world.hungry, order(self.job)[0])
        job.move(self.verb())
        job.reason = self.reason
        world.set_timer("paused", self.job, world.at_us + world.policy.paused_max_us)


class Resumed(JobEvent, tag="job.resumed.v1"):
    """Its tasks are leased again."""

    who: ClassVar[str] = "its creator or an operator"

    def apply(self, world: World) -> None:
        job = world.jobs[self.job]
        job.move(self.verb())
        job.reason = ""
        world.drop_timer("paused", self.job)
        world.feed(job)


class Closing(JobEvent, tag="job.closing.v1"):
    """The job ends; what is leased has a short grace, what is proved is still judged, everything else is cancelled."""

    who: ClassVar[str] = "its creator, an operator, or the house"

    outcome: Outcome
    reason: str
    cancelled: int
    """Tasks that waited for a worker, and are cancelled by this."""

    def apply(self, world: World) -> None:
        job = world.jobs[self.job]
        stop(world, job, self.verb())
        job.move(self.verb())
        job.outcome, job.reason = self.outcome, self.reason
        for verb in ("deadline", "paused"):
            world.drop_timer(verb, self.job)
        for number in range(1, job.tasks + 1):
            task = world.tasks[task_id(job.id, number)]
            if task.status == "leased":
                expires = world.timer("expire", task.id) or world.at_us
                world.set_timer("cancel", task.id, min(world.at_us + world.policy.cancel_grace_us, expires))


class Closed(JobEvent, tag="job.closed.v1"):
    """The job is over, its escrow empty, and what was left of it with the creator again."""

    who: ClassVar[str] = "whatever ended its last task, its creator, an operator, or the house"

    creator: AccountId
    asset: Asset
    outcome: Outcome
    reason: str
    counts: Counts
    refund: Units
    cancelled: int
    """Tasks that waited for a worker, and are cancelled by this."""
    opened: bool
    """Whether it ever was."""

    def apply(self, world: World) -> None:
        job = world.jobs[self.job]
        stop(world, job, self.verb())
        if job.id in world.quoting:
            world.quoting.remove(job.id)
        job.move(self.verb())
        job.outcome, job.reason, job.closed_us = self.outcome, self.reason, world.at_us
        for verb in ("quote", "deadline", "paused"):
            world.drop_timer(verb, self.job)
        world.arm_archive(job)

    def entry(self) -> Entry:
        return move(self.refund, debit=accounts.unallocated(self.asset, self.job), credit=accounts.available(self.asset, self.creator))


class Archived(JobEvent, tag="job.archived.v1"):
    """Nothing can happen to the job any more: the world forgets it with its tasks and audits."""

    def apply(self, world: World) -> None:
        job = world.jobs.pop(self.job)
        job.move(self.verb())
        world.drop_timer("archive", self.job)
        for audit in job.audits:
            del world.audits[audit]
            world.versions.pop(audit, None)
        for task in (task_id(job.id, number) for number in range(1, job.tasks + 1)):
            world.tasks.pop(task, None)
            world.versions.pop(task, None)
        world.versions.pop(job.id, None)


def stop(world: World, job: Job, happens: str) -> None:
    """Cancel every task that waits for a worker."""
    for number in list(job.ready):
        task = world.tasks[task_id(job.id, number)]
        world.withdraw(task)
        task.move(happens)
        job.open_tasks -= 1


class Submit(body.Body):
    """Describe a job. The scene's manifest and assets are uploaded before; the house answers with a quote in the same block."""

    asset: body.AssetId = Asset("usdc")
    kind: Literal["render"] = "render"
    engine: body.Word
    manifest_sha256: body.Digest
    frames: Annotated[int, Field(ge=1, le=10_000, examples=[4])]
    size: Annotated[tuple[Annotated[int, Field(ge=16, le=16_384)], Annotated[int, Field(ge=16, le=16_384)]], Field(strict=False)]
    tiles: Annotated[tuple[Annotated[int, Field(ge=1, le=64)], Annotated[int, Field(ge=1, le=64)]], Field(strict=False)] = (4, 4)
    group: Annotated[int, Field(ge=1, le=100)] = 4
    samples: Annotated[int, Field(ge=1, le=65_536, examples=[64])]
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    limit_price: body.Amount
    deadline_us: body.Count = 0
    vram_mib: Annotated[int, Field(ge=0, le=1_048_576)] = 0
    countries: Annotated[tuple[Annotated[str, Field(pattern="^[A-Z]{2}$")], ...], Field(max_length=100, strict=False)] = ()
    models: Annotated[tuple[body.Model, ...], Field(max_length=32, strict=False)] = ()

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        origin.require(world, "creator")
        engine = world.engines.get(self.engine)
        if engine is None:
            raise UnknownEngine(engine=self.engine, cls="any")
        if self.asset not in world.assets:
            raise UnknownAsset(asset=self.asset)
        try:
            tiles.check_grid(self.size, self.tiles, self.group)
        except ValueError as fault:
            raise NotAllowed(what="the grid", status=str(fault), happens=Submitted.verb()) from fault
        spec = Spec(self.frames, self.size, self.tiles, self.group, self.samples, self.seed)
        if spec.frames * spec.groups > TASKS_MAX:
            raise NotAllowed(what="the job", status=f"larger than {TASKS_MAX} tasks", happens=Submitted.verb())
        if self.deadline_us and self.deadline_us <= origin.at_us:
            raise NotAllowed(what="the deadline", status="over", happens=Submitted.verb())
        digest = tiles.spec_sha256(
            engine=engine.id,
            build=engine.build,
            manifest_sha256=self.manifest_sha256,
            frames=self.frames,
            size=self.size,
            tiles=self.tiles,
            group=self.group,
            samples=self.samples,
            seed=self.seed,
        )
        yield Submitted(
            job_id(origin.pos),
            origin.account,
            self.asset,
            self.kind,
            engine.id,
            engine.build,
            digest,
            self.manifest_sha256,
            spec,
            Constraints(self.vram_mib, self.countries, self.models),
            self.limit_price,
            self.deadline_us,
            world.policy.name,
        )


def mine(world: World, id: JobId, origin: Origin) -> Job:
    job = world.jobs.get(id) or origin.missing(id)
    if job.creator != origin.account and "operator" not in world.people[origin.account].roles:
        raise NotYours(id=id)
    return job


class Open(body.Body):
    """Take the quote: its total moves from the creator's balance into the job's escrow."""

    job: body.Job

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        job = mine(world, self.job, origin)
        JOB.guard(job.id, job.status, Opened.verb())
        if world.frozen:
            raise MoneyFrozen(what=Opened.verb())
        if origin.at_us >= job.valid_us:
            raise QuoteExpired(id=job.id, valid_until_us=job.valid_us)
        if job.policy != world.policy.name:
            raise NotAllowed(what=job.id, status=f"quoted under policy {job.policy}", happens=Opened.verb())
        if 0 < job.deadline_us <= origin.at_us:
            raise DeadlinePassed(what=job.id, due_us=job.deadline_us)
        has = world.credit(where := accounts.available(job.asset, job.creator))
        if has < job.total:
            raise InsufficientFunds(account=where, available=has, needed=job.total)
        yield Opened(job.id, job.creator, job.asset, job.total, (Run((1, job.tasks), job.wu_milli),), job.tasks // job.frames)


class Pause(body.Body):
    """Lease no more tasks of the job for now."""

    job: body.Job

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        job = mine(world, self.job, origin)
        if job.status == "paused":
            return
        JOB.guard(job.id, job.status, Paused.verb())
        yield Paused(job.id, "owner" if job.creator == origin.account else "operator")


class Resume(body.Body):
    """Go on with a paused job."""

    job: body.Job

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        job = mine(world, self.job, origin)
        if job.status == "open":
            return
        JOB.guard(job.id, job.status, Resumed.verb())
        if (due_us := world.timer("paused", job.id)) is not None and origin.at_us >= due_us:
            raise DeadlinePassed(what=f"the pause of {job.id}", due_us=due_us)
        yield Resumed(job.id)


class Cancel(body.Body):
    """Give the job up. Tasks that nobody leased are free; leased ones have a grace, in which a proof still counts (DOMAIN.md §1)."""

    job: body.Job

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        job = mine(world, self.job, origin)
        if job.status == "closing" or (job.status == "closed" and job.outcome == "cancelled"):
            return
        JOB.guard(job.id, job.status, Closed.verb())
        yield from end(world, job, "cancelled", "creator" if job.creator == origin.account else "operator")


def end(world: World, job: Job, outcome: Outcome, reason: str) -> Iterator[Event]:
    """End a job early: at once if nothing of it is under way, else when that is done."""
    if job.open_tasks > len(job.ready):
        yield Closing(job.id, outcome, reason, len(job.ready))
    else:
        yield closed(world, job, outcome, reason)


def settle(world: World, job: Job) -> Iterator[Event]:
    """What follows for the job when one of its tasks ended."""
    if job.status == "closing" and not job.open_tasks:
        yield closed(world, job, job.outcome, job.reason)  # type: ignore[arg-type]
    elif job.status in {"open", "paused"} and not job.open_tasks:
        yield closed(world, job, "failed" if job.dead else "completed", "errors" if job.dead else "done")
    elif job.status == "open" and job.dead * 1_000_000 > world.policy.dead_ppm * job.tasks:
        yield Paused(job.id, "errors")


def closed(world: World, job: Job, outcome: Outcome, reason: str) -> Closed:
    refund = world.credit(accounts.unallocated(job.asset, job.id))
    counts = Counts(job.accepted, job.dead, job.tasks - job.accepted - job.dead)
    return Closed(
        job.id, job.creator, job.asset, outcome, reason, counts, refund, len(job.ready), job.status not in {"submitted", "quoted"}
    )
