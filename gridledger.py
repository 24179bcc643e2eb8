"""The composition root: settings in, running parts out. Everything is imported from here, as late as it can be; nobody imports it.

Each function is one role, or one thing that the command line does; `main` hands them to it (cli/app.py).
"""

import asyncio
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from fastapi import FastAPI

    from adapters.client import Client
    from adapters.files.home import Home
    from adapters.log.follower import Follower
    from adapters.log.postgres import PostgresLog
    from adapters.sequencer import Sequencer
    from api.parts import Submit
    from domain.house.genesis import FirstAsset
    from domain.ids import LogId
    from domain.log.merkle import Head
    from projections.row import Projection
    from worker_runtime.config import Config
    from worker_runtime.ports import Signer, Workshop

DATABASE = "GRIDLEDGER_DATABASE_URL"
ENGINE, CLASSES = "mitsuba", ("mitsuba-3.9.1/cpu",)
BENCH_WU_MILLI, BENCH_TILES, WU_MILLI_PER_MSAMPLE = 1_500, 4, 760
"""The bench, and what a million samples cost, in thousandths of a second of the reference device: one core of a 2-core AVX-512 machine."""
START_S_MAX, STOP_S_MAX, LAND_S_MAX = 30.0, 1.0, 10.0


class Unstartable(Exception):
    """It cannot start; the message says why and what to do."""


# The server.


@contextmanager
def database(home: "Home") -> Iterator[str]:
    """The libpq URI of the ledger's database: from the environment, from the settings, or PostgreSQL from the wheel, which is the one that
    a server of this directory runs, if one does."""
    if url := os.environ.get(DATABASE) or home.settings().database_url or home.database():
        yield url
        return
    from adapters import postgres_server

    with postgres_server.running(home.postgres) as url, home.announced(url):
        yield url


def init(path: Path, policy: str, database_url: str, rpc_url: str, treasury: str, token: str, chain_id: int) -> "LogId":
    """Begin a ledger: keys, settings and the first block. Raises `Unstartable` if there is one already."""
    from adapters.files.home import Home, Settings
    from domain.accounts import USDC
    from domain.house.genesis import FirstAsset
    from domain.policy import POLICIES

    home = Home(path)
    if home.file.exists():
        raise Unstartable(f"{path} holds a ledger already")
    if policy not in POLICIES:
        raise Unstartable(f"there is no policy {policy}: {' or '.join(POLICIES)}")
    if rpc_url and not (treasury and token):
        raise Unstartable("a chain needs --treasury and --token, too")
    home.keep(Settings(database_url=database_url, rpc_url=rpc_url, treasury=treasury.lower(), token=token.lower()))
    nowhere = f"0x{'0' * 40}"
    contracts = (FirstAsset(USDC, 6, chain_id, token.lower() or nowhere, treasury.lower() or nowhere),)
    try:
        with database(home) as url:
            return asyncio.run(begin(home, url, policy, contracts))
    except Unstartable:
        home.file.unlink()
        raise


async def begin(home: "Home", url: str, policy: str, contracts: "tuple[FirstAsset, ...]") -> "LogId":
    """The first block, into an empty database."""
    import msgspec

    from adapters import migrate
    from adapters.log.postgres import PostgresLog
    from domain.house.genesis import FirstEngine, Init
    from domain.ids import LogId
    from domain.log.ledger import Ledger
    from domain.log.merkle import Head

    await asyncio.to_thread(migrate.apply, url)
    async with PostgresLog(url) as log:
        async for _ in log.read():
            raise Unstartable("the database holds a ledger already")
        admin_1, admin_2, *daemons = home.founders()
        id = LogId(secrets.token_hex(16))
        engine = FirstEngine(ENGINE, CLASSES[0].partition("/")[0], CLASSES, BENCH_WU_MILLI, BENCH_TILES, WU_MILLI_PER_MSAMPLE)
        command = Init(id, await log.home(), policy, (admin_1, admin_2), tuple(daemons), contracts, (engine,))
        await log.append(Ledger(Head(id)).genesis(command, await log.clock_us()))
    home.keep(msgspec.structs.replace(home.settings(), log=id))
    return id


def serve(path: Path, host: str, port: int) -> None:
    """The whole server in one process: sequencer, projections, API and daemons. Until SIGINT or SIGTERM."""
    from adapters import logs
    from adapters.files.home import Home

    logs.set_up()
    home = Home.open(path)
    if not home.settings().log:
        raise Unstartable(f"{path} holds no ledger yet: gridledger init {path}")
    with home.alone(), database(home) as url:
        asyncio.run(_serve(home, url, host, port))


