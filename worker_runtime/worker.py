"""Runs a worker: does what its state machine (worker_runtime/gpu/agent.py) wants."""

import asyncio
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from domain.ids import TaskId
from domain.log.answers import Answer, Problem, Unanswered
from domain.market import bid as bids
from domain.proof import bench, proof
from domain.units import Units
from domain.work import task as tasks
from worker_runtime import config, ports
from worker_runtime.errands import Errands
from worker_runtime.gpu import agent
from worker_runtime.gpu.agent import Commit, Duty, End, Forget, Kill, Lease, Render, Report, Upload
from worker_runtime.gpu.cheat import Cheat
from worker_runtime.inputs import Action
from worker_runtime.loop import Loop, leave_on_signals, now_us
from worker_runtime.studio import Cache, Studio, Unrendered

NO_DEVICE = "CPU only"

logger = structlog.get_logger()


class Made(NamedTuple):
    """What was rendered for a lease, until the ledger has its proof."""

    fence: int
    raws: Sequence[bytes]


class Worker:
    """The hands of one worker."""

    def __init__(self, settings: config.Config, server: ports.Server, sign: ports.Signer, studio: Studio, loop: Loop) -> None:
        self.settings, self.server, self.sign, self.studio, self.loop = settings, server, sign, studio, loop
        self.me = settings.worker
        self.device: asyncio.Task[str] | None = None
        self.cheat: Cheat | None = None
        self.errands = Errands()
        self.made: dict[TaskId, Made] = {}

    async def perform(self, action: Action) -> Answer | None:
        match action:
            case Render(lease):
                with self.errands.errand((lease.task, lease.fence)):
                    await self._render(lease)
            case Upload(task, fence):
                with self.errands.errand((task, fence)):
                    await self._upload(task, fence)
            case Kill(task, fence):
                if self.errands.kill((task, fence)):
                    logger.info("killed", task=task, fence=fence)
                self._forget(task, fence)
            case Forget(task, fence):
                self._forget(task, fence)
            case Report(task, fence, tile, of):
                with suppress(Problem, Unanswered):
                    await self.server.report(self.me, task, fence, tile, of)
            case Commit():
                device = await self.device if self.device else NO_DEVICE
                return await self.server.send(self.me, self._proof(action, device))
            case End(task, fence, outcome, code):
                return await self.server.send(self.me, tasks.End(task=task, fence=fence, outcome=outcome, code=code))
        return None

    async def _render(self, lease: Lease) -> None:
        task, fence = lease.task, lease.fence
        try:
            wanted = await self.studio.order(task, lease.seed)
            cheated = self.cheat.rendered(wanted.spec) if self.cheat and wanted.job else None
            of = len(wanted.numbers)
            done = await self.studio.render(wanted, lambda count: self.loop.tell(agent.TileDone(task, fence, count, of)), cheated)
        except Unrendered as reason:
            logger.warning("not rendered", task=task, fence=fence, code=reason.code, detail=reason.detail)
            self.loop.tell(agent.Failed(task, fence, reason.code))
            return
        raws = [tile.raw for tile in done]
        if self.cheat and cheated:
            raws = [self.cheat.labelled(raw, wanted.spec) for raw in raws]
        self.made[task] = Made(fence, raws)
        names = tuple(sha256(raw).hexdigest() for raw in raws)
        seconds_us = sum(tile.seconds_us for tile in done)
        logger.info("rendered", task=task, fence=fence, tiles=of, seconds_us=seconds_us)
        self.loop.tell(agent.Rendered(task, fence, names, sum(map(len, raws)), seconds_us))

    async def _upload(self, task: TaskId, fence: int) -> None:
        """Until it is there, or the lease ends: then this is killed."""
        made = self.made[task]
        while True:
            try:
                await asyncio.gather(*(self.server.store(raw) for raw in made.raws))
            except Problem as problem:
                logger.warning("not uploaded", task=task, fence=fence, code=problem.code, detail=problem.detail)
                self.loop.tell(agent.Failed(task, fence, f"upload_{problem.code}"[:40]))
                return
            except Unanswered:
                continue
            self.loop.tell(agent.Uploaded(task, fence))
            return

    def _proof(self, commit: Commit, device: str) -> proof.Commit:
        build = commit.cls.partition("/")[0]
        claim = proof.committing(commit.task, commit.fence, self.me, proof.raw_root(commit.raw), build, self.settings.account, signature="")
        return proof.Commit(
            worker=self.me,
            task=commit.task,
            fence=commit.fence,
            raw=commit.raw,
            raw_bytes=commit.raw_bytes,
            seconds_us=commit.seconds_us,
            build=build,
            device=device,
            signature=self.sign(claim),
        )

    def _forget(self, task: TaskId, fence: int) -> None:
        if task in self.made and self.made[task].fence == fence:
            del self.made[task]

    async def bid(self) -> None:
        """Keeps the standing bid of the configuration. The number of the last one is the ledger's to tell."""
        number = 1
        for _ in range(4):
            try:
                answer = await self.server.send(self.me, self._bid(number))
            except Problem as problem:
                expected = problem.facts.get("expected")
                if problem.code != "number_used" or not isinstance(expected, int):
                    logger.warning("no bid", code=problem.code, detail=problem.detail)
                    return
                # The last one may be just this; if it is, it is not said twice.
                number = expected - 1 if number < expected - 1 else expected
            except Unanswered:
                continue
            else:
                logger.info("bid", position=answer.position, price_per_kwu=self.settings.price_per_kwu)
                return

    def _bid(self, number: int) -> bids.Bid:
        price, cls = Units(self.settings.price_per_kwu), self.settings.cls
        claim = bids.bidding(self.me, cls, price, 0, number, self.settings.account, signature="")
        fields = {"worker": self.me, "class": cls, "price_per_kwu": price, "number": number, "signature": self.sign(claim)}
        return bids.Bid.model_validate(fields)

    async def recall(self) -> None:
        """The worker's scores, from its own stream: how long a task should take."""
        with suppress(Problem, Unanswered):
            for recorded in await self.server.stream(self.me):
                if isinstance(recorded.event, bench.Scored):
                    self.loop.tell(agent.Scored(recorded.event.cls, recorded.event.score))


