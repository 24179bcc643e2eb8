"""A process of a server: everything in one, or one of the roles that it can be split into.

* `all`: everything. It stands in line to lead, and who leads writes the views and runs the daemons;
* `leader`: the sequencer, and the API that others hand commands on to. With it are presence, gate and what a checker filed first: only
  the process that heartbeats, proofs and files reach knows of them; and the recorder, which compares snapshots with the state it stands on;
* `api`: reads and feeds; whatever changes something goes on to the leader. It is never elected;
* `projector`: writes the views (roles/duties.py);
* `daemons`: watch, payer, anchorer, guard (the same).
"""

import asyncio
import logging
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from roles import duties
from roles.ground import Composed, Ground, Process, caught_up, ground
from roles.ledger import DATABASE, Unstartable, database
from roles.pages import with_pages

if TYPE_CHECKING:
    from adapters.files.home import Home
    from adapters.server.group import Group
    from adapters.server.office import Duties
    from worker_runtime.daemons import presence
    from worker_runtime.daemons.loop import Desk

STOP_S_MAX = 25.0
SEATS = 4
"""Processes of one role and directory, on a database that is not its own."""
logger = logging.getLogger("gridledger.server")
"""A name below the program's own, so that also what is no warning is heard."""
ROLES = ("all", "leader", "api", "projector", "daemons")


def serve(path: Path, host: str, port: int, advertise: str = "", role: str = "all") -> None:
    """A process of this role, until SIGINT or SIGTERM. Where the database is not the directory's own, several of a role may run: they
    stand by, and take turns."""
    from adapters import logs
    from adapters.files.home import Home
    from adapters.server import http

    if role not in ROLES:
        raise Unstartable(f"there is no role {role}: {', '.join(ROLES)}")
    logs.set_up()
    home = Home.open(path)
    if not home.settings().log:
        raise Unstartable(f"{path} holds no ledger yet: gridledger init {path}")
    shared = bool(os.environ.get(DATABASE) or home.settings().database_url)
    if role != "all" and not shared:
        raise Unstartable(f"role {role} needs a database that all roles reach, and this is the directory's own: set {DATABASE}")
    with home.seat(SEATS if shared else 1, "server" if role == "all" else role) as file, database(home) as url:
        (home.path / file).unlink(missing_ok=True)
        http.run(_serve(home, url, socket.create_server((host, port)), advertise, home.path / file, role))


async def _serve(home: "Home", url: str, listener: socket.socket, advertise: str, file: Path, role: str) -> None:
    from adapters import process
    from adapters.files import whole
    from adapters.server import http
    from adapters.server.group import Group

    group, loop, closing = Group(), asyncio.get_running_loop(), asyncio.Event()
    host, port = listener.getsockname()[:2]
    me = Process(role, secrets.token_hex(8), f"{socket.gethostname()}:{file.resolve()}", advertise or f"http://{host}:{port}")
    try:
        with listener:
            async with network(home, url, group, me) as (app, hand_over):
                for each in (signal.SIGINT, signal.SIGTERM):
                    loop.add_signal_handler(each, group.stopping.set)
                whole.write(file, f"http://{host}:{port}\n")
                logger.info("%s serves at http://%s:%d", role, host, port)
                serving = asyncio.create_task(http.serve(app, listener, closing))
                await asyncio.wait([serving, asyncio.create_task(group.stopping.wait())], return_when=asyncio.FIRST_COMPLETED)
                process.end_within(STOP_S_MAX)
                await hand_over()  # while requests are still taken, and handed on to whoever leads then
                closing.set()
                await serving
    finally:
        file.unlink(missing_ok=True)
        for failure in group.failures:
            raise failure  # it is why all the rest ended


@asynccontextmanager
async def network(home: "Home", url: str, group: "Group", me: Process) -> AsyncIterator[Composed]:
    """Everything that runs beside the API, the API's application, and what ends this process's turn: daemons stop first, then the sequencer
    lands its block and gives the lease back."""
    compose = {"api": answering, "projector": duties.projector, "daemons": duties.daemons}.get(me.role, leading)
    async with AsyncExitStack() as stack:
        yield await compose(await ground(stack, home, url, group, me))


async def answering(it: Ground) -> Composed:
    """The role `api`."""
    from api.app import create_app

    await caught_up(it)
    parts = it.parts()
    return with_pages(create_app(parts, daemons=False), parts), nothing


async def nothing() -> None:
    """There is no turn to end."""


async def leading(it: Ground) -> Composed:
    """The roles `leader` and `all`."""
    import msgspec

    from adapters.server import office
    from api.app import create_app
    from worker_runtime.daemons import gate, presence
    from worker_runtime.daemons.loop import Desk
    from worker_runtime.gpu import bench

    sequencer, group = it.sequencer, it.group
    group.start("sequencer", sequencer.run())
    await caught_up(it)
    desk = partial(Desk, reader=it.follower, submit=sequencer.submit, now_us=sequencer.now_us)
    watcher = presence.Presence(desk("presence"))
    its = office_of(it, watcher, desk)
    group.start("office", office.hold(sequencer, group, its))
    hand_over = partial(office.hand_over, sequencer, group, [name for name in its if name != "projections"])
    it.stack.push_async_callback(hand_over)

    parts = msgspec.structs.replace(
        it.parts(),
        gate=gate.Gate(desk("gate"), it.store, bench.spec),
        seen=watcher.seen,
        gauges=lambda: {"commands_waiting": sequencer.waiting, "leads": sequencer.elected.is_set()},
        ready=lambda: it.knows_leader or (it.hears and sequencer.leading),
        leads=sequencer.elected.is_set,
        begun=lambda: sequencer.begun,
    )
    return with_pages(create_app(parts), parts), hand_over


def office_of(it: Ground, watcher: "presence.Presence", desk: "partial[Desk]") -> "Duties":
    """What this process does while it leads."""
    from adapters.server import office
    from adapters.server.recorder import Recorder

    its: Duties = {"presence": watcher.run, "recorder": lambda: Recorder(it.follower, it.snapshots, it.home.path).run()}
    if it.me.role == "leader":
        return its
    return {"projections": lambda: office.project(it.projections, it.log, it.views, it.start), **its, **duties.acting(it, desk)}
