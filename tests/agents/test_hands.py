"""What agents do beside their state machines: notes, bids, scores, the name of a device, and the drill."""

import stat
from pathlib import Path

import pytest

from domain.ids import AuditId, JobId, TaskId, WorkerId
from domain.log.answers import Problem
from domain.market import bid
from domain.market import worker as workers
from domain.proof.verdict import Metric
from domain.work import tiles
from tests.agents.office import Office, Painter
from tests.network import CLASS, Network, populated
from worker_runtime import ports, worker
from worker_runtime.checker.agent import Found
from worker_runtime.checker.checker import Notes
from worker_runtime.gpu import agent, bench
from worker_runtime.gpu.agent import Lease
from worker_runtime.gpu.cheat import Cheat
from worker_runtime.loop import Loop
from worker_runtime.studio import Cache, Studio
from worker_runtime.worker import Worker

AUDIT = AuditId("audit-90")
FOUND = Found(2, "invalid", (Metric(3, False, 27_000, 700_000),), ("ab" * 32,), "12" * 16)


def test_a_note_is_private_and_outlives_the_process(tmp_path: Path) -> None:
    folder = tmp_path / "verdicts"
    Notes(folder).keep(AUDIT, FOUND)
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Notes(folder).all() == {AUDIT: FOUND}


def test_a_note_is_forgotten_once_it_is_no_more_use(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    notes.keep(AUDIT, FOUND)
    notes.forget(AUDIT)
    notes.forget(AUDIT)
    assert notes.all() == {}


def test_a_note_that_cannot_be_read_is_as_good_as_none(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    notes.keep(AUDIT, FOUND)
    (tmp_path / "audit-91.json").write_bytes(b'{"round":1')
    assert notes.all() == {AUDIT: FOUND}


@pytest.fixture(scope="module")
def office() -> Office:
    """A ledger with workers that were scored; each has placed one bid."""
    return Office(populated(signs=True)[0], 1)


def hands(office: Office, id: WorkerId, folder: Path, price: str = "") -> Worker:
    settings = office.settings(id, folder, price_per_kwu=price)
    studio = Studio(office, ports.Workshop(Painter, isolated=True), Cache(folder), settings.owns)
    loop = Loop(agent.Agent(id, "ab" * 8), id, office)
    return Worker(settings, office, office.sign(settings.account), studio, loop)


def own(office: Office) -> WorkerId:
    return next(each.id for each in office.network.world.workers.values() if each.kind != "checker")


async def test_a_standing_bid_is_kept_and_not_said_twice(office: Office, tmp_path: Path) -> None:
    id = own(office)
    standing = office.network.world.workers[id].classes[CLASS]
    bids = [recorded.event for recorded in await office.stream(id) if isinstance(recorded.event, bid.Set)]
    await hands(office, id, tmp_path, str(int(standing.price))).bid()
    assert [recorded.event for recorded in await office.stream(id) if isinstance(recorded.event, bid.Set)] == bids
    for price in ("165000000", "166000000", "166000000"):
        await hands(office, id, tmp_path, price).bid()
        assert int(office.network.world.workers[id].classes[CLASS].price) == int(price)
    assert office.network.world.workers[id].bids == len(bids) + 2


async def test_the_first_bid_of_a_worker_has_number_one(tmp_path: Path) -> None:
    fresh = Office(Network(), 1)
    id = fresh.network.worker(fresh.network.person("provider"))
    await hands(fresh, id, tmp_path, "5").bid()
    assert fresh.network.world.workers[id].bids == 1


async def test_a_bid_that_is_refused_does_not_keep_the_worker_from_working(tmp_path: Path) -> None:
    class Strict(Office):
        async def send(self, *arguments: object) -> object:  # type: ignore[override]
            raise Problem(403, "scope_missing")

    fresh = Strict(Network(), 1)
    id = fresh.network.worker(fresh.network.person("provider"))
    await hands(fresh, id, tmp_path, "5").bid()
    assert fresh.network.world.workers[id].bids == 0


async def test_a_worker_recalls_its_score(office: Office, tmp_path: Path) -> None:
    id = own(office)
    one = hands(office, id, tmp_path)
    await one.recall()
    assert one.loop.inbox.get_nowait() == agent.Scored(CLASS, office.network.world.workers[id].classes[CLASS].score)


MODELS = {"NVIDIA H200": "NVIDIA H200", "Radeon™ <Pro> W7900, 48 GB": "Radeon Pro W7900 48 GB", "™": "CPU only", "x" * 99: "x" * 80}


@pytest.mark.parametrize(("model", "expected"), MODELS.items())
async def test_a_device_has_a_name_that_a_proof_takes(model: str, expected: str) -> None:
    assert await worker.device(lambda: [workers.Device("ab" * 32, model, 1)]) == expected


async def test_a_machine_without_devices_says_so() -> None:
    assert await worker.device(list) == "CPU only"


def test_the_drill_renders_fewer_samples_and_says_otherwise() -> None:
    asked = bench.spec(7)._replace(samples=64)
    rendered = Cheat(8).rendered(asked)
    assert rendered == asked._replace(samples=8)
    raw = tiles.pack(bytes(12), 1, 1, bytes.fromhex(rendered.sha256()))
    labelled = tiles.unpack(Cheat(8).labelled(raw, asked))
    assert (labelled.pixels, labelled.spec.hex()) == (bytes(12), asked.sha256())


def test_the_drill_never_renders_more_than_was_asked() -> None:
    assert Cheat(8).rendered(bench.spec(7)._replace(samples=4)).samples == 4


def test_the_drill_waits_for_nothing_without_a_score() -> None:
    lease = Lease(TaskId("job-1/1"), 1, JobId("job-1"), 0, CLASS, 10_000, 0, 60)
    assert Cheat(8).hold_us(lease, 5, 7, 0) == 7
