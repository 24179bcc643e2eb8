"""Processes that do one duty beside the leader, each at its turn: the views are written by one projector at a time, and the daemons of one
process act. The turn is a row in the database, as the leader's lease is: a process that is stopped, or cut off, holds it for six seconds
and not for ever, as it would a lock of its session. It spares rivals each other's company, nothing more: views move by compare-and-set,
and what daemons ask for is idempotent. While the database is away nobody can take a turn, and whoever has it goes on.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from roles.ground import Composed, Ground, caught_up
from roles.ledger import Unstartable

if TYPE_CHECKING:
    from adapters.server.office import Duties
    from worker_runtime.daemons.loop import Desk

ASKING = ("watch", "payer", "anchorer")
"""Accounts as which the daemons of this process ask; the guard asks as the watch."""


async def projector(it: Ground) -> Composed:
    """Writes the views. Its own reader of the log only says how far behind they are."""
    from adapters.server import office

    return await at_its_turn(it, {"projections": lambda: office.project(it.projections, it.log, it.views, it.start)})


async def daemons(it: Ground) -> Composed:
    """They ask the leader, wherever it is, as the accounts that the ledger began with."""
    from adapters.remote import Remote
    from worker_runtime.daemons.loop import Desk

    await caught_up(it)
    if unknown := [role for role in ASKING if not it.home.may_ask(role, it.follower.world.keys)]:
        raise Unstartable(f"{it.home.path} has no key of {', '.join(unknown)}: it needs the folder keys of where the ledger was begun")

    def desk(role: str) -> Desk:
        return Desk(role, it.follower, Remote(it.leader, it.home.secret(role)).submit, it.sequencer.now_us)

    return await at_its_turn(it, acting(it, desk))


async def at_its_turn(it: Ground, duties: "Duties") -> Composed:
    import msgspec

    from adapters.log.election import Election
    from adapters.server import office
    from api.app import create_ops

    me = it.me
    turn = await it.stack.enter_async_context(Election(it.url, me.name, me.place, me.address, duty=me.role))
    it.group.start("turn", office.take_turns(turn, it.group, duties))
    end = partial(office.give_back, turn, it.group, duties)
    it.stack.push_async_callback(end)

    parts = msgspec.structs.replace(
        it.parts(), ready=lambda: turn.fresh and turn.holder is not None, gauges=lambda: {"has_turn": float(turn.holder == turn.me)}
    )
    return create_ops(parts), end


def acting(it: Ground, desk: "Callable[[str], Desk]") -> "Duties":
    """Guard; and watch, payer and anchorer, if there is a chain. `desk` is for a role."""
    from adapters import signer
    from adapters.evm.quorum import Quorum
    from adapters.views.books import Books
    from domain.accounts import USDC
    from worker_runtime.daemons import anchorer, guard, payer, watch

    guarding: Duties = {"guard": guard.Guard(desk("watch"), Books(it.views), it.store).run}
    if not it.nodes:
        return guarding
    node, key = Quorum(it.nodes), it.home.signer
    return {
        **guarding,
        "watch": lambda: watch.Watch(desk("watch"), node, USDC).run(),
        "payer": lambda: payer.Payer(desk("payer"), node, key("payer"), signer.decode_batch, USDC).run(),
        "anchorer": lambda: anchorer.Anchorer(desk("anchorer"), node, key("anchorer"), USDC).run(),
    }
