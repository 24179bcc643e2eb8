"""The application behind a real server: for its own client, and against its own document."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import uvicorn

from adapters.client import Client, Line
from api.parts import Limits
from domain.log.answers import Problem
from domain.market import worker
from tests.api.house import House, owner, people, running, secret_of, submitted

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

ROOT = Path(__file__).parent.parent.parent
CREATOR = secret_of(people().creator)
CHECKED_MAX_S = 500


class Served(NamedTuple):
    url: str
    house: House


class Telling(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, up: threading.Event) -> None:
        super().__init__(config)
        self._up = up

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._up.set()


@contextmanager
def served(port: int) -> Iterator[Served]:
    """A house with a server of its own, in a thread of its own."""
    found: list[Served] = []
    up = threading.Event()
    server: list[uvicorn.Server] = []

    async def serve() -> None:
        async with running(people(), Limits(read_wait_s=0.05, wait_s=1.0, keep_alive_s=0.2)) as house:
            await submitted(house)
            config = uvicorn.Config(house.app, port=port, log_config=None, lifespan="off", access_log=False, timeout_graceful_shutdown=1)
            server.append(Telling(config, up))
            found.append(Served(f"http://127.0.0.1:{port}", house))
            await server[0].serve()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert up.wait(30)
        yield found[0]
    finally:
        server[0].should_exit = True
        thread.join(30)
        assert not thread.is_alive()


def test_what_the_document_says_is_what_happens(free_port: int, tmp_path: Path) -> None:
    """Every status, schema, header and refusal of every operation, with what the document allows and what it forbids.

    Left out are two feeds that never end (tests/api/test_live.py has them), and one check: that what the document allows is taken.
    Most of it is refused, with a documented status, because of where the ledger stands."""
    with served(free_port) as it:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{it.url}/openapi.json", "--header", f"Authorization: Bearer {CREATOR}"),
            *("--exclude-operation-id", "live.events", "--exclude-operation-id", "agents.tasks"),
            *("--exclude-checks", "positive_data_acceptance", "--phases", "examples,coverage,fuzzing", "--max-examples", "6"),
            *("--request-timeout", "20", "--continue-on-failure", "--no-color", "--warnings", "off"),
        ]
        environment = os.environ | {
            "HOUSE_AHEAD_US": str(it.house.ahead_us),
            "SCHEMATHESIS_HOOKS": "tests.api.fresh_keys",
            "PYTHONPATH": str(ROOT),
        }
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=CHECKED_MAX_S, check=False)

    tested = re.search(r"Tested: (\d+)", run.stdout)
    assert run.returncode == 0, run.stdout[-12_000:] + run.stderr
    assert tested
    assert int(tested[1]) == sum(len(path) for path in it.house.app.openapi()["paths"].values()) - 2


def test_the_client_and_the_application_understand_each_other(free_port: int, tmp_path: Path) -> None:
    with served(free_port) as it:
        asyncio.run(talk(it, tmp_path))


async def talk(it: Served, folder: Path) -> None:
    fast = people().workers["fast"]
    large = folder / "large"
    large.write_bytes(bytes(range(256)) * 40_000)
    async with Client(it.url, CREATOR) as creator, Client(it.url, secret_of(owner(people(), fast))) as provider:
        seen: list[Line] = []
        reader = asyncio.create_task(follow(creator, seen))
        name = await creator.store_file(large)
        size = int((await creator.get("/v1/checkpoint"))["size"])
        answer = await provider.send(fast, worker.GoOffline(worker=fast))
        await provider.beat(fast, "0" * 8)
        stream = await provider.stream(fast, answer.position)
        jobs = await creator.get("/v1/jobs", min_pos=answer.position)
        manifest = await creator.manifest(jobs["items"][0]["job"], jobs["items"][0]["manifest_sha256"])
        with pytest.raises(Problem) as refusal:
            await creator.send(fast, worker.GoOffline(worker=fast))
        await asyncio.wait_for(reader, 10)

    assert large.stat().st_size == await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(size_of(it, name), it.house.loop))
    assert (answer.position, [each.pos for each in stream][-1]) == (size + 1, size + 1)
    assert manifest.startswith(b'{"salt":')
    assert (refusal.value.status, refusal.value.code) == (404, "not_yours")
    assert [line.position for line in seen] == list(range(1, size + 2))


async def size_of(it: Served, name: str) -> int:
    return await it.house.store.size(name)


async def follow(client: Client, seen: list[Line]) -> None:
    async for line in client.follow("/v1/live", after=0):
        seen.append(line)
        if b'"type":"worker.offline.v1"' in line.data and line.position > len(people().network.events):
            return
