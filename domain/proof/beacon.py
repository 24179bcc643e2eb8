"""Beacons: public randomness that post-dates every commitment it decides about. Its value is the hash of the first EVM block with a
timestamp at or after grid + delay; exactly one block is lawful (DOMAIN.md §5.3)."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import ClassVar

from domain import body
from domain.errors import TooEarly, WrongBeacon
from domain.event import Event, Origin
from domain.ids import BeaconId, worker_id
from domain.parts import Draw
from domain.world import World


class Drawn(Event, tag="beacon.drawn.v1"):
    """The proofs among the first `sealed_size` events are due for the lottery, the first verdicts for a second look, and the workers that
    wait since then for their bench."""

    who: ClassVar[str] = "the watch"

    beacon: BeaconId
    grid_us: int
    sealed_size: int
    """How many events have a time up to the grid time."""
    sealed_root: str
    chain_id: int
    block_number: int
    block_hash: str

    @property
    def stream(self) -> str:
        return self.beacon

    def apply(self, world: World) -> None:
        world.grid_us = self.grid_us
        # The last one up to here is that of later grid times, too, if nothing happened meanwhile.
        world.marks = world.marks[max(0, bisect_right(world.marks, self.grid_us, key=lambda mark: mark[0]) - 1) :]
        due = bisect_right(world.proofs_waiting, self.grid_us, key=lambda row: row[0])
        for _, _, task in world.proofs_waiting[:due]:
            world.draws.append(Draw(task, world.tasks[task].cls, self.beacon, self.block_hash))
        del world.proofs_waiting[:due]
        due = bisect_right(world.benches_waiting, self.grid_us, key=lambda row: row[0])
        for _, worker, cls in world.benches_waiting[:due]:
            world.workers[worker_id(worker)].classes[cls].bench_us = None
            world.benches_due.append(Draw(worker_id(worker), cls, self.beacon, self.block_hash))
        del world.benches_waiting[:due]
        due = bisect_right(world.looks_waiting, self.grid_us, key=lambda row: row[0])
        for _, _, audit in world.looks_waiting[:due]:
            world.looks.append(Draw(audit, world.audits[audit].cls, self.beacon, self.block_hash))
        del world.looks_waiting[:due]
        world.versions.pop(self.beacon, None)


class Bring(body.Body):
    """The final block that is the beacon for the next grid time. By the watch."""

    grid_us: body.Count
    chain_id: body.Count
    block_number: body.Count
    block_hash: body.Hash32

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        origin.require(world, "watch")
        if self.grid_us <= world.grid_us:
            return
        expected = world.next_grid_us()
        if expected != self.grid_us:
            raise WrongBeacon(expected=expected or 0, given=self.grid_us)
        if origin.at_us < self.grid_us + world.policy.delay_us:
            raise TooEarly(what=Drawn.verb(), due_us=self.grid_us + world.policy.delay_us)
        _, size, root = [mark for mark in world.marks if mark[0] <= self.grid_us][-1]
        id = BeaconId(f"beacon-{origin.pos}")
        yield Drawn(id, self.grid_us, size, root, self.chain_id, self.block_number, self.block_hash)
