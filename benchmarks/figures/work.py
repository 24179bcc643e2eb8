"""The work itself, and how a ledger grows: G6 and G14."""

import asyncio
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from adapters import migrate, process
from adapters.files.home import Home, Settings
from adapters.log.postgres import PostgresLog
from adapters.log.snapshots import Snapshots
from adapters.sequencer import Sequencer
from benchmarks import checks, data, seeds, site, workers
from benchmarks.data import Data
from benchmarks.figures.transfers import Bench, bench
from benchmarks.rounds import PEER_PYTHON, Figure, Goal, Options, Side, alternate
from domain.ids import AccountId, TaskId
from domain.log.block import Sealed, read_header
from domain.log.receipts import Ask
from domain.proof import proof
from tests import network
from tests.network import BUILD, CLASS, DUMMY, Network

WORKERS, WORKERS_QUICK = 100, 8
PRICE = 150_000_000
CYCLES, CYCLES_QUICK = 3_000, 40
COMMITS_PER_BLOCK = 250
NO_OPS, NO_OPS_QUICK = 3_000, 200
AT_A_TIME = 10
"""Of procrastinate: 1, 5 and 20 of one process, 5 of four, were slower in a trial."""
FEW = 10_000
COMMANDS, COMMANDS_QUICK = 400, 40
LIVE = 50_000


