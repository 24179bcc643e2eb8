"""Workers and checkers against a real ledger: honest work is paid, a cheat is convicted, what is killed is done by another."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from domain.ids import AccountId, JobId, WorkerId
from domain.market.worker import Offline, Quarantined
from domain.proof import audit, bench, proof, ruling, verdict
from domain.units import Units
from domain.work import job, manifest, task
from examples.marbles import make_scene as marbles
from tests.agents.office import Ears, Office, Painter
from tests.network import Network
from worker_runtime import ports
from worker_runtime.checker import checker
from worker_runtime.gpu import mitsuba, sandbox
from worker_runtime.gpu.cheat import Cheat
from worker_runtime.worker import run_worker

PAINT = ports.Workshop(Painter, isolated=True)
UNTIL_S_MAX = 60


class Scene:
    """People, agents, and a job that waits to be opened."""

    def __init__(self, folder: Path, speed: int) -> None:
        self.network = Network()
        self.office, self.ears, self.folder = Office(self.network, speed), Ears(), folder
        self.creator = self.network.person("creator", funds=50_000_000)
        self.tasks: list[asyncio.Task[str]] = []

    def member(self, role: str) -> AccountId:
        return self.network.person(role, funds=10_000_000, locked=5_000_000)

    def worker(self, price: int, shop: ports.Workshop = PAINT, cheat: Cheat | None = None, **more: object) -> WorkerId:
        owner = self.member("provider")
        id = self.network.worker(owner)
        settings = self.office.settings(id, self.folder, price_per_kwu=str(price * 10**6), **more)
        work = run_worker(settings, self.office, self.office.sign(owner), shop, list, cheat, clock=self.clock, hear=self.ears)
        self.tasks.append(asyncio.create_task(work))
        return id

    def checkers(self, count: int = 3, shop: ports.Workshop = PAINT) -> list[WorkerId]:
        owners = [self.member("checker") for _ in range(count)]
        found = [self.network.worker(owner, "checker") for owner in owners]
        for id, owner in zip(found, owners, strict=True):
            settings = self.office.settings(id, self.folder, kind="checker")
            work = checker.run_checker(settings, self.office, self.office.sign(owner), shop, clock=self.clock, hear=self.ears)
            self.tasks.append(asyncio.create_task(work))
        return found

    def clock(self) -> int:
        return self.network.now_us

    async def job(self, samples: int = 64, size: tuple[int, int] = (32, 32)) -> JobId:
        """A job of two frames, with two tasks of two tiles each."""
        (frame,) = marbles.write(self.folder / "scene")
        files = {file.name: file.read_bytes() for file in sorted(frame.parent.iterdir())}
        described = manifest.Manifest("ab" * 16, [manifest.describe(*file) for file in files.items()], [frame.name] * 2)
        for content in (described.encode(), *files.values()):
            await self.office.store(content)
        command = job.Submit(
            engine="mitsuba",
            manifest_sha256=described.sha256(),
            frames=2,
            size=size,
            tiles=(2, 2),
            group=2,
            samples=samples,
            limit_price=Units(200_000_000),
        )
        submitted = self.network.do(self.creator, command, keyed=True)[0].event
        assert isinstance(submitted, job.Submitted)
        self.network.open(submitted.job)
        return submitted.job

    def count(self, kind: type, **fields: object) -> int:
        events = [recorded.event for recorded in self.network.events if isinstance(recorded.event, kind)]
        return sum(all(getattr(event, name) == value for name, value in fields.items()) for event in events)

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(UNTIL_S_MAX):
            while not done():
                assert not any(each.done() for each in self.tasks), [each for each in self.tasks if each.done()]
                await asyncio.sleep(0.01)

    async def leave(self) -> list[str]:
        self.ears.leave()
        async with asyncio.timeout(10):
            return await asyncio.gather(*self.tasks)


@contextlib.asynccontextmanager
async def scene(folder: Path, speed: int = 10) -> AsyncIterator[Scene]:
    """Ledger time runs `speed` times as fast as ours."""
    it = Scene(folder, speed)
    time = asyncio.create_task(it.office.run())
    try:
        yield it
    finally:
        time.cancel()
        for each in it.tasks:
            each.cancel()
        await asyncio.gather(time, *it.tasks, return_exceptions=True)
        assert Painter.alive == 0


@pytest.mark.system
async def test_an_honest_worker_is_scored_does_a_job_and_nobody_is_convicted(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        worker = it.worker(170)
        it.checkers()
        await it.until(lambda: it.count(bench.Scored, worker=worker) == 1)
        job_id = await it.job()
        await it.until(lambda: it.count(job.Closed, job=job_id) == 1)
        assert it.count(job.Closed, job=job_id, outcome="completed") == 1
        assert it.count(ruling.Accepted, worker=worker) == 4
        assert it.count(audit.Closed, result="valid") == it.count(audit.Closed) > 0
        assert it.office.filed == []
        assert {(tile, of) for _, tile, of in it.office.progress} >= {(1, 2), (2, 2)}
        assert set(it.office.beats) >= {worker}
        assert set(await it.leave()) == {"left"}
        assert it.count(Offline, reason="left") == 4


@pytest.mark.system
async def test_a_cheat_is_convicted_by_two_checkers_and_its_work_done_by_another(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        cheat, honest = it.worker(150, cheat=Cheat(8)), it.worker(180)
        it.checkers()
        await it.until(lambda: it.count(bench.Scored) == 2)
        job_id = await it.job(samples=16_000)
        await it.until(lambda: it.count(job.Closed, job=job_id) == 1)
        assert it.count(Quarantined, worker=cheat) == 1
        assert it.count(Quarantined, worker=honest) == 0
        assert it.count(ruling.Accepted, worker=honest) == 4
        assert it.count(ruling.Accepted, worker=cheat) == 0
        assert it.count(task.Ended, outcome="gate") == 0
        assert it.count(verdict.Revealed, verdict="invalid") >= 2
        assert len(it.office.filed) >= 2


@pytest.mark.system
async def test_a_worker_that_was_killed_is_replaced_when_its_lease_is_over(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        slow = ports.Workshop(lambda: Painter(0.2), isolated=True)
        killed, other = it.worker(160, slow), it.worker(180)
        it.checkers()
        await it.until(lambda: it.count(bench.Scored) == 2)
        job_id = await it.job(samples=2_000)
        await it.until(lambda: it.count(task.Leased, worker=killed) == 1 and bool(it.office.progress[-1:]))
        it.tasks.pop(0).cancel()
        await it.until(lambda: it.count(job.Closed, job=job_id) == 1)
        assert it.count(task.Ended, worker=killed, outcome="no_reply") == 1
        assert it.count(ruling.Accepted, worker=other) == 4
        assert it.count(proof.Committed, late=True) == 0


@pytest.mark.system
async def test_a_restarted_worker_takes_its_lease_up_again(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        worker = it.worker(160)
        it.checkers()
        await it.until(lambda: it.count(bench.Scored) == 1)
        killed = it.tasks.pop(0)
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
        job_id = await it.job(samples=16_000)
        await it.until(lambda: it.count(task.Leased, worker=worker) == 1)
        leased = next(recorded for recorded in it.network.events if isinstance(recorded.event, task.Leased))
        it.office.open[worker] = [leased]
        settings = it.office.settings(worker, tmp_path)
        owner = it.network.world.workers[worker].owner
        work = run_worker(settings, it.office, it.office.sign(owner), PAINT, list, clock=it.clock, hear=it.ears)
        it.tasks.append(asyncio.create_task(work))
        await it.until(lambda: it.count(job.Closed, job=job_id) == 1)
        assert it.count(task.Ended) == 0
        assert it.count(ruling.Accepted, worker=worker) == 4


@pytest.mark.system
async def test_without_a_sandbox_somebody_else_s_scene_is_not_rendered_but_one_s_own_is(tmp_path: Path) -> None:
    bare = ports.Workshop(Painter, isolated=False)
    async with scene(tmp_path) as it:
        strict, own = it.worker(150, bare), it.worker(180, bare, own_accounts=[it.creator])
        it.checkers()
        await it.until(lambda: it.count(bench.Scored) == 2)
        await it.job(samples=16_000)
        await it.until(lambda: it.count(task.Ended, worker=strict, code="no_sandbox") > 0 and it.count(ruling.Accepted, worker=own) > 0)
        assert it.count(ruling.Accepted, worker=strict) == 0


@pytest.mark.system
async def test_real_renderers_agree_bit_for_bit_and_a_real_cheat_does_not(tmp_path: Path) -> None:
    real = ports.Workshop(lambda: mitsuba.Engine(sandbox.find()), isolated=True)
    async with scene(tmp_path, speed=2) as it:
        cheat, honest = it.worker(150, real, Cheat(2)), it.worker(180, real)
        it.checkers(shop=real)
        await it.until(lambda: it.count(bench.Scored) == 2)
        job_id = await it.job(samples=16, size=(64, 64))
        await it.until(lambda: it.count(job.Closed, job=job_id) == 1)
        assert it.count(Quarantined, worker=cheat) == 1
        assert it.count(Quarantined, worker=honest) == 0
        assert it.count(ruling.Accepted, worker=honest) == 4
        assert it.count(ruling.Accepted, worker=cheat) == 0
