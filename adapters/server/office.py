"""The leader's office: what only its process does while it leads, how it is handed over, where it is when it is elsewhere, and what
whoever takes it has to know. And the turns of processes that do one duty, each at its time."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from adapters.chain import EvmChain
from adapters.log.election import Election
from adapters.log.snapshots import Snapshots
from adapters.sequencer import Sequencer
from adapters.server.group import Group
from adapters.views.postgres import PostgresViews
from domain.log.log import Log, Unreachable
from domain.log.merkle import Head, Mark
from projections import runner
from projections.row import Projection
from projections.views import Behind, Store, Unavailable

RETRY_S, LAND_S_MAX, CHAIN_S_MAX = 1.0, 10.0, 1.0
Duties = Mapping[str, Callable[[], Coroutine[Any, Any, Any]]]
"""By name: makes the task, anew for each time in office."""
logger = logging.getLogger(__name__)


async def hold(sequencer: Sequencer, group: Group, duties: Duties) -> None:
    """Until cancelled."""
    while True:
        await sequencer.elected.wait()
        for name, duty in duties.items():
            group.start(name, duty())
        await sequencer.idle.wait()
        await group.stop(*duties)


async def take_turns(turn: Election, group: Group, duties: Duties) -> None:
    """Until cancelled: these duties run here while it is this process's turn. While the database is away nobody can take it, and they go
    on; two of a kind for a moment harm nobody, since views and money keep to their own order."""
    while True:
        await turn.acquire()
        for name, duty in duties.items():
            group.start(name, duty())
        await turn.lost()
        await group.stop(*duties)


async def give_back(turn: Election, group: Group, duties: Duties) -> None:
    """Ends this process's turn; whoever waits for it has it at once."""
    await group.stop("turn", *duties)
    await turn.release()


async def hand_over(sequencer: Sequencer, group: Group, duties: Sequence[str]) -> None:
    """Ends this process's lead: its office and these duties stop, the last block lands, the lease is given back."""
    await group.stop("office", *duties)
    with suppress(TimeoutError):  # while nobody can reach the log, there is nothing to wait for
        await asyncio.wait_for(sequencer.stop(), LAND_S_MAX)


async def find_leader(sequencer: Sequencer, election: Election, timeout_s: float) -> str:
    """Where another process leads, as soon as that is known; empty if this one does, or nobody by then."""
    ours, theirs = asyncio.create_task(sequencer.elected.wait()), asyncio.create_task(election.leader(timeout_s))
    try:
        await asyncio.wait({ours, theirs}, return_when=asyncio.FIRST_COMPLETED)
        return theirs.result() if theirs.done() else ""
    finally:
        ours.cancel()
        theirs.cancel()
        await asyncio.gather(ours, theirs, return_exceptions=True)


async def project(projections: Sequence[Projection], log: Log, views: Store, start: Head) -> None:
    """All projections, moved by the one loop; they read the log once, together. Who led before may still be at it for a moment: whoever
    of the two comes late to a batch begins again where the views stand."""
    while True:
        try:
            await runner.run(projections, log, views, start)
        except Behind as other:
            logger.warning("somebody else writes the views, trying again: %s", other)
            await asyncio.sleep(RETRY_S)


async def known(snapshots: Snapshots, views: PostgresViews, nodes: Sequence[EvmChain], start: Head) -> list[Mark]:
    """Heads of the log, as far as snapshots, views and the chain have seen them. Raises `Unreachable`."""
    on_chain = list[Mark]()
    with suppress(TimeoutError):  # leading waits for no chain
        async with asyncio.timeout(CHAIN_S_MAX):
            for marks in await asyncio.gather(*(node.anchored(start.log) for node in nodes)):
                on_chain += marks
    try:
        return [*snapshots.marks(), *await views.marks(start), *on_chain]
    except Unavailable as silence:
        raise Unreachable from silence
