"""Agents: a worker or a checker in one process."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.client import Client
    from worker_runtime.config import Config
    from worker_runtime.ports import Signer, Workshop


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
