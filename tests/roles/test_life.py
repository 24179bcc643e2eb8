"""Four processes serve one ledger in Kafka: a job's whole life through the one that faces people, while each of the four is killed."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path

import pytest

from adapters import process
from adapters.evm import anvil, contracts
from adapters.files.home import Home
from demo.people import Network, Person
from domain.log import wire
from domain.units import Units
from domain.work import job
from examples.marbles import make_scene
from tests.fix_chain import Rig, standing
from tests.roles.split import ROLES, Split, split
from tests.system.test_server import gridledger

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

DOLLAR, CLASS = 1_000_000, "mitsuba-3.9.1/cpu"
WAIT_S = 60.0


async def until(asked: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await asked():  # noqa: ASYNC110 - of things that announce nothing
            await asyncio.sleep(0.05)


@asynccontextmanager
async def chain(folder: Path, home: Home) -> AsyncIterator[Rig]:
    dollar, treasury = (contracts.compiled(name, folder, contracts.SOURCES) for name in ("TestDollar", "Treasury"))
    async with standing(folder / "anvil", dollar, treasury, home=home, block_time_s=1) as rig:
        yield rig


class Company:
    """A creator, a worker and a checker, who know the `api` process and nothing else."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.creator, self.worker, self.checker = (Person(network, name, folder / name) for name in ("creator", "worker", "checker"))
        self.agents = list[subprocess.Popen[bytes]]()

    async def credited(self, person: Person) -> None:
        async def shown() -> object:
            return (await person.client.get("/v1/me"))["balances"]

        await until(shown)

    async def staff(self, person: Person) -> None:
        """Account, stake, bid, and the agent as a process; what it deposits is credited later."""
        kind = person.name
        await person.join("provider" if kind == "worker" else "checker")
        await person.deposit(10 * DOLLAR)
        await person.register("cpu" if kind == "worker" else "checker", CLASS)
        if kind == "worker":
            await person.bid(CLASS, 150 * DOLLAR)
        file = person.configuration(kind, CLASS, ["everybody"])
        self.agents.append(process.start([sys.executable, "-m", "gridledger", kind, "run", str(file)], output=person.folder / "agent.log"))

    async def submission(self) -> None:
        """Returns when there is one in the log; views may not show it yet."""
        async for line in self.creator.client.follow("/v1/live", after=0):
            if line.position and isinstance(wire.event(line.data).event, job.Submitted):
                return


@asynccontextmanager
async def company(it: Split, rig: Rig, folder: Path) -> AsyncIterator[Company]:
    network = Network(it.url("api"), rig.node, it.log, anvil.CHAIN_ID, rig.treasury, rig.token)
    made = Company(network, folder)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(aclosing(network.node))
        for each in (made.creator, made.worker, made.checker):
            await stack.enter_async_context(each.client)
        try:
            yield made
        finally:
            for agent in made.agents:
                process.stop(agent)


def without_keys(home: Home) -> subprocess.CompletedProcess[str]:
    """Daemons in a directory like this one, which has none of its keys."""
    elsewhere = home.path.parent / "elsewhere"
    shutil.copytree(home.path, elsewhere, ignore=shutil.ignore_patterns("keys", "*.lock", "*.url"))
    done = gridledger("serve", str(elsewhere), "--role", "daemons", "--port", "0")
    assert not (elsewhere / "keys").exists(), "and none is made"
    return done


def submitted(url: str, folder: Path, secret: str) -> subprocess.CompletedProcess[str]:
    """A job, as its creator submits it and waits for the frames."""
    scene, *_ = make_scene.write(folder / "scene")
    options = ("--server", url, "--api-key", secret, "--size", "64x64", "--samples", "16", "--yes", "--out", str(folder / "frames"))
    return gridledger("submit", str(scene), *options, "--json")


async def test_a_job_lives_through_the_death_of_each_process(tmp_path: Path, database: str, kafka: str) -> None:
    home = Home(tmp_path / "ledger")
    async with chain(tmp_path, home) as rig, split(home, database, kafka, (rig.node.url, rig.treasury, rig.token)) as it:
        it.start(*ROLES)
        await it.ready(*ROLES)
        url = it.url("api")
        facts = [it.status(role) for role in ROLES]
        asides = asyncio.gather(
            asyncio.to_thread(without_keys, home), asyncio.to_thread(gridledger, "status", "--server", it.url("projector"))
        )
        async with company(it, rig, tmp_path) as people:
            creator = people.creator
            it.kill("daemons")
            await creator.join("creator")
            await creator.deposit(20 * DOLLAR)
            await asyncio.gather(*(people.staff(each) for each in (people.worker, people.checker)))
            it.kill("leader")
            it.start("leader", "daemons")
            await asyncio.gather(*(people.credited(each) for each in (creator, people.worker, people.checker)))
            it.kill("projector")
            await asyncio.gather(*(each.lock(5 * DOLLAR) for each in (people.worker, people.checker)))
            behind = sum(row["behind"] for row in it.status("api")["projections"])
            submitting = asyncio.create_task(asyncio.to_thread(submitted, url, tmp_path, creator.secret))
            await people.submission()
            await asyncio.sleep(1.0)  # Whoever reads views as old as these is answered by now.
            it.start("projector")
            it.kill("api")
            it.start("api")
            done, (strange, told) = await submitting, await asides
            await creator.payout("customer", Units(DOLLAR))
            it.kill("daemons")
            it.start("daemons")

            async def paid() -> object:
                return [row["status"] for row in (await creator.client.get("/v1/payouts"))["items"]] == ["final"]

            await until(paid)
            await it.ready(*ROLES)
            exported = gridledger("log", "export", str(tmp_path / "bundle"), "--server", url, "--rpc", rig.node.url)
            verified = gridledger("verify", str(tmp_path / "bundle"), "--rpc", rig.node.url, "--json")

    assert strange.returncode == 3
    assert [line for line in strange.stderr.splitlines() if "has no key of watch, payer, anchorer: " in line], strange.stderr
    assert [(each["role"], each["leads"]) for each in facts] == [(role, role == "leader") for role in ROLES]
    assert (told.returncode, told.stdout.partition(" head ")[0]) == (0, "projector: ready,")
    assert behind > 0, "nobody wrote the views, and this process said so"
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "completed"
    assert (tmp_path / "frames" / "frame-000.png").read_bytes().startswith(b"\x89PNG")
    assert (exported.returncode, verified.returncode) == (0, 0), exported.stderr + verified.stdout
