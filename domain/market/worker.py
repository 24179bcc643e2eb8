"""Workers: whoever renders, and whoever checks (a checker is a worker of that kind). One worker has slots and may front many devices."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from domain import body
from domain.errors import Frozen, NotAllowed, NotYours, UnknownEngine
from domain.event import Event, Origin
from domain.ids import AccountId, AuditId, WorkerId, worker_id
from domain.lifecycle import MODE, Mode
from domain.parts import Standing, Worker
from domain.value import Value
from domain.world import World

Kind = Literal["gpu", "cpu", "farm", "checker"]
SLOTS_MAX = 256
"""A conviction ends all leases of a worker in one command, which has a limit of bytes."""


class WorkerEvent(Event):
    worker: WorkerId

    @property
    def stream(self) -> str:
        return self.worker


class Device(Value):
    uuid_sha256: str
    model: str
    vram_mib: int


def memory(devices: tuple[Device, ...]) -> int:
    """Of the largest device, in MiB."""
    return max((device.vram_mib for device in devices), default=0)


def models(devices: tuple[Device, ...]) -> list[str]:
    return list(dict.fromkeys(device.model for device in devices))


class Registered(WorkerEvent, tag="worker.registered.v1"):
    """An owner put a machine, or a farm of them, on the market."""

    who: ClassVar[str] = "its owner"
    owner: AccountId
    kind: Kind
    slots: int
    """Leases at once."""
    devices: tuple[Device, ...]
    ram_mib: int
    country: str
    classes: tuple[str, ...]
    """Engine builds on device classes that it has."""
    name_commitment: str

    def apply(self, world: World) -> None:
        devices = memory(self.devices), models(self.devices)
        classes = {cls: Standing() for cls in self.classes}
        world.workers[self.worker] = Worker(self.worker, self.owner, self.kind, self.slots, *devices, self.country, classes)


class Changed(WorkerEvent, tag="worker.changed.v1"):
    """It takes leases or not, and how many at once; what it has runs on. With other devices it is as fast as a new bench says."""

    who: ClassVar[str] = "its owner"
    mode: Mode
    slots: int
    devices: tuple[Device, ...] | None
    """None: as before; likewise below."""
    ram_mib: int | None
    country: str | None
    name_commitment: str | None
    rebenched: tuple[str, ...]
    """Classes in which it has no score any more."""

    def apply(self, world: World) -> None:
        worker = world.workers[self.worker]
        worker.mode, worker.slots = MODE.after(worker.mode, self.verb(), self.mode), self.slots
        worker.country = worker.country if self.country is None else self.country
        if self.devices is not None:
            worker.vram_mib, worker.models = memory(self.devices), models(self.devices)
        for cls in self.rebenched:
            worker.classes[cls].score, worker.classes[cls].seconds_us = 0, []
            if worker.presence == "online" and worker.kind != "checker":
                world.want_bench(worker, cls, world.at_us)
        world.seat(worker)


class Online(WorkerEvent, tag="worker.online.v1"):
    """Its agent is there and takes leases."""

    who: ClassVar[str] = "the worker"
    session: str
    again: bool
    """It was online, and its agent began anew."""

    def apply(self, world: World) -> None:
        worker = world.workers[self.worker]
        if worker.presence == "offline":
            worker.online_us = worker.idle_us = world.at_us
        worker.presence, worker.session = "online", self.session
        if worker.kind != "checker":
            for cls, standing in worker.classes.items():
                rebench_us = standing.scored_us + world.policy.score_age_us * 6 // 7 if standing.score else 0
                world.want_bench(worker, cls, max(world.at_us, rebench_us))
        world.seat(worker)


class Offline(WorkerEvent, tag="worker.offline.v1"):
    """No more leases go to the worker; those that it has run on."""

    who: ClassVar[str] = "the worker, the presence daemon, or the house when a lease ran out"

    reason: Literal["left", "silent", "no_reply"]
    last_seen_us: int
    online_us: int
    """Since when it was online."""

    def apply(self, world: World) -> None:
        worker = world.workers[self.worker]
        if worker.kind == "checker":
            worker.served_us += world.at_us - max(worker.online_us, world.epoch_us)
        worker.presence = "offline"
        for cls in worker.classes:
            world.unwant_bench(worker, cls)
        world.seat(worker)


class Quarantined(WorkerEvent, tag="worker.quarantined.v1"):
    """A conviction keeps the worker from new leases."""

    who: ClassVar[str] = "a conviction"

    reason: Literal["convicted"]
    audit: AuditId
    until_us: int

    def apply(self, world: World) -> None:
        worker = world.workers[self.worker]
        worker.quarantined_us = self.until_us
        world.set_timer("release", worker.id, self.until_us)
        world.seat(worker)


class Released(WorkerEvent, tag="worker.released.v1"):
    """Its quarantine is over."""

    reason: Literal["time"]

    def apply(self, world: World) -> None:
        worker = world.workers[self.worker]
        worker.quarantined_us = 0
        world.drop_timer("release", worker.id)
        world.seat(worker)


class DeviceIn(body.Body):
    """A device, by the hash of its serial id."""

    uuid_sha256: body.Digest
    model: body.Model
    vram_mib: Annotated[int, Field(ge=0, le=1_048_576)]

    def device(self) -> Device:
        return Device(self.uuid_sha256, self.model, self.vram_mib)


Devices = Annotated[tuple[DeviceIn, ...], Field(max_length=64, strict=False)]
RamMib = Annotated[int, Field(ge=0, le=2**27)]
Session = Annotated[str, Field(pattern="^[0-9a-f]{8,32}$")]
Country = Annotated[str, Field(pattern="^([A-Z]{2})?$")]


class Register(body.Body):
    """Register a worker of one's own. Its classes are the engine builds and device classes that it has."""

    kind: Kind
    slots: Annotated[int, Field(ge=1, le=SLOTS_MAX)] = 1
    devices: Devices = ()
    ram_mib: RamMib = 0
    country: Country = ""
    classes: Annotated[tuple[body.Class, ...], Field(min_length=1, max_length=16, strict=False)]
    name_commitment: body.Digest | None = None

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        origin.require(world, "checker" if self.kind == "checker" else "provider")
        known = [cls for engine in world.engines.values() for cls in engine.classes]
        for cls in self.classes:
            if cls not in known:
                raise UnknownEngine(engine=cls.partition("/")[0], cls=cls)
        devices = tuple(each.device() for each in self.devices)
        yield Registered(
            worker_id(origin.pos),
            origin.account,
            self.kind,
            self.slots,
            devices,
            self.ram_mib,
            self.country,
            tuple(dict.fromkeys(self.classes)),
            self.name_commitment or "",
        )


