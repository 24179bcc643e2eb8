"""What every process of a ledger stands on, whatever its role: the log, with what looks after it, and its one reader; the views; the lease
that says where the leader is; the directory's objects and snapshots.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from roles.ledger import keep, opened

if TYPE_CHECKING:
    from adapters.chain import EvmChain
    from adapters.files.home import Home
    from adapters.kafka.log import KafkaLog
    from adapters.log.election import Election
    from adapters.log.follower import Follower
    from adapters.log.postgres import PostgresLog
    from adapters.log.snapshots import Snapshots
    from adapters.objects import Objects
    from adapters.remote import Leader
    from adapters.sequencer import Sequencer
    from adapters.server.group import Group
    from adapters.views.postgres import PostgresViews
    from api.app import Application
    from api.parts import Parts
    from domain.log.merkle import Head
    from projections.row import Projection

START_S_MAX = 3_600.0


class Process(NamedTuple):
    """One process of a ledger."""

    role: str
    name: str
    """Of this process and no other."""
    place: str
    """Of one process at a time."""
    address: str
    """Where the others reach it."""


Composed = tuple["Application", Callable[[], Awaitable[None]]]
"""The application that it answers with, and what it does before it ends."""


class Ground(NamedTuple):
    home: "Home"
    url: str
    """Of the database."""
    group: "Group"
    me: Process
    stack: AsyncExitStack
    start: "Head"
    """The log's empty head."""
    log: "PostgresLog | KafkaLog"
    projections: "Sequence[Projection]"
    views: "PostgresViews"
    snapshots: "Snapshots"
    store: "Objects"
    nodes: "list[EvmChain]"
    """Of the chain."""
    election: "Election"
    sequencer: "Sequencer"
    """It leads only where it is run."""
    leader: "Leader"
    follower: "Follower"

    @property
    def hears(self) -> bool:
        """What this process knows of the lease is true: it heard so lately, or nobody can take it. That is so while the database is away,
        and a leader whose log is elsewhere goes on."""
        return self.election.fresh or bool(self.home.settings().kafka)

    @property
    def knows_leader(self) -> bool:
        """Another process leads, as far as this one has heard."""
        return self.hears and self.election.elsewhere is not None

    def parts(self) -> "Parts":
        """What the API is made of in a process that decides nothing, looks at no proof and hears no heartbeat."""
        from adapters import signer
        from api.parts import Parts
        from projections.past import Past
        from worker_runtime.gpu import scene

        return Parts(
            submit=self.sequencer.submit,
            reader=self.follower,
            views=self.views,
            projections=self.projections,
            objects=self.store,
            log=self.log,
            past=Past(self.log, self.projections),
            check_scene=scene.fault,
            recover=signer.recover_typed,
            gate=nothing_wrong,
            seen=lambda *_: None,
            now_us=self.sequencer.now_us,
            ready=lambda: self.knows_leader,
            leads=lambda: False,
            leader=self.leader,
            notary=self.home.notary(),
            role=self.me.role,
        )


async def nothing_wrong(*_: object) -> None:
    """The gate of a process that hands on every proof."""


async def ground(stack: AsyncExitStack, home: "Home", url: str, group: "Group", me: Process) -> Ground:
    """Everything is closed with the stack, what runs first. Raises what nobody may start on."""
    from adapters import migrate, objects
    from adapters.log.election import Election
    from adapters.log.follower import Follower
    from adapters.log.postgres import clock_us
    from adapters.log.snapshots import Snapshots
    from adapters.remote import Leader
    from adapters.sequencer import Sequencer
    from adapters.server import office
    from adapters.views.postgres import PostgresViews
    from domain.ids import LogId
    from domain.log.merkle import Head
    from projections import catalog, plugins

    await asyncio.to_thread(migrate.apply, url)
    start = Head(LogId(home.settings().log))
    projections = (*catalog.ALL, *plugins.load(catalog.ALL))
    log = await stack.enter_async_context(opened(home, url))
    views = await stack.enter_async_context(PostgresViews(url, *projections))
    snapshots, nodes = Snapshots(home.snapshots, start.log), chain_nodes(home, stack)
    election = await stack.enter_async_context(Election(url, me.name, me.place, me.address))
    known, clock = partial(office.known, snapshots, views, nodes, start), partial(clock_us, url)
    sequencer = Sequencer(log, snapshots.newest, me.name, reference_us=clock, home=log.home, lease=election, known=known)
    leader = Leader(partial(office.find_leader, sequencer, election), election.left)
    stack.push_async_callback(leader.aclose)
    follower = Follower(log, await sequencer.begin())
    stack.push_async_callback(group.stop)
    keep(log, url, group)
    group.start("follower", follower.run())
    return Ground(
        *(home, url, group, me, stack, start, log, projections, views, snapshots),
        *(objects.local(home.objects), nodes, election, sequencer, leader, follower),
    )


async def caught_up(it: Ground) -> None:
    """Returns when this process has read the log as it is now; else people with a key would be told that nobody has it."""
    await it.follower.reached(max(1, await it.log.size()), START_S_MAX)


def chain_nodes(home: "Home", stack: AsyncExitStack) -> "list[EvmChain]":
    """Those of the settings; none: there is no chain."""
    from adapters.chain import EvmChain

    settings = home.settings()
    nodes = [EvmChain(url, settings.treasury, settings.token) for url in settings.rpc_url.split()]
    for each in nodes:
        stack.push_async_callback(each.aclose)
    return nodes
