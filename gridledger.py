"""The composition root: settings in, running parts out. Everything is imported from here, as late as it can be; nobody imports it.

Each function is one role, or one thing that the command line does; `main` hands them to it (cli/app.py).
"""

import asyncio
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from fastapi import FastAPI

    from adapters.chain import EvmChain
    from adapters.client import Client
    from adapters.files.home import Home
    from adapters.log.follower import Follower
    from adapters.server.group import Group
    from adapters.server.office import Duties
    from api.parts import Submit
    from domain.house.genesis import FirstAsset
    from domain.ids import LogId
    from worker_runtime.config import Config
    from worker_runtime.ports import Signer, Workshop

DATABASE = "GRIDLEDGER_DATABASE_URL"
ENGINE, CLASSES = "mitsuba", ("mitsuba-3.9.1/cpu",)
BENCH_WU_MILLI, BENCH_TILES, WU_MILLI_PER_MSAMPLE = 1_500, 4, 760
"""The bench, and what a million samples cost, in thousandths of a second of the reference device: one core of a 2-core AVX-512 machine."""
START_S_MAX, STOP_S_MAX = 3_600.0, 25.0
SEATS = 4
"""Servers of one directory, on a database that is not its own."""


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
    except BaseException:
        if not home.settings().log:
            home.file.unlink()  # nothing accepts a directory whose ledger never began
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


def serve(path: Path, host: str, port: int, advertise: str = "") -> None:
    """The whole server in one process: sequencer, projections, API and daemons. Until SIGINT or SIGTERM. Where the database is not the
    directory's own, a second server of the directory stands by, and hands on to the first what only the leader may decide."""
    from adapters import logs
    from adapters.files.home import Home

    logs.set_up()
    home = Home.open(path)
    if not home.settings().log:
        raise Unstartable(f"{path} holds no ledger yet: gridledger init {path}")
    shared = bool(os.environ.get(DATABASE) or home.settings().database_url)
    with home.seat(SEATS if shared else 1) as file, database(home) as url:
        (home.path / file).unlink(missing_ok=True)
        asyncio.run(_serve(home, url, socket.create_server((host, port)), advertise, home.path / file))


async def _serve(home: "Home", url: str, listener: socket.socket, advertise: str, file: Path) -> None:
    from adapters import process
    from adapters.server import http
    from adapters.server.group import Group

    group, loop, closing = Group(), asyncio.get_running_loop(), asyncio.Event()
    host, port = listener.getsockname()[:2]
    me = Process(secrets.token_hex(8), f"{socket.gethostname()}:{file.resolve()}", advertise or f"http://{host}:{port}")
    try:
        with listener:
            async with network(home, url, group, me) as (app, hand_over):
                for each in (signal.SIGINT, signal.SIGTERM):
                    loop.add_signal_handler(each, group.stopping.set)
                file.write_text(f"http://{host}:{port}\n")
                serving = asyncio.create_task(http.serve(app, listener, closing))
                await asyncio.wait([serving, asyncio.create_task(group.stopping.wait())], return_when=asyncio.FIRST_COMPLETED)
                process.end_within(STOP_S_MAX)
                await hand_over()  # while requests are still taken, and handed on to whoever leads then
                closing.set()
                await serving
    finally:
        file.unlink(missing_ok=True)
        for failure in group.failures:
            raise failure  # it is why all the rest ended


class Process(NamedTuple):
    """One server."""

    name: str
    """Of this process and no other."""
    place: str
    """Of one process at a time."""
    address: str
    """Where the other servers reach it."""