def own(world: World, id: WorkerId, origin: Origin) -> Worker:
    worker = world.workers.get(id) or origin.missing(id)
    if worker.owner != origin.account:
        raise NotYours(id=id)
    return worker


class Change(body.Body):
    """Pause, drain, retire or reactivate a worker, or change how many leases it takes and what it is made of. What is left out stays."""

    worker: body.Worker
    mode: Mode | None = None
    slots: Annotated[int, Field(ge=1, le=SLOTS_MAX)] | None = None
    devices: Devices | None = None
    ram_mib: RamMib | None = None
    country: Country | None = None
    name_commitment: body.Digest | None = None

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        worker = own(world, self.worker, origin)
        mode, slots = self.mode or worker.mode, self.slots or worker.slots
        facts = self.devices, self.ram_mib, self.country, self.name_commitment
        if (mode, slots) == (worker.mode, worker.slots) and facts == (None, None, None, None):
            return
        MODE.guard(worker.id, worker.mode, Changed.verb())
        devices = None if self.devices is None else tuple(each.device() for each in self.devices)
        again = () if devices is None else tuple(worker.classes)
        yield Changed(worker.id, mode, slots, devices, *facts[1:], again)


class GoOnline(body.Body):
    """The agent is there and takes leases. `session` is new with each start of the agent."""

    worker: body.Worker
    session: Session

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        worker = own(world, self.worker, origin)
        if worker.presence == "online" and worker.session == self.session:
            return
        if worker.mode == "retired":
            raise NotAllowed(what=worker.id, status="retired", happens=Online.verb())
        if worker.quarantined_us:
            raise Frozen(id=worker.id, until_us=worker.quarantined_us)
        yield Online(worker.id, self.session, worker.presence == "online")


class GoOffline(body.Body):
    """The agent leaves."""

    worker: body.Worker

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        worker = own(world, self.worker, origin)
        if worker.presence == "online":
            yield Offline(worker.id, "left", origin.at_us, worker.online_us)


class Silence(body.Body):
    """Nothing was heard of the worker for the policy's time. By the presence daemon; the house itself sees no heartbeats."""

    worker: body.Worker
    session: Session
    last_seen_us: body.Count

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        origin.require(world, "presence")
        worker = world.workers.get(self.worker) or origin.missing(self.worker)
        if worker.presence == "online" and worker.session == self.session:
            yield Offline(worker.id, "silent", self.last_seen_us, worker.online_us)


class Release(Value):
    """The quarantine is over. By the house."""

    worker: WorkerId

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        yield Released(self.worker, "time")
