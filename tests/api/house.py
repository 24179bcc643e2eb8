"""A ledger with people in it, behind the real application: the log in memory, the real sequencer and follower, HTTP without a socket."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple

import httpx2

from adapters import objects, signer
from adapters.files.notary import Notary
from adapters.log.follower import Follower
from adapters.sequencer import Sequencer
from adapters.signer import Signer
from adapters.succession import Clock
from api.app import Application, create_app
from api.parts import CheckScene, Limits, Parts, Recover, Submit
from domain.body import Body
from domain.ids import AccountId, JobId, WorkerId
from domain.log import wire
from domain.log.block import Sealed, accept
from domain.log.ledger import Ledger
from domain.log.log import MemoryLog
from domain.log.merkle import Head
from domain.log.receipts import Ask, Receipt
from domain.proof import proof
from domain.signing import typed_data
from domain.treasury import account
from domain.work import manifest
from domain.work.manifest import Manifest
from domain.world import World
from projections import catalog, runner
from projections.memory import MemoryViews
from projections.past import Past
from tests import network
from tests.log.ledgers import uuid7
from tests.network import CHAIN_ID, LOG, Network

SCOPES = ("account", "create", "provide", "agent", "payout", "office")
DUMMY = "0x" + "00" * 65


class House:
    """The running parts, and a client for each caller."""

    def __init__(self, network: Network, app: Application, follower: Follower, store: objects.Objects, log: MemoryLog) -> None:
        self.network, self.app, self.follower, self.store, self.log = network, app, follower, store, log
        self.parts: Parts
        self.gate_code: str | None = None
        self.scene_fault: tuple[str, str] | None = None
        self.submit: Submit
        self.recover: Recover = signer.recover_typed
        self.check_scene: CheckScene = lambda _, __: None
        self.beats = list[tuple[str, str]]()
        self.gated = list[str]()
        self._n = 0
        self.loop = asyncio.get_running_loop()
        self.ahead_us = network.now_us - time.monotonic_ns() // 1000

    @property
    def world(self) -> World:
        return self.follower.world

    def now_us(self) -> int:
        return time.monotonic_ns() // 1000 + self.ahead_us

    def key(self) -> str:
        self._n += 1
        return uuid7(self.now_us(), self._n)

    def client(self, secret: str = "") -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        transport = httpx2.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx2.AsyncClient(transport=transport, base_url="http://gridledger", headers=headers)

    async def post(self, secret: str, path: str, fields: Any = None, *, key: str | None = None, **more: Any) -> httpx2.Response:
        """A command with a fresh key, unless one is given."""
        content = fields if isinstance(fields, bytes) else json.dumps(fields or {}).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": self.key() if key is None else key} | more.pop("headers", {})
        async with self.client(secret) as http:
            return await http.post(path, content=content, headers={name: value for name, value in headers.items() if value}, **more)

    async def get(self, secret: str, path: str, **more: Any) -> httpx2.Response:
        async with self.client(secret) as http:
            return await http.get(path, **more)

    async def put(self, secret: str, content: bytes) -> str:
        digest = sha256(content).hexdigest()
        async with self.client(secret) as http:
            answer = await http.put(f"/v1/objects/{digest}", content=content)
        assert answer.status_code == 201, answer.text
        return digest

    def signed(self, command: Body, owner: AccountId, by: Signer | None = None) -> dict[str, Any]:
        """The command as its body, signed by the owner's key for that purpose."""
        claim = command.claim(owner)
        assert claim is not None
        keys = self.network.agents if claim.purpose == "agent" else self.network.signers
        signature = (by or keys[owner]).sign_typed(typed_data(LOG, CHAIN_ID, claim))
        fields: dict[str, Any] = json.loads(wire.encode(command.model_dump(by_alias=True)))
        return fields | {"signature": signature}


def secret_of(account: str) -> str:
    """The API secret of an account of the network."""
    return sha256(f"the secret of {account}".encode()).hexdigest()


class People(NamedTuple):
    """A network before the first job: a creator with money, four workers with scores and bids, three checkers."""

    network: Network
    creator: AccountId
    workers: dict[str, WorkerId]


def api_key(of: str, scopes: tuple[str, ...], expires_us: int = 0) -> account.ApiKey:
    return account.ApiKey(alg="api", key=sha256(secret_of(of).encode()).hexdigest(), scopes=scopes, expires_us=expires_us)