@asynccontextmanager
async def network(home: "Home", url: str, group: "Group", me: Process) -> AsyncIterator[tuple["FastAPI", Callable[[], Awaitable[None]]]]:
    """Everything that runs beside the API, the API's application, and what ends this process's lead: daemons stop first, then the sequencer
    lands its block and gives the lease back."""
    from adapters import migrate, objects, signer
    from adapters.log.election import Election
    from adapters.log.follower import Follower
    from adapters.log.postgres import PostgresLog
    from adapters.log.snapshots import Snapshots
    from adapters.remote import Leader
    from adapters.sequencer import Sequencer
    from adapters.server import office
    from adapters.server.recorder import Recorder
    from adapters.views.books import Books
    from adapters.views.postgres import PostgresViews
    from api.app import create_app
    from api.parts import Parts
    from domain.ids import LogId
    from domain.log.merkle import Head
    from projections import catalog, plugins
    from worker_runtime.daemons import gate, guard, loop, presence
    from worker_runtime.gpu import bench, scene

    await asyncio.to_thread(migrate.apply, url)
    start = Head(LogId(home.settings().log))
    projections = (*catalog.ALL, *plugins.load(catalog.ALL))
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(PostgresLog(url))
        views = await stack.enter_async_context(PostgresViews(url, *projections))
        snapshots, store = Snapshots(home.snapshots, start.log), objects.local(home.objects)
        nodes = chain_nodes(home, stack)
        election = await stack.enter_async_context(Election(url, me.name, me.place, me.address))
        known = partial(office.known, snapshots, views, nodes, start)
        sequencer = Sequencer(log, snapshots.newest, me.name, reference_us=log.clock_us, home=log.home, lease=election, known=known)
        leader = Leader(partial(office.find_leader, sequencer, election), election.left)
        stack.push_async_callback(leader.aclose)
        follower = Follower(log, await sequencer.begin())
        stack.push_async_callback(group.stop)
        group.start("follower", follower.run())
        group.start("sequencer", sequencer.run())
        await follower.reached(max(1, await log.size()), START_S_MAX)  # else people with a key would be told that nobody has it
        watcher = presence.Presence(loop.Desk("presence", follower, sequencer.submit))
        proofs = gate.Gate(loop.Desk("gate", follower, sequencer.submit), store, bench.spec)
        duties: office.Duties = {
            "projections": lambda: office.project(projections, log, views, start),
            "recorder": lambda: Recorder(follower, snapshots, home.path).run(),
            "presence": watcher.run,
            "guard": guard.Guard(loop.Desk("watch", follower, sequencer.submit), Books(views), store).run,
            **chain_daemons(home, nodes, follower, sequencer.submit),
        }
        group.start("office", office.hold(sequencer, group, duties))
        hand_over = partial(office.hand_over, sequencer, group, [name for name in duties if name != "projections"])
        stack.push_async_callback(hand_over)
        parts = Parts(
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
            now_us=loop.wall_us,
            gauges=lambda: {"commands_waiting": sequencer.waiting, "leads": sequencer.elected.is_set()},
            ready=lambda: election.fresh and (sequencer.leading or election.elsewhere is not None),
            leads=sequencer.elected.is_set,
            leader=leader,
        )
        yield create_app(parts), hand_over


def chain_nodes(home: "Home", stack: AsyncExitStack) -> "list[EvmChain]":
    """Those of the settings; none: there is no chain."""
    from adapters.chain import EvmChain

    settings = home.settings()
    nodes = [EvmChain(url, settings.treasury, settings.token) for url in settings.rpc_url.split()]
    for each in nodes:
        stack.push_async_callback(each.aclose)
    return nodes


def chain_daemons(home: "Home", nodes: "list[EvmChain]", follower: "Follower", submit: "Submit") -> "Duties":
    """Watch, payer and anchorer, if there is a chain."""
    if not nodes:
        return {}
    from adapters import signer
    from adapters.evm.quorum import Quorum
    from domain.accounts import USDC
    from worker_runtime.daemons import anchorer, loop, payer, watch

    node = Quorum(nodes)

    def desk(role: str) -> loop.Desk:
        return loop.Desk(role, follower, submit)

    return {
        "watch": lambda: watch.Watch(desk("watch"), node, USDC).run(),
        "payer": lambda: payer.Payer(desk("payer"), node, home.signer("payer"), signer.decode_batch, USDC).run(),
        "anchorer": lambda: anchorer.Anchorer(desk("anchorer"), node, home.signer("anchorer"), USDC).run(),
    }


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


def snapshot(path: Path, size: int | None, *, anew: bool) -> dict[str, Any]:
    """Fold the log in this short-lived process and keep the state, for servers to start from."""
    import msgspec

    from adapters.files.home import Home
    from adapters.log.postgres import PostgresLog
    from adapters.log.snapshots import Snapshots
    from domain.ids import LogId

    home = Home.open(path)

    async def make(url: str) -> dict[str, Any]:
        async with PostgresLog(url) as log:
            return msgspec.structs.asdict(await Snapshots(home.snapshots, LogId(home.settings().log)).make(log, size, anew=anew))

    with suppress(OSError):
        os.nice(10)
    with database(home) as url:
        return asyncio.run(make(url))


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