async def _serve(home: "Home", url: str, host: str, port: int) -> None:
    group, loop = Group(), asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, group.stopping.set)
    with socket.create_server((host, port)) as listener:
        async with network(home, url, group) as app:
            file = home.path / "server.url"
            file.write_text(f"http://{host}:{listener.getsockname()[1]}\n")
            try:
                await http(app, listener, group.stopping)
            finally:
                file.unlink(missing_ok=True)
    for failure in group.failures:
        raise failure


async def http(app: "FastAPI", listener: socket.socket, stopping: asyncio.Event) -> None:
    """Serves until told to stop; then what is under way has a moment to end."""
    import uvicorn

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Signals are ours: they stop more than the API, in an order."""
            yield

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=int(STOP_S_MAX),
        lifespan="off",
        h11_max_incomplete_event_size=65_536,
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await asyncio.wait([serving, asyncio.create_task(stopping.wait())], return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving


class Group:
    """Work that runs beside. When one of it fails, everything is told to stop."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.tasks: dict[str, asyncio.Task[Any]] = {}
        self.failures: list[BaseException] = []

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        task = self.tasks[name] = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (failure := task.exception()):
            structlog.get_logger().error("failed", part=task.get_name(), exc_info=failure)
            self.failures.append(failure)
            self.stopping.set()

    async def stop(self, *names: str) -> None:
        for name in names or tuple(self.tasks):
            self.tasks[name].cancel()
        await asyncio.gather(*(self.tasks[name] for name in names or tuple(self.tasks)), return_exceptions=True)


@asynccontextmanager
async def network(home: "Home", url: str, group: Group) -> AsyncIterator["FastAPI"]:
    """Everything that runs beside the API, and the API's application. At the end daemons stop first, then the sequencer lands its block."""
    from adapters import migrate, objects, signer
    from adapters.log.follower import Follower
    from adapters.log.postgres import PostgresLog
    from adapters.sequencer import Sequencer
    from adapters.succession import wall_us
    from api.app import create_app
    from api.parts import Parts
    from domain.ids import LogId
    from domain.log.ledger import Ledger
    from domain.log.merkle import Head
    from projections import catalog, plugins
    from worker_runtime.daemons import gate, loop, presence
    from worker_runtime.gpu import bench, scene

    await asyncio.to_thread(migrate.apply, url)
    start = Head(LogId(home.settings().log))
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(PostgresLog(url))
        await check_home(log, start)
        follower, store = Follower(log, Ledger(start)), objects.local(home.objects)
        sequencer = Sequencer(log, lambda: Ledger(start), secrets.token_hex(8), reference_us=log.clock_us)
        projections = (*catalog.ALL, *plugins.load(catalog.ALL))
        stack.push_async_callback(group.stop)
        views = await start_views(url, log, start, projections, group, stack)
        group.start("follower", follower.run())
        group.start("sequencer", sequencer.run())
        stack.push_async_callback(land, sequencer)
        await follower.reached(1, START_S_MAX)
        watcher = presence.Presence(loop.Desk("presence", follower, sequencer.submit))
        proofs = gate.Gate(loop.Desk("gate", follower, sequencer.submit), store, bench.spec)
        group.start("presence", watcher.run())
        await start_chain_daemons(home, follower, sequencer.submit, group, stack)
        stack.push_async_callback(group.stop, *(name for name in ("presence", "watch", "payer", "anchorer") if name in group.tasks))
        yield create_app(
            Parts(
                submit=sequencer.submit,
                reader=follower,
                views=views,
                projections=projections,
                objects=store,
                log=log,
                check_scene=scene.fault,
                recover=signer.recover_typed,
                gate=proofs,
                seen=watcher.seen,
                now_us=wall_us,
                gauges=lambda: {"commands_waiting": float(sequencer.waiting)},
                ready=lambda: sequencer.leading,
            )
        )


async def land(sequencer: "Sequencer") -> None:
    """The last block goes into the log; while nobody can reach that, there is nothing to wait for."""
    with suppress(TimeoutError):
        await asyncio.wait_for(sequencer.stop(), LAND_S_MAX)


async def start_views(
    url: str, log: "PostgresLog", start: "Head", projections: "Sequence[Projection]", group: Group, stack: AsyncExitStack
) -> Any:
    """The projections in PostgreSQL, each moved by the one loop; they read the log once, together."""
    from adapters.views.postgres import PostgresViews
    from projections import runner

    views = await stack.enter_async_context(PostgresViews(url, *projections))
    group.start("projections", runner.run(projections, log, views, start))
    return views