@cache
def people() -> People:
    """Built once: the houses of the tests begin with its records, and change nothing of it."""
    it, creator, workers = network.populated()
    for id in (creator, *(it.world.workers[worker].owner for worker in workers.values()), *list(it.world.people)[:2]):
        lines = api_key(id, SCOPES), api_key(f"{id} narrow", ("payout",)), api_key(f"{id} expired", SCOPES, 1)
        it.do(id, account.Change(keys_added=lines), keyed=True)
    return People(it, creator, workers)


@cache
def lived() -> People:
    """The same after a job was done, checked and paid, likewise built once."""
    return people()._replace(network=network.life())


@cache
def alive() -> People:
    """The same, whose creator has an API key and goes on; built once, too."""
    it = people()._replace(network=network.life())
    it.network.do(it.creator, account.Change(keys_added=(api_key(it.creator, SCOPES),)), keyed=True)
    return it


def owner(of: People, worker: WorkerId) -> AccountId:
    return of.network.world.workers[worker].owner


def problem(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.json()["status"] == answer.status_code
    return answer.status_code, answer.json()["code"]


async def job_fields(house: House) -> dict[str, Any]:
    """The body of a submission whose scene is uploaded."""
    described, files = scene()
    secret = secret_of(people().creator)
    for content in (*files.values(), described.encode()):
        await house.put(secret, content)
    size = {"frames": 2, "size": [16, 16], "samples": 14_400}
    return {"engine": "mitsuba", "manifest_sha256": described.sha256(), "limit_price": "200000000", **size}


async def submitted(house: House) -> JobId:
    answer = await house.post(secret_of(people().creator), "/v1/jobs", await job_fields(house))
    assert answer.status_code == 201, answer.text
    return JobId(answer.json()["events"][0]["event"]["job"])


async def fill(log: MemoryLog, records: list[bytes]) -> None:
    head = Head(LOG)
    for record in records:
        after = accept(head, record).after
        await log.append(Sealed(head, after, record))
        head = after


@asynccontextmanager
async def running(of: People, limits: Limits | None = None, *, leads: bool = True) -> AsyncIterator[House]:
    """Without `leads` nobody decides: it is read, and stays as it is."""
    log, store = MemoryLog(), objects.memory()
    await fill(log, of.network.records)
    follower = Follower(log, Ledger(Head(LOG)))
    house = House(of.network, Application(()), follower, store, log)
    views = MemoryViews(*catalog.ALL)
    clock = Clock(wall=house.now_us, steady=lambda: time.monotonic_ns() // 1000)
    sequencer = Sequencer(log, lambda: Ledger(Head(LOG)), "test", clock=clock)

    async def gate(_: World, __: WorkerId, command: proof.Commit) -> str | None:
        house.gated.append(command.task)
        return house.gate_code

    def look(scene: Manifest, read: Callable[[str], bytes]) -> tuple[str, str] | None:
        assert all(len(read(asset.name)) == asset.bytes for asset in scene.assets)
        return house.scene_fault or house.check_scene(scene, read)

    async def submit(ask: Ask) -> Receipt:
        return await house.submit(ask)

    house.submit = sequencer.submit

    def recover(document: dict[str, Any], signature: str) -> str:
        return house.recover(document, signature)

    parts = Parts(
        submit=submit,
        reader=follower,
        views=views,
        projections=catalog.ALL,
        objects=store,
        log=log,
        past=Past(log, catalog.ALL),
        check_scene=look,
        recover=recover,
        gate=gate,
        seen=lambda worker, session: house.beats.append((worker, session)),
        now_us=house.now_us,
        ready=lambda: sequencer.leading or not leads,
        notary=Notary(LOG, bytes(32)),
        limits=limits or Limits(read_wait_s=0.05, wait_s=2.0, keep_alive_s=0.2),
    )
    house.parts, house.app = parts, create_app(parts)
    runs = follower.run(), runner.run(catalog.ALL, log, views, Head(LOG)), *((sequencer.run(),) if leads else ())
    tasks = [asyncio.ensure_future(run) for run in runs]
    try:
        await follower.reached(len(of.network.events) + leads, 10.0)
        yield house
    finally:
        if leads:
            await sequencer.stop()
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def scene() -> tuple[Manifest, dict[str, bytes]]:
    files = {"frame-0.xml": b"<scene/>", "frame-1.xml": b"<scene></scene>", "mesh.ply": b"ply"}
    assets = [manifest.describe(name, content) for name, content in files.items()]
    return Manifest("0" * 32, assets, ["frame-0.xml", "frame-1.xml"]), files
