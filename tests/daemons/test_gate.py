"""What the gate stops, and what it lets pass."""

import math
import struct
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from multiprocessing import get_context

import pytest
from obstore.store import MemoryStore

from adapters.objects import Objects
from domain.ids import TaskId
from domain.parts import Task
from domain.proof import proof
from domain.units import Units
from domain.work import job, task, tiles
from domain.work.objects import ObjectMissing
from domain.work.tiles import Spec
from tests import network
from tests.daemons.rig import Rig
from worker_runtime.daemons import gate, look

SPEC = bytes(range(32))
SIZE, GRID, GROUP = (70, 50), (2, 2), 2
BENCH = Spec("mitsuba", network.BUILD, "0" * 64, 1, (40, 30), (2, 2), 4, 80, 7)


def noise(count: int, salt: str) -> list[float]:
    """Numbers as a renderer makes them: no two alike."""
    return [int.from_bytes(sha256(f"{salt} {n}".encode()).digest()[:3], "big") / 2**24 for n in range(count)]


def raw(height: int, width: int, spec: bytes, values: list[float]) -> bytes:
    return tiles.pack(struct.pack(f"<{len(values)}f", *values), height, width, spec)


class Scene:
    """A network with a job of real tiles, leased out, and the gate before it."""

    def __init__(self) -> None:
        self.net, creator, _ = network.populated(signs=False)
        self.rig, self.store = Rig(net=self.net), Objects(MemoryStore())
        self.gate = gate.Gate(self.rig.desk("gate"), self.store, lambda _: BENCH)
        facts = {"engine": "mitsuba", "manifest_sha256": "a" * 64, "frames": 2, "size": SIZE, "tiles": GRID, "group": GROUP}
        command = job.Submit.model_validate({**facts, "samples": 10_000, "limit_price": Units(200_000_000)})
        submitted = self.net.do(creator, command, keyed=True)[0].event
        assert isinstance(submitted, job.Submitted)
        self.spec = bytes.fromhex(submitted.spec_sha256)
        self.net.open(submitted.job)
        self.leased = [it for it in self.net.world.tasks.values() if it.status == "leased"]
        self.net.now_us = max(gate.earliest_us(self.net.world, it) for it in self.leased)

    async def put(self, content: bytes) -> str:
        async def chunks() -> AsyncIterator[bytes]:
            yield content

        return (await self.store.put(chunks())).sha256

    async def commit(self, it: Task, contents: list[bytes]) -> proof.Commit:
        return proof.Commit(
            worker=it.worker,
            task=it.id,
            fence=it.fence,
            raw=tuple([await self.put(content) for content in contents]),
            raw_bytes=sum(map(len, contents)),
            seconds_us=1,
            build=network.BUILD,
            device="cpu",
            signature=network.DUMMY,
        )

    def contents(self, id: TaskId, *, salt: str = "") -> list[bytes]:
        """What an honest worker renders."""
        number = int(id.partition("/")[2])
        _, numbers = tiles.task_tiles(number, GRID, GROUP)
        places = [tiles.box(SIZE, GRID, tile) for tile in numbers]
        return [
            raw(box.height, box.width, self.spec, noise(box.height * box.width * 3, f"{salt} {id} {n}")) for n, box in enumerate(places)
        ]

    async def judge(self, it: Task, contents: list[bytes]) -> str | None:
        return await self.gate(self.net.world, it.worker, await self.commit(it, contents))

    def stopped(self) -> list[tuple[TaskId, str, str]]:
        found = [it.event for it in self.net.events if isinstance(it.event, task.Ended)]
        return [(it.task, it.outcome, it.code) for it in found]


async def test_an_honest_proof_passes_and_nothing_happens() -> None:
    scene = Scene()
    for it in scene.leased[:3]:
        assert await scene.judge(it, scene.contents(it.id)) is None
    assert scene.stopped() == []


async def test_what_fails_ends_the_attempt_once_with_the_word_for_it() -> None:
    scene = Scene()
    it = scene.leased[0]
    fence = it.fence
    commit = await scene.commit(it, scene.contents(it.id)[:1])
    assert [await scene.gate(scene.net.world, commit.worker, commit) for _ in range(2)] == ["tiles", None]
    assert scene.stopped() == [(it.id, "gate", "tiles")]
    assert it.fence != fence or it.status != "leased"


@pytest.mark.parametrize(
    ("code", "spoil"),
    [
        ("format", lambda tile: tile[:-36] + struct.pack("<I", 4) + tile[-32:]),
        ("size", lambda tile: tile[12:]),
        ("size", lambda tile: tile + bytes(12)),
        ("spec", lambda tile: tile[:-32] + bytes(32)),
        ("finite", lambda tile: struct.pack("<f", math.nan) + tile[4:]),
        ("finite", lambda tile: struct.pack("<f", math.inf) + tile[4:]),
        ("range", lambda tile: struct.pack("<f", -2e30) + tile[4:]),
    ],
)
async def test_a_tile_that_cannot_be_one_is_stopped(code: str, spoil: Callable[[bytes], bytes]) -> None:
    scene = Scene()
    it = scene.leased[0]
    first, second = scene.contents(it.id)
    assert await scene.judge(it, [first, spoil(second)]) == code