async def check_home(log: "PostgresLog", start: "Head") -> None:
    """The log says where it lives; whoever finds it elsewhere holds a copy, and must not lead. Raises `Unstartable`."""
    from domain.house.ledger import Bound
    from domain.log import wire
    from domain.log.block import accept

    async for record in log.read():
        block = accept(start, record)
        (bound,) = [each.event for each in wire.events(block) if isinstance(each.event, Bound)]
        if bound.home != (here := await log.home()):
            raise Unstartable(f"this ledger lives in {bound.home}, and this is {here}: a copy may be read, but not led")
        return
    raise Unstartable("the database holds no ledger: gridledger init")


async def start_chain_daemons(home: "Home", follower: "Follower", submit: "Submit", group: Group, stack: AsyncExitStack) -> None:
    """Watch, payer and anchorer, if there is a chain."""
    settings = home.settings()
    if not settings.rpc_url:
        return
    from adapters import signer
    from adapters.chain import EvmChain
    from domain.accounts import USDC
    from worker_runtime.daemons import anchorer, loop, payer, watch

    node = EvmChain(settings.rpc_url, settings.treasury, settings.token)
    stack.push_async_callback(node.aclose)

    def desk(role: str) -> loop.Desk:
        return loop.Desk(role, follower, submit)

    group.start("watch", watch.Watch(desk("watch"), node, USDC).run())
    group.start("payer", payer.Payer(desk("payer"), node, home.signer("payer"), signer.decode_batch, USDC).run())
    group.start("anchorer", anchorer.Anchorer(desk("anchorer"), node, home.signer("anchorer"), USDC).run())


# Agents.


def workshop(settings: "Config") -> "Workshop":
    """What this machine renders with, and whether others' scenes may run in it."""
    from worker_runtime.gpu import mitsuba, sandbox
    from worker_runtime.ports import Workshop

    confinement = sandbox.find() if settings.sandbox else sandbox.Sandbox("switched off in the configuration")
    scratch = Path(settings.folder)
    scratch.mkdir(parents=True, exist_ok=True)
    return Workshop(lambda: mitsuba.Engine(confinement, threads=settings.threads, scratch=scratch), confinement.isolated)


def hands(settings: "Config") -> "tuple[Client, Signer]":
    """The agent's way to the server, and its key."""
    from adapters import signer
    from adapters.client import Client, signing

    key = signer.parse(settings.secret("signing_key"))
    return Client(settings.server, settings.secret("api_key")), signing(key, settings.log, settings.chain_id)


def run_worker(file: Path, *, duty: int | None = None, cheat_samples: int | None = None) -> str:
    """A worker until it is told to leave; returns why it stopped. `cheat_samples` is for drills."""
    import msgspec

    from adapters import logs
    from worker_runtime import config
    from worker_runtime.gpu import probe
    from worker_runtime.gpu.cheat import Cheat
    from worker_runtime.worker import run_worker as run

    logs.set_up()
    settings = config.load(file)
    if duty is not None:
        settings = msgspec.structs.replace(settings, duty=duty)

    async def work() -> str:
        client, sign = hands(settings)
        async with client:
            cheat = Cheat(cheat_samples) if cheat_samples else None
            return await run(settings, client, sign, workshop(settings), probe.devices, cheat)

    return asyncio.run(work())


def run_checker(file: Path) -> str:
    """A checker until it is told to leave; returns why it stopped."""
    from adapters import logs
    from worker_runtime import config
    from worker_runtime.checker.checker import run_checker as run

    logs.set_up()
    settings = config.load(file)

    async def work() -> str:
        client, sign = hands(settings)
        async with client:
            return await run(settings, client, sign, workshop(settings))

    return asyncio.run(work())


# Operators.


def rebuild(path: Path, name: str) -> dict[str, Any]:
    """Raises `Unstartable` if there is no such projection."""
    from adapters.files.home import Home
    from adapters.log.postgres import PostgresLog
    from adapters.views import rebuild as rebuilding
    from adapters.views.postgres import PostgresViews
    from domain.ids import LogId
    from domain.log.merkle import Head
    from projections import catalog, plugins

    home = Home.open(path)
    projections = {each.name: each for each in (*catalog.ALL, *plugins.load(catalog.ALL))}
    if name not in projections:
        raise Unstartable(f"there is no projection {name}: {', '.join(sorted(projections))}")

    async def build(url: str) -> dict[str, Any]:
        async with PostgresLog(url) as log, PostgresViews(url, *projections.values()) as views:
            made = await rebuilding.rebuild(views, projections[name], log, Head(LogId(home.settings().log)))
        return {"projection": name, "position": made.position}

    with database(home) as url:
        return asyncio.run(build(url))


def main() -> None:
    """The command line."""
    from cli.app import create

    create(sys.modules[__name__])()


if __name__ == "__main__":
    main()
