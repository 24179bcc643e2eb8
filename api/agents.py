"""What an agent needs besides its commands: its own feed, heartbeats, progress. None of the last two is ever an event (LOG.md §7)."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api import bodies, live
from api.auth import keys
from api.auth.keys import Authenticate, Caller
from api.live import Live
from api.objects.access import open_audits
from api.parts import Item, Parts
from api.reach import Reach
from domain import body
from domain.event import Event, Recorded
from domain.ids import WorkerId, position
from domain.log import wire
from domain.market import worker as workers
from domain.parts import Worker
from domain.proof import audit, bench
from domain.value import Value
from domain.work import task
from domain.world import World


class Presence(BaseModel):
    """The agent is alive."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    session: Annotated[str, Field(pattern="^[0-9a-f]{8,32}$")]


class Progress(BaseModel):
    """How many tiles of a leased task are done. Shown to whoever watches, and forgotten."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    task: body.Task
    fence: body.Number
    tile: Annotated[int, Field(ge=0, le=100)]
    tiles: Annotated[int, Field(ge=1, le=100)]


class Shown(Value):
    worker: WorkerId
    task: str
    fence: int
    tile: int
    tiles: int


class Agents:
    def __init__(self, parts: Parts, reach: Reach, authenticate: Authenticate, feeds: Live) -> None:
        self._parts, self._reach, self._authenticate, self._feeds = parts, reach, authenticate, feeds

    async def presence(self, request: Request) -> Response:
        """A heartbeat: without them a worker is taken for offline after a while."""
        worker = await self._worker(request)
        beat = Presence.model_validate(bodies.fields(await bodies.read(request)))
        self._parts.seen(worker.id, beat.session)
        return Response(None, 204)

    async def progress(self, request: Request) -> Response:
        """Progress of a leased task, for live feeds only."""
        worker = await self._worker(request)
        it = Progress.model_validate(bodies.fields(await bodies.read(request)))
        if it.task in worker.leases:
            self._feeds.progress(wire.encode(Shown(worker.id, it.task, it.fence, it.tile, it.tiles)).decode())
        return Response(None, 204)

    async def tasks(self, request: Request) -> Response:
        """The agent's own feed: whatever concerns it. Without a position it begins with what is still open for it."""
        worker = await self._worker(request)
        head = self._parts.reader.head.size
        after = live.position(request, -1)
        fresh = after < 0
        world = self._parts.reader.world
        checker = worker.kind == "checker"
        wants = of_checker(world, worker.id) if checker else everything
        if fresh:
            after = first_open(world, worker, head)
            wants = open_until(head, still_open(world, worker), wants)
        about, types = ((), CHECKER_TYPES) if checker else ((worker.id,), ())
        return self._feeds.answer(self._parts.reader.events(after, types=types, about=about), wants)

    async def _worker(self, request: Request) -> Worker:
        caller: Caller = await self._authenticate(request)
        caller.require("agent")
        return await keys.own_worker(self._parts, self._reach, caller, request.path_params["worker"])


def stored_name(kind: type[Event]) -> str:
    return str(kind.__struct_config__.tag)


CHECKER_TYPES = [stored_name(kind) for kind in wire.EVENTS if issubclass(kind, audit.AuditEvent | workers.WorkerEvent)]


def everything(_: Item) -> bool:
    return True


def of_checker(world: World, id: WorkerId) -> Callable[[Item], bool]:
    """Its own presence, and all of the audits for which it was drawn: others' verdicts tell it when to open its own."""
    mine = {audit for audit, it in world.audits.items() if any(id in each.checkers for each in it.rounds)}

    def wants(item: Item) -> bool:
        event = item[0].event
        if isinstance(event, audit.RoundEvent) and id in event.checkers:
            mine.add(event.audit)
        return event.audit in mine if isinstance(event, audit.AuditEvent) else item[0].stream == id

    return wants


def first_open(world: World, worker: Worker, head: int) -> int:
    """The position before the first event that is still of interest."""
    named = [*worker.leases, *open_audits(world, worker.id)]
    return min([position(id) - 1 for id in named], default=head)


def still_open(world: World, worker: Worker) -> Callable[[Recorded[Event]], bool]:
    leases = {(id, world.tasks[id].fence) for id in worker.leases}
    audits = set(open_audits(world, worker.id))

    def wants(recorded: Recorded[Event]) -> bool:
        match recorded.event:
            case task.Leased() as leased:
                return (leased.task, leased.fence) in leases
            case bench.Opened() as opened:
                return any(opened.task == lease for lease, _ in leases)
            case audit.AuditEvent() as judged:
                return judged.audit in audits
            case _:
                return False

    return wants


def open_until(head: int, still: Callable[[Recorded[Event]], bool], wants: Callable[[Item], bool]) -> Callable[[Item], bool]:
    """Of what was before this connection only what is still open, of what comes everything."""
    return lambda item: wants(item) and (item[0].pos > head or still(item[0]))


def router(agents: Agents) -> APIRouter:
    routes = APIRouter(prefix="/v1/agents/{worker}")
    routes.add_api_route("/presence", agents.presence, methods=["POST"], operation_id="agents.presence")
    routes.add_api_route("/progress", agents.progress, methods=["POST"], operation_id="agents.progress")
    routes.add_api_route("/tasks", agents.tasks, methods=["GET"], operation_id="agents.tasks")
    return routes