async def run_worker(
    settings: config.Config,
    server: ports.Server,
    sign: ports.Signer,
    workshop: ports.Workshop,
    probe: ports.Probe,
    cheat: Cheat | None = None,
    *,
    clock: ports.Clock = now_us,
    hear: Callable[[Loop], None] = leave_on_signals,
) -> str:
    """Runs a worker until it is told to leave; returns why it stopped. `hear` arranges for it to be told. Raises `loop.Failed`."""
    pace = cheat or Duty(settings.duty)
    machine = agent.Agent(settings.worker, secrets.token_hex(8), settings.slots, pace)
    loop = Loop(machine, settings.worker, server, clock)
    studio = Studio(server, workshop, Cache(Path(settings.folder, "scenes")), settings.owns)
    hands = Worker(settings, server, sign, studio, loop)
    hands.cheat = cheat
    studio.prepare()
    hear(loop)
    hands.device = asyncio.create_task(device(probe))
    logger.info("starting", agent=settings.worker, cls=settings.cls, sandbox=workshop.isolated, duty=settings.duty)
    if not workshop.isolated:
        logger.warning("no sandbox: only the operator's own scenes are rendered", own=settings.own_accounts)
    beside: list[asyncio.Task[Any]] = [hands.device, asyncio.create_task(hands.recall())]
    if settings.price_per_kwu:
        beside.append(asyncio.create_task(hands.bid()))
    try:
        return await loop.run(lambda recorded: agent.seen(recorded, settings.worker), hands.perform)
    finally:
        for task in beside:
            task.cancel()
        await studio.close()


async def device(probe: ports.Probe) -> str:
    """What the worker renders on, in the letters that a proof may have."""
    found = await asyncio.to_thread(probe)
    name = re.sub("[^A-Za-z0-9 ._()/+-]", "", found[0].model)[:80].strip() if found else NO_DEVICE
    logger.info("device", name=name, devices=len(found))
    return name or NO_DEVICE