class Works:
    """Workers that are online and scored, and all that they do."""

    def __init__(self, people: int, log: PostgresLog | None = None, *, signs: bool = False) -> None:
        """`log` has it, block by block; without one only the network's memory does. `signs`: with real signatures, as agents do."""
        self.network, self._kept, self._log = Network("demo", signs=signs), 0, log
        it = self.network
        self.creator = it.person("creator", funds=10**12)
        for _ in range(people):
            it.online(it.worker(it.person("provider", funds=10_000_000, locked=5_000_000), price=PRICE))
        for _ in range(3):
            it.online(it.worker(it.person("checker", funds=10_000_000, locked=5_000_000), "checker"))
        network.score_all(it)

    async def keep(self) -> None:
        """What was sealed since, into the log, block by block."""
        if not self._log:
            return
        for record in self.network.records[self._kept :]:
            header = read_header(record)
            assert header
            marks: Any = header, header.after
            await self._log.append(Sealed(cast(Any, marks[0]), cast(Any, marks[1]), record))
        self._kept = len(self.network.records)

    def leased(self) -> list[TaskId]:
        return [id for id, task in self.network.world.tasks.items() if task.status == "leased"]

    async def commit(self, ids: Sequence[TaskId]) -> None:
        """All of them prove what they were leased, many in one block."""
        it = self.network
        it.now_us += 1_500_000
        for first in range(0, len(ids), COMMITS_PER_BLOCK):
            for id in ids[first : first + COMMITS_PER_BLOCK]:
                it.ledger.decide(self._proof(id), it.now_us)
            it.seal()
            await self.keep()

    def _proof(self, id: TaskId) -> Ask:
        it, task = self.network, self.network.world.tasks[id]
        raw = tuple(it.raw(task, tile) for tile in range(task.tiles))
        command = proof.Commit(
            worker=task.worker,
            task=id,
            fence=task.fence,
            raw=raw,
            raw_bytes=236 * task.tiles,
            seconds_us=1_500_000,
            build=BUILD,
            device=CLASS.partition("/")[2],
            signature=DUMMY,
        )
        signer, signed = it.agents[task.owner].address, it.agent_signed(command, task.owner)
        return Ask.about(task.worker, f"commit/{id}/{task.fence}", signed, account=task.owner, signer=signer)

    async def cycles(self, tasks: int) -> float:
        """Seconds for so many tasks from lease to accrued share: leases, proofs, draws, audits."""
        it = self.network
        id = it.submit(self.creator, frames=tasks // 4)
        it.open(id)
        await self.keep()
        began = time.perf_counter()
        while id in it.world.jobs and it.world.jobs[id].status == "open":
            if ids := self.leased():
                await self.commit(ids)
            else:
                it.judge()
                it.wait(2 * it.policy.grid_us)  # the next beacon draws what was proved since the last one
            await self.keep()
        return time.perf_counter() - began


def cycles(it: Bench) -> Side:
    name = it.name("works")
    uri, quick, home = site.database(it.server, name), it.options.quick, it.folder / name
    migrate.apply(uri)
    Home(home).keep(Settings(log=network.LOG, database_url=uri))
    log = PostgresLog(uri)
    works = Works(WORKERS_QUICK if quick else WORKERS, log)

    async def run() -> tuple[float, str]:
        async with log:
            await works.keep()
            tail = checks.Tail(home, uri, works.network.ledger.head.size)
            seconds = await works.cycles(CYCLES_QUICK if quick else CYCLES)
            return seconds, tail.end(works.network.ledger.head.size)

    async def look() -> dict[str, str]:
        async with PostgresLog(uri) as log:
            return await checks.folds(log, network.LOG, works.network.ledger.head)

    seconds, seen = asyncio.run(run())
    site.crash(it.folder, uri)
    found = {checks.DENSE: seen, **asyncio.run(look())}
    job = next(iter(works.network.world.jobs.values()))
    if job.accepted != job.tasks:
        found["every task accepted"] = f"{job.accepted} of {job.tasks}"
    site.drop(it.server, name)
    return Side(job.accepted / seconds, found)


def celery(it: Bench) -> Side:
    """No-ops per second that a worker of two processes drains from Redis, which keeps nothing on disk."""
    folder, port = it.folder / it.name("celery"), site.free_port()
    folder.mkdir()
    redis = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    server = process.start(redis, output=folder / "redis.log", directory=folder)
    try:
        plan = {"url": f"redis://127.0.0.1:{port}/0", "tasks": NO_OPS_QUICK if it.options.quick else NO_OPS, "python": str(PEER_PYTHON)}
        (saw,) = workers.run("celery_load", [plan], folder)
    finally:
        process.stop(server)
        shutil.rmtree(folder)
    return Side(saw["done"] / saw["seconds"])


def procrastinate(it: Bench) -> Side:
    """No-ops per second that two processes drain from a queue in the same PostgreSQL, of so many at a time each."""
    name = it.name("procrastinate")
    tasks, plan = NO_OPS_QUICK if it.options.quick else NO_OPS, {"uri": site.database(it.server, name), "concurrency": AT_A_TIME}
    workers.run("procrastinate_load", [{**plan, "what": "fill", "tasks": tasks}], it.folder)
    saw = workers.run("procrastinate_load", [{**plan, "what": "drain"}] * 2, it.folder)
    site.drop(it.server, name)
    done = sum(each["done"] for each in saw)
    found = {"procrastinate did every task once": "" if done == tasks else f"{done} of {tasks}"}
    return Side(tasks / (max(each["ended"] for each in saw) - min(each["began"] for each in saw)), found)


def g6(options: Options) -> Iterator[Figure]:
    people = WORKERS_QUICK if options.quick else WORKERS
    what = f"task cycles (lease, proof, accepted, accrued) of {people} workers, durable, ledger and log in process, without HTTP"
    peers: Sequence[tuple[str, Callable[[Bench], Side]]] = (
        ("Celery + Redis, a no-op, drained by two processes, nothing durable", celery),
        (f"procrastinate, a no-op, drained by two processes × {AT_A_TIME}, durable in the same PostgreSQL", procrastinate),
    )
    for name, peer in peers:
        with bench(options) as it:

            def theirs(_: int, it: Bench = it, peer: Callable[[Bench], Side] = peer) -> Side:
                return peer(it)

            yield alternate("G6", what, "/s", Goal(5, 15), options.rounds, lambda _, it=it: cycles(it), theirs, name)  # type: ignore[misc]


def sequential(server: str, it: Data, commands: int) -> Side:
    """p50 of one command after another, on a copy of the ledger."""
    name = "grown"
    site.drop(server, name)
    site.copy(server, it.uri, name)
    uri, newest = site.within(server, name), Snapshots(it.home / "snapshots", it.log).newest
    before, acknowledged = newest(), list[bytes]()
    frozen, tail = checks.frozen(before), checks.Tail(it.home, uri, before.head.size)

    async def run() -> tuple[list[int], int]:
        async with PostgresLog(uri) as log:
            sequencer, taken = Sequencer(log, newest, "grown"), list[int]()
            running = asyncio.create_task(sequencer.run())
            await asyncio.wait([running, asyncio.create_task(sequencer.elected.wait())], return_when=asyncio.FIRST_COMPLETED)
            owner = AccountId(seeds.owner_of(before.world))
            for number in range(commands):
                began, command = time.perf_counter(), seeds.submission(seeds.CHEAP)
                receipt = await sequencer.submit(Ask.keyed(owner, seeds.uuid7(number), command, b"%d" % number, account=owner))
                taken.append(int((time.perf_counter() - began) * 1e6))
                acknowledged.append(checks.body(receipt))
            await sequencer.stop()
            await running
            return taken, await log.size()

    async def look() -> dict[str, str]:
        async with PostgresLog(uri) as log:
            return await checks.after_kill(log, frozen, acknowledged)

    taken, size = asyncio.run(run())
    found = {checks.DENSE: tail.end(size)}
    site.crash(data.FOLDER, uri)
    found |= asyncio.run(look())
    site.drop(server, name)
    return Side(statistics.median(taken) / 1000, found)


def weighed(it: Data) -> tuple[float, float]:
    """Of a process that folds the ledger: resident memory at its end against half-way; and KiB of each of so many live tasks after."""
    command = [sys.executable, "-m", "benchmarks.scales", it.uri, it.log, str(it.events), str(LIVE)]
    said = subprocess.run(command, cwd=site.ROOT, capture_output=True, text=True, check=True).stdout.split()
    half, whole, live = map(float, said)
    return whole / half, (live - whole) / LIVE


def g14(options: Options) -> Iterator[Figure]:
    sizes = [options.events, *([10 * options.events] if options.large else [])]
    commands = COMMANDS_QUICK if options.quick else COMMANDS
    with data.kept() as server:
        small = data.of(server, FEW)
        for events in [2 * FEW] if options.quick else sizes:
            it = data.of(server, events)

            def ours(_: int, it: Data = it) -> Side:
                return sequential(server, it, commands)

            def flat(_: int, it: Data = it) -> Side:
                return Side(weighed(it)[0])

            what, goal = f"command p50 after {events:,} events against {FEW:,}, in process", Goal(1.2, 1.1, sense="at most")
            peer = f"ourselves after {FEW:,}"
            yield alternate("G14", what, "ms", goal, options.rounds, ours, lambda _: sequential(server, small, commands), peer)
            what = f"resident memory after {events:,} events, of jobs that were archived, against half of them"
            yield alternate("G14", what, "", Goal(1.1, 1.02, sense="at most"), 1, flat)
        what = f"resident memory of a live task, of {LIVE:,}"
        yield alternate("G14", what, "KiB", Goal(1, 1, "KiB", "at most"), 1, lambda _: Side(weighed(small)[1]))
