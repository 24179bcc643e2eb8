"""Mistakes with leases and proofs, and with what is drawn and judged."""

from collections.abc import Iterator
from typing import Any

from domain.house import house
from domain.market import match
from domain.parts import Worker
from domain.proof import audit, lottery, proof, verdict
from domain.work import job
from domain.world import World
from tests.simulator.bugs.planted import Patch
from worker_runtime.checker import agent as checking

# Work.


def no_fence() -> list[Patch]:
    before = proof.Commit._is_late

    def is_late(self: Any, world: World, it: Any, worker: Any, at_us: int) -> bool:
        return False if it.status == "leased" else before(self, world, it, worker, at_us)

    return [(proof.Commit, "_is_late", is_late)]


def late_counts() -> list[Patch]:
    before = World.lease

    def lease(self: World, it: Any, worker: Any, fence: int, expires_us: int) -> None:
        before(self, it, worker, fence, expires_us + 5_000_000)

    return [(World, "lease", lease)]


def early_expiry() -> list[Patch]:
    before = house.next_timer
    return [(house, "next_timer", lambda world, at_us: before(world, at_us + 3_000_000))]


def stale_timer() -> list[Patch]:
    before = World.drop_timer
    return [
        (
            World,
            "drop_timer",
            lambda self, verb, subject: (
                None
                if verb == "expire" and subject in self.tasks and self.tasks[subject].status == "committed"
                else before(self, verb, subject)
            ),
        )
    ]


def lease_kept() -> list[Patch]:
    before = World.release

    def release(self: World, it: Any) -> None:
        before(self, it)
        if it.fence > 1:
            self.workers[it.worker].leases.append(it.id)

    return [(World, "release", release)]


def no_quarantine() -> list[Patch]:
    return [(Worker, "is_there", property(lambda self: self.presence == "online" and self.mode == "active"))]


def no_probation() -> list[Patch]:
    before = World.seat

    def seat(self: World, worker: Any) -> None:
        clean = {cls: standing.clean for cls, standing in worker.classes.items()}
        for standing in worker.classes.values():
            standing.clean = 1_000
        before(self, worker)
        for cls, standing in worker.classes.items():
            standing.clean = clean[cls]

    return [(World, "seat", seat)]


def own_job() -> list[Patch]:
    before = match.obstacle

    def obstacle(*facts: Any) -> str | None:
        found = before(*facts)
        return None if found == "own_job" else found

    return [(match, "obstacle", obstacle)]


def ends_twice() -> list[Patch]:
    """As it was until the simulator found it."""
    before = job.Closing.apply

    def apply(self: job.Closing, world: World) -> None:
        due = {verb: world.timer(verb, self.job) for verb in ("deadline", "paused")}
        before(self, world)
        for verb, due_us in due.items():
            if due_us is not None:
                world.set_timer(verb, self.job, due_us)

    return [(job.Closing, "apply", apply)]


# Proof.


def no_beacon() -> list[Patch]:
    before = lottery.number
    return [
        (lottery, "number", lambda tag, value, pos, index: before(tag, "0x" + "0" * 64 if tag == lottery.LOTTERY else value, pos, index))
    ]


def first_region() -> list[Patch]:
    return [(lottery, "draw_regions", lambda value, pos, index, tiles, before: lottery.Drawn([0], index + 1))]


def own_checker() -> list[Patch]:
    before = lottery.checker_candidates
    return [(lottery, "checker_candidates", lambda world, cls, asset, parties, others: before(world, cls, asset, (), others))]


def early_reveal() -> list[Patch]:
    before = verdict.Reveal.decide

    def decide(self: verdict.Reveal, world: World, origin: Any) -> Iterator[Any]:
        it = world.audits.get(self.audit)
        if it is None:
            yield from before(self, world, origin)
            return
        real, it.due_us = it.due_us, 0
        deciding = before(self, world, origin)
        try:
            first = next(deciding, None)
        finally:
            it.due_us = real
        if first is not None:
            yield first
            yield from deciding

    return [(verdict.Reveal, "decide", decide), (checking.Agent, "_may_reveal", lambda self, doing, at_us: at_us >= doing.until_us)]


def one_word() -> list[Patch]:
    def result(it: Any) -> str | None:
        votes = list(it.verdicts.values())
        return "invalid" if "invalid" in votes else "valid" if "valid" in votes else None

    return [(audit, "result", result)]