async def test_a_tile_of_the_right_length_and_the_wrong_shape_is_stopped() -> None:
    scene = Scene()
    it = scene.leased[0]
    first, second = scene.contents(it.id)
    turned = tiles.unpack(second)
    assert await scene.judge(it, [first, tiles.pack(turned.pixels, turned.width, turned.height, scene.spec)]) == "size"


async def test_bytes_that_are_not_as_many_as_said_are_stopped() -> None:
    scene = Scene()
    it = scene.leased[0]
    commit = await scene.commit(it, scene.contents(it.id))
    assert await scene.gate(scene.net.world, it.worker, commit.model_copy(update={"raw_bytes": 7})) == "bytes"


async def test_less_than_half_of_the_expected_time_is_too_early() -> None:
    scene = Scene()
    one, two = scene.leased[:2]
    scene.net.now_us = gate.earliest_us(scene.net.world, one) - 1
    assert one.leased_us < scene.net.now_us
    assert await scene.judge(one, scene.contents(one.id)) == "early"
    scene.net.now_us = gate.earliest_us(scene.net.world, two)
    assert await scene.judge(two, scene.contents(two.id)) is None


async def test_one_tile_for_two_is_stopped_unless_it_is_plain() -> None:
    scene = Scene()
    it = scene.leased[0]
    first, _ = scene.contents(it.id)
    height, width = tiles.unpack(first).height, tiles.unpack(first).width
    plain = raw(height, width, scene.spec, [0.25, 0.5, 0.75] * (height * width))
    assert await scene.judge(it, [plain, plain]) is None
    assert await scene.judge(it, [first, first]) == "duplicate"


async def test_a_tile_of_another_task_is_stopped_if_the_same_owner_proved_it() -> None:
    scene = Scene()
    one, other = scene.leased[:2]
    same = scene.contents(one.id)
    commit = await scene.commit(one, same)
    scene.net.do(one.worker, commit, one.owner)
    assert await scene.judge(other, same) is None
    other.owner = one.owner
    assert await scene.judge(other, same) == "duplicate"


async def test_the_same_tile_of_the_same_task_by_another_worker_is_no_duplicate() -> None:
    scene = Scene()
    it = scene.leased[0]
    same = scene.contents(it.id)
    scene.net.do(it.worker, task.End(task=it.id, fence=it.fence, outcome="error", code="crashed"), it.owner)
    first = it.worker
    scene.net.commit(scene.leased[1].id, after_us=1_500_000)
    assert (it.status, it.worker != first) == ("leased", True)
    scene.net.now_us = gate.earliest_us(scene.net.world, it)
    assert await scene.judge(it, same) is None


async def test_what_was_not_uploaded_is_refused_and_ends_nothing() -> None:
    scene = Scene()
    it = scene.leased[0]
    commit = await scene.commit(it, scene.contents(it.id))
    with pytest.raises(ObjectMissing):
        await scene.gate(scene.net.world, it.worker, commit.model_copy(update={"raw": (commit.raw[0], "f" * 64)}))
    assert scene.stopped() == []


async def test_a_stale_or_foreign_commit_is_left_to_the_ledger() -> None:
    scene = Scene()
    one, two = scene.leased[:2]
    commit = await scene.commit(one, scene.contents(one.id)[:1])
    stale = commit.model_copy(update={"fence": one.fence + 1})
    assert await scene.gate(scene.net.world, one.worker, stale) is None
    assert await scene.gate(scene.net.world, two.worker, commit) is None
    assert scene.stopped() == []


async def leased_bench() -> tuple[Scene, Task]:
    scene = Scene()
    id = scene.net.worker(scene.net.person("provider"))
    scene.net.online(id)
    scene.net.beacon()
    return scene, next(it for it in scene.net.world.tasks.values() if it.worker == id)


async def test_a_constant_tile_passes_in_a_job_and_not_in_a_bench() -> None:
    scene, it = await leased_bench()
    spec = bytes.fromhex(BENCH.sha256())
    good = [raw(15, 20, spec, noise(900, str(n))) for n in range(4)]
    constant = raw(15, 20, spec, [0.5] * 900)
    assert await scene.judge(it, good) is None
    assert await scene.judge(it, [*good[:3], constant]) == "constant"
    assert scene.stopped()[-1] == (it.id, "gate", "constant")


def test_bytes_may_be_looked_at_in_another_process() -> None:
    tile = raw(4, 5, SPEC, noise(60, "tile"))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        assert apart.submit(look.at, tile, 4, 5, SPEC).result() == look.Look("")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.5] * 192, look.Look("", constant=True, plain=True)),
        ([0.5, 0.5, 0.25] * 32 + [0.5] * 96, look.Look("", constant=False, plain=True)),
        (noise(192, "x"), look.Look("", constant=False, plain=False)),
        ([3e38] * 192, look.Look("range")),
    ],
)
def test_a_look_tells_constant_from_plain_from_rendered(values: list[float], expected: look.Look) -> None:
    assert look.at(raw(8, 8, SPEC, values), 8, 8, SPEC) == expected
