"""What the house does with jobs by itself: it quotes them, ends those whose time is over, and forgets those that are paid."""

from collections.abc import Iterator
from typing import Literal

from domain import units
from domain.event import Event, Origin
from domain.ids import JobId
from domain.market import match
from domain.value import Value
from domain.work.job import Archived, Quoted, end
from domain.work.terms import Run
from domain.world import World


class Quote(Value):
    """Answer a submission. By the house, in the same block."""

    job: JobId

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        job = world.jobs[self.job]
        engine = world.engines[job.engine]
        groups = job.tasks // job.frames
        wu_milli = max(1, -(-job.pixels * job.samples * engine.wu_milli_per_msample // (1_000_000 * groups)))
        total = units.price(job.limit_price, wu_milli) * job.tasks
        speed = sum(worker.classes[cls].score for cls, worker in match.offers(world, job))
        eta_s = -(-wu_milli * job.tasks // speed) if speed else 0
        valid_us = origin.at_us + world.policy.quote_valid_us
        yield Quoted(job.id, (Run((1, job.tasks), wu_milli),), total, eta_s, "rate", valid_us)


class End(Value):
    """A quote, a pause or a deadline ran out. By the house."""

    job: JobId
    reason: Literal["quote", "paused", "deadline"]

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        yield from end(world, world.jobs[self.job], "cancelled" if self.reason == "quote" else "failed", self.reason)


class Archive(Value):
    """Forget a job that is over and paid. By the house."""

    job: JobId

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        yield Archived(self.job)
